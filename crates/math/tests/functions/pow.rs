//! `pow` against golden values (rotary frequencies among them) and arbitrary precision.

use llamaboot_math::pow;
use proptest::prelude::*;

use crate::{big, property_config, ulp_error};

/// (base, exponent, base^exponent) bits.
#[rustfmt::skip]
const GOLDEN: [(u64, u64, u64); 29] = [
    (0x40c3_8800_0000_0000, 0x3f90_0000_0000_0000, 0x3ff2_79fc_aca4_04e6),
    (0x40c3_8800_0000_0000, 0x3fbc_0000_0000_0000, 0x4005_e848_8d9f_1e22),
    (0x40c3_8800_0000_0000, 0x3fdf_0000_0000_0000, 0x4055_a62b_f288_5b32),
    (0x40c3_8800_0000_0000, 0x3fef_8000_0000_0000, 0x40c0_e9d2_557a_873f),
    (0x40c3_8800_0000_0000, 0xbf90_0000_0000_0000, 0x3feb_b5fa_d00a_b22c),
    (0x40c3_8800_0000_0000, 0xbfbc_0000_0000_0000, 0x3fd7_5f03_4d79_e965),
    (0x40c3_8800_0000_0000, 0xbfdf_0000_0000_0000, 0x3f87_a662_24a8_fc07),
    (0x40c3_8800_0000_0000, 0xbfef_8000_0000_0000, 0x3f1e_459c_57e2_8a47),
    (0x411e_8480_0000_0000, 0x3f90_0000_0000_0000, 0x3ff3_a420_dae7_e2f9),
    (0x411e_8480_0000_0000, 0x3fbc_0000_0000_0000, 0x4010_cd8c_5b84_9754),
    (0x411e_8480_0000_0000, 0x3fdf_0000_0000_0000, 0x4082_002b_c41a_7b77),
    (0x411e_8480_0000_0000, 0x3fef_8000_0000_0000, 0x4118_dc32_77bc_0b87),
    (0x411e_8480_0000_0000, 0xbf90_0000_0000_0000, 0x3fea_1158_2945_7fbe),
    (0x411e_8480_0000_0000, 0xbfbc_0000_0000_0000, 0x3fce_788c_2ed3_52b4),
    (0x411e_8480_0000_0000, 0xbfdf_0000_0000_0000, 0x3f5c_7181_f3d9_f60b),
    (0x411e_8480_0000_0000, 0xbfef_8000_0000_0000, 0x3ec4_985f_ec80_a8cb),
    (0x412e_8480_0000_0000, 0x3f90_0000_0000_0000, 0x3ff3_dae1_8dac_cd3e),
    (0x412e_8480_0000_0000, 0x3fbc_0000_0000_0000, 0x4012_2057_760a_5640),
    (0x412e_8480_0000_0000, 0x3fdf_0000_0000_0000, 0x4089_2ebc_ccef_e53f),
    (0x412e_8480_0000_0000, 0x3fef_8000_0000_0000, 0x4128_97a4_6022_45e0),
    (0x412e_8480_0000_0000, 0xbf90_0000_0000_0000, 0x3fe9_c975_8e45_8666),
    (0x412e_8480_0000_0000, 0xbfbc_0000_0000_0000, 0x3fcc_3f06_b4e2_65ce),
    (0x412e_8480_0000_0000, 0xbfdf_0000_0000_0000, 0x3f54_54de_c652_bdb0),
    (0x412e_8480_0000_0000, 0xbfef_8000_0000_0000, 0x3eb4_d1c9_7f4e_952f),
    (0x4000_0000_0000_0000, 0x408f_fc00_0000_0000, 0x7fe6_a09e_667f_3bcd),
    (0x3fe0_0000_0000_0000, 0x408f_ea00_0000_0000, 0x001a_e89f_995a_d3ad),
    (0x3ff0_0000_0006_df38, 0x426d_1a94_a200_0000, 0x48f3_4955_0eb7_664c),
    (0x01a5_6e1f_c2f8_f359, 0x3fef_ae14_7ae1_47ae, 0x0244_ed8b_0467_1dc9),
    (0x0000_0000_0000_0001, 0x3fe0_0000_0000_0000, 0x1e60_0000_0000_0000),
];

#[test]
fn golden_values() {
    for (base, exponent, expected) in GOLDEN {
        let (base, exponent) = (f64::from_bits(base), f64::from_bits(exponent));
        let found = pow(base, exponent);
        let expected = f64::from_bits(expected);
        assert_eq!(found, expected, "pow({base:e}, {exponent:e})");
    }
}

#[test]
fn exact_results() {
    assert_eq!(pow(10_000.0, 0.0), 1.0);
    assert_eq!(pow(10_000.0, 1.0), 10_000.0);
    assert_eq!(pow(10_000.0, 0.5), 100.0);
    assert_eq!(pow(10_000.0, -0.25), 0.1);
    assert_eq!(pow(1.0, f64::MAX), 1.0);
    assert_eq!(pow(1e300, 5e-324), 1.0);
    assert_eq!(pow(2.0, 1023.0), 2f64.powi(1023));
    assert_eq!(pow(2.0, -1022.0), f64::MIN_POSITIVE);
    assert_eq!(pow(3.0, 20.0), 3_486_784_401.0);
}

#[test]
fn outside_the_domain_or_the_range() {
    assert_eq!(pow(2.0, 1024.0), f64::INFINITY);
    assert_eq!(pow(1e300, 1e300), f64::INFINITY);
    assert_eq!(pow(2.0, -1100.0), 0.0);
    assert_eq!(pow(1e-300, 1e300), 0.0);
    for (base, exponent) in [
        (0.0, 1.0),
        (-2.0, 2.0),
        (f64::INFINITY, 1.0),
        (f64::NAN, 0.0),
        (2.0, f64::NAN),
        (2.0, f64::INFINITY),
    ] {
        assert!(pow(base, exponent).is_nan(), "pow({base}, {exponent})");
    }
}

/// Every frequency of the models in use: base^(−2i/d).
#[test]
fn rotary_frequencies_are_correctly_rounded() {
    for base in [10_000.0, 100_000.0, 500_000.0, 1_000_000.0] {
        for head_dim in [48, 64, 80, 96, 128] {
            for i in 0..head_dim / 2 {
                let exponent = -f64::from(2 * i) / f64::from(head_dim);
                let exact = big(base).powf(&big(exponent)).to_f64().value();
                assert_eq!(pow(base, exponent), exact, "pow({base}, {exponent})");
            }
        }
    }
}

proptest! {
    #![proptest_config(property_config(4_000))]

    /// Half an ulp and a little: the result is the true power rounded.
    #[test]
    fn any_base_with_a_normal_result(
        log2_base in -1022.0f64..1023.9,
        log2_result in -1021.0f64..1023.0,
    ) {
        let base = log2_base.exp2();
        let exponent = log2_result / base.log2();
        prop_assume!(exponent.is_finite());
        let error = ulp_error(pow(base, exponent), &big(base).powf(&big(exponent)));
        prop_assert!(error <= 0.500_001, "pow({base:e}, {exponent:e}) is {error} ulps off");
    }
}
