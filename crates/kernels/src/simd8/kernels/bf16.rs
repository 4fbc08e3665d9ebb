//! Products of bf16 without instructions for them: two multiplications of f32 for each word.

use super::features;
use super::gemm::{TILE, tile};
use super::registers::*;
use crate::bf16::{self, Bf16};
use crate::gemm::{Tile, TileRows};

pub(crate) const BF16: Bf16 =
    Bf16 { tile: Tile { multiply, ..TILE }, neighbours, columns, instructions: None };

/// See [`Tile::multiply`].
#[features]
fn multiply(a: &TileRows<'_>, b: &[u32], out: &mut [f32], stride: usize, add: bool) {
    let low = |words| from_bits(shift_left::<16>(words));
    let upper = splat_i32(-0x1_0000);
    let high = |words| from_bits(and(words, upper));
    let step = |a, b, sum| {
        let sum = fma(high(a), high(b), sum);
        fma(low(a), low(b), sum)
    };
    tile(a, b, out, stride, add, step);
}

/// See [`Bf16::neighbours`].
#[features]
fn neighbours(x: &[f32], out: &mut [u32]) {
    bf16::neighbours(x, out);
}

/// See [`Bf16::columns`].
#[features]
fn columns(x: &[f32], stride: usize, rows: usize, out: &mut [u32], height: usize) {
    bf16::columns(x, stride, rows, out, height);
}
