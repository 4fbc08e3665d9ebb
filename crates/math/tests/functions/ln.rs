//! `ln` against arbitrary precision.

use llamaboot_math::ln;
use proptest::prelude::*;

use crate::{big, property_config, ulp_error};

#[test]
fn exact_results_and_the_ends_of_the_domain() {
    assert_eq!(ln(1.0), 0.0);
    assert_eq!(ln(0.0), f64::NEG_INFINITY);
    assert_eq!(ln(-0.0), f64::NEG_INFINITY);
    assert_eq!(ln(f64::INFINITY), f64::INFINITY);
    for x in [-1.0, -f64::MIN_POSITIVE, f64::NEG_INFINITY, f64::NAN] {
        assert!(ln(x).is_nan(), "ln({x})");
    }
}

#[test]
fn known_values() {
    use std::f64::consts::{LN_2, LN_10};
    for (x, expected) in [(2.0, LN_2), (0.5, -LN_2), (10.0, LN_10), (4.0, 2.0 * LN_2)] {
        assert_eq!(ln(x), expected, "ln({x})");
    }
}

fn check(x: f64) -> Result<(), TestCaseError> {
    let error = ulp_error(ln(x), &big(x).ln());
    prop_assert!(error < 1.0, "ln({x:e}) is {error} ulps off");
    Ok(())
}

proptest! {
    #![proptest_config(property_config(20_000))]

    #[test]
    fn any_positive_number(bits in 1u64..f64::INFINITY.to_bits()) {
        check(f64::from_bits(bits))?;
    }

    /// Where the reduction changes over, and where the result is all of f.
    #[test]
    fn numbers_near_one(x in 0.5f64..2.0) {
        prop_assume!(x != 1.0);
        check(x)?;
    }

    /// Probabilities, which samplers ask for.
    #[test]
    fn probabilities(log2 in -149.0f64..0.0) {
        check(log2.exp2())?;
    }
}
