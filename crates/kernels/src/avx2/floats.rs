//! Vectors of f32: reductions, attention, exp and what is built of it, widening.

use super::{exp_8, first_lanes, load_first, store_first};
use core::arch::x86_64::*;

/// The 16 lanes of a reduction.
#[derive(Clone, Copy)]
struct Lanes(__m256, __m256);

#[target_feature(enable = "avx2,fma,f16c")]
fn zero() -> Lanes {
    Lanes(_mm256_setzero_ps(), _mm256_setzero_ps())
}

/// `lane j + lane j + half` for halves 8, 4, 2, 1.
#[target_feature(enable = "avx2,fma,f16c")]
fn reduce(lanes: Lanes) -> f32 {
    let eight = _mm256_add_ps(lanes.0, lanes.1);
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

/// One fused step for the first `a.len()` (up to 8) lanes; the others stay as they are.
#[target_feature(enable = "avx2,fma,f16c")]
fn masked_step(a: &[f32], b: &[f32], acc: __m256) -> __m256 {
    let sum = _mm256_fmadd_ps(load_first(a), load_first(b), acc);
    _mm256_blendv_ps(acc, sum, _mm256_castsi256_ps(first_lanes(a.len())))
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let whole = a.len() / 16 * 16;
    let mut lanes = zero();
    let (pa, pb) = (a.as_ptr(), b.as_ptr());
    for i in (0..whole).step_by(16) {
        // SAFETY: i + 16 is at most the length of both slices, which are equally long.
        unsafe {
            let low = (_mm256_loadu_ps(pa.add(i)), _mm256_loadu_ps(pb.add(i)));
            let high = (_mm256_loadu_ps(pa.add(i + 8)), _mm256_loadu_ps(pb.add(i + 8)));
            lanes.0 = _mm256_fmadd_ps(low.0, low.1, lanes.0);
            lanes.1 = _mm256_fmadd_ps(high.0, high.1, lanes.1);
        }
    }
    let (a, b) = (&a[whole..], &b[whole..]);
    if !a.is_empty() {
        let middle = a.len().min(8);
        lanes.0 = masked_step(&a[..middle], &b[..middle], lanes.0);
        lanes.1 = masked_step(&a[middle..], &b[middle..], lanes.1);
    }
    reduce(lanes)
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn sum(x: &[f32]) -> f32 {
    let whole = x.len() / 16 * 16;
    let mut lanes = zero();
    for i in (0..whole).step_by(16) {
        // SAFETY: i + 16 is at most the slice's length.
        let (low, high) =
            unsafe { (_mm256_loadu_ps(x.as_ptr().add(i)), _mm256_loadu_ps(x.as_ptr().add(i + 8))) };
        lanes = Lanes(_mm256_add_ps(lanes.0, low), _mm256_add_ps(lanes.1, high));
    }
    let (low, high) = x[whole..].split_at((x.len() - whole).min(8));
    // Zeros added to the lanes past the end change none: a sum that is -0 cannot arise from +0.
    reduce(Lanes(_mm256_add_ps(lanes.0, load_first(low)), _mm256_add_ps(lanes.1, load_first(high))))
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn dots(q: &[f32], keys: &[f32], divisor: f32, out: &mut [f32]) {
    for (key, out) in keys.chunks_exact(q.len()).zip(out) {
        *out = dot(q, key) / divisor;
    }
}

/// Columns are taken 32 at a time, then 8, so that the running sums stay in registers.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn weighted_sum(weights: &[f32], values: &[f32], out: &mut [f32]) {
    let width = out.len();
    assert_eq!(values.len(), weights.len() * width);
    let mut column = 0;
    while column + 32 <= width {
        let mut acc = [_mm256_setzero_ps(); 4];
        for (t, &weight) in weights.iter().enumerate() {
            let weight = _mm256_set1_ps(weight);
            for (j, acc) in acc.iter_mut().enumerate() {
                // SAFETY: row t of `values` has `width` values, and column + 32 is within them.
                let value =
                    unsafe { _mm256_loadu_ps(values.as_ptr().add(t * width + column + 8 * j)) };
                *acc = _mm256_fmadd_ps(weight, value, *acc);
            }
        }
        for (out, acc) in out[column..column + 32].chunks_exact_mut(8).zip(acc) {
            store_first(out, acc);
        }
        column += 32;
    }
    for (out, column) in out[column..].chunks_mut(8).zip((column..width).step_by(8)) {
        let mut acc = _mm256_setzero_ps();
        for (&weight, row) in weights.iter().zip(values.chunks_exact(width)) {
            let value = load_first(&row[column..column + out.len()]);
            acc = _mm256_fmadd_ps(_mm256_set1_ps(weight), value, acc);
        }
        store_first(out, acc);
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn exp_minus(x: &mut [f32], max: f32) {
    let max = _mm256_set1_ps(max);
    for x in x.chunks_mut(8) {
        let exps = exp_8(_mm256_sub_ps(load_first(x), max));
        store_first(x, exps);
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn swiglu(gate: &mut [f32], up: &[f32]) {
    let one = _mm256_set1_ps(1.0);
    let sign = _mm256_set1_ps(-0.0);
    for (gate, up) in gate.chunks_mut(8).zip(up.chunks(8)) {
        let g = load_first(gate);
        let silu = _mm256_div_ps(g, _mm256_add_ps(one, exp_8(_mm256_xor_ps(g, sign))));
        store_first(gate, _mm256_mul_ps(silu, load_first(up)));
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn widen_f16(bytes: &[u8], out: &mut [f32]) {
    for (out, bytes) in out.chunks_mut(8).zip(bytes.chunks(16)) {
        let mut halves = [0; 16];
        halves[..bytes.len()].copy_from_slice(bytes);
        // SAFETY: the array holds the 16 bytes that are read.
        let halves = unsafe { _mm_loadu_si128(halves.as_ptr().cast()) };
        store_first(out, _mm256_cvtph_ps(halves));
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn widen_bf16(bytes: &[u8], out: &mut [f32]) {
    for (out, bytes) in out.chunks_mut(8).zip(bytes.chunks(16)) {
        let mut halves = [0; 16];
        halves[..bytes.len()].copy_from_slice(bytes);
        // SAFETY: the array holds the 16 bytes that are read.
        let halves = unsafe { _mm_loadu_si128(halves.as_ptr().cast()) };
        let bits = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(halves));
        store_first(out, _mm256_castsi256_ps(bits));
    }
}
