//! `exp_near` against f64's exponential: its bound on a dense sample, and the ends of its range.

use llamaboot_math::exp_near::{INPUT_MAX, INPUT_MIN, ULPS, exp_near};

/// |found − e^x| in units of the last place of the result.
fn error(x: f32) -> f64 {
    let found = exp_near(x);
    let ulp = f64::from(found.next_up()) - f64::from(found);
    (f64::from(found) - f64::from(x).exp()).abs() / ulp
}

#[test]
fn errors_stay_below_the_bound() {
    // Every 61st f32 from -88 to 88, and all of them between the two roundings around 1/2 ln 2.
    let sample = (0..=0x42b0_0000_u32).step_by(61).chain(0x3eb1_7000..0x3eb1_7400);
    let worst = sample
        .flat_map(|bits| [f32::from_bits(bits), -f32::from_bits(bits)])
        .filter(|x| (INPUT_MIN..=INPUT_MAX).contains(x))
        .map(|x| (error(x), x))
        .fold((0.0, 0.0), |a, b| if b.0 > a.0 { b } else { a });
    println!("worst: {worst:?}");
    assert!(worst.0 < ULPS, "{} units at {}", worst.0, worst.1);
}

#[test]
fn ends_and_special_values() {
    assert_eq!(exp_near(0.0), 1.0);
    assert_eq!(exp_near(-0.0), 1.0);
    assert_eq!(exp_near(f32::NEG_INFINITY), exp_near(INPUT_MIN));
    assert_eq!(exp_near(f32::INFINITY), exp_near(INPUT_MAX));
    assert!(exp_near(INPUT_MIN).is_normal() && exp_near(INPUT_MAX).is_normal());
    assert!(exp_near(f32::NAN).is_nan() && exp_near(-f32::NAN).is_nan());
}
