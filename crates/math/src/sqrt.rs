//! `sqrt` for f32 by integer arithmetic: `core` has none, and the square-root instruction is
//! reached only by unsafe intrinsics. It runs once a layer, so its speed is of no account.
//!
//! ```text
//! x = m · 2^e,  e even,  2^48 ≤ m < 2^50   →   √x = √m · 2^(e/2),  2^24 ≤ ⌊√m⌋ < 2^25
//! ```
//! The integer root has 25 bits: the 24 of the result and one to round by.

/// The square root of `x`, correctly rounded for every f32.
///
/// −0 gives −0, any other negative number NaN, NaN gives NaN.
#[inline]
#[must_use]
pub fn sqrt(x: f32) -> f32 {
    if x == 0.0 || x == f32::INFINITY || x.is_nan() {
        return x;
    }
    if x < 0.0 {
        return f32::NAN;
    }
    let (mantissa, exponent) = normalized(x);
    // 25 or 26 makes `exponent - shift` even.
    let shift = 25 + ((exponent - 25) & 1);
    let root = (mantissa << shift).isqrt() as u32;
    // Half up is half to even here, as no tie can occur: a root ending in a lone half bit is an
    // odd 25-bit integer, whose square is odd, while m ends in 25 zeros.
    let rounded = (root + 1) >> 1;
    let result_exponent = (exponent - shift) / 2 + 1;
    // `rounded` includes the implicit bit, which adds one to the exponent field; if it was rounded
    // up to 2^24 it adds two and leaves a zero mantissa, which is right as well.
    f32::from_bits((((result_exponent + 149) as u32) << 23) + rounded)
}

/// Splits a positive finite `x` into `(m, e)` with x = m · 2^e and 2^23 ≤ m < 2^24.
fn normalized(x: f32) -> (u64, i32) {
    let bits = x.to_bits();
    let mantissa = bits & 0x007f_ffff;
    let biased = (bits >> 23) as i32;
    if biased == 0 {
        let shift = mantissa.leading_zeros() as i32 - 8;
        (u64::from(mantissa << shift), -149 - shift)
    } else {
        (u64::from(mantissa | 0x0080_0000), biased - 150)
    }
}
