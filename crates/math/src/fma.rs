//! An exact fused multiply-add for f32, for CPUs without the instruction and as the oracle for
//! those with it.
//!
//! The project fixes f32 accumulation to `round(a · b + c)`, rounded once. In f64 the product of
//! two f32s is exact (48 bits of 53), but the sum with `c` is not: rounding that to f64 can turn a
//! sum just beside a tie of f32 into the tie itself, which then rounds the wrong way. The cure is
//! to round the sum to odd instead (Boldo & Melquiond 2008): truncate, and set the last bit if
//! anything was lost. An odd last bit is never a tie at f32's precision, since f64 has 29 bits more
//! and two would do.
//! ```text
//! s + e = a · b + c exactly, s the nearest f64
//! odd   = s if e = 0, else the neighbour of s + e with an odd mantissa
//! fma   = f32(odd)
//! ```

use crate::double_double::two_sum;

/// a · b + c, rounded once: the same bits as a hardware FMA.
///
/// Infinities, NaN, signed zeros, subnormal results and overflow follow IEEE 754.
#[inline]
#[must_use]
pub fn fma(a: f32, b: f32, c: f32) -> f32 {
    let product = f64::from(a) * f64::from(b);
    let (sum, error) = two_sum(product, f64::from(c));
    // Where the sum is not finite the error is NaN, the comparison is false and the sum stays.
    let inexact = error.abs() > 0.0;
    let rounded_away = inexact && (error > 0.0) != (sum > 0.0);
    // No f64 sum of f32 magnitudes underflows, so an inexact sum is not zero and the subtraction
    // moves one step towards zero.
    let truncated = sum.to_bits() - u64::from(rounded_away);
    f64::from_bits(truncated | u64::from(inexact)) as f32
}
