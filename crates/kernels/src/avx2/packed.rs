//! Panels of eight rows, as [`Header::pack`](llamaboot_checkpoint::Header::pack) leaves them,
//! against int16 activations. The weights are read once, in order, straight into registers.
//!
//! ```text
//! for each block:  for each of 8 pairs in each half:
//!                    s += pmaddwd(widen(pair of 8 rows), (x[2k], x[2k+1]))
//!                  acc = fma(f32(s), scale * dx, acc);  Q4_1: acc = fma(Σ x, min * dx, acc)
//! ```

use crate::activations::{Activations, BLOCK, BlockInfo};
use crate::dispatch::RowGroup;
use crate::matmul::GROUP;
use core::arch::x86_64::*;
use llamaboot_checkpoint::{DType, PANEL_ROWS};

/// The formats that are packed, as constants for the kernel's shapes.
const Q8_0: u8 = 0;
const Q4_0: u8 = 1;
const Q4_1: u8 = 2;

const _: () = assert!(PANEL_ROWS == GROUP, "a group of rows is a panel");

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn block_rows(group: &mut RowGroup<'_>, x: &Activations) {
    match group.tensor.dtype {
        DType::Q8_0 => tokens::<Q8_0>(group, x),
        DType::Q4_0 => tokens::<Q4_0>(group, x),
        DType::Q4_1 => tokens::<Q4_1>(group, x),
        other => unreachable!("{other} is not packed"),
    }
}

/// Eight tokens at a time, so that a panel is taken apart as seldom as registers allow, then four,
/// then one by one.
#[target_feature(enable = "avx2,fma,f16c")]
fn tokens<const FORMAT: u8>(group: &mut RowGroup<'_>, x: &Activations) {
    let mut token = 0;
    while token < x.tokens {
        let left = x.tokens - token;
        if left >= 8 {
            tile::<FORMAT, 8>(group, x, token);
            token += 8;
        } else if left >= 4 {
            tile::<FORMAT, 4>(group, x, token);
            token += 4;
        } else {
            tile::<FORMAT, 1>(group, x, token);
            token += 1;
        }
    }
}

/// All blocks of a panel against `T` tokens from `first` on.
#[target_feature(enable = "avx2,fma,f16c")]
fn tile<const FORMAT: u8, const T: usize>(group: &mut RowGroup<'_>, x: &Activations, first: usize) {
    let panel = group.tensor.panel(group.rows.start);
    let size = GROUP * group.tensor.dtype.block_bytes();
    let q: [&[i16]; T] = core::array::from_fn(|t| x.row_q(first + t));
    let infos: [&[BlockInfo]; T] = core::array::from_fn(|t| x.row_infos(first + t));
    let blocks = infos[0].len();
    assert!(panel.len() == blocks * size && q.iter().all(|q| q.len() == blocks * BLOCK));
    let mut acc = [_mm256_setzero_ps(); T];
    for (b, block) in panel.chunks_exact(size).enumerate() {
        _mm_prefetch::<_MM_HINT_T0>(block.as_ptr().wrapping_add(PREFETCH).cast());
        _mm_prefetch::<_MM_HINT_T0>(block.as_ptr().wrapping_add(PREFETCH + 64).cast());
        let mut sums = [_mm256_setzero_si256(); T];
        for k in 0..8 {
            for (half, w) in pair::<FORMAT>(block, k).into_iter().enumerate() {
                for (sum, q) in sums.iter_mut().zip(q) {
                    // SAFETY: two int16 of block b, inside the row (asserted).
                    let x = unsafe {
                        let pair = q.as_ptr().add(b * BLOCK + 16 * half + 2 * k);
                        _mm256_set1_epi32(pair.cast::<i32>().read_unaligned())
                    };
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(w, x));
                }
            }
        }
        let scale = eight_halves(block, 0);
        for (t, acc) in acc.iter_mut().enumerate() {
            let info = &infos[t][b];
            let dx = _mm256_set1_ps(info.scale);
            *acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[t]), _mm256_mul_ps(scale, dx), *acc);
            if FORMAT == Q4_1 {
                let x_sum = _mm256_set1_ps(info.sums[0] + info.sums[1]);
                *acc = _mm256_fmadd_ps(x_sum, _mm256_mul_ps(eight_halves(block, 16), dx), *acc);
            }
        }
    }
    for (t, acc) in acc.into_iter().enumerate() {
        super::store_first(group.out.token(first + t), acc);
    }
}

/// How far ahead of the block at work memory is asked for, in bytes.
const PREFETCH: usize = 1024;

/// Eight f16 at `at`, as f32.
#[target_feature(enable = "avx2,fma,f16c")]
fn eight_halves(block: &[u8], at: usize) -> __m256 {
    let halves = &block[at..at + 16];
    // SAFETY: the slice holds the 16 bytes that are read.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(halves.as_ptr().cast()) })
}

/// Pair `k` of both halves: for each of eight rows two weights, as i16.
#[target_feature(enable = "avx2,fma,f16c")]
fn pair<const FORMAT: u8>(block: &[u8], k: usize) -> [__m256i; 2] {
    if FORMAT == Q8_0 {
        let pairs = block[16 + 32 * k..][..32].as_ptr();
        // SAFETY: the slice holds the 32 bytes that are read.
        let (first, second) =
            unsafe { (_mm_loadu_si128(pairs.cast()), _mm_loadu_si128(pairs.add(16).cast())) };
        return [_mm256_cvtepi8_epi16(first), _mm256_cvtepi8_epi16(second)];
    }
    let head = if FORMAT == Q4_1 { 32 } else { 16 };
    let pairs = &block[head + 32 * (k / 2)..][..32];
    // SAFETY: the slice holds the 32 bytes that are read.
    let bytes = unsafe { _mm256_loadu_si256(pairs.as_ptr().cast()) };
    let shifted = if k.is_multiple_of(2) { bytes } else { _mm256_srli_epi16::<4>(bytes) };
    let nibbles = _mm256_and_si256(shifted, _mm256_set1_epi8(15));
    let offset = if FORMAT == Q4_0 { 8 } else { 0 };
    let weights = _mm256_sub_epi8(nibbles, _mm256_set1_epi8(offset));
    [
        _mm256_cvtepi8_epi16(_mm256_castsi256_si128(weights)),
        _mm256_cvtepi8_epi16(_mm256_extracti128_si256::<1>(weights)),
    ]
}
