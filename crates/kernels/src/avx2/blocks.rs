//! Rows of blocks against int16 activations, eight rows at a time.
//!
//! ```text
//! unpack  8 rows × 32 weights → panel: weights as i8, in pairs, the 8 rows side by side,
//!         so that after widening, lane r of a register belongs to row r
//! step    for each of 8 pairs in each half:  s += pmaddwd(widen(pair of 8 rows), (x[2k], x[2k+1]))
//!         once a scale span:                 acc = fma(f32(s), scale * dx, acc)
//! ```
//! A panel is unpacked once and used for every token of a batch, four tokens at a time.

use super::packed;
use crate::activations::{Activations, BLOCK, BlockInfo, scales};
use crate::dispatch::{Panel, RowGroup};
use crate::matmul::GROUP;
use core::arch::x86_64::*;
use llamaboot_checkpoint::{DType, Tensor};

/// Bytes of a block in a panel.
const PANEL_BLOCK: usize = GROUP * BLOCK;

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn quantize(x: &[f32], q: &mut [i16]) -> BlockInfo {
    assert_eq!((x.len(), q.len()), (BLOCK, BLOCK));
    let magnitude = _mm256_set1_epi32(i32::MAX);
    // SAFETY: `x` holds 32 values.
    let v = unsafe { [0, 8, 16, 24].map(|i| _mm256_loadu_ps(x.as_ptr().add(i))) };
    let abs = v.map(|v| _mm256_and_si256(_mm256_castps_si256(v), magnitude));
    let max = _mm256_max_epu32(_mm256_max_epu32(abs[0], abs[1]), _mm256_max_epu32(abs[2], abs[3]));
    let max = _mm_max_epu32(_mm256_castsi256_si128(max), _mm256_extracti128_si256::<1>(max));
    let max = _mm_max_epu32(max, _mm_shuffle_epi32::<0b01_00_11_10>(max));
    let max = _mm_max_epu32(max, _mm_shuffle_epi32::<0b10_11_00_01>(max));
    let (scale, inverse) = scales(_mm_cvtsi128_si32(max).cast_unsigned());
    let inverse = _mm256_set1_ps(inverse);
    let ints = v.map(|v| _mm256_cvtps_epi32(_mm256_mul_ps(v, inverse)));
    for (half, pair) in ints.chunks_exact(2).enumerate() {
        // packs works inside 128-bit lanes; the permutation puts the quarters in order.
        let packed =
            _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(pair[0], pair[1]));
        // SAFETY: `q` holds 32 values.
        unsafe { _mm256_storeu_si256(q.as_mut_ptr().add(16 * half).cast(), packed) };
    }
    let sums = [horizontal_sum(ints[0], ints[1]), horizontal_sum(ints[2], ints[3])];
    BlockInfo { scale, sums: sums.map(|sum| sum as f32) }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn horizontal_sum(a: __m256i, b: __m256i) -> i32 {
    let eight = _mm256_add_epi32(a, b);
    let four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
    let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn block_rows(group: &mut RowGroup<'_>, x: &Activations) {
    if group.tensor.packed {
        return packed::block_rows(group, x);
    }
    unpack(group);
    let dtype = group.tensor.dtype;
    let shape = (dtype.scale_span() == BLOCK, dtype.has_min());
    let mut token = 0;
    while token < x.tokens {
        let left = x.tokens - token;
        if left >= 4 {
            tile::<4>(group, x, token, shape);
            token += 4;
        } else {
            tile::<1>(group, x, token, shape);
            token += 1;
        }
    }
}

/// `T` tokens from `first` on.
#[target_feature(enable = "avx2,fma,f16c")]
fn tile<const T: usize>(
    group: &mut RowGroup<'_>,
    x: &Activations,
    first: usize,
    shape: (bool, bool),
) {
    let q: [&[i16]; T] = core::array::from_fn(|t| x.row_q(first + t));
    let infos: [&[BlockInfo]; T] = core::array::from_fn(|t| x.row_infos(first + t));
    let acc = match shape {
        (true, false) => steps::<T, true, false>(group.panel, q, infos),
        (true, true) => steps::<T, true, true>(group.panel, q, infos),
        (false, false) => steps::<T, false, false>(group.panel, q, infos),
        (false, true) => steps::<T, false, true>(group.panel, q, infos),
    };
    for (t, acc) in acc.into_iter().enumerate() {
        super::store_first(group.out.token(first + t), acc);
    }
}

/// All blocks of a panel against `T` tokens. `WHOLE`: one scale for 32 weights, else for 16.
#[target_feature(enable = "avx2,fma,f16c")]
fn steps<const T: usize, const WHOLE: bool, const MIN: bool>(
    panel: &Panel,
    q: [&[i16]; T],
    infos: [&[BlockInfo]; T],
) -> [__m256; T] {
    let blocks = infos[0].len();
    assert!(panel.q.len() >= blocks * PANEL_BLOCK && panel.scale.len() >= blocks * 2 * GROUP);
    assert!(q.iter().all(|q| q.len() == blocks * BLOCK) && panel.min.len() == panel.scale.len());
    let mut acc = [_mm256_setzero_ps(); T];
    #[allow(
        clippy::needless_range_loop,
        reason = "b counts blocks of the panel and of every token"
    )]
    for b in 0..blocks {
        let mut sums = [[_mm256_setzero_si256(); T]; 2];
        for k in 0..8 {
            for (half, sums) in sums.iter_mut().enumerate() {
                // SAFETY: pair k of half `half` of block b lies inside the panel (asserted).
                let w = unsafe {
                    let pair = panel.q.as_ptr().add(b * PANEL_BLOCK + 32 * k + 16 * half);
                    _mm256_cvtepi8_epi16(_mm_loadu_si128(pair.cast()))
                };
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
        for (t, acc) in acc.iter_mut().enumerate() {
            let BlockInfo { scale, sums: x } = infos[t][b];
            let (first, second) = (sums[0][t], sums[1][t]);
            *acc = if WHOLE {
                let sum = _mm256_add_epi32(first, second);
                span_step::<MIN>(panel, 2 * b, sum, scale, x[0] + x[1], *acc)
            } else {
                let first = span_step::<MIN>(panel, 2 * b, first, scale, x[0], *acc);
                span_step::<MIN>(panel, 2 * b + 1, second, scale, x[1], first)
            };
        }
    }
    acc
}

/// `acc = fma(f32(sum), scale * dx, acc)`, then the minimum's share.
#[target_feature(enable = "avx2,fma,f16c")]
fn span_step<const MIN: bool>(
    panel: &Panel,
    span: usize,
    sum: __m256i,
    dx: f32,
    x_sum: f32,
    acc: __m256,
) -> __m256 {
    let dx = _mm256_set1_ps(dx);
    // SAFETY: eight scales of a span, inside the panel (`steps` asserts its length).
    let scale = unsafe { _mm256_loadu_ps(panel.scale.as_ptr().add(span * GROUP)) };
    let acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(scale, dx), acc);
    if !MIN {
        return acc;
    }
    // SAFETY: as above; minima are as many as scales.
    let min = unsafe { _mm256_loadu_ps(panel.min.as_ptr().add(span * GROUP)) };
    _mm256_fmadd_ps(_mm256_set1_ps(x_sum), _mm256_mul_ps(min, dx), acc)
}

