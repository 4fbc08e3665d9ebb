//! What training computes with has the same bits on every instruction set (but for AMX's products)
//! and any number of threads, and is right, measured against f64.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use half::bf16;
use llamaboot_kernels::{AdamWStep, GemmSpace, Kernels, Matrix, Parallel, Precision, SingleThread};
use proptest::prelude::*;
use support::{Numbers, others, scalar};

/// As many jobs as one likes, one after another: what threads do to a result, without threads.
struct InTurn(usize);

// SAFETY: each job is called once, and all have returned when `run` does.
unsafe impl Parallel for InTurn {
    fn threads(&self) -> usize {
        self.0
    }

    fn run(&self, job: &(dyn Fn(usize) + Sync)) {
        (0..self.0).for_each(job);
    }
}

/// `a (m, k) · b (k, n)` with each of the two laid out either way.
struct Product {
    a: Vec<f32>,
    b: Vec<f32>,
    before: Vec<f32>,
    shape: [usize; 3],
    transposed: [bool; 2],
    add: bool,
    precision: Precision,
}

impl core::fmt::Debug for Product {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { shape, transposed, add, precision, .. } = self;
        write!(f, "{shape:?}, transposed {transposed:?}, added {add}, {precision:?}")
    }
}

impl Product {
    fn matrices(&self) -> (Matrix<'_>, Matrix<'_>) {
        let [m, k, n] = self.shape;
        let lay_out = |data, rows, cols, transposed| match transposed {
            false => Matrix::new(data, rows, cols),
            true => Matrix::new(data, cols, rows).t(),
        };
        let [a, b] = self.transposed;
        (lay_out(&self.a, m, k, a), lay_out(&self.b, k, n, b))
    }

    fn run(&self, kernels: Kernels, threads: &dyn Parallel) -> Vec<f32> {
        let (a, b) = self.matrices();
        let mut out = self.before.clone();
        let mut space = GemmSpace::new(threads.threads()).unwrap();
        space.precision = self.precision;
        kernels.gemm(threads, &mut space, &mut out, a, b, self.add);
        out
    }

    /// Numbers from a seed, for a shape.
    fn new(
        (shape, seed): ([usize; 3], u64),
        transposed: [bool; 2],
        add: bool,
        precision: Precision,
    ) -> Self {
        let ([m, k, n], mut numbers) = (shape, Numbers(seed | 1));
        let (a, b) = (numbers.floats(m * k), numbers.floats(k * n));
        Self { a, b, before: numbers.floats(m * n), shape, transposed, add, precision }
    }

    /// That the best kernels are right.
    fn check(&self) {
        let found = self.run(Kernels::best(), &SingleThread);
        let [_, k, n] = self.shape;
        for (at, &found) in found.iter().enumerate() {
            let (exact, size) = self.exact(at / n, at % n);
            let bound = size * (k + 2) as f64 * f64::from(f32::EPSILON) + 1e-37;
            let error = (f64::from(found) - exact).abs();
            assert!(error <= bound, "{self:?} [{at}] {found}, exactly {exact}");
        }
    }

    /// The exact result, and the sum of the sizes of what is added up.
    fn exact(&self, row: usize, col: usize) -> (f64, f64) {
        let [m, k, n] = self.shape;
        let number = |x: f32| match self.precision {
            Precision::F32 => x,
            Precision::Bf16 => rounded(x),
        };
        let a = |p| number(self.a[if self.transposed[0] { p * m + row } else { row * k + p }]);
        let b = |p| number(self.b[if self.transposed[1] { col * k + p } else { p * n + col }]);
        let before = if self.add { f64::from(self.before[row * n + col]) } else { 0.0 };
        let terms = (0..k).map(|p| f64::from(a(p)) * f64::from(b(p))).chain([before]);
        terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()))
    }
}

/// What of `x` a product of bf16 takes.
fn rounded(x: f32) -> f32 {
    if x.abs() < 2.0_f32.powi(-55) { 0.0 } else { bf16::from_f32(x).to_f32() }
}

