//! Elementary functions that give the same bits on every machine, without libm.
//!
//! The project promises the same logits bit for bit on a host and on bare metal. A platform's
//! libm would break that, since two of them may round `expf` differently, so the engine uses only
//! these functions. Each is built from IEEE 754 operations that every CPU rounds identically
//! (add, multiply, divide, convert); none needs a fused multiply-add instruction.
//!
//! | function | error bound | used by |
//! | --- | --- | --- |
//! | [`exp()`] (f32) | correctly rounded for every input | softmax, SiLU |
//! | [`exp_near()`] (f32) | below 1.1 ulp from -87 to 88 | training only |
//! | [`sqrt()`] (f32) | correctly rounded for every input | rmsnorm, attention scale |
//! | [`fma()`] (f32) | exact, rounded once | every f32 accumulation on a CPU without FMA |
//! | [`sin_cos()`] (f64) | below 1 ulp for \|x\| ≤ 2^30 | rotary tables |
//! | [`pow()`] (f64) | below 1 ulp | rotary frequencies, samplers |
//! | [`ln()`] (f64) | below 1 ulp | samplers |
//!
//! The functions assume the default floating-point environment: round to nearest even, and
//! subnormals neither flushed nor read as zero (`MXCSR` = 0x1F80 on x86-64, `FPCR` = 0 on
//! AArch64).
//!
//! `cargo xtask exhaustive` checks `exp` and `sqrt` on every f32;
//! `tools/oracle/derive_math.py --check` derives the constants again.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod double_double;
pub mod exp;
pub mod exp_near;
mod fma;
mod ln;
mod pow;
mod sin_cos;
mod sqrt;

pub use exp::exp;
pub use exp_near::exp_near;
pub use fma::fma;
pub use ln::ln;
pub use pow::pow;
pub use sin_cos::sin_cos;
pub use sqrt::sqrt;
