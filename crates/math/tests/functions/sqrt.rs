//! `sqrt` against std, whose square root is the CPU's and correctly rounded.

use llamaboot_math::sqrt;

fn assert_same_as_std(x: f32) {
    let (found, expected) = (sqrt(x), x.sqrt());
    assert!(
        found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()),
        "sqrt({x:e}) = {found:e}, not {expected:e}"
    );
}

#[test]
fn special_values() {
    assert_eq!(sqrt(0.0).to_bits(), 0.0f32.to_bits());
    assert_eq!(sqrt(-0.0).to_bits(), (-0.0f32).to_bits());
    assert_eq!(sqrt(f32::INFINITY), f32::INFINITY);
    for x in [-f32::MIN_POSITIVE, -1.0, f32::NEG_INFINITY, f32::NAN, -f32::from_bits(1)] {
        assert!(sqrt(x).is_nan(), "sqrt({x:e})");
    }
    assert_eq!(sqrt(64.0), 8.0);
    assert_eq!(sqrt(2.0), std::f32::consts::SQRT_2);
}

#[test]
fn dense_sample_agrees_with_std() {
    (0..=u32::MAX).step_by(977).map(f32::from_bits).for_each(assert_same_as_std);
}

/// Around powers of four the root's mantissa wraps and the rounding may carry into the exponent.
#[test]
fn neighbours_of_powers_of_two_and_squares() {
    for exponent in 0..255u32 {
        for offset in -300i32..300 {
            assert_same_as_std(f32::from_bits((exponent << 23).saturating_add_signed(offset)));
        }
    }
    for root in 1..4096u16 {
        let square = f32::from(root) * f32::from(root);
        [square.next_down(), square, square.next_up()].into_iter().for_each(assert_same_as_std);
    }
}
