//! `pow` for f64, for the frequencies of rotary position embeddings, `base^(-2i/d)`.
//!
//! It runs a few dozen times at load, so it is written for clarity: both halves of
//! ```text
//! base^exponent = e^(exponent · ln base)
//! ```
//! are plain series in double-double arithmetic (about 106 bits). Their error, below 2^-90, is
//! far under f64's 2^-53, so the result is the true power rounded, but for about one argument in
//! 2^36 where it may fall on the other side of a rounding boundary.

use crate::double_double::DoubleDouble;

// ln 2 = HI + LO.
const LN2_HI: f64 = f64::from_bits(0x3fe6_2e42_fefa_39ef);
const LN2_LO: f64 = f64::from_bits(0x3c7a_bc9e_3b39_803f);
const LN2: DoubleDouble = DoubleDouble { hi: LN2_HI, lo: LN2_LO };

/// With |t| ≤ 0.172 the first term left out, t^45/45, is below 2^-119.
const LN_TERMS: u32 = 22;

/// With |r| ≤ 0.347 the first term left out, r^26/26!, is below 2^-127.
const EXP_TERMS: u32 = 25;

/// `base` to the power `exponent`, within 1 ulp, for finite `base` > 0 and finite `exponent`.
///
/// Results above the f64 range are infinite, those below its normal range may be off by 1 ulp
/// of a subnormal, or zero. Any other argument gives NaN.
#[must_use]
pub fn pow(base: f64, exponent: f64) -> f64 {
    if !(base > 0.0 && base.is_finite() && exponent.is_finite()) {
        return f64::NAN;
    }
    let ln_base = ln(base);
    // Beyond this the result is out of range, and double-double products might overflow.
    let estimate = ln_base.hi * exponent;
    if estimate > 800.0 {
        return f64::INFINITY;
    }
    if estimate < -800.0 {
        return 0.0;
    }
    // 2^-60. Also ln 1 = 0, with any exponent however large.
    if estimate.abs() < 1.0 / 1_152_921_504_606_846_976.0 {
        return 1.0;
    }
    exp(ln_base * DoubleDouble::from(exponent))
}

/// ln x for finite x > 0.
///
/// x = m · 2^e with √½ ≤ m < √2, and ln m = 2 artanh t = 2 (t + t³/3 + t⁵/5 + …), where
/// t = (m − 1)/(m + 1).
fn ln(x: f64) -> DoubleDouble {
    let (m, e) = normalized(x);
    let numerator = DoubleDouble::from(m - 1.0);
    let denominator = DoubleDouble::from(m) + DoubleDouble::from(1.0);
    let t = numerator / denominator;
    let t2 = t * t;
    let mut sum = DoubleDouble::from(0.0);
    for i in (0..LN_TERMS).rev() {
        sum = sum * t2 + DoubleDouble::from(1.0) / DoubleDouble::from(f64::from(2 * i + 1));
    }
    let ln_m = DoubleDouble::from(2.0) * t * sum;
    LN2 * DoubleDouble::from(f64::from(e)) + ln_m
}

/// Splits finite x > 0 into (m, e) with x = m · 2^e and m between about √½ and √2.
pub(crate) fn normalized(x: f64) -> (f64, i32) {
    const MANTISSA: u64 = 0x000f_ffff_ffff_ffff;
    const TWO_54: f64 = 18_014_398_509_481_984.0;
    if x < f64::MIN_POSITIVE {
        let (m, e) = normalized(x * TWO_54);
        return (m, e - 54);
    }
    let bits = x.to_bits();
    let e = (bits >> 52) as i32 - 1023;
    let m = f64::from_bits((bits & MANTISSA) | 1.0f64.to_bits());
    if m > core::f64::consts::SQRT_2 { (m * 0.5, e + 1) } else { (m, e) }
}

/// e^x for |x| ≤ 800, rounded to f64: x = k ln 2 + r with |r| ≤ ½ ln 2, and e^x = 2^k e^r.
fn exp(x: DoubleDouble) -> f64 {
    const ROUNDING_SHIFT: f64 = crate::exp::ROUNDING_SHIFT;
    let k = (x.hi * core::f64::consts::LOG2_E + ROUNDING_SHIFT) - ROUNDING_SHIFT;
    let power = exp_reduced(x + LN2 * DoubleDouble::from(-k));
    // Two factors, as 2^k itself may lie outside the range when the result does not.
    let half = k as i32 / 2;
    power.hi * power_of_two(half) * power_of_two(k as i32 - half)
}

/// e^r = 1 + r (1 + r/2 (1 + r/3 (1 + …))) for |r| ≤ 0.347.
fn exp_reduced(r: DoubleDouble) -> DoubleDouble {
    let one = DoubleDouble::from(1.0);
    let mut sum = one;
    for n in (1..=EXP_TERMS).rev() {
        sum = one + r * sum / DoubleDouble::from(f64::from(n));
    }
    sum
}

/// 2^k for −1022 ≤ k ≤ 1023.
fn power_of_two(k: i32) -> f64 {
    f64::from_bits(((k + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use dashu_float::{FBig, round::mode::HalfEven};

    use super::*;

    type Big = FBig<HalfEven, 2>;

    fn big(x: f64) -> Big {
        Big::try_from(x).expect("tests use finite numbers here").with_precision(240).value()
    }

    /// log2 of the relative error of `found`.
    fn error_bits(found: DoubleDouble, exact: Big) -> f64 {
        let error = (big(found.hi) + big(found.lo) - &exact) / exact;
        error.to_f64().value().abs().log2()
    }

    /// The rounded result hides a series cut short or a wrong low part; the pairs show them.
    #[test]
    fn both_series_hold_double_double_precision() {
        for i in 1..500 {
            let x = f64::from(i) * 0.31;
            let bits = error_bits(ln(x), big(x).ln());
            assert!(bits < -99.0, "ln({x}): 2^{bits}");
        }
        for i in -500..=500 {
            let r = f64::from(i) * (0.347 / 500.0);
            let bits = error_bits(exp_reduced(r.into()), big(r).exp());
            assert!(bits < -102.0, "exp({r}): 2^{bits}");
        }
    }
}
