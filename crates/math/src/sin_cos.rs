//! `sin` and `cos` for f64, for building the table of rotary position embeddings.
//!
//! Angles there are position · frequency, radians up to the context length, so the argument is
//! first reduced by a multiple of π/2 (Cody & Waite) and a remainder kept in two f64s:
//! ```text
//! k = round(x · 2/π),   hi + lo = x − k · π/2,   |hi| ≤ π/4
//! sin(hi + lo) ≈ hi + (hi · z · S(z) + lo · (1 − z/2))      z = hi²
//! cos(hi + lo) ≈ 1 − z/2 + (z² · C(z) − hi · lo)
//! ```
//! π/2 is held in three f64s, about 160 bits. That many are needed: among the f64s up to 2^30 some
//! lie within 2^-60 of a multiple of π/2, and k takes another 30 bits.
//! S and C are Taylor polynomials, whose remainders are below 2^-58.

use crate::double_double::{quick_two_sum, two_prod, two_sum};

const TWO_OVER_PI: f64 = f64::from_bits(0x3fe4_5f30_6dc9_c883);
// π/2 = HI + MID + LO, each the f64 nearest to what the ones before it leave.
const HALF_PI_HI: f64 = f64::from_bits(0x3ff9_21fb_5444_2d18);
const HALF_PI_MID: f64 = f64::from_bits(0x3c91_a626_3314_5c07);
const HALF_PI_LO: f64 = f64::from_bits(0xb91f_1976_b7ed_8fbc);

/// The largest |x| that is reduced: 2^30.
const LIMIT: f64 = 1_073_741_824.0;

/// Below this, 2^-27, sin x = x and cos x = 1 to within half an ulp.
const TINY: f64 = 1.0 / 134_217_728.0;

/// −1/3!, 1/5!, −1/7! … −1/15!, 1/17!: (sin r − r)/r³ in powers of r².
const SIN: [f64; 8] = [
    -1.0 / 6.0,
    1.0 / 120.0,
    -1.0 / 5_040.0,
    1.0 / 362_880.0,
    -1.0 / 39_916_800.0,
    1.0 / 6_227_020_800.0,
    -1.0 / 1_307_674_368_000.0,
    1.0 / 355_687_428_096_000.0,
];

/// 1/4!, −1/6!, 1/8! … 1/16!: (cos r − 1 + r²/2)/r⁴ in powers of r².
const COS: [f64; 7] = [
    1.0 / 24.0,
    -1.0 / 720.0,
    1.0 / 40_320.0,
    -1.0 / 3_628_800.0,
    1.0 / 479_001_600.0,
    -1.0 / 87_178_291_200.0,
    1.0 / 20_922_789_888_000.0,
];

/// (sin x, cos x) for `x` in radians, each within 1 ulp of the true value, for |x| ≤ 2^30.
///
/// Beyond that, and for infinities and NaN, both are NaN.
#[must_use]
pub fn sin_cos(x: f64) -> (f64, f64) {
    let magnitude = x.abs();
    if magnitude < TINY {
        return (x, 1.0);
    }
    if magnitude.is_nan() || magnitude > LIMIT {
        return (f64::NAN, f64::NAN);
    }
    let (quadrant, hi, lo) = reduce(x);
    let sin = sin_reduced(hi, lo);
    let cos = cos_reduced(hi, lo);
    match quadrant {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

/// x − k · π/2 as (k mod 4, hi, lo).
fn reduce(x: f64) -> (u64, f64, f64) {
    // Adding 1.5 · 2^52 rounds to an integer and leaves it in the low mantissa bits.
    const ROUNDING_SHIFT: f64 = crate::exp::ROUNDING_SHIFT;
    let shifted = x * TWO_OVER_PI + ROUNDING_SHIFT;
    let k = shifted - ROUNDING_SHIFT;
    let (first, first_error) = two_prod(k, HALF_PI_HI);
    let (second, second_error) = two_prod(k, HALF_PI_MID);
    // Both steps are exact: x − k · HI is a multiple of 2^-53 and less than 1, or k = 0.
    let leading = (x - first) - first_error;
    let (sum, error) = two_sum(leading, -second);
    let rest = error - (second_error + k * HALF_PI_LO);
    let (hi, lo) = quick_two_sum(sum, rest);
    (shifted.to_bits() & 3, hi, lo)
}

/// sin(hi + lo) for |hi| ≤ π/4 and |lo| at most half an ulp of `hi`.
fn sin_reduced(hi: f64, lo: f64) -> f64 {
    let z = hi * hi;
    hi + (hi * z * horner(&SIN, z) + lo * (1.0 - 0.5 * z))
}

/// cos(hi + lo), likewise.
fn cos_reduced(hi: f64, lo: f64) -> f64 {
    let z = hi * hi;
    let (leading, error) = quick_two_sum(1.0, -0.5 * z);
    leading + (error + (z * z * horner(&COS, z) - hi * lo))
}

/// c\[0\] + c\[1\] z + c\[2\] z² + …
fn horner(coefficients: &[f64], z: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * z + c)
}
