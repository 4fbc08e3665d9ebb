//! Kernels for AVX-512 with VNNI: the products, where nearly all time goes. Everything else, a few
//! percent, is the AVX2 code. Bit-identical to [`crate::scalar`].

mod gemm;
mod panels;
mod rows;

use crate::avx2::{adamw, floats, quantize, read, rows as ymm_rows, training};
use crate::dispatch::Table;

pub(crate) static TABLE: Table = Table {
    dot: rows::dot,
    sum: floats::sum,
    dots: ymm_rows::dots,
    weighted_sum: ymm_rows::weighted_sum,
    exp_minus: floats::exp_minus,
    swiglu: floats::swiglu,
    quantize: quantize::quantize,
    widen_f16: floats::widen_f16,
    widen_bf16: floats::widen_bf16,
    narrow_f16: floats::narrow_f16,
    read: read::read,
    float_rows: rows::float_rows,
    panels: panels::panels,
    adamw: adamw::adamw,
    tile: gemm::TILE,
    training: training::TRAINING,
};
