//! Where rounding twice differs from rounding once: numbers of few bits far apart, which random
//! ones are not. A CPU's own fused multiply-add, where it has one, is among those compared.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use half::f16;
use llamaboot_checkpoint::{DType, Tensor};
use llamaboot_kernels::{Cached, Kernels};
use proptest::prelude::*;
use support::{Numbers, others, scalar};

fn two_to(exponent: i32) -> f32 {
    2.0_f64.powi(exponent) as f32
}

/// `c + a * b` in all sixteen lanes of a dot product, and in eight of them, at a row's end: the sum
/// is exactly so many times that.
fn fused(kernels: Kernels, a: f32, b: f32, c: f32) -> [f32; 2] {
    [16, 8].map(|lanes| {
        let x = [vec![c; lanes], vec![0.0; 16 - lanes], vec![a; lanes]].concat();
        let y = [vec![1.0; 16], vec![b; lanes]].concat();
        kernels.dot(&x, &y) / lanes as f32
    })
}

/// A product just below half of a unit of `c` changes nothing, one just above gives the next
/// number. Rounded to f64 first, both sums are ties.
#[test]
fn sums_beside_ties_stay_beside_them() {
    // 1 - 2^-36, and with x = 2^-11 (1 + x)(1 - x + x^2) = 1 + 2^-33.
    let below = [1.0 + two_to(-18), 1.0 - two_to(-18)];
    let above = [1.0 + two_to(-11), 1.0 - two_to(-11) + two_to(-22)];
    let near_one = |mantissa: u32| (0x3f80_0000 | mantissa, -24);
    let subnormal = |bits: u32| (bits, -150);
    let numbers = [0, 1, 2, 0x7f_fffe, 0x7f_ffff].map(near_one);
    let numbers = numbers.into_iter().chain([1 << 22, 0x7f_fffe, 0x7f_ffff].map(subnormal));
    for (bits, half_unit) in numbers {
        let (c, next) = (f32::from_bits(bits), f32::from_bits(bits + 1));
        let scales = [two_to(half_unit / 2), two_to(half_unit - half_unit / 2)];
        for (factors, expected) in [(below, c), (above, next)] {
            let [a, b] = [0, 1].map(|i| scales[i] * factors[i]);
            for kernels in others().into_iter().chain([scalar()]) {
                assert_eq!(fused(kernels, a, b, c), [expected; 2], "{}", kernels.isa());
                assert_eq!(fused(kernels, -a, b, -c), [-expected; 2], "{}", kernels.isa());
            }
        }
    }
}

/// Half of a unit behind the greatest number is the border of infinity.
#[test]
fn what_is_too_great_is_infinite() {
    let (max, half_unit) = (f32::MAX, two_to(51) * (1.0 - two_to(-18)));
    let sum = |kernels: Kernels, factor| {
        // Only one lane is not zero: sixteen times as much would be infinite.
        let (mut x, mut y) = ([0.0; 32], [0.0; 32]);
        (x[3], y[3], x[19], y[19]) = (max, 1.0, half_unit, two_to(52) * factor);
        kernels.dot(&x, &y)
    };
    for kernels in others().into_iter().chain([scalar()]) {
        assert_eq!(sum(kernels, 1.0 + two_to(-18)), max, "{}", kernels.isa());
        assert_eq!(sum(kernels, 1.0 + two_to(-17)), f32::INFINITY, "{}", kernels.isa());
    }
}

/// Every f16, subnormal ones, infinities and NaN among them.
#[test]
fn every_f16_is_read_exactly() {
    let data: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    let (rows, cols) = (1, data.len() / 2);
    let w = Tensor { dtype: DType::F16, rows, cols, data: &data, scales: &[], packed_rows: 0 };
    for kernels in others().into_iter().chain([scalar()]) {
        let mut row = vec![0.0; cols];
        kernels.dequantize_row(&w, 0, &mut row);
        for (bits, found) in (0..=u16::MAX).zip(row) {
            let expected = f16::from_bits(bits).to_f32();
            let same = expected.to_bits() == found.to_bits();
            assert!(same || expected.is_nan() && found.is_nan(), "{bits:#06x}: {found}");
        }
    }
}

/// `±2^e (1 ± 2^-i)`.
fn sparse(numbers: &mut Numbers, exponents: i32) -> f32 {
    let bits = numbers.bits() >> 8;
    let exponent = (bits % 31) as i32 + exponents;
    let other = two_to(-((bits >> 8 & 0xff) as i32 % 24));
    let mantissa = if bits >> 16 & 1 == 0 { 1.0 + other } else { 1.0 - other };
    let number = two_to(exponent) * mantissa;
    if bits >> 17 & 1 == 0 { number } else { -number }
}

proptest! {
    #[test]
    fn numbers_of_few_bits_agree(
        exponents in prop::sample::select(vec![-28, -70, -90]), seed in 1..u64::MAX
    ) {
        const LEN: usize = 16 * 12;
        let mut numbers = Numbers(seed);
        let mut some = |len| (0..len).map(|_| sparse(&mut numbers, exponents)).collect::<Vec<_>>();
        let (a, b, weights) = (some(LEN), some(LEN), some(5 * LEN));
        let run = |k: Kernels| {
            let mut out = vec![0.0; LEN];
            k.attend(&mut out, &a, Cached::F32(&weights), Cached::F32(&weights), 8.0);
            out.push(k.dot(&a, &b));
            out.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let expected = run(scalar());
        for k in others() {
            prop_assert_eq!(&run(k), &expected, "{}", k.isa());
        }
    }
}
