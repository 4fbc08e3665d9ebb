//! The register tile of matrix products: 6 x 16, twelve of the sixteen registers.

use crate::gemm::{Tile, TileRows};
use core::arch::x86_64::*;

const ROWS: usize = 6;
/// Registers of a row.
const WIDTH: usize = 2;
/// Lanes of a register.
const LANES: usize = 8;

pub(crate) const TILE: Tile = Tile::new(ROWS, WIDTH * LANES, multiply);

/// See [`Tile::multiply`].
#[target_feature(enable = "avx2,fma,f16c")]
fn multiply(a: &TileRows<'_>, b: &[u32], out: &mut [f32], stride: usize, add: bool) {
    let step = |a, b, sum| _mm256_fmadd_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), sum);
    tile(a, b, out, stride, add, step);
}

/// A register tile, the same for every instruction set: its module has `ROWS`, `WIDTH` and `LANES`,
/// and names the instructions.
macro_rules! register_tile {
    (
        $features:literal, $integers:ty, $floats:ty, $zero:ident, $load_integers:ident,
        $broadcast:ident, $load:ident, $add:ident, $store:ident
    ) => {
        /// `step(a, b, sum)` for each word of a tile.
        #[inline]
        #[target_feature(enable = $features)]
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
            $crate::avx2::gemm::prefetch_tile::<ROWS>(out, stride, WIDTH * LANES);
            let mut sums = [[$zero(); WIDTH]; ROWS];
            for p in 0..a.depth {
                // SAFETY: inside `b` and inside the rows of `a`, as asserted above and by `starts`.
                let (b, a) = unsafe {
                    let b = b.as_ptr().add(p * WIDTH * LANES);
                    let b: [_; WIDTH] =
                        core::array::from_fn(|i| $load_integers(b.add(i * LANES).cast()));
                    let word = |start: *const u32| *start.add(p * a.col_stride);
                    (b, starts.map(|start| $broadcast(word(start).cast_signed())))
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
pub(crate) use register_tile;

register_tile!(
    "avx2,fma,f16c",
    __m256i,
    __m256,
    _mm256_setzero_ps,
    _mm256_loadu_si256,
    _mm256_set1_epi32,
    _mm256_loadu_ps,
    _mm256_add_ps,
    _mm256_storeu_ps
);

/// Numbers of a cache line.
const LINE: usize = 16;

/// Fetches what a tile will be added to while it is computed.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn prefetch_tile<const ROWS: usize>(out: &[f32], stride: usize, width: usize) {
    for row in 0..ROWS {
        for col in (0..width).step_by(LINE).chain([width - 1]) {
            _mm_prefetch::<_MM_HINT_T0>(out.as_ptr().wrapping_add(row * stride + col).cast());
        }
    }
}

/// See [`crate::dispatch::Table::transpose`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn transpose(x: &[u32], stride: usize, out: &mut [u32], height: usize) {
    assert!(x.len() >= 7 * stride + 8 && out.len() >= 7 * height + 8, "a whole square");
    // SAFETY: inside `x`, as asserted.
    let row = |r: usize| unsafe { _mm256_loadu_ps(x.as_ptr().add(r * stride).cast()) };
    // Pairs of rows, then fours, then eights.
    let pairs = |r: usize| {
        let (a, b) = (row(r), row(r + 1));
        [_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)]
    };
    let fours = |r: usize| {
        let ([a, b], [c, d]) = (pairs(r), pairs(r + 2));
        [
            _mm256_shuffle_ps::<0x44>(a, c),
            _mm256_shuffle_ps::<0xee>(a, c),
            _mm256_shuffle_ps::<0x44>(b, d),
            _mm256_shuffle_ps::<0xee>(b, d),
        ]
    };
    let (upper, lower) = (fours(0), fours(4));
    for (c, (upper, lower)) in upper.into_iter().zip(lower).enumerate() {
        let columns = [
            _mm256_permute2f128_ps::<0x20>(upper, lower),
            _mm256_permute2f128_ps::<0x31>(upper, lower),
        ];
        for (half, column) in columns.into_iter().enumerate() {
            // SAFETY: inside `out`, as asserted.
            unsafe {
                _mm256_storeu_ps(out.as_mut_ptr().add((c + 4 * half) * height).cast(), column);
            }
        }
    }
}
