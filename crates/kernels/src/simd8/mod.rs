//! Kernels on eight lanes at a time, bit-identical to [`crate::scalar`]: for AVX2, where eight f32
//! are a register, and for NEON, where they are two. `avx2.rs` and `neon.rs` give the instructions
//! of each the same names, and all else is one text for both. AVX-512 adds to it.
//!
//! The 16 lanes of a reduction are two times eight; where a slice ends inside them, the lanes past
//! the end are zeros, which change nothing.
//!
//! On x86-64 every function here is `unsafe` to call without AVX2, FMA and F16C; [`crate::Kernels`]
//! checks them. AArch64 always has NEON. Slices are read through pointers only at offsets that the
//! loop bounds keep inside.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod neon;

mod adamw;
pub(crate) mod bf16;
mod exp;
mod floats;
pub(crate) mod formats;
pub(crate) mod gemm;
pub(crate) mod panels;
mod quantize;
mod read;
mod rows;
mod training;

use crate::dispatch::Table;
#[cfg(target_arch = "x86_64")]
use avx2 as registers;
#[cfg(target_arch = "aarch64")]
use neon as registers;
pub(crate) use registers::Floats;
use registers::{load, load_some, store, store_some};

pub(crate) const TABLE: Table = Table {
    dot: rows::dot,
    sum: floats::sum,
    dots: rows::dots,
    weighted_sum: rows::weighted_sum,
    exp_minus: floats::exp_minus,
    swiglu: floats::swiglu,
    quantize: quantize::quantize,
    split: None,
    widen_f16: rows::widen::<rows::F16>,
    widen_bf16: rows::widen::<rows::BF16>,
    narrow_f16: floats::narrow_f16,
    read: read::read,
    float_rows: rows::float_rows,
    panels: panels::panels,
    adamw: adamw::adamw,
    tile: gemm::TILE,
    transpose: registers::transpose,
    bf16: bf16::BF16,
    training: training::TRAINING,
};

/// Up to 8 values, zeros behind them. Whole vectors take the plain path: AVX2's masked accesses,
/// stores above all, are slow on AMD.
#[inline]
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
fn load_first(x: &[f32]) -> Floats {
    if let Some(whole) = x.first_chunk::<8>() {
        // SAFETY: eight values lie there.
        return unsafe { load(whole.as_ptr()) };
    }
    load_some(x)
}

/// The first `out.len()` (up to 8) lanes.
#[inline]
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,f16c"))]
pub(crate) fn store_first(out: &mut [f32], x: Floats) {
    if let Some(whole) = out.first_chunk_mut::<8>() {
        // SAFETY: eight values lie there.
        return unsafe { store(whole.as_mut_ptr(), x) };
    }
    store_some(out, x);
}
