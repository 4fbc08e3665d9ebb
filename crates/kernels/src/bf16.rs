//! Numbers rounded to bf16, the upper half of an f32, two to a word of 32 bits.
//!
//! ```text
//! to the nearest, ties to even;  |x| < 2⁻⁵⁵ becomes 0;  a NaN stays one (which, is not said)
//! ```
//!
//! Products of what is left are multiples of 2⁻¹²⁴ (8 bits each, the smallest of them 2⁻⁶²), and so
//! are their sums: none but 0 is below the least normal f32, 2⁻¹²⁶. Fused multiplications that
//! take subnormals for zero, as VDPBF16PS does, then give the bits of those that do not.

use crate::gemm::Tile;

/// How an instruction set multiplies bf16.
pub(crate) struct Bf16 {
    pub(crate) tile: Tile,
    /// See [`neighbours()`].
    pub(crate) neighbours: unsafe fn(&[f32], &mut [u32]),
    /// See [`columns()`].
    pub(crate) columns: unsafe fn(&[f32], usize, usize, &mut [u32], usize),
    pub(crate) instructions: Option<Bf16Instructions>,
}

/// Instructions that multiply bf16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bf16Instructions {
    /// VDPBF16PS (Zen 4, Cooper Lake and later).
    Avx512Bf16,
    /// TDPBF16PS, which multiplies whole tiles (Sapphire Rapids and later).
    AmxBf16,
}

impl Bf16Instructions {
    /// Their name in CPUs' manuals.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512Bf16 => "AVX512-BF16",
            Self::AmxBf16 => "AMX-BF16",
        }
    }
}

/// Bits of 2⁻⁵⁵.
pub(crate) const LEAST: u32 = (127 - 55) << 23;
/// Bits of +∞.
const INFINITY: u32 = 0x7f80_0000;

/// The bits of `x` in bf16.
#[inline(always)]
pub(crate) fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    let number = if magnitude < LEAST { 0 } else { nearest };
    if magnitude > INFINITY { 0x7fc0 } else { number }
}

/// Of columns that are `stride` apart, `rows` long: `out[p * height + i]` holds `x[2 p][i]` in its
/// lower half and `x[2 p + 1][i]` in its upper.
#[inline(always)]
pub(crate) fn columns(x: &[f32], stride: usize, rows: usize, out: &mut [u32], height: usize) {
    for (p, out) in out.chunks_exact_mut(height).enumerate() {
        let column = |number: usize| &x[number * stride..][..rows];
        for ((out, &low), &high) in out.iter_mut().zip(column(2 * p)).zip(column(2 * p + 1)) {
            *out = round(low) | round(high) << 16;
        }
    }
}

/// `out[i]` holds `x[2 i]` in its lower half and `x[2 i + 1]`, or 0 behind the last, in its upper.
#[inline(always)]
pub(crate) fn neighbours(x: &[f32], out: &mut [u32]) {
    let (whole, rest) = x.as_chunks();
    for (out, &[low, high]) in out.iter_mut().zip(whole) {
        *out = round(low) | round(high) << 16;
    }
    if let (Some(out), &[last]) = (out.last_mut(), rest) {
        *out = round(last);
    }
}

/// The two numbers of a word: lower half, upper half.
#[inline(always)]
pub(crate) fn unpack(word: u32) -> [f32; 2] {
    [f32::from_bits(word << 16), f32::from_bits(word & 0xffff_0000)]
}
