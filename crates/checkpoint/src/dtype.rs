//! How weights are stored: plain floats, llama2.c's int8 groups, and ggml's block formats
//! (layouts from ggml-common.h and gguf-py's `quants.py`).
//!
//! Every block format is taken apart into the same form, 32 weights at a time:
//!
//! ```text
//! w[i] = scale[i / 16] * q[i] + min[i / 16]        q an i8, scale and min exact f32
//! ```
//!
//! so that a kernel needs to know this form only. Formats with one scale for 32 weights repeat
//! it; formats without a minimum have -0 there.

use core::ops::Range;
use half::f16;

/// Storage format of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are ggml's")]
pub enum DType {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    /// llama2.c v2: int8 weights, then one f32 scale for each group of this many weights.
    I8Groups(u32),
}

impl core::fmt::Display for DType {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if let Self::I8Groups(group) = self {
            return write!(f, "I8/{group}");
        }
        f.write_str(match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q8_0 => "Q8_0",
            Self::Q2K => "Q2_K",
            Self::Q3K => "Q3_K",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
            Self::I8Groups(_) => "I8",
        })
    }
}

impl DType {
    /// Weights in one block; rows are whole blocks.
    #[must_use]
    #[inline]
    pub fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => 32,
            Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K => 256,
            Self::I8Groups(group) => group as usize,
        }
    }

    /// Bytes of one block, without the scales of int8 groups.
    #[must_use]
    #[inline]
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
            Self::Q2K => 84,
            Self::Q3K => 110,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
            Self::I8Groups(group) => group as usize,
        }
    }

    /// Bytes of a row of `cols` weights, without the scales of int8 groups.
    #[must_use]
    #[inline]
    pub fn row_bytes(self, cols: usize) -> usize {
        cols / self.block_len() * self.block_bytes()
    }

    /// Bytes of the separate scales of a row; 0 but for int8 groups.
    #[must_use]
    pub fn row_scale_bytes(self, cols: usize) -> usize {
        match self {
            Self::I8Groups(group) => cols / group as usize * 4,
            _ => 0,
        }
    }

    /// Whether a row is made of [`Block32`]s; the others are read as floats, one by one.
    #[must_use]
    pub fn is_blocked(self) -> bool {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => false,
            Self::I8Groups(group) => group.is_multiple_of(32),
            _ => true,
        }
    }

    /// Weights that share a scale inside a [`Block32`]: 16 or 32.
    #[must_use]
    pub fn scale_span(self) -> usize {
        if matches!(self, Self::Q2K | Self::Q3K | Self::Q6K) { 16 } else { 32 }
    }

    /// Whether weights have a minimum added.
    #[must_use]
    pub fn has_min(self) -> bool {
        matches!(self, Self::Q4_1 | Self::Q5_1 | Self::Q2K | Self::Q4K | Self::Q5K)
    }
}

/// 32 weights taken apart: `w[i] = scale[i / 16] * q[i] + min[i / 16]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Block32 {
    /// Integer weights.
    pub q: [i8; 32],
    /// Scale of each half.
    pub scale: [f32; 2],
    /// Minimum of each half.
    pub min: [f32; 2],
}

impl Block32 {
    /// Block number `index` (weights `32 * index ..`) of a row.
    ///
    /// `row` holds whole blocks of `dtype`, which [`DType::is_blocked`]; `scales` are the row's
    /// group scales, empty for the other formats.
    ///
    /// # Panics
    /// Where `index` is past the row: a bug of the caller, since shapes are checked at load.
    #[must_use]
    #[inline]
    pub fn read(dtype: DType, row: &[u8], scales: &[u8], index: usize) -> Self {
        if let DType::I8Groups(group) = dtype {
            let at = index * 32 / group as usize * 4;
            let q = signed(&row[index * 32..]);
            return Self { q, scale: [f32_at(scales, at); 2], min: NO_MIN };
        }
        let len = dtype.block_len() / 32;
        let block = &row[index / len * dtype.block_bytes()..][..dtype.block_bytes()];
        let mut head = [0; MAX_HEAD];
        let mut at = 0;
        for part in dtype.head().parts() {
            head[at..at + part.len()].copy_from_slice(&block[part.clone()]);
            at += part.len();
        }
        let (scale, min) = scales_of(dtype, &head, index % len);
        Self { q: weights_of(dtype, block, index % len), scale, min }
    }

    /// The 32 weights as f32: product and sum each rounded once, as ggml does.
    #[must_use]
    pub fn dequantize(&self) -> [f32; 32] {
        core::array::from_fn(|i| self.scale[i / 16] * f32::from(self.q[i]) + self.min[i / 16])
    }
}

/// The minimum of formats that have none: adding it changes nothing, not even the sign of a zero.
pub(crate) const NO_MIN: [f32; 2] = [-0.0; 2];

/// The bytes of a block that are not weights.
pub(crate) struct Head {
    /// f16 numbers, one after another.
    pub(crate) halves: Range<usize>,
    /// Small scales, as bytes; empty for formats of one scale.
    pub(crate) bytes: Range<usize>,
}

/// The longest head: Q2_K's.
pub(crate) const MAX_HEAD: usize = 20;

impl Head {
    /// Both parts, in the order in which [`scales_of`] wants them.
    pub(crate) fn parts(&self) -> [Range<usize>; 2] {
        [self.halves.clone(), self.bytes.clone()]
    }
}

