//! Panels of eight rows against int16 activations, as `avx2/panels.rs` does it, but two pairs of
//! columns at a time: the lower eight lanes of a register have one, the upper eight another, and
//! their exact sums are added when a span ends. `vpdpwssd` multiplies and adds in one step.

use crate::activations::{Activations, BLOCK, BlockInfo};
use crate::avx2::panels::{Format, Panels, block_len, for_format, part_len, span_step};
use crate::avx2::store_first;
use crate::matmul::{Output, streams};
use core::arch::x86_64::*;
use core::ops::Range;
use llamaboot_checkpoint::{DType, PANEL_ROWS, Tensor};

/// Distance of the pair in the upper lanes from the one in the lower.
const fn upper<F: Format>() -> usize {
    // Bytes lie pair after pair; 32 bytes of nibbles hold four pairs, of two bits eight.
    match F::LOW {
        8 => 1,
        _ => 4,
    }
}

/// Number of the pair in the lower lanes at step `i` of 8: those of a half come first.
const fn lower<F: Format>(i: usize) -> usize {
    match F::LOW {
        8 => 2 * i,
        _ => i / 4 * 8 + i % 4,
    }
}

/// Pairs `p` and `p + upper` of eight rows as i16, the offset not yet taken away.
///
/// # Safety
/// The planes of 32 columns of eight rows lie at `planes`; `p` is one of [`lower`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn pairs<F: Format>(planes: *const u8, p: usize) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        if F::LOW == 8 {
            return _mm512_cvtepi8_epi16(_mm256_loadu_si256(planes.add(16 * p).cast()));
        }
        let low = field(planes, F::LOW, p, 0);
        if F::HIGH == 0 {
            return low;
        }
        _mm512_or_si512(low, field(planes.add(32 * F::LOW), F::HIGH, p, F::LOW))
    }
}

/// The fields of pairs `p` and `p + 4` of a plane, moved to bit `to`.
///
/// # Safety
/// A plane of `bits` lies there.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn field(plane: *const u8, bits: usize, p: usize, to: usize) -> __m512i {
    let in_u16 = 16 / bits;
    let words = |p: usize| {
        // SAFETY: the caller's promise; `p` is below 16.
        unsafe { _mm256_loadu_si256(plane.add(p / in_u16 * 32).cast()) }
    };
    let words = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(words(p)), words(p + 4));
    let (lower, upper) = (p % in_u16 * bits, (p + 4) % in_u16 * bits);
    let counts = |from: usize, away: usize| _mm256_set1_epi16(from.saturating_sub(away) as i16);
    let both = |a: __m256i, b: __m256i| _mm512_inserti64x4::<1>(_mm512_castsi256_si512(a), b);
    // Fields below `to` go left, those above go right; a count of 0 leaves them.
    let right = both(counts(lower, to), counts(upper, to));
    let left = both(counts(to, lower), counts(to, upper));
    let words = _mm512_sllv_epi16(_mm512_srlv_epi16(words, right), left);
    _mm512_and_si512(words, _mm512_set1_epi16((((1 << bits) - 1) << to) as i16))
}

/// `P` panels times `T` tokens from `first` on.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn tile<F: Format, const P: usize, const T: usize>(
    panels: &Panels<'_, P>,
    x: &Activations,
    first: usize,
    out: &mut Output<'_>,
) {
    let q: [&[i16]; T] = core::array::from_fn(|t| x.row_q(first + t));
    let infos: [&[BlockInfo]; T] = core::array::from_fn(|t| x.row_infos(first + t));
    let blocks = infos[0].len();
    assert!(q.iter().all(|q| q.len() == blocks * BLOCK), "rows of blocks");
    assert!(infos.iter().all(|infos| infos.len() == blocks), "rows of blocks");
    let mut acc = [[_mm256_setzero_ps(); T]; P];
    for block in 0..blocks {
        let (index, k) = (block / F::PARTS, block % F::PARTS);
        let head = |panel: usize| {
            // SAFETY: `Panels` has checked that every block is there.
            unsafe { panels.data[panel].as_ptr().add(index * block_len::<F>()) }
        };
        // SAFETY: as above.
        let planes: [*const u8; P] =
            core::array::from_fn(|panel| unsafe { head(panel).add(F::HEAD + k * part_len::<F>()) });
        // SAFETY: 32 int16 of this block, inside the row (asserted).
        let xs = q.map(|q| unsafe { _mm512_loadu_si512(q.as_ptr().add(block * BLOCK).cast()) });
        for span in 0..F::SPANS {
            let mut sums = [[_mm512_setzero_si512(); T]; P];
            let steps = 8 / F::SPANS;
            for i in span * steps..(span + 1) * steps {
                let p = lower::<F>(i);
                // SAFETY: the planes of a block, and p is one of `lower`.
                let w = planes.map(|planes| unsafe { pairs::<F>(planes, p) });
                let lanes = _mm512_inserti64x4::<1>(
                    _mm512_set1_epi32(p as i32),
                    _mm256_set1_epi32((p + upper::<F>()) as i32),
                );
                for (t, &x) in xs.iter().enumerate() {
                    let x = _mm512_permutexvar_epi32(lanes, x);
                    for (sums, w) in sums.iter_mut().zip(w) {
                        sums[t] = _mm512_dpwssd_epi32(sums[t], w, x);
                    }
                }
            }
            for (panel, (acc, sums)) in acc.iter_mut().zip(sums).enumerate() {
                // SAFETY: a whole head lies there, and all groups' scales (see `Panels`).
                let scale =
                    unsafe { F::scale(head(panel), k, span, panels.scales[panel].at(block)) };
                for ((acc, sum), infos) in acc.iter_mut().zip(sums).zip(infos) {
                    let high = _mm512_extracti64x4_epi64::<1>(sum);
                    let sum = _mm256_add_epi32(_mm512_castsi512_si256(sum), high);
                    *acc = span_step::<F>(scale, sum, &infos[block], span, *acc);
                }
            }
        }
    }
    for (&panel, acc) in panels.numbers.iter().zip(acc) {
        for (t, acc) in acc.into_iter().enumerate() {
            store_first(out.rows(first + t, panel * PANEL_ROWS, PANEL_ROWS), acc);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn tokens<F: Format, const P: usize>(
    w: &Tensor<'_>,
    numbers: [usize; P],
    x: &Activations,
    out: &mut Output<'_>,
) {
    let panels = Panels::new::<F>(w, numbers);
    let mut token = 0;
    while token < x.tokens {
        let left = x.tokens - token;
        if left >= 4 {
            tile::<F, P, 4>(&panels, x, token, out);
            token += 4;
        } else {
            tile::<F, P, 1>(&panels, x, token, out);
            token += 1;
        }
    }
}

/// Four panels at a time: 32 registers hold sixteen sums of them.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn matrix<F: Format>(w: &Tensor<'_>, panels: Range<usize>, x: &Activations, out: &mut Output<'_>) {
    let (steps, rest) = streams::<4>(panels);
    for panels in steps {
        tokens::<F, 4>(w, panels, x, out);
    }
    rest.for_each(|panel| tokens::<F, 1>(w, [panel], x, out));
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) fn panels(w: &Tensor<'_>, panels: Range<usize>, x: &Activations, out: &mut Output<'_>) {
    for_format!(w, matrix(w, panels, x, out));
}
