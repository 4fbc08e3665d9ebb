//! One token times panels of up to six bits, bytes against bytes. An activation is `256 h + l` with
//! `h` signed and `l` not, and a weight's planes make a byte that is the same number signed or not:
//!
//! ```text
//! Σ w x = Σ l w + 256 Σ w h      each by vpdpbusd, four products of an unsigned and a signed byte
//! ```
//! That is exact, and takes as many multiplications as i16 and half of the unpacking. Two panels
//! lie side by side in a register, sixteen rows.

use super::panels::{beside, span_step};
use crate::activations::{Activations, BLOCK, Split};
use crate::matmul::Output;
use crate::simd8::avx2::formats::Format;
use crate::simd8::avx2::panels::{Panels, block_len, part_len, x_sum};
use crate::simd8::avx2::store_first;
use core::arch::x86_64::*;
use llamaboot_checkpoint::{PANEL_ROWS, Tensor};

/// Bytes of 16 columns apart, in the order in which planes have them.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) fn split(q: &[i16], out: &mut [Split]) {
    // Of each quad of pairs numbers 0 and 2, then 1 and 3; low bytes, then high ones.
    let order = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0, 8, 2, 10, 4, 12, 6, 14, 1, 9, 3, 11, 5, 13, 7, 15,
    ));
    for (q, out) in q.as_chunks::<16>().0.iter().zip(out) {
        // SAFETY: the chunk has the 32 bytes that are read.
        let q = unsafe { _mm256_loadu_si256(q.as_ptr().cast()) };
        let quads = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_shuffle_epi8(q, order));
        // SAFETY: `out` has the 32 bytes that are written.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), quads) };
    }
}

/// Of each byte in `words[k]`, for both quads `k`, the field of `bits` bits from bit `k * step` on
/// and the next one, moved to bit `to`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn fields(words: [__m512i; 2], step: usize, bits: usize, to: usize) -> [__m512i; 4] {
    let mask = _mm512_set1_epi8((u8::MAX >> (8 - bits) << to).cast_signed());
    core::array::from_fn(|i| {
        // All of this is constant where it is inlined, and so are the shifts.
        let (k, from) = (i / 2, i / 2 * step + i % 2 * bits);
        let moved = if from > to {
            _mm512_srl_epi16(words[k], _mm_cvtsi32_si128((from - to) as i32))
        } else {
            _mm512_sll_epi16(words[k], _mm_cvtsi32_si128((to - from) as i32))
        };
        _mm512_and_si512(moved, mask)
    })
}

/// The weights of half `half` of 32 columns as bytes, the offset not yet taken away: register
/// `2k + e` has pairs `e` and `e + 2` of quad `k`, as [`Split`] has them.
///
/// # Safety
/// The planes of 32 columns of eight rows lie at both places; `half` is 0 or 1.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn columns<F: Format>(planes: [*const u8; 2], half: usize) -> [__m512i; 4] {
    // SAFETY: the caller's promise: the places asked for below lie in the planes.
    let words = |at: usize| unsafe { beside(planes.map(|plane| plane.add(at))) };
    let mut bytes = match F::LOW {
        4 => fields([0, 32].map(|at| words(64 * half + at)), 0, 4, 0),
        _ => fields([words(32 * half); 2], 4, 2, 0),
    };
    let at = 32 * F::LOW;
    let high = match F::HIGH {
        0 => return bytes,
        1 => {
            let count = _mm_cvtsi32_si128(4 * half as i32);
            fields([_mm512_srl_epi16(words(at), count); 2], 2, 1, F::LOW)
        }
        _ => fields([words(at + 32 * half); 2], 4, 2, F::LOW),
    };
    for (byte, high) in bytes.iter_mut().zip(high) {
        *byte = _mm512_or_si512(*byte, high);
    }
    bytes
}

/// `P` couples of panels times one token, straight from the packed weights: what generating text
/// does.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) fn single<F: Format, const P: usize>(
    w: &Tensor<'_>,
    numbers: [[usize; 2]; P],
    x: &Activations,
    out: &mut Output<'_>,
) {
    let panels = numbers.map(|numbers| Panels::new::<F>(w, numbers));
    let (splits, infos) = (x.split(), x.row_infos(0));
    let blocks = infos.len();
    assert!(splits.len() == 2 * blocks && w.cols == blocks * BLOCK, "rows of blocks");
    assert!(blocks.is_multiple_of(F::PARTS), "whole blocks");
    let zero = _mm512_setzero_si512();
    let (mut low, mut high, mut acc) = ([zero; P], [zero; P], [_mm512_setzero_ps(); P]);
    for (step, split) in splits.iter().enumerate() {
        let (block, half) = (step / 2, step % 2);
        let (index, k) = (block / F::PARTS, block % F::PARTS);
        let heads: [[*const u8; 2]; P] = core::array::from_fn(|p| {
            // SAFETY: `Panels` has checked that every block is there.
            panels[p].data.map(|data| unsafe { data.as_ptr().add(index * block_len::<F>()) })
        });
        let quads = split.as_chunks::<4>().0;
        let xs: [__m512i; 8] =
            core::array::from_fn(|n| _mm512_set1_epi32(i32::from_le_bytes(quads[n])));
        for p in 0..P {
            // SAFETY: the planes of this block, behind its head.
            let w = unsafe {
                columns::<F>(heads[p].map(|head| head.add(F::HEAD + k * part_len::<F>())), half)
            };
            for (i, w) in w.into_iter().enumerate() {
                low[p] = _mm512_dpbusd_epi32(low[p], xs[i], w);
                high[p] = _mm512_dpbusd_epi32(high[p], w, xs[4 + i]);
            }
        }
        if F::SPANS == 1 && half == 0 {
            continue;
        }
        let (info, span) = (&infos[block], if F::SPANS == 1 { 0 } else { half });
        let x_sum = x_sum(F::SPANS, info, span);
        for p in 0..P {
            // SAFETY: a whole head lies there, and all groups' scales (see `Panels`).
            let [(scale, min), upper] = core::array::from_fn(|i| unsafe {
                F::scale(heads[p][i], k, span, panels[p].scales[i].at(block))
            });
            let scale = _mm512_insertf32x8::<1>(_mm512_castps256_ps512(scale), upper.0);
            let min = _mm512_insertf32x8::<1>(_mm512_castps256_ps512(min), upper.1);
            let sum = _mm512_add_epi32(low[p], _mm512_slli_epi32::<8>(high[p]));
            let exact = _mm512_sub_epi32(sum, _mm512_set1_epi32(F::OFFSET * x_sum));
            acc[p] = span_step(F::MIN, (scale, min), exact, info.scale, x_sum, acc[p]);
            (low[p], high[p]) = (zero, zero);
        }
    }
    for ([first, second], acc) in numbers.into_iter().zip(acc) {
        store_first(out.rows(0, first * PANEL_ROWS, PANEL_ROWS), _mm512_castps512_ps256(acc));
        store_first(out.rows(0, second * PANEL_ROWS, PANEL_ROWS), _mm512_extractf32x8_ps::<1>(acc));
    }
}
