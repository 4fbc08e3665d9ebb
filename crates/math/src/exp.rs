//! `exp` for f32, correctly rounded for all 2^32 inputs.
//!
//! The method is that of ARM's optimized routines: split the argument by powers of 2^(1/32),
//! ```text
//! e^x = 2^(k/32) · e^r,   k = round(x · 32/ln 2),   r = x − k · ln 2/32,   |r| ≤ ln 2/64
//! ```
//! and work in f64, so that one final conversion to f32 does all the rounding. Their published
//! cubic leaves an error near 2^-34, which rounds about 170,000 inputs the wrong way. Here `r` is
//! computed in two steps, the first of them exact, and e^r is the Taylor polynomial of degree 6,
//! whose remainder r^7/7! is below 2^-57. What is left is the rounding of the table entry and of
//! the last few additions, near 2^-53, and no f32 input has an exponential so close to a rounding
//! boundary that this matters. `cargo xtask exhaustive` proves that by trying them all.
//!
//! # The vector version
//! Multiplication and addition are separate throughout (no FMA), so a SIMD version that performs
//! the operations below in the same order gives the same bits:
//! ```text
//! x  = f64(min(INPUT_MAX, max(INPUT_MIN, x)))     in f32; a NaN stays a NaN
//! t  = x · STEPS_PER_LN2 + ROUNDING_SHIFT
//! n  = bits(t)                                    the low bits hold k in two's complement
//! k  = t − ROUNDING_SHIFT
//! r  = (x − k · LN2_OVER_STEPS_HI) − k · LN2_OVER_STEPS_LO
//! s  = from_bits(TABLE[n mod 32] + (n << 47))     2^(k/32)
//! r2 = r · r
//! a  = C2 + r · C3
//! b  = (C4 + r · C5) + r2 · C6
//! p  = r + r2 · (a + r2 · b)                      e^r − 1
//! y  = f32(s + s · p)
//! ```
//! On x86, `_mm_max_ps(INPUT_MIN, x)` and `_mm_min_ps(INPUT_MAX, x)` return their second operand
//! where one is NaN, so with the operands in this order a NaN passes through.

/// Inputs below this are raised to it: e^-104 < 2^-150, which rounds to zero.
pub const INPUT_MIN: f32 = -104.0;

/// Inputs above this are lowered to it: e^89 exceeds the largest f32, which rounds to infinity.
pub const INPUT_MAX: f32 = 89.0;

/// How many table entries span one power of two.
pub const STEPS: usize = 32;

/// 32/ln 2.
pub const STEPS_PER_LN2: f64 = f64::from_bits(0x4047_1547_652b_82fe);

/// The leading 39 bits of ln 2/32. k has at most 13 bits, so k · HI is exact, and so is x − k · HI.
pub const LN2_OVER_STEPS_HI: f64 = f64::from_bits(0x3f96_2e42_fefa_4000);

/// ln 2/32 − [`LN2_OVER_STEPS_HI`].
pub const LN2_OVER_STEPS_LO: f64 = f64::from_bits(0xbcf8_432a_1b0e_2634);

/// 1.5 · 2^52: adding it to a small f64 rounds that to an integer, left in the low mantissa bits.
pub const ROUNDING_SHIFT: f64 = 6_755_399_441_055_744.0;

/// 1/2!, the coefficient of r^2.
pub const C2: f64 = 1.0 / 2.0;
/// 1/3!, the coefficient of r^3.
pub const C3: f64 = 1.0 / 6.0;
/// 1/4!, the coefficient of r^4.
pub const C4: f64 = 1.0 / 24.0;
/// 1/5!, the coefficient of r^5.
pub const C5: f64 = 1.0 / 120.0;
/// 1/6!, the coefficient of r^6.
pub const C6: f64 = 1.0 / 720.0;

/// The position of k mod 32 within an f64's exponent field: 52 − log2([`STEPS`]).
pub const TABLE_SHIFT: u32 = 47;

/// `TABLE[i]` is `bits(2^(i/32)) − (i << 47)`.
///
/// With k = 32 q + i, adding `k << 47` cancels the `i << 47` and adds q to the exponent field,
/// so the sum is `bits(2^(k/32))` with no need to extract q.
#[rustfmt::skip]
pub const TABLE: [u64; STEPS] = [
    0x3ff0_0000_0000_0000, 0x3fef_d9b0_d315_8574, 0x3fef_b558_6cf9_890f, 0x3fef_9301_d012_5b51,
    0x3fef_72b8_3c7d_517b, 0x3fef_5487_3168_b9aa, 0x3fef_387a_6e75_6238, 0x3fef_1e9d_f51f_dee1,
    0x3fef_06fe_0a31_b715, 0x3fee_f1a7_373a_a9cb, 0x3fee_dea6_4c12_3422, 0x3fee_ce08_6061_892d,
    0x3fee_bfda_d536_2a27, 0x3fee_b42b_569d_4f82, 0x3fee_ab07_dd48_5429, 0x3fee_a47e_b03a_5585,
    0x3fee_a09e_667f_3bcd, 0x3fee_9f75_e8ec_5f74, 0x3fee_a114_73eb_0187, 0x3fee_a589_994c_ce13,
    0x3fee_ace5_422a_a0db, 0x3fee_b737_b0cd_c5e5, 0x3fee_c491_82a3_f090, 0x3fee_d503_b23e_255d,
    0x3fee_e89f_995a_d3ad, 0x3fee_ff76_f2fb_5e47, 0x3fef_199b_dd85_529c, 0x3fef_3720_dcef_9069,
    0x3fef_5818_dcfb_a487, 0x3fef_7c97_337b_9b5f, 0x3fef_a4af_a2a4_90da, 0x3fef_d076_5b6e_4540,
];

/// e^x, correctly rounded (to nearest, ties to even) for every f32.
///
/// Subnormal results, zero and infinity are rounded like any other; NaN gives NaN.
#[inline]
#[must_use]
pub fn exp(x: f32) -> f32 {
    let x = f64::from(x.clamp(INPUT_MIN, INPUT_MAX));
    let shifted = x * STEPS_PER_LN2 + ROUNDING_SHIFT;
    let n = shifted.to_bits();
    let k = shifted - ROUNDING_SHIFT;
    let r = x - k * LN2_OVER_STEPS_HI - k * LN2_OVER_STEPS_LO;
    let scale = f64::from_bits(TABLE[n as usize % STEPS].wrapping_add(n << TABLE_SHIFT));
    let r2 = r * r;
    let a = C2 + r * C3;
    let b = C4 + r * C5 + r2 * C6;
    let p = r + r2 * (a + r2 * b);
    (scale + scale * p) as f32
}
