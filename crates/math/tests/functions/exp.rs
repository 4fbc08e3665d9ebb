//! `exp` against the hardest inputs, a dense sample of all inputs, and its own vector recipe.

use std::ops::ControlFlow;

use llamaboot_math::exp::{self as exp_parts, exp};

use crate::big;

/// (input, result) bits: the inputs whose exponential lies within 2^-49 of a rounding boundary.
#[rustfmt::skip]
const HARDEST: [(u32, u32); 20] = [
    (0x33800000, 0x3f800001),
    (0x36fdffc1, 0x3f800040),
    (0x377eff81, 0x3f800080),
    (0x383a3ef1, 0x3f800175),
    (0x38e69cc1, 0x3f80039a),
    (0x39c6be5b, 0x3f800c6d),
    (0x39e5bb1d, 0x3f800e5d),
    (0x3d1a274e, 0x3f84e8ba),
    (0x3fe67199, 0x40c1a7a6),
    (0x4001b249, 0x40f2cd14),
    (0x40315b33, 0x417fa47d),
    (0x41cbf87b, 0x51dc50be),
    (0x4288942b, 0x70b7a4c5),
    (0xb3000000, 0x3f800000),
    (0xbae0e25c, 0x3f7f8fa7),
    (0xbbb70ee8, 0x3f7e92e8),
    (0xbbf0edf1, 0x3f7e1fe9),
    (0xbc2a461a, 0x3f7d5a6e),
    (0xc13d6631, 0x36f28e33),
    (0xc16912cd, 0x34fd331b),
];

#[test]
fn the_hardest_inputs_round_correctly() {
    for (input, expected) in HARDEST {
        let found = exp(f32::from_bits(input)).to_bits();
        assert_eq!(found, expected, "exp of bits {input:#x}: {found:#x}, not {expected:#x}");
    }
}

#[test]
fn special_values() {
    assert_eq!(exp(0.0), 1.0);
    assert_eq!(exp(-0.0), 1.0);
    assert_eq!(exp(f32::INFINITY), f32::INFINITY);
    assert_eq!(exp(f32::NEG_INFINITY).to_bits(), 0);
    assert_eq!(exp(f32::MAX), f32::INFINITY);
    assert_eq!(exp(f32::MIN).to_bits(), 0);
    assert!(exp(f32::NAN).is_nan());
    assert!(exp(-f32::NAN).is_nan());
    assert_eq!(exp(1.0), std::f32::consts::E);
}

/// The last inputs on either side of overflow, of the subnormals and of underflow to zero.
#[test]
fn edges_of_the_range() {
    let largest_finite = f32::from_bits(0x42b1_7217);
    assert_eq!(exp(largest_finite).to_bits(), 0x7f7f_ff84);
    assert_eq!(exp(largest_finite.next_up()), f32::INFINITY);

    let least_normal = f32::from_bits(0xc2ae_ac4f);
    assert!(exp(least_normal) >= f32::MIN_POSITIVE);
    assert!(exp(least_normal.next_down()) < f32::MIN_POSITIVE);

    let least_nonzero = f32::from_bits(0xc2cf_f1b4);
    assert_eq!(exp(least_nonzero).to_bits(), 1);
    assert_eq!(exp(least_nonzero.next_down()).to_bits(), 0);
}

/// Every 977th f32 (977 is prime, so all exponents and low bits are visited) against std's f64
/// `exp`, wherever its error cannot change the rounding.
#[test]
fn dense_sample_agrees_with_f64() {
    let mut undecided = 0;
    for bits in (0..=u32::MAX).step_by(977) {
        let x = f32::from_bits(bits);
        let Some(expected) = rounded_from_f64(x) else {
            undecided += 1;
            continue;
        };
        let found = exp(x);
        assert!(
            found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()),
            "exp({x:e}) = {found:e}, not {expected:e}"
        );
    }
    assert!(undecided < 5, "{undecided} inputs were too close to call");
}

/// e^x rounded to f32, if every f64 within 4 ulps of std's result rounds alike.
fn rounded_from_f64(x: f32) -> Option<f32> {
    let y = f64::from(x).exp();
    let margin = 2f64.powi(-50);
    let (low, high) = ((y * (1.0 - margin)) as f32, (y * (1.0 + margin)) as f32);
    (low == high || y.is_nan()).then_some(high)
}

/// A table entry off by one unit would misround only a handful of inputs, which the sample above
/// would miss.
#[test]
fn constants_are_correctly_rounded() {
    let steps = big(exp_parts::STEPS as f64);
    for (i, entry) in (0u64..).zip(exp_parts::TABLE) {
        let power = big(2.0).powf(&(big(i as f64) / &steps)).to_f64().value();
        assert_eq!(entry.wrapping_add(i << exp_parts::TABLE_SHIFT), power.to_bits(), "entry {i}");
    }
    let ln2 = big(2.0).ln();
    assert_eq!((&steps / &ln2).to_f64().value(), exp_parts::STEPS_PER_LN2);
    let low = ln2 / steps - big(exp_parts::LN2_OVER_STEPS_HI);
    assert_eq!(low.to_f64().value(), exp_parts::LN2_OVER_STEPS_LO);
}

/// A rounded increasing function never decreases. Checked over a run of neighbours across each
/// table boundary and power of two, where a wrong constant would show as a step.
#[test]
fn never_decreases() {
    for k in -4700..4090 {
        let edge = (f64::from(k) + 0.5) / exp_parts::STEPS_PER_LN2;
        let _ = (0..64).try_fold((edge as f32, 0.0), |(x, last), _| {
            let y = exp(x);
            assert!(y >= last, "exp({x:e}) = {y:e} after {last:e}");
            ControlFlow::<(), _>::Continue((x.next_up(), y))
        });
    }
}
