//! The register tile of matrix products: 6 x 16, twelve of AVX2's sixteen registers, 24 of NEON's
//! thirty-two. SSE2 has not as many, and its fused multiply-add takes longer than memory does.

use super::features;
use super::registers::*;
use crate::gemm::{Tile, TileRows};

const ROWS: usize = 6;
/// Registers of a row.
const WIDTH: usize = 2;
/// Lanes of a register.
const LANES: usize = 8;

pub(crate) const TILE: Tile = Tile::new(ROWS, WIDTH * LANES, multiply);

/// See [`Tile::multiply`].
#[features]
fn multiply(a: &TileRows<'_>, b: &[u32], out: &mut [f32], stride: usize, add: bool) {
    let step = |a, b, sum| fma(from_bits(a), from_bits(b), sum);
    tile(a, b, out, stride, add, step);
}

/// A register tile, the same for every instruction set: its module has `ROWS`, `WIDTH`, `LANES`
/// and `prefetch_tile`, and names the instructions.
macro_rules! register_tile {
    (
        $features:meta, $integers:ty, $floats:ty, $zero:ident, $load_integers:ident,
        $broadcast:ident, $load:ident, $add:ident, $store:ident
    ) => {
        /// `step(a, b, sum)` for each word of a tile.
        #[inline]
        #[$features]
        pub(super) fn tile(
            a: &TileRows<'_>,
            b: &[u32],
            out: &mut [f32],
            stride: usize,
            add: bool,
            step: impl Fn($integers, $integers, $floats) -> $floats,
        ) {
            assert!(b.len() >= a.depth * WIDTH * LANES, "a whole panel");
            assert!(out.len() >= (ROWS - 1) * stride + WIDTH * LANES, "a whole tile");
            let starts: [*const u32; ROWS] = a.starts();
            prefetch_tile::<ROWS>(out, stride, WIDTH * LANES);
            let mut sums = [[$zero(); WIDTH]; ROWS];
            for p in 0..a.depth {
                // SAFETY: inside `b` and inside the rows of `a`, as asserted above and by `starts`.
                let (b, a) = unsafe {
                    let b = b.as_ptr().add(p * WIDTH * LANES);
                    let b: [_; WIDTH] =
                        core::array::from_fn(|i| $load_integers(b.add(i * LANES).cast()));
                    let word = |row: usize| *starts[row].add(p * a.col_stride);
                    let a: [_; ROWS] =
                        core::array::from_fn(|row| $broadcast(word(row).cast_signed()));
                    (b, a)
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
                        let sum = if add { $add($load(place), sum) } else { sum };
                        $store(place, sum);
                    }
                }
            }
        }
    };
}
#[allow(unused_imports, reason = "AVX-512 takes that of AVX2")]
pub(crate) use register_tile;

register_tile!(features, Integers, Floats, zero, load_integers, splat_i32, load, add, store);

/// Numbers of a cache line.
const LINE: usize = 16;

/// Fetches what a tile will be added to while it is computed.
#[inline]
#[features]
pub(crate) fn prefetch_tile<const ROWS: usize>(out: &[f32], stride: usize, width: usize) {
    for row in 0..ROWS {
        for col in (0..width).step_by(LINE).chain([width - 1]) {
            fetch(out.as_ptr().wrapping_add(row * stride + col).cast());
        }
    }
}
