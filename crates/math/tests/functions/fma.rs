//! `fma` against std's `mul_add` (libm's, or the CPU's), bit for bit.

use llamaboot_math::fma;
use proptest::prelude::*;

use crate::property_config;

fn same(found: f32, expected: f32) -> bool {
    found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan())
}

/// What `fma` would be without the rounding to odd: rounded to f64 and then to f32.
fn rounded_twice(a: f32, b: f32, c: f32) -> f32 {
    (f64::from(a) * f64::from(b) + f64::from(c)) as f32
}

/// Operands whose sum lies just beside a tie: `c` has a random mantissa, and the product is
/// ±½ ulp(c) · (1 − n² 2^-46), for a small `n`, which f64 cannot tell from ±½ ulp(c) in the sum.
fn near_tie(c_mantissa: u32, c_exponent: u32, n: u32, signs: u32, a_exponent: u32) -> [f32; 3] {
    let sign = |i: u32| (signs >> i & 1) << 31;
    let c = f32::from_bits(sign(0) | c_exponent << 23 | c_mantissa);
    // ½ ulp(c) = 2^(c_exponent − 151) = 2^(a_exponent − 127) · 2^(b_exponent − 127), and
    // 1 − n 2^-23 is a mantissa one exponent lower.
    let b_exponent = c_exponent + 103 - a_exponent;
    let a = f32::from_bits(sign(1) | a_exponent << 23 | n);
    let b = f32::from_bits(sign(2) | (b_exponent - 1) << 23 | (0x0080_0000 - 2 * n));
    [a, b, c]
}

#[test]
fn special_values() {
    let inf = f32::INFINITY;
    assert!(fma(inf, 0.0, 1.0).is_nan());
    assert!(fma(inf, 1.0, -inf).is_nan());
    assert!(fma(1.0, 1.0, f32::NAN).is_nan());
    assert_eq!(fma(inf, 1.0, 1.0), inf);
    assert_eq!(fma(f32::MAX, f32::MAX, -inf), -inf);
    assert_eq!(fma(f32::MAX, 2.0, 0.0), inf);
    assert_eq!(fma(f32::MAX, 2.0, -f32::MAX), f32::MAX);
    assert_eq!(fma(-0.0, 1.0, -0.0).to_bits(), (-0.0f32).to_bits());
    assert_eq!(fma(-0.0, 1.0, 0.0).to_bits(), 0);
    assert_eq!(fma(1.0, 1.0, -1.0).to_bits(), 0);
}

/// Every triple of awkward values: zeros, subnormals, the ends of the range, infinities, NaN.
#[test]
fn awkward_values_in_all_combinations() {
    let mut values = vec![0.0f32, 1.0, 1.5, f32::EPSILON, f32::MAX, f32::INFINITY, f32::NAN];
    values
        .extend([1, 2, 3, 0x007f_ffff, 0x0080_0000, 0x0080_0001, 0x3f80_0001].map(f32::from_bits));
    values.extend([2f32.powi(-75), 2f32.powi(-100), 2f32.powi(64), 2f32.powi(-24), 3.4e37]);
    values.extend(values.clone().into_iter().map(|x| -x));
    for &a in &values {
        for &b in &values {
            for &c in &values {
                let (found, expected) = (fma(a, b, c), a.mul_add(b, c));
                assert!(same(found, expected), "fma({a:e}, {b:e}, {c:e}): {found:e} {expected:e}");
            }
        }
    }
}

/// The test has teeth: on near ties, rounding twice is wrong about half the time.
#[test]
fn near_ties_defeat_rounding_twice_but_not_fma() {
    let mut naive_failures = 0;
    for mantissa in (0..0x0080_0000).step_by(4099) {
        let [a, b, c] = near_tie(mantissa, 127, 1 + mantissa % 50, mantissa, 110);
        let expected = a.mul_add(b, c);
        assert!(same(fma(a, b, c), expected), "fma({a:e}, {b:e}, {c:e}) is not {expected:e}");
        naive_failures += usize::from(!same(rounded_twice(a, b, c), expected));
    }
    assert!(naive_failures > 500, "only {naive_failures} of 2047 cases are near ties");
}

proptest! {
    #![proptest_config(property_config(200_000))]

    #[test]
    fn any_bits(a: u32, b: u32, c: u32) {
        let (a, b, c) = (f32::from_bits(a), f32::from_bits(b), f32::from_bits(c));
        prop_assert!(same(fma(a, b, c), a.mul_add(b, c)));
    }

    /// Exponents close enough for the product and `c` to overlap.
    #[test]
    fn overlapping_exponents(
        mantissas in any::<[u32; 3]>(),
        a_exponent in 60u32..190,
        c_exponent in 2u32..253,
        distance in -30i32..60,
    ) {
        let b_exponent = (c_exponent + 127 - a_exponent.min(c_exponent + 126))
            .saturating_add_signed(distance).clamp(1, 254);
        let join = |bits: u32, exponent: u32| f32::from_bits(bits & 0x807f_ffff | exponent << 23);
        let a = join(mantissas[0], a_exponent);
        let b = join(mantissas[1], b_exponent);
        let c = join(mantissas[2], c_exponent);
        prop_assert!(same(fma(a, b, c), a.mul_add(b, c)));
    }

    /// Products below the least normal f32 with `c` there too, so that the result is subnormal.
    #[test]
    fn subnormal_results(
        a: u32,
        b: u32,
        c in 0u32..0x0100_0000,
        sign: bool,
        a_exponent in 1u32..60,
    ) {
        let a = f32::from_bits(a & 0x807f_ffff | a_exponent << 23);
        let b = f32::from_bits(b & 0x807f_ffff | (104 - a_exponent) << 23);
        let c = f32::from_bits(c | u32::from(sign) << 31);
        prop_assert!(same(fma(a, b, c), a.mul_add(b, c)));
    }

    #[test]
    fn near_ties(
        c_mantissa in 0u32..0x0080_0000,
        c_exponent in 30u32..250,
        n in 0u32..300,
        signs in 0u32..8,
        a_exponent in 100u32..130,
    ) {
        let [a, b, c] = near_tie(c_mantissa, c_exponent, n, signs, a_exponent);
        prop_assert!(same(fma(a, b, c), a.mul_add(b, c)));
    }
}