/// Fills the panel with a group's rows; rows that a short group lacks repeat its last one, and
/// nobody reads what they give.
#[target_feature(enable = "avx2,fma,f16c")]
fn unpack(group: &mut RowGroup<'_>) {
    let tensor = group.tensor;
    let last = group.rows.end - 1;
    let rows: [usize; GROUP] = core::array::from_fn(|r| (group.rows.start + r).min(last));
    let blocks = tensor.cols / BLOCK;
    let panel = &mut *group.panel;
    match tensor.dtype {
        DType::Q8_0 => unpack_simple::<34, 2>(tensor, rows, blocks, panel, |q| {
            // SAFETY: `unpack_simple` passes the 32 bytes behind the scale.
            unsafe { _mm256_loadu_si256(q.cast()) }
        }),
        DType::Q4_0 => unpack_simple::<18, 2>(tensor, rows, blocks, panel, |q| {
            // SAFETY: `unpack_simple` passes the 16 bytes behind the scale.
            _mm256_sub_epi8(unsafe { nibbles(q) }, _mm256_set1_epi8(8))
        }),
        DType::Q4_1 => unpack_simple::<20, 4>(tensor, rows, blocks, panel, |q| {
            // SAFETY: `unpack_simple` passes the 16 bytes behind scale and minimum.
            unsafe { nibbles(q) }
        }),
        DType::I8Groups(group) => unpack_groups(tensor, rows, group as usize, panel),
        _ => unpack_any(tensor, rows, blocks, panel),
    }
}

/// 16 bytes as 32 nibbles, the low ones first.
///
/// # Safety
/// `bytes` points at 16 readable bytes.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn nibbles(bytes: *const u8) -> __m256i {
    // SAFETY: the caller's promise.
    let bytes = unsafe { _mm_loadu_si128(bytes.cast()) };
    let both = _mm256_set_m128i(_mm_srli_epi16::<4>(bytes), bytes);
    _mm256_and_si256(both, _mm256_set1_epi8(15))
}

