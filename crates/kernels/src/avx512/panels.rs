//! Panels of eight rows against int16 activations, as `simd8/kernels/panels.rs` does it, with
//! `vpdpwssd`, which multiplies and adds in one step. A batch takes two panels side by side in a
//! register. One token and weights of fewer than eight bits are `bytes.rs`'s.

use super::bytes;
use crate::activations::{Activations, BLOCK, BlockInfo};
use crate::matmul::{Output, UnpackedPanel, streams};
use crate::simd8::avx2::formats::{self, Format, for_format};
use crate::simd8::avx2::panels::{
    self as avx2, Panels, block_len, define_span_step, fetch_part, unpack, walk_panels, x_sum,
};
use crate::simd8::avx2::{Floats, store_first};
use core::arch::x86_64::*;
use core::ops::Range;
use llamaboot_checkpoint::{DType, PANEL_ROWS, Tensor};

/// Two halves of a register.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn both(lower: __m256i, upper: __m256i) -> __m512i {
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(lower), upper)
}

/// Which pair of a half each lane has: `lower` in the lower lanes, `upper` in the upper ones.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn lanes(lower: usize, upper: usize) -> __m512i {
    both(_mm256_set1_epi32(lower as i32), _mm256_set1_epi32(upper as i32))
}

/// Both halves of a sum added.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn folded(sum: __m512i) -> __m256i {
    let upper = _mm512_extracti64x4_epi64::<1>(sum);
    _mm256_add_epi32(_mm512_castsi512_si256(sum), upper)
}

/// `P` panels of eight bits times one token, straight from the packed weights: registers hold two
/// pairs of columns of a panel, one in the lower eight lanes and another in the upper, whose exact
/// sums are added when a span ends.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn single<F: Format, const P: usize>(
    w: &Tensor<'_>,
    numbers: [usize; P],
    x: &Activations,
    out: &mut Output<'_>,
) {
    let panels = Panels::new::<F>(w, numbers);
    let (q, infos) = (x.row_q(0), x.row_infos(0));
    let is_plain = F::PARTS == 1 && F::SPANS == 1 && F::HIGH == 0 && F::OFFSET == 0 && !F::MIN;
    assert!(F::LOW == 8 && is_plain, "eight bits and a scale for 32 of them");
    assert!(q.len() == w.cols && q.len() == infos.len() * BLOCK, "rows of blocks");
    let places: [__m512i; 4] = core::array::from_fn(|n| lanes(2 * n, 2 * n + 1));
    let mut acc = [_mm256_setzero_ps(); P];
    let mut sums = [_mm512_setzero_si512(); P];
    // One loop over halves: a nested one is unrolled until registers run out.
    for step in 0..2 * infos.len() {
        let (block, half) = (step / 2, step % 2);
        // SAFETY: `Panels` has checked that every block is there.
        let heads = panels.data.map(|data| unsafe { data.as_ptr().add(block * block_len::<F>()) });
        // SAFETY: 16 int16 of this half, inside the row (asserted).
        let xs = unsafe { _mm256_loadu_si256(q.as_ptr().add(step * BLOCK / 2).cast()) };
        let pairs =
            places.map(|places| _mm512_permutexvar_epi32(places, _mm512_castsi256_si512(xs)));
        for (sum, head) in sums.iter_mut().zip(heads) {
            for (n, pair) in pairs.into_iter().enumerate() {
                // SAFETY: 128 bytes of this half, behind the block's head.
                let bytes =
                    unsafe { _mm256_loadu_si256(head.add(F::HEAD + 128 * half + 32 * n).cast()) };
                *sum = _mm512_dpwssd_epi32(*sum, _mm512_cvtepi8_epi16(bytes), pair);
            }
        }
        if half == 0 {
            continue;
        }
        let info = &infos[block];
        for (panel, (acc, sum)) in acc.iter_mut().zip(&mut sums).enumerate() {
            // SAFETY: a whole head lies there, and all groups' scales (see `Panels`).
            let scale = unsafe { F::scale(heads[panel], 0, 0, panels.scales[panel].at(block)) };
            *acc = avx2::span_step(false, scale, folded(*sum), info.scale, 0, *acc);
            *sum = _mm512_setzero_si512();
        }
    }
    for (panel, acc) in numbers.into_iter().zip(acc) {
        store_first(out.rows(0, panel * PANEL_ROWS, PANEL_ROWS), acc);
    }
}

