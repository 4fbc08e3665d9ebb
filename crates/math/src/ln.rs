//! `ln` for f64, for samplers that weigh the surprise −ln p of tokens.
//!
//! They ask for it once for each token of the vocabulary, so it works in f64 alone; the ln inside
//! of [`pow`](crate::pow()) holds twice the digits and takes about a hundred times as long.
//! ```text
//! x = (1 + f) · 2^e,  √½ ≤ 1 + f < √2,   s = f / (2 + f),   |s| ≤ 0.172
//! ln (1 + f) = 2 artanh s = 2 s + s R,   R = 2 s²/3 + 2 s⁴/5 + 2 s⁶/7 + …
//!            = f − s (f − R)             since 2 s = f − s f
//! ln x       = e · HI − ((s (f − R) − e · LO) − f),   ln 2 = HI + LO
//! ```
//! f is exact and so is e · HI, so what is rounded before the last subtraction is small beside the
//! result.

use crate::pow::normalized;

/// The leading 42 bits of ln 2: e has at most 11 bits, so e · HI is exact.
const LEADING: f64 = f64::from_bits(0x3fe6_2e42_fefa_3800);

/// ln 2 − [`LEADING`].
const TRAILING: f64 = f64::from_bits(0x3d2e_f357_93c7_6730);

/// With s² ≤ 0.0295 the first term left out, 2 s²⁴/25, is below 2^-64.
const TERMS: u32 = 11;

/// ln x, within 1 ulp, for finite `x` > 0, subnormals among them.
///
/// ln 0 is −∞ and ln ∞ is ∞; below 0, and for NaN, it is NaN.
#[must_use]
pub fn ln(x: f64) -> f64 {
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if !(x > 0.0 && x < f64::INFINITY) {
        return if x > 0.0 { x } else { f64::NAN };
    }
    let (m, e) = normalized(x);
    let (f, e) = (m - 1.0, f64::from(e));
    let s = f / (2.0 + f);
    let s2 = s * s;
    let mut r = 0.0;
    for i in (1..=TERMS).rev() {
        r = s2 * (r + 2.0 / f64::from(2 * i + 1));
    }
    e * LEADING - ((s * (f - r) - e * TRAILING) - f)
}
