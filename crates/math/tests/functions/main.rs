//! What callers rely on: the rounding promised in the crate's table, and the special cases.
//!
//! Golden values come from `tools/oracle/derive_math.py` (mpmath); dashu-float and std's libm are
//! the other oracles. All 2^32 inputs of `exp` and `sqrt` are tried by `cargo xtask exhaustive`.

use dashu_float::{FBig, round::mode::HalfEven};
use proptest::test_runner::{Config, RngSeed};

mod exp;
mod exp_near;
mod fma;
mod ln;
mod pow;
mod sin_cos;
mod sqrt;

type Big = FBig<HalfEven, 2>;

/// Fixed, so that a failure in CI is the same failure at home.
const SEED: u64 = 20_240_229;

fn property_config(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(SEED), failure_persistence: None, ..Config::default() }
}

/// `x` exactly, with 240 bits for what is computed from it.
fn big(x: f64) -> Big {
    Big::try_from(x).expect("tests use finite numbers here").with_precision(240).value()
}

/// |ours − exact| in units of the last place of the f64 nearest to `exact`.
fn ulp_error(ours: f64, exact: &Big) -> f64 {
    let nearest = exact.to_f64().value();
    let ulp = nearest.abs().next_up() - nearest.abs();
    ((big(ours) - exact) / big(ulp)).to_f64().value().abs()
}
