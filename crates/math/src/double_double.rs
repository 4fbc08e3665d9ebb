//! Double-double arithmetic: a number as the unevaluated sum `hi + lo` of two f64s, about 106
//! bits, for the steps of [`pow`](crate::pow()), [`sin_cos`](crate::sin_cos()) and
//! [`fma`](crate::fma()) where 53 bits are too few.
//!
//! Everything rests on two exact transformations (Dekker 1971, Knuth TAOCP 4.2.2):
//! ```text
//! two_sum(a, b)  = (s, e)   s = round(a + b),   s + e = a + b exactly
//! two_prod(a, b) = (p, e)   p = round(a · b),   p + e = a · b exactly
//! ```

use core::ops::{Add, Div, Mul};

/// a + b as its rounding and the exact error of that. NaN error where the sum is not finite.
#[inline]
pub(crate) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    let a_part = sum - b_part;
    (sum, (a - a_part) + (b - b_part))
}

/// The same as [`two_sum`] in half the operations, for |a| ≥ |b| or a = 0.
#[inline]
pub(crate) fn quick_two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    (sum, b - (sum - a))
}

/// a · b as its rounding and the exact error of that, if neither overflows nor underflows.
pub(crate) fn two_prod(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    let (a_hi, a_lo) = halves(a);
    let (b_hi, b_lo) = halves(b);
    (product, ((a_hi * b_hi - product) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo)
}

/// Veltkamp's split of `a` into two numbers of at most 26 bits, whose products are exact.
fn halves(a: f64) -> (f64, f64) {
    const SPLIT: f64 = 134_217_729.0; // 2^27 + 1
    let scaled = SPLIT * a;
    let hi = scaled - (scaled - a);
    (hi, a - hi)
}

/// `hi + lo`, where |lo| is at most half an ulp of `hi`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DoubleDouble {
    /// The value rounded to f64.
    pub(crate) hi: f64,
    /// What that rounding left.
    pub(crate) lo: f64,
}

impl From<f64> for DoubleDouble {
    fn from(value: f64) -> Self {
        DoubleDouble { hi: value, lo: 0.0 }
    }
}

impl From<(f64, f64)> for DoubleDouble {
    /// From the result of an exact transformation.
    fn from((hi, lo): (f64, f64)) -> Self {
        DoubleDouble { hi, lo }
    }
}

impl Add for DoubleDouble {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (hi, hi_error) = two_sum(self.hi, other.hi);
        let (lo, lo_error) = two_sum(self.lo, other.lo);
        let (hi, lo) = quick_two_sum(hi, hi_error + lo);
        quick_two_sum(hi, lo + lo_error).into()
    }
}

impl Mul for DoubleDouble {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let (product, error) = two_prod(self.hi, other.hi);
        quick_two_sum(product, error + (self.hi * other.lo + self.lo * other.hi)).into()
    }
}

impl Div for DoubleDouble {
    type Output = Self;

    /// Long division with two f64 digits and a correction.
    fn div(self, other: Self) -> Self {
        let first = self.hi / other.hi;
        let remainder = self + other * DoubleDouble::from(-first);
        let second = remainder.hi / other.hi;
        let remainder = remainder + other * DoubleDouble::from(-second);
        let third = remainder.hi / other.hi;
        DoubleDouble::from(quick_two_sum(first, second)) + DoubleDouble::from(third)
    }
}
