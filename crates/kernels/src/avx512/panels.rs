//! Panels of eight rows against int16 activations, as `avx2/panels.rs` does it, with `vpdpwssd`,
//! which multiplies and adds in one step. For one token, registers hold two pairs of columns of a
//! panel, one in the lower eight lanes and another in the upper, whose exact sums are added when a
//! span ends. For a batch they hold one pair of two panels.

use crate::activations::{Activations, BLOCK, BlockInfo};
use crate::avx2::formats::{Format, for_format};
use crate::avx2::panels::{Panels, block_len, part_len, span_step, unpack, walk_panels, x_sum};
use crate::avx2::store_first;
use crate::matmul::{Output, UnpackedPanel, streams};
use core::arch::x86_64::*;
use core::ops::Range;
use llamaboot_checkpoint::{DType, PANEL_ROWS, Tensor};

/// Two halves of a register.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn both(lower: __m256i, upper: __m256i) -> __m512i {
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(lower), upper)
}

/// Words whose fields of `BITS` bits hold pair after pair: in the lower lanes from pair `8 * half`
/// on, in the upper ones from `8 * half + 4` on.
///
/// # Safety
/// A plane of that many bits of eight rows lies there; `half` is 0 or 1.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn words<const BITS: usize>(plane: *const u8, half: usize) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        if BITS == 4 {
            return _mm512_loadu_si512(plane.add(64 * half).cast());
        }
        let at = if BITS == 2 { 32 * half } else { 0 };
        let words = _mm512_broadcast_i64x4(_mm256_loadu_si256(plane.add(at).cast()));
        let from = if BITS == 2 { 0 } else { 8 * half as i16 };
        let counts = both(_mm256_set1_epi16(from), _mm256_set1_epi16(from + 4 * BITS as i16));
        _mm512_srlv_epi16(words, counts)
    }
}

/// The four fields of `bits` bits at bit 0, 1 · bits, … of each word, moved to bit `to`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn fields(words: __m512i, bits: usize, to: usize) -> [__m512i; 4] {
    let mask = _mm512_set1_epi16((((1 << bits) - 1) << to) as i16);
    core::array::from_fn(|n| {
        // All of this is constant where it is inlined, and so are the shifts.
        let from = n * bits;
        let moved = if from > to {
            _mm512_srl_epi16(words, _mm_cvtsi32_si128((from - to) as i32))
        } else {
            _mm512_sll_epi16(words, _mm_cvtsi32_si128((to - from) as i32))
        };
        _mm512_and_si512(moved, mask)
    })
}

/// The pairs of a half of 32 columns as i16, the offset not yet taken away: step `n` of 4 has the
/// pairs that [`lanes`] says.
///
/// # Safety
/// The planes of 32 columns of eight rows lie at `planes`; `half` is 0 or 1.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn steps<F: Format>(planes: *const u8, half: usize) -> [__m512i; 4] {
    // SAFETY: the caller's promise.
    unsafe {
        if F::LOW == 8 {
            return core::array::from_fn(|n| {
                _mm512_cvtepi8_epi16(_mm256_loadu_si256(planes.add(128 * half + 32 * n).cast()))
            });
        }
        let low = if F::LOW == 4 { words::<4>(planes, half) } else { words::<2>(planes, half) };
        let mut weights = fields(low, F::LOW, 0);
        if F::HIGH > 0 {
            let plane = planes.add(32 * F::LOW);
            let high = if F::HIGH == 2 { words::<2>(plane, half) } else { words::<1>(plane, half) };
            for (weight, high) in weights.iter_mut().zip(fields(high, F::HIGH, F::LOW)) {
                *weight = _mm512_or_si512(*weight, high);
            }
        }
        weights
    }
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

/// `P` panels times one token, straight from the packed weights: what generating text does.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn single<F: Format, const P: usize>(
    w: &Tensor<'_>,
    numbers: [usize; P],
    x: &Activations,
    out: &mut Output<'_>,
) {
    let panels = Panels::new::<F>(w, numbers);
    let (q, infos) = (x.row_q(0), x.row_infos(0));
    let blocks = infos.len();
    assert!(q.len() == blocks * BLOCK && blocks.is_multiple_of(F::PARTS), "rows of blocks");
    // The same for both halves of a block: computed once, kept in registers.
    let places: [__m512i; 4] = core::array::from_fn(|n| match F::LOW {
        8 => lanes(2 * n, 2 * n + 1),
        _ => lanes(n, n + 4),
    });
    let mut acc = [_mm256_setzero_ps(); P];
    let mut sums = [_mm512_setzero_si512(); P];
    for step in 0..2 * blocks {
        let (block, half) = (step / 2, step % 2);
        let (index, k) = (block / F::PARTS, block % F::PARTS);
        // SAFETY: `Panels` has checked that every block is there.
        let heads = panels.data.map(|data| unsafe { data.as_ptr().add(index * block_len::<F>()) });
        // SAFETY: 16 int16 of this half, inside the row (asserted).
        let xs = unsafe { _mm256_loadu_si256(q.as_ptr().add(step * BLOCK / 2).cast()) };
        let pairs =
            places.map(|places| _mm512_permutexvar_epi32(places, _mm512_castsi256_si512(xs)));
        for (sum, head) in sums.iter_mut().zip(heads) {
            // SAFETY: the planes of this block, behind its head.
            let weights = unsafe { steps::<F>(head.add(F::HEAD + k * part_len::<F>()), half) };
            for (weights, pair) in weights.into_iter().zip(pairs) {
                *sum = _mm512_dpwssd_epi32(*sum, weights, pair);
            }
        }
        if F::SPANS == 1 && half == 0 {
            continue;
        }
        let (info, span) = (&infos[block], if F::SPANS == 1 { 0 } else { half });
        let x_sum = x_sum(F::SPANS, info, span);
        for (panel, (acc, sum)) in acc.iter_mut().zip(&mut sums).enumerate() {
            // SAFETY: a whole head lies there, and all groups' scales (see `Panels`).
            let scale = unsafe { F::scale(heads[panel], k, span, panels.scales[panel].at(block)) };
            let exact = _mm256_sub_epi32(folded(*sum), _mm256_set1_epi32(F::OFFSET * x_sum));
            *acc = if F::MIN {
                span_step::<true>(scale, exact, info.scale, x_sum, *acc)
            } else {
                span_step::<false>(scale, exact, info.scale, x_sum, *acc)
            };
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
unsafe fn beside<T>([lower, upper]: [*const T; 2]) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe { both(_mm256_loadu_si256(lower.cast()), _mm256_loadu_si256(upper.cast())) }
}

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
            let dx = _mm512_set1_ps(info.scale);
            *acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, dx), *acc);
            if MIN {
                let x_sum = _mm512_set1_ps(x_sum(SPANS, info, span % SPANS) as f32);
                *acc = _mm512_fmadd_ps(x_sum, _mm512_mul_ps(min, dx), *acc);
            }
        }
    }
    [acc.map(|acc| _mm512_castps512_ps256(acc)), acc.map(|acc| _mm512_extractf32x8_ps::<1>(acc))]
}

/// Tokens of a tile: their sums and results fill half of the registers, and two additions of one
/// sum are further apart than an addition takes.
const TOKENS: usize = 8;

walk_panels!("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c");

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) fn panels(
    w: &Tensor<'_>,
    panels: Range<usize>,
    x: &Activations,
    out: &mut Output<'_>,
    space: &mut [UnpackedPanel; 2],
) {
    for_format!(w, matrix(w, panels, x, out, space));
}
