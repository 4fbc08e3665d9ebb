//! The kernels of one kind of registers, whose instructions [`registers`] names; see the module
//! above.

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

use super::{features, registers};
use crate::dispatch::Table;
use registers::{Floats, load, load_some, store, store_some};

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
#[features]
fn load_first(x: &[f32]) -> Floats {
    if let Some(whole) = x.first_chunk::<8>() {
        // SAFETY: eight values lie there.
        return unsafe { load(whole.as_ptr()) };
    }
    load_some(x)
}

/// The first `out.len()` (up to 8) lanes.
#[inline]
#[features]
pub(crate) fn store_first(out: &mut [f32], x: Floats) {
    if let Some(whole) = out.first_chunk_mut::<8>() {
        // SAFETY: eight values lie there.
        return unsafe { store(whole.as_mut_ptr(), x) };
    }
    store_some(out, x);
}