fn product() -> impl Strategy<Value = Product> {
    let sides = (1..40_usize, prop_oneof![1..40_usize, 300..700_usize], 1..70_usize);
    let deep = || prop_oneof![1..8_usize, 310..330_usize, 630..650_usize];
    let wide = (1..8_usize, deep(), 1000..1100_usize);
    let tall = (140..300_usize, deep(), 1..8_usize);
    let precision = prop_oneof![Just(Precision::F32), Just(Precision::Bf16)];
    let options = (any::<u64>(), any::<[bool; 2]>(), any::<bool>(), precision);
    (prop_oneof![4 => sides, 1 => wide, 1 => tall], options).prop_map(
        |((m, k, n), (seed, transposed, add, precision))| {
            Product::new(([m, k, n], seed), transposed, add, precision)
        },
    )
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// Whole tiles of every instruction set, edges at both sides, and blocks of k.
#[test]
fn large_products_are_right() {
    let both = [false, true];
    for (seed, shape) in
        [[69, 1301, 71], [64, 1, 64], [33, 641, 65], [32, 32, 32]].iter().enumerate()
    {
        for (a, b, add) in
            both.iter().flat_map(|a| both.map(|b| both.map(|add| (*a, b, add)))).flatten()
        {
            for precision in [Precision::F32, Precision::Bf16] {
                Product::new((*shape, seed as u64), [a, b], add, precision).check();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn products_have_the_same_bits_everywhere(product in product(), threads in 1..9_usize) {
        let expected = product.run(scalar(), &SingleThread);
        for kernels in others() {
            let expected = match kernels.adds_in_order(product.precision) {
                true => expected.clone(),
                false => product.run(kernels, &SingleThread),
            };
            let found = product.run(kernels, &InTurn(threads));
            prop_assert_eq!(bits(&found), bits(&expected), "{:?}, {:?}", kernels, product.shape);
        }
        let found = product.run(scalar(), &InTurn(threads));
        prop_assert_eq!(bits(&found), bits(&expected));
    }

    #[test]
    fn products_are_right(product in product()) {
        product.check();
    }

    #[test]
    fn bf16_is_the_nearest(patterns in prop::collection::vec(any::<u32>(), 48)) {
        // Any bits, those around the least number that is kept, those halfway between two, and
        // those of infinities and NaNs.
        let least = 2.0_f32.powi(-55).to_bits();
        let number = |(i, &bits): (usize, &u32)| f32::from_bits(match i % 4 {
            0 => bits,
            1 => bits & 0x8000_0000 | (least - 1 + (bits >> 8) % 3),
            2 => bits & 0xffff_0000 | 0x8000,
            _ => bits & 0x8001_0001 | 0x7f80_0000,
        });
        let numbers: Vec<f32> = patterns.iter().enumerate().map(number).collect();
        // Each number with zeros for neighbours, times ones: laid out from rows, and from columns.
        for (k, transposed) in [(32, false), (2, true), (3, true)] {
            let mut alone = vec![0.0; 48 * k];
            for (i, &x) in numbers.iter().enumerate() {
                alone[if transposed { i % k * 48 + i } else { i * k + i % k }] = x;
            }
            let ones = vec![1.0; k];
            let of_columns = Matrix::new(&alone, k, 48);
            let left = if transposed { of_columns.t() } else { Matrix::new(&alone, 48, k) };
            for kernels in others().into_iter().chain([scalar()]) {
                let mut space = GemmSpace::new(1).unwrap();
                space.precision = Precision::Bf16;
                let mut out = [vec![0.0; 48], vec![0.0; 48]];
                let [from_a, from_b] = &mut out;
                kernels.gemm_single(&mut space, from_a, left, Matrix::new(&ones, k, 1), false);
                let left_ones = Matrix::new(&ones, 1, k);
                kernels.gemm_single(&mut space, from_b, left_ones, left.t(), false);
                for (&found, &x) in out.iter().flatten().zip(numbers.iter().cycle()) {
                    let same = found == rounded(x) || (found.is_nan() && x.is_nan());
                    prop_assert!(same, "{kernels:?}: {x:e} became {found:e}");
                }
            }
        }
    }

    #[test]
    fn steps_of_adamw_have_the_same_bits_everywhere(len in 1..70_usize, seed in any::<u64>()) {
        let mut numbers = Numbers(seed | 1);
        let [weights, gradients, means] = core::array::from_fn(|_| numbers.floats(len));
        let squares: Vec<f32> = numbers.floats(len).iter().map(|x| x * x).collect();
        let step = AdamWStep {
            scale: 0.3, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, kept: 0.999, step: 1e-3, root: 0.2,
        };
        let run = |kernels: Kernels| {
            let (mut w, mut m, mut v) = (weights.clone(), means.clone(), squares.clone());
            kernels.adamw(&step, &mut w, &gradients, &mut m, &mut v);
            [bits(&w), bits(&m), bits(&v)]
        };
        let expected = run(scalar());
        for kernels in others() {
            prop_assert_eq!(run(kernels), expected.clone(), "{:?}", kernels);
        }
    }

    #[test]
    fn exponentials_have_the_same_bits_everywhere(len in 1..300_usize, seed in any::<u64>()) {
        let x = Numbers(seed | 1).floats(len);
        let run = |kernels: Kernels| {
            let mut x = x.clone();
            let (max, sum) = kernels.exponentials(&mut x);
            (bits(&x), max, sum.to_bits())
        };
        let expected = run(scalar());
        for kernels in others() {
            prop_assert_eq!(run(kernels), expected.clone(), "{:?}", kernels);
        }
        let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exact: f64 = x.iter().map(|&x| f64::from(x - max).max(-87.0).exp()).sum();
        prop_assert_eq!(expected.1, max);
        let sum = f64::from(f32::from_bits(expected.2));
        prop_assert!((sum - exact).abs() <= 1e-6 * exact, "{sum}, exactly {exact}");
    }

    #[test]
    fn swiglu_and_its_gradient_are_right_and_the_same_everywhere(
        len in 1..100_usize,
        seed in any::<u64>(),
    ) {
        let mut numbers = Numbers(seed | 1);
        let [gate, up, d] = core::array::from_fn(|_| numbers.floats(len));
        let run = |kernels: Kernels| {
            let (mut out, mut d_up, mut d_gate) = (vec![0.0; len], d.clone(), vec![0.0; len]);
            kernels.swiglu_near(&mut out, &gate, &up);
            kernels.swiglu_backward(&mut d_up, &mut d_gate, &gate, &up);
            [out, d_up, d_gate]
        };
        let expected = run(scalar());
        for kernels in others() {
            for (found, expected) in run(kernels).iter().zip(&expected) {
                prop_assert_eq!(bits(found), bits(expected), "{:?}", kernels);
            }
        }
        // In f64, the gradient from differences of the function itself.
        let swiglu = |gate: f64, up: f64| gate / (1.0 + (-gate).exp()) * up;
        let near = |found: f32, exact: f64, size: f64| {
            (f64::from(found) - exact).abs() <= 1e-6 * size + 1e-30
        };
        for i in 0..len {
            let [gate, up, d] = [gate[i], up[i], d[i]].map(f64::from);
            let slope = (swiglu(gate + 1e-5, 1.0) - swiglu(gate - 1e-5, 1.0)) / 2e-5;
            let size = (d * up).abs() * (1.0 + gate.abs());
            prop_assert!(near(expected[0][i], swiglu(gate, up), (gate * up).abs()));
            prop_assert!(near(expected[1][i], d * swiglu(gate, 1.0), (d * gate).abs()));
            prop_assert!(near(expected[2][i], d * up * slope, size), "{gate} {up} {d}");
        }
    }
}
