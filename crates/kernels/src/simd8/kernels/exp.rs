//! exp for eight numbers, correctly rounded: as `llamaboot_math::exp` states it.

use super::features;
use super::registers::*;
use llamaboot_math::exp as constants;

/// Four exponentials in f64, with the operations and order that `llamaboot_math::exp` states.
#[features]
fn exp_4(x: Doubles) -> Four {
    let set = |x: f64| splat_f64(x);
    let shift = set(constants::ROUNDING_SHIFT);
    let t = add_f64(mul_f64(x, set(constants::STEPS_PER_LN2)), shift);
    let k = sub_f64(t, shift);
    let r = sub_f64(x, mul_f64(k, set(constants::LN2_OVER_STEPS_HI)));
    let r = sub_f64(r, mul_f64(k, set(constants::LN2_OVER_STEPS_LO)));
    let s = power(t);
    let r2 = mul_f64(r, r);
    let a = add_f64(set(constants::C2), mul_f64(r, set(constants::C3)));
    let b = add_f64(set(constants::C4), mul_f64(r, set(constants::C5)));
    let b = add_f64(b, mul_f64(r2, set(constants::C6)));
    let p = add_f64(r, mul_f64(r2, add_f64(a, mul_f64(r2, b))));
    narrow(add_f64(s, mul_f64(s, p)))
}

/// Eight correctly rounded exponentials.
#[features]
pub(super) fn exp_8(x: Floats) -> Floats {
    // With the constants as first operands a NaN in `x` stays one.
    let x = max(splat(constants::INPUT_MIN), x);
    let x = min(splat(constants::INPUT_MAX), x);
    let [low, high] = widen(x);
    joined(exp_4(low), exp_4(high))
}
