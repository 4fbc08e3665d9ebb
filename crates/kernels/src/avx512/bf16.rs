//! Products of bf16 on CPUs with AVX512-BF16.

use super::gemm::{TILE, tile};
use crate::bf16::{self, Bf16, Bf16Instructions, LEAST};
use crate::gemm::{Tile, TileRows};
use core::arch::x86_64::*;
use core::mem::transmute;

pub(crate) const BF16: Bf16 = Bf16 {
    tile: Tile { multiply, ..TILE },
    neighbours,
    columns,
    instructions: Some(Bf16Instructions::Avx512Bf16),
};

/// See [`Tile::multiply`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
fn multiply(a: &TileRows<'_>, b: &[u32], out: &mut [f32], stride: usize, add: bool) {
    // SAFETY: registers of the same size, any bits of which are numbers.
    let numbers = |words| unsafe { transmute::<__m512i, __m512bh>(words) };
    let step = |a, b, sum| _mm512_dpbf16_ps(sum, numbers(a), numbers(b));
    tile(a, b, out, stride, add, step);
}

/// Sixteen numbers in bf16; what is below the least becomes 0.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn round(x: __m512) -> __m256i {
    let bits = _mm512_castps_si512(x);
    // Twice the bits have no sign.
    let least = _mm512_set1_epi32((LEAST << 1).cast_signed());
    let kept = _mm512_cmpge_epu32_mask(_mm512_add_epi32(bits, bits), least);
    let rounded = _mm512_cvtneps_pbh(_mm512_maskz_mov_ps(kept, x));
    // SAFETY: registers of the same size.
    unsafe { transmute::<__m256bh, __m256i>(rounded) }
}

/// See [`Bf16::neighbours`].
#[target_feature(enable = "avx512f,avx512bf16")]
fn neighbours(x: &[f32], out: &mut [u32]) {
    let (numbers, rest) = x.as_chunks::<16>();
    let (words, last) = out.split_at_mut(numbers.len() * 8);
    for (numbers, words) in numbers.iter().zip(words.as_chunks_mut::<8>().0) {
        // SAFETY: there are 16 numbers, and 8 words.
        unsafe {
            let rounded = round(_mm512_loadu_ps(numbers.as_ptr()));
            _mm256_storeu_si256(words.as_mut_ptr().cast(), rounded);
        }
    }
    bf16::neighbours(rest, last);
}

/// See [`Bf16::columns`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
fn columns(x: &[f32], stride: usize, rows: usize, out: &mut [u32], height: usize) {
    let (panel, rest) = out.as_chunks_mut::<8>();
    if rows != height || !rest.is_empty() || !height.is_multiple_of(8) {
        bf16::columns(x, stride, rows, out, height);
        return;
    }
    // Eight numbers and eight others become pairs.
    let order: [u16; 16] = core::array::from_fn(|i| (i / 2 + i % 2 * 8) as u16);
    // SAFETY: sixteen numbers of 16 bits.
    let order = unsafe { _mm256_loadu_si256(order.as_ptr().cast()) };
    for (p, words) in panel.chunks_exact_mut(height / 8).enumerate() {
        let column = |number: usize| x[number * stride..][..rows].as_chunks::<8>().0;
        for ((words, low), high) in words.iter_mut().zip(column(2 * p)).zip(column(2 * p + 1)) {
            // SAFETY: eight numbers each, and eight words.
            unsafe {
                let low = _mm512_castps256_ps512(_mm256_loadu_ps(low.as_ptr()));
                let both = _mm512_insertf32x8::<1>(low, _mm256_loadu_ps(high.as_ptr()));
                let words = words.as_mut_ptr().cast();
                _mm256_storeu_si256(words, _mm256_permutexvar_epi16(order, round(both)));
            }
        }
    }
}
