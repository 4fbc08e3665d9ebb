//! Kernels for AVX2, FMA and F16C, bit-identical to [`crate::scalar`].
//!
//! The 16 lanes of a reduction are two registers; where a slice ends inside them, masked loads
//! give the lanes past the end zeros, which change nothing.
//!
//! Every function here is `unsafe` to call without the three features; [`crate::Kernels`] checks
//! them. Slices are read through pointers only at offsets that the loop bounds keep inside.

pub(crate) mod adamw;
pub(crate) mod bf16;
pub(crate) mod floats;
pub(crate) mod formats;
pub(crate) mod gemm;
pub(crate) mod panels;
pub(crate) mod quantize;
pub(crate) mod read;
pub(crate) mod rows;
pub(crate) mod training;

use crate::dispatch::Table;
use core::arch::x86_64::*;
use llamaboot_math::exp as constants;

pub(crate) const TABLE: Table = Table {
    dot: rows::dot,
    sum: floats::sum,
    dots: rows::dots,
    weighted_sum: rows::weighted_sum,
    exp_minus: floats::exp_minus,
    swiglu: floats::swiglu,
    quantize: quantize::quantize,
    split: None,
    widen_f16: floats::widen_f16,
    widen_bf16: floats::widen_bf16,
    narrow_f16: floats::narrow_f16,
    read: read::read,
    float_rows: rows::float_rows,
    panels: panels::panels,
    adamw: adamw::adamw,
    tile: gemm::TILE,
    transpose: gemm::transpose,
    bf16: bf16::BF16,
    training: training::TRAINING,
};

/// A mask that selects the first `n` of 8 lanes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn first_lanes(n: usize) -> __m256i {
    let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), lanes)
}

/// Up to 8 values, zeros behind them. Whole vectors take the plain path: masked accesses, stores
/// above all, are slow on AMD.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_first(x: &[f32]) -> __m256 {
    if let Some(whole) = x.first_chunk::<8>() {
        // SAFETY: eight values lie there.
        return unsafe { _mm256_loadu_ps(whole.as_ptr()) };
    }
    // SAFETY: a masked load touches the selected lanes only, and those are `x`'s elements.
    unsafe { _mm256_maskload_ps(x.as_ptr(), first_lanes(x.len())) }
}

/// The first `out.len()` (up to 8) lanes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn store_first(out: &mut [f32], x: __m256) {
    if let Some(whole) = out.first_chunk_mut::<8>() {
        // SAFETY: eight values lie there.
        return unsafe { _mm256_storeu_ps(whole.as_mut_ptr(), x) };
    }
    // SAFETY: a masked store touches the selected lanes only, and those are `out`'s elements.
    unsafe { _mm256_maskstore_ps(out.as_mut_ptr(), first_lanes(out.len()), x) }
}

/// Four exponentials in f64, with the operations and order that `llamaboot_math::exp` states.
#[target_feature(enable = "avx2,fma,f16c")]
fn exp_4(x: __m256d) -> __m128 {
    let set = |x: f64| _mm256_set1_pd(x);
    let shift = set(constants::ROUNDING_SHIFT);
    let t = _mm256_add_pd(_mm256_mul_pd(x, set(constants::STEPS_PER_LN2)), shift);
    let n = _mm256_castpd_si256(t);
    let k = _mm256_sub_pd(t, shift);
    let r = _mm256_sub_pd(x, _mm256_mul_pd(k, set(constants::LN2_OVER_STEPS_HI)));
    let r = _mm256_sub_pd(r, _mm256_mul_pd(k, set(constants::LN2_OVER_STEPS_LO)));
    // Four loads, not a gather: gathers are slow on AMD, slow on Intel since the microcode against
    // "Downfall", and QEMU 7.2 executes one whose index is ymm4 wrongly.
    static TABLE: [u64; constants::STEPS] = constants::TABLE;
    let [low, high] = [_mm256_castsi256_si128(n), _mm256_extracti128_si256::<1>(n)];
    let entry = |n: i64| TABLE[n as usize % constants::STEPS].cast_signed();
    let entry = _mm256_setr_epi64x(
        entry(_mm_cvtsi128_si64(low)),
        entry(_mm_extract_epi64::<1>(low)),
        entry(_mm_cvtsi128_si64(high)),
        entry(_mm_extract_epi64::<1>(high)),
    );
    let exponent = _mm256_slli_epi64::<{ constants::TABLE_SHIFT as i32 }>(n);
    let s = _mm256_castsi256_pd(_mm256_add_epi64(entry, exponent));
    let r2 = _mm256_mul_pd(r, r);
    let a = _mm256_add_pd(set(constants::C2), _mm256_mul_pd(r, set(constants::C3)));
    let b = _mm256_add_pd(set(constants::C4), _mm256_mul_pd(r, set(constants::C5)));
    let b = _mm256_add_pd(b, _mm256_mul_pd(r2, set(constants::C6)));
    let p = _mm256_add_pd(r, _mm256_mul_pd(r2, _mm256_add_pd(a, _mm256_mul_pd(r2, b))));
    _mm256_cvtpd_ps(_mm256_add_pd(s, _mm256_mul_pd(s, p)))
}

/// Eight correctly rounded exponentials.
#[target_feature(enable = "avx2,fma,f16c")]
fn exp_8(x: __m256) -> __m256 {
    // With the constants as first operands a NaN in `x` stays one.
    let x = _mm256_max_ps(_mm256_set1_ps(constants::INPUT_MIN), x);
    let x = _mm256_min_ps(_mm256_set1_ps(constants::INPUT_MAX), x);
    let low = exp_4(_mm256_cvtps_pd(_mm256_castps256_ps128(x)));
    let high = exp_4(_mm256_cvtps_pd(_mm256_extractf128_ps::<1>(x)));
    _mm256_set_m128(high, low)
}
