//! The register tile of matrix products: 8 x 48, twenty-four of the thirty-two registers.

use crate::gemm::{Tile, TileRows};
use crate::simd8::avx2::gemm::{prefetch_tile, register_tile};
use core::arch::x86_64::*;

const ROWS: usize = 8;
/// Registers of a row.
const WIDTH: usize = 3;
/// Lanes of a register.
const LANES: usize = 16;

pub(crate) const TILE: Tile = Tile::new(ROWS, WIDTH * LANES, multiply);

/// See [`Tile::multiply`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn multiply(a: &TileRows<'_>, b: &[u32], out: &mut [f32], stride: usize, add: bool) {
    let step = |a, b, sum| _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
    tile(a, b, out, stride, add, step);
}

register_tile!(
    target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl"),
    __m512i,
    __m512,
    _mm512_setzero_ps,
    _mm512_loadu_si512,
    _mm512_set1_epi32,
    _mm512_loadu_ps,
    _mm512_add_ps,
    _mm512_storeu_ps
);
