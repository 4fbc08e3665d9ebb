//! `exp` for f32 in f32 alone: less work than [`crate::exp()`], for training, where a last
//! bit more or less is noise. What a model answers is computed with the exact one.
//!
//! ```text
//! x = min(INPUT_MAX, max(INPUT_MIN, x))            a NaN stays a NaN
//! t = fma(x, LOG2_E, ROUNDING_SHIFT)               its low bits hold k in two's complement
//! k = t − ROUNDING_SHIFT                           round(x / ln 2)
//! r = fma(k, −LN2_LO, fma(k, −LN2_HI, x))          |r| ≤ ln 2 / 2
//! p = fma(… fma(C[0], r, C[1]) …, r, C[5])
//! y = (fma(p, r · r, r) + 1) · from_bits((bits(t) << 23) + (127 << 23))
//! ```
//! The polynomial is the one of Cephes' `expf`. The error is below [`ULPS`]; a vector version with
//! these operations in this order gives the same bits.

use crate::fma;

/// Inputs below this are raised to it: e^-87 is still a normal number.
pub const INPUT_MIN: f32 = -87.0;
/// Inputs above this are lowered to it: e^88 is still finite.
pub const INPUT_MAX: f32 = 88.0;
/// 1.5 · 2^23: adding and taking it away rounds |x| < 2^22 to an integer, ties to even.
pub const ROUNDING_SHIFT: f32 = 12_582_912.0;
/// 1 / ln 2.
pub const LOG2_E: f32 = core::f32::consts::LOG2_E;
/// The upper bits of ln 2, few enough that their product with k is exact.
pub const LN2_HI: f32 = 355.0 / 512.0;
/// ln 2 − [`LN2_HI`].
pub const LN2_LO: f32 = -2.121_944_4e-4;
/// Coefficients from the highest power down.
pub const C: [f32; 6] =
    [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
/// No result is further from the exact one, in units of its last place.
pub const ULPS: f64 = 1.1;

/// e^x within [`ULPS`], for inputs from [`INPUT_MIN`] to [`INPUT_MAX`]; those outside are moved to
/// the nearer end.
#[inline]
#[must_use]
pub fn exp_near(x: f32) -> f32 {
    let x = x.clamp(INPUT_MIN, INPUT_MAX);
    let t = fma(x, LOG2_E, ROUNDING_SHIFT);
    let k = t - ROUNDING_SHIFT;
    let r = fma(k, -LN2_LO, fma(k, -LN2_HI, x));
    let p = C[1..].iter().fold(C[0], |p, &c| fma(p, r, c));
    let scale = f32::from_bits((t.to_bits() << 23).wrapping_add(127 << 23));
    (fma(p, r * r, r) + 1.0) * scale
}