impl DType {
    /// Where a block of the file keeps its head.
    pub(crate) fn head(self) -> Head {
        let (halves, bytes) = match self {
            Self::Q4_0 | Self::Q5_0 | Self::Q8_0 => (0..2, 0..0),
            Self::Q4_1 | Self::Q5_1 => (0..4, 0..0),
            Self::Q4K | Self::Q5K => (0..4, 4..16),
            Self::Q2K => (80..84, 0..16),
            Self::Q3K => (108..110, 96..108),
            Self::Q6K => (208..210, 192..208),
            Self::I8Groups(_) | Self::F32 | Self::F16 | Self::BF16 => (0..0, 0..0),
        };
        Head { halves, bytes }
    }
}

/// Scales and minima of the 32 weights number `k` of a block whose head is given: its halves, then
/// its bytes.
pub(crate) fn scales_of(dtype: DType, head: &[u8; MAX_HEAD], k: usize) -> ([f32; 2], [f32; 2]) {
    let (d, d_min) = (half_at(head, 0), half_at(head, 2));
    match dtype {
        DType::Q4_1 | DType::Q5_1 => ([d; 2], [d_min; 2]),
        DType::Q4K | DType::Q5K => {
            let (scale, min) = scale_min(&head[4..16], k);
            ([d * f32::from(scale); 2], [-(d_min * f32::from(min)); 2])
        }
        DType::Q2K => {
            let both = [head[4 + 2 * k], head[5 + 2 * k]];
            (both.map(|b| d * f32::from(b & 15)), both.map(|b| -(d_min * f32::from(b >> 4))))
        }
        DType::Q3K => {
            let scale = |j: usize| {
                let low = head[2 + j % 8] >> (j / 8 * 4) & 15;
                let high = head[10 + j % 4] >> (j / 4 * 2) & 3;
                d * f32::from((low | high << 4).cast_signed() - 32)
            };
            ([scale(2 * k), scale(2 * k + 1)], NO_MIN)
        }
        DType::Q6K => {
            ([head[2 + 2 * k], head[3 + 2 * k]].map(|b| d * f32::from(b.cast_signed())), NO_MIN)
        }
        _ => ([d; 2], NO_MIN),
    }
}

/// The 32 weights number `k` of a block of the file.
fn weights_of(dtype: DType, block: &[u8], k: usize) -> [i8; 32] {
    match dtype {
        DType::Q4_0 => nibbles(&block[2..], -8),
        DType::Q4_1 => nibbles(&block[4..], 0),
        DType::Q5_0 => five_bits(&block[2..], -16),
        DType::Q5_1 => five_bits(&block[4..], 0),
        DType::Q8_0 => signed(&block[2..]),
        DType::Q2K => two_bits(&block[16..80], k),
        DType::Q3K => {
            let (high, low) = (&block[..32], two_bits(&block[32..96], k));
            core::array::from_fn(|i| low[i] - if high[i] >> k & 1 == 0 { 4 } else { 0 })
        }
        DType::Q4K => {
            let qs = &block[16 + k / 2 * 32..][..32];
            core::array::from_fn(|i| (qs[i] >> (k % 2 * 4) & 15).cast_signed())
        }
        DType::Q5K => {
            let (high, qs) = (&block[16..48], &block[48 + k / 2 * 32..][..32]);
            core::array::from_fn(|i| {
                (qs[i] >> (k % 2 * 4) & 15 | (high[i] >> k & 1) << 4).cast_signed()
            })
        }
        DType::Q6K => {
            let low = &block[k / 4 * 64 + k % 2 * 32..][..32];
            let high = &block[128 + k / 4 * 32..][..32];
            core::array::from_fn(|i| {
                let low = low[i] >> (k % 4 / 2 * 4) & 15;
                let high = high[i] >> (k % 4 * 2) & 3;
                (low | high << 4).cast_signed() - 32
            })
        }
        DType::F32 | DType::F16 | DType::BF16 | DType::I8Groups(_) => {
            unreachable!("{dtype} has no such blocks")
        }
    }
}

pub(crate) fn f32_at(bytes: &[u8], at: usize) -> f32 {
    f32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn half_at(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

fn signed(bytes: &[u8]) -> [i8; 32] {
    core::array::from_fn(|i| bytes[i].cast_signed())
}

/// 16 bytes: low nibbles are weights 0–15, high nibbles 16–31.
fn nibbles(bytes: &[u8], offset: i8) -> [i8; 32] {
    core::array::from_fn(|i| ((bytes[i % 16] >> (i / 16 * 4)) & 15).cast_signed() + offset)
}

/// 4 bytes of fifth bits, bit i for weight i, then [`nibbles`].
fn five_bits(bytes: &[u8], offset: i8) -> [i8; 32] {
    let high = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let low = nibbles(&bytes[4..], 0);
    core::array::from_fn(|i| (low[i] | (((high >> i) & 1) as i8) << 4) + offset)
}

/// Two-bit weights of Q2_K and Q3_K: block `k` of 8 in 64 bytes.
fn two_bits(qs: &[u8], k: usize) -> [i8; 32] {
    core::array::from_fn(|i| ((qs[k / 4 * 32 + i] >> (k % 4 * 2)) & 3).cast_signed())
}

/// Six-bit scale and minimum number `k` of Q4_K and Q5_K, packed in 12 bytes.
fn scale_min(packed: &[u8], k: usize) -> (u8, u8) {
    if k < 4 {
        (packed[k] & 63, packed[k + 4] & 63)
    } else {
        let high = packed[k + 4];
        ((high & 15) | (packed[k - 4] >> 6 << 4), (high >> 4) | (packed[k] >> 6 << 4))
    }
}
