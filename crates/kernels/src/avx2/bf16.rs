//! Products of bf16 without instructions for them: two multiplications of f32 for each word.

use super::gemm::{TILE, tile};
use crate::bf16::{self, Bf16};
use crate::gemm::{Tile, TileRows};
use core::arch::x86_64::*;

pub(crate) const BF16: Bf16 =
    Bf16 { tile: Tile { multiply, ..TILE }, neighbours, columns, instructions: None };

/// See [`Tile::multiply`].
#[target_feature(enable = "avx2,fma,f16c")]
fn multiply(a: &TileRows<'_>, b: &[u32], out: &mut [f32], stride: usize, add: bool) {
    let low = |words| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(words));
    let upper = _mm256_set1_epi32(-0x1_0000);
    let high = |words| _mm256_castsi256_ps(_mm256_and_si256(words, upper));
    let step = |a, b, sum| {
        let sum = _mm256_fmadd_ps(high(a), high(b), sum);
        _mm256_fmadd_ps(low(a), low(b), sum)
    };
    tile(a, b, out, stride, add, step);
}

/// See [`Bf16::neighbours`].
#[target_feature(enable = "avx2,fma,f16c")]
fn neighbours(x: &[f32], out: &mut [u32]) {
    bf16::neighbours(x, out);
}

/// See [`Bf16::columns`].
#[target_feature(enable = "avx2,fma,f16c")]
fn columns(x: &[f32], stride: usize, rows: usize, out: &mut [u32], height: usize) {
    bf16::columns(x, stride, rows, out, height);
}