/// Formats of 32 weights that begin with an f16 scale (and an f16 minimum, where `HEAD` is 4):
/// `SIZE` bytes a block, weights from byte `HEAD` on.
#[target_feature(enable = "avx2,fma,f16c")]
fn unpack_simple<const SIZE: usize, const HEAD: usize>(
    tensor: &Tensor<'_>,
    rows: [usize; GROUP],
    blocks: usize,
    panel: &mut Panel,
    weights: impl Fn(*const u8) -> __m256i,
) {
    let rows = rows.map(|row| tensor.row(row));
    assert!(rows.iter().all(|row| row.len() == blocks * SIZE));
    let next_group = rows[0].as_ptr().wrapping_add(GROUP * blocks * SIZE);
    for b in 0..blocks {
        // Eight short streams are beyond the hardware's prefetcher, but together they are one
        // stretch of memory, and the next group's lies right behind it.
        for line in (0..GROUP * SIZE).step_by(64) {
            _mm_prefetch::<_MM_HINT_T0>(next_group.wrapping_add(b * GROUP * SIZE + line).cast());
        }
        let mut q = [_mm256_setzero_si256(); GROUP];
        let mut halves = [[0_u16; GROUP]; 2];
        for (r, row) in rows.iter().enumerate() {
            // SAFETY: block b of this row (its length is asserted above).
            let block = unsafe { row.as_ptr().add(b * SIZE) };
            // SAFETY: a block is longer than its head.
            unsafe {
                halves[0][r] = block.cast::<u16>().read_unaligned();
                halves[1][r] = block.add(HEAD - 2).cast::<u16>().read_unaligned();
                q[r] = weights(block.add(HEAD));
            }
        }
        // SAFETY: each array holds eight u16.
        let [scale, min] =
            halves.map(|h| _mm256_cvtph_ps(unsafe { _mm_loadu_si128(h.as_ptr().cast()) }));
        let at = 2 * b * GROUP;
        super::store_first(&mut panel.scale[at..at + GROUP], scale);
        if HEAD == 4 {
            super::store_first(&mut panel.min[at..at + GROUP], min);
        }
        interleave(q, &mut panel.q[b * PANEL_BLOCK..][..PANEL_BLOCK]);
    }
}

/// llama2.c's int8 rows, whose scales lie apart: one for `group` weights, a multiple of 32.
#[target_feature(enable = "avx2,fma,f16c")]
fn unpack_groups(tensor: &Tensor<'_>, rows: [usize; GROUP], group: usize, panel: &mut Panel) {
    let weights = rows.map(|row| tensor.row(row));
    let scales = rows.map(|row| tensor.row_scales(row));
    for b in 0..tensor.cols / BLOCK {
        let mut q = [_mm256_setzero_si256(); GROUP];
        for (r, (weights, scales)) in weights.iter().zip(&scales).enumerate() {
            let block = &weights[b * BLOCK..][..BLOCK];
            // SAFETY: the slice holds the 32 bytes that are read.
            q[r] = unsafe { _mm256_loadu_si256(block.as_ptr().cast()) };
            let at = b * BLOCK / group * 4;
            let scale = [scales[at], scales[at + 1], scales[at + 2], scales[at + 3]];
            panel.scale[2 * b * GROUP + r] = f32::from_le_bytes(scale);
        }
        interleave(q, &mut panel.q[b * PANEL_BLOCK..][..PANEL_BLOCK]);
    }
}

/// Every other format, through its definition.
#[target_feature(enable = "avx2,fma,f16c")]
fn unpack_any(tensor: &Tensor<'_>, rows: [usize; GROUP], blocks: usize, panel: &mut Panel) {
    for b in 0..blocks {
        let mut q = [_mm256_setzero_si256(); GROUP];
        for (r, &row) in rows.iter().enumerate() {
            let block = tensor.block(row, b);
            for half in 0..2 {
                panel.scale[(2 * b + half) * GROUP + r] = block.scale[half];
                panel.min[(2 * b + half) * GROUP + r] = block.min[half];
            }
            // SAFETY: the array holds the 32 bytes that are read.
            q[r] = unsafe { _mm256_loadu_si256(block.q.as_ptr().cast()) };
        }
        interleave(q, &mut panel.q[b * PANEL_BLOCK..][..PANEL_BLOCK]);
    }
}

/// Transposes 8 rows of 16 pairs: out is `(pair k, half, row, 2)`, 256 bytes.
#[target_feature(enable = "avx2,fma,f16c")]
fn interleave(q: [__m256i; GROUP], out: &mut [i8]) {
    assert_eq!(out.len(), PANEL_BLOCK);
    let twos: [__m256i; 8] = [
        _mm256_unpacklo_epi16(q[0], q[1]),
        _mm256_unpackhi_epi16(q[0], q[1]),
        _mm256_unpacklo_epi16(q[2], q[3]),
        _mm256_unpackhi_epi16(q[2], q[3]),
        _mm256_unpacklo_epi16(q[4], q[5]),
        _mm256_unpackhi_epi16(q[4], q[5]),
        _mm256_unpacklo_epi16(q[6], q[7]),
        _mm256_unpackhi_epi16(q[6], q[7]),
    ];
    for side in 0..2 {
        let (a, b, c, d) = (twos[side], twos[2 + side], twos[4 + side], twos[6 + side]);
        let fours = [
            (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d)),
            (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d)),
        ];
        for (i, (ab, cd)) in fours.into_iter().enumerate() {
            let k = 4 * side + 2 * i;
            // SAFETY: k + 1 is at most 7, and `out` holds 8 times 32 bytes.
            unsafe {
                let at = out.as_mut_ptr().add(32 * k);
                _mm256_storeu_si256(at.cast(), _mm256_unpacklo_epi64(ab, cd));
                _mm256_storeu_si256(at.add(32).cast(), _mm256_unpackhi_epi64(ab, cd));
            }
        }
    }
}
