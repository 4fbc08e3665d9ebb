//! The register tile of matrix products: 8 x 48, twenty-four of the thirty-two registers.

use crate::avx2::gemm::{prefetch_tile, transpose};
use crate::gemm::{Tile, TileRows};
use core::arch::x86_64::*;

const ROWS: usize = 8;
/// Registers of a row.
const WIDTH: usize = 3;
/// Lanes of a register.
const LANES: usize = 16;

pub(crate) const TILE: Tile = Tile { rows: ROWS, cols: WIDTH * LANES, multiply, transpose };

/// See [`Tile::multiply`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn multiply(a: &TileRows<'_>, b: &[f32], out: &mut [f32], stride: usize, add: bool) {
    assert!(b.len() >= a.depth * WIDTH * LANES, "a whole panel");
    assert!(out.len() >= (ROWS - 1) * stride + WIDTH * LANES, "a whole tile");
    let starts: [*const f32; ROWS] = a.starts();
    prefetch_tile::<ROWS>(out, stride, WIDTH * LANES);
    let mut sums = [[_mm512_setzero_ps(); WIDTH]; ROWS];
    for p in 0..a.depth {
        // SAFETY: inside `b` and inside the rows of `a`, as asserted above and by `starts`.
        let (b, a) = unsafe {
            let b = b.as_ptr().add(p * WIDTH * LANES);
            let b: [_; WIDTH] = core::array::from_fn(|i| _mm512_loadu_ps(b.add(i * LANES)));
            (b, starts.map(|start| _mm512_set1_ps(*start.add(p * a.col_stride))))
        };
        for (sums, a) in sums.iter_mut().zip(a) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = _mm512_fmadd_ps(a, b, *sum);
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
