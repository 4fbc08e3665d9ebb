//! Dot products of rows of floats, as `simd8/kernels/rows.rs` does it, with the 16 lanes of a row
//! in one register and masked loads for what a row has beyond a multiple of 16.

use crate::activations::Activations;
use crate::matmul::{Output, streams};
use core::arch::x86_64::*;
use core::ops::Range;
use llamaboot_checkpoint::{DType, Tensor};

/// How numbers are stored, and how 16 of them become f32; the lanes not in `mask` become 0.
trait Source {
    const BYTES: usize;

    /// # Safety
    /// The numbers of the lanes in `mask` lie from `at` on.
    unsafe fn load(at: *const u8, mask: __mmask16) -> __m512;
}

struct F32;
struct F16;
struct BF16;

impl Source for F32 {
    const BYTES: usize = 4;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn load(at: *const u8, mask: __mmask16) -> __m512 {
        // SAFETY: a masked load touches the lanes in the mask only: the caller's promise.
        unsafe { _mm512_maskz_loadu_ps(mask, at.cast()) }
    }
}

impl Source for F16 {
    const BYTES: usize = 2;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn load(at: *const u8, mask: __mmask16) -> __m512 {
        // SAFETY: as above.
        _mm512_cvtph_ps(unsafe { _mm256_maskz_loadu_epi16(mask, at.cast()) })
    }
}

impl Source for BF16 {
    const BYTES: usize = 2;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn load(at: *const u8, mask: __mmask16) -> __m512 {
        // SAFETY: as above.
        let halves = unsafe { _mm256_maskz_loadu_epi16(mask, at.cast()) };
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves)))
    }
}

/// `R` rows, each as long as `x`'s, times `T` tokens.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn tile<S: Source, const R: usize, const T: usize>(
    rows: [&[u8]; R],
    x: [&[f32]; T],
) -> [[__m512; R]; T] {
    let cols = x[0].len();
    assert!(x.iter().all(|x| x.len() == cols));
    assert!(rows.iter().all(|row| row.len() == cols * S::BYTES));
    let mut lanes = [[_mm512_setzero_ps(); R]; T];
    for i in (0..cols).step_by(16) {
        let mask = if i + 16 <= cols { !0 } else { (1 << (cols - i)) - 1 };
        // SAFETY: the mask has the numbers before `cols`, which every row and token has (asserted).
        let w = rows.map(|row| unsafe { S::load(row.as_ptr().add(i * S::BYTES), mask) });
        for (lanes, x) in lanes.iter_mut().zip(x) {
            // SAFETY: as above.
            let x = unsafe { _mm512_maskz_loadu_ps(mask, x.as_ptr().add(i)) };
            for (lane, w) in lanes.iter_mut().zip(w) {
                *lane = _mm512_mask3_fmadd_ps(w, x, *lane, mask);
            }
        }
    }
    lanes
}

/// `lane j + lane j + half` for halves 8, 4, 2, 1.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn reduce(lanes: __m512) -> f32 {
    let eight = _mm256_add_ps(_mm512_castps512_ps256(lanes), _mm512_extractf32x8_ps::<1>(lanes));
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let [[lanes]] = tile::<F32, 1, 1>([bytemuck::cast_slice(a)], [b]);
    reduce(lanes)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn float_rows(
    w: &Tensor<'_>,
    rows: Range<usize>,
    x: &Activations,
    out: &mut Output<'_>,
) {
    match w.dtype {
        DType::F32 => matrix::<F32>(w, rows, x, out),
        DType::F16 => matrix::<F16>(w, rows, x, out),
        _ => matrix::<BF16>(w, rows, x, out),
    }
}

/// Four streams of rows, against four tokens at a time where there are as many.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn matrix<S: Source>(w: &Tensor<'_>, rows: Range<usize>, x: &Activations, out: &mut Output<'_>) {
    let (steps, rest) = streams::<4>(rows);
    for rows in steps {
        tokens::<S, 4>(w, rows, x, out);
    }
    for row in rest {
        tokens::<S, 1>(w, [row], x, out);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn tokens<S: Source, const R: usize>(
    w: &Tensor<'_>,
    rows: [usize; R],
    x: &Activations,
    out: &mut Output<'_>,
) {
    let bytes = rows.map(|row| w.row(row));
    let mut put = |token: usize, lanes: [__m512; R]| {
        for (row, lanes) in rows.into_iter().zip(lanes) {
            out.rows(token, row, 1)[0] = reduce(lanes);
        }
    };
    let mut token = 0;
    while token + 4 <= x.tokens {
        let four = core::array::from_fn(|t| x.row(token + t));
        for (t, lanes) in tile::<S, R, 4>(bytes, four).into_iter().enumerate() {
            put(token + t, lanes);
        }
        token += 4;
    }
    for token in token..x.tokens {
        let [lanes] = tile::<S, R, 1>(bytes, [x.row(token)]);
        put(token, lanes);
    }
}
