//! The register tile of matrix products: 8 x 48, twenty-four of the thirty-two registers.

use crate::avx2::gemm::prefetch_tile;
use crate::gemm::{Tile, TileRows};
use core::arch::x86_64::*;

const ROWS: usize = 8;
/// Registers of a row.
const WIDTH: usize = 3;
/// Lanes of a register.
const LANES: usize = 16;

pub(crate) const TILE: Tile = Tile { rows: ROWS, cols: WIDTH * LANES, multiply };

/// See [`Tile::multiply`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn multiply(a: &TileRows<'_>, b: &[u32], out: &mut [f32], stride: usize, add: bool) {
    let step = |a, b, sum| _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
    tile(a, b, out, stride, add, step);
}

/// `step(a, b, sum)` for each word of a tile.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn tile(
    a: &TileRows<'_>,
    b: &[u32],
    out: &mut [f32],
    stride: usize,
    add: bool,
    step: impl Fn(__m512i, __m512i, __m512) -> __m512,
) {
    assert!(b.len() >= a.depth * WIDTH * LANES, "a whole panel");
    assert!(out.len() >= (ROWS - 1) * stride + WIDTH * LANES, "a whole tile");
    let starts: [*const u32; ROWS] = a.starts();
    prefetch_tile::<ROWS>(out, stride, WIDTH * LANES);
    let mut sums = [[_mm512_setzero_ps(); WIDTH]; ROWS];
    for p in 0..a.depth {
        // SAFETY: inside `b` and inside the rows of `a`, as asserted above and by `starts`.
        let (b, a) = unsafe {
            let b = b.as_ptr().add(p * WIDTH * LANES);
            let b: [_; WIDTH] =
                core::array::from_fn(|i| _mm512_loadu_si512(b.add(i * LANES).cast()));
            let word = |start: *const u32| *start.add(p * a.col_stride);
            (b, starts.map(|start| _mm512_set1_epi32(word(start).cast_signed())))
        };
        for (sums, a) in sums.iter_mut().zip(a) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = step(a, b, *sum);
            }
        }
    }
    for (row, sums) in sums.into_iter().enumerate() {
        for (i, sum) in sums.into_iter().enumerate() {
            // SAFETY: inside `out`, as asserted above.
            unsafe {
                let place = out.as_mut_ptr().add(row * stride + i * LANES);
                let sum = if add { _mm512_add_ps(_mm512_loadu_ps(place), sum) } else { sum };
                _mm512_storeu_ps(place, sum);
            }
        }
    }
}
