//! Vectors of f32: sums, exp and what is built of it, widening and narrowing.

use super::{exp_8, load_first, store_first};
use core::arch::x86_64::*;

/// The 16 lanes of a reduction.
#[derive(Clone, Copy)]
pub(super) struct Lanes(pub(super) __m256, pub(super) __m256);

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn zero() -> Lanes {
    Lanes(_mm256_setzero_ps(), _mm256_setzero_ps())
}

/// `lane j + lane j + half` for halves 8, 4, 2, 1.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn reduce(lanes: Lanes) -> f32 {
    let eight = _mm256_add_ps(lanes.0, lanes.1);
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn sum(x: &[f32]) -> f32 {
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
pub(crate) fn exp_minus(x: &mut [f32], max: f32) {
    let max = _mm256_set1_ps(max);
    for x in x.chunks_mut(8) {
        let exps = exp_8(_mm256_sub_ps(load_first(x), max));
        store_first(x, exps);
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn swiglu(out: &mut [f32], gate: &[f32], up: &[f32]) {
    let one = _mm256_set1_ps(1.0);
    let sign = _mm256_set1_ps(-0.0);
    for ((out, gate), up) in out.chunks_mut(8).zip(gate.chunks(8)).zip(up.chunks(8)) {
        let gate = load_first(gate);
        let silu = _mm256_div_ps(gate, _mm256_add_ps(one, exp_8(_mm256_xor_ps(gate, sign))));
        store_first(out, _mm256_mul_ps(silu, load_first(up)));
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn widen_f16(bytes: &[u8], out: &mut [f32]) {
    for (out, bytes) in out.chunks_mut(8).zip(bytes.chunks(16)) {
        let mut halves = [0; 16];
        halves[..bytes.len()].copy_from_slice(bytes);
        // SAFETY: the array holds the 16 bytes that are read.
        let halves = unsafe { _mm_loadu_si128(halves.as_ptr().cast()) };
        store_first(out, _mm256_cvtph_ps(halves));
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn widen_bf16(bytes: &[u8], out: &mut [f32]) {
    for (out, bytes) in out.chunks_mut(8).zip(bytes.chunks(16)) {
        let mut halves = [0; 16];
        halves[..bytes.len()].copy_from_slice(bytes);
        // SAFETY: the array holds the 16 bytes that are read.
        let halves = unsafe { _mm_loadu_si128(halves.as_ptr().cast()) };
        let bits = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(halves));
        store_first(out, _mm256_castsi256_ps(bits));
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn narrow_f16(x: &[f32], out: &mut [u16]) {
    for (x, out) in x.chunks(8).zip(out.chunks_mut(8)) {
        let mut halves = [0; 8];
        let narrow = _mm256_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT }>(load_first(x));
        // SAFETY: the array holds the 16 bytes that are written.
        unsafe { _mm_storeu_si128(halves.as_mut_ptr().cast(), narrow) };
        out.copy_from_slice(&halves[..x.len()]);
    }
}