/// 32 bytes of each of two panels, side by side.
///
/// # Safety
/// 32 bytes lie at each place.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn beside<T>([lower, upper]: [*const T; 2]) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe { both(_mm256_loadu_si256(lower.cast()), _mm256_loadu_si256(upper.cast())) }
}

define_span_step!(
    target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"),
    __m512i,
    __m512,
    _mm512_set1_ps,
    _mm512_cvtepi32_ps,
    _mm512_mul_ps,
    _mm512_fmadd_ps
);

/// Two unpacked panels, side by side in a register, times `T` tokens from `first` on.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn tile<const SPANS: usize, const MIN: bool, const T: usize>(
    panels: [&UnpackedPanel; 2],
    x: &Activations,
    first: usize,
) -> [[__m256; T]; 2] {
    let q: [&[i16]; T] = core::array::from_fn(|t| x.row_q(first + t));
    let infos: [&[BlockInfo]; T] = core::array::from_fn(|t| x.row_infos(first + t));
    let blocks = infos[0].len();
    assert!(q.iter().all(|q| q.len() == blocks * BLOCK), "rows of blocks");
    assert!(infos.iter().all(|infos| infos.len() == blocks), "rows of blocks");
    panels.iter().for_each(|panel| panel.check(blocks * BLOCK, SPANS));
    let mut acc = [_mm512_setzero_ps(); T];
    for span in 0..blocks * SPANS {
        let block = span / SPANS;
        let mut sums = [_mm512_setzero_si512(); T];
        for p in span * 16 / SPANS..(span + 1) * 16 / SPANS {
            // SAFETY: 16 pairs a block, of eight rows each, lie in every panel (checked).
            let w = unsafe { beside(panels.map(|panel| panel.q.as_ptr().add(p * 2 * PANEL_ROWS))) };
            for (sum, q) in sums.iter_mut().zip(q) {
                // SAFETY: 16 pairs a block lie in every row (asserted).
                let x = unsafe { q.as_ptr().add(2 * p).cast::<i32>().read_unaligned() };
                *sum = _mm512_dpwssd_epi32(*sum, w, _mm512_set1_epi32(x));
            }
        }
        let at = span * PANEL_ROWS;
        // SAFETY: a scale for each row lies in every panel (checked).
        let scale = unsafe { beside(panels.map(|panel| panel.scale.as_ptr().add(at))) };
        // SAFETY: and room for a minimum.
        let min = unsafe { beside(panels.map(|panel| panel.min.as_ptr().add(at))) };
        let [scale, min] = [scale, min].map(|x| _mm512_castsi512_ps(x));
        for ((acc, sum), infos) in acc.iter_mut().zip(sums).zip(infos) {
            let info = &infos[block];
            let x_sum = x_sum(SPANS, info, span % SPANS);
            *acc = span_step(MIN, (scale, min), sum, info.scale, x_sum, *acc);
        }
    }
    [acc.map(|acc| _mm512_castps512_ps256(acc)), acc.map(|acc| _mm512_extractf32x8_ps::<1>(acc))]
}

/// Tokens of a tile: their sums and results fill half of the registers, and two additions of one
/// sum are further apart than an addition takes.
const TOKENS: usize = 8;

/// Four panels times one token.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn four<F: Format>(
    w: &Tensor<'_>,
    [a, b, c, d]: [usize; 4],
    x: &Activations,
    out: &mut Output<'_>,
) {
    if F::LOW == 8 {
        single::<F, 4>(w, [a, b, c, d], x, out);
    } else {
        bytes::single::<F, 2>(w, [[a, b], [c, d]], x, out);
    }
}

/// One panel times one token.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn one<F: Format>(w: &Tensor<'_>, number: usize, x: &Activations, out: &mut Output<'_>) {
    if F::LOW == 8 {
        single::<F, 1>(w, [number], x, out);
    } else {
        bytes::single::<F, 1>(w, [[number; 2]], x, out);
    }
}

walk_panels!(target_feature(
    enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"
));

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) fn panels(
    w: &Tensor<'_>,
    panels: Range<usize>,
    x: &Activations,
    out: &mut Output<'_>,
    space: &mut [UnpackedPanel; 2],
) {
    for_format!(formats, w, matrix(w, panels, x, out, space));
}
