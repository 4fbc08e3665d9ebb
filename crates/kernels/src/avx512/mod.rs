//! Kernels for AVX-512 with VNNI: the products, where nearly all time goes. Everything else, a few
//! percent, is the AVX2 code. Bit-identical to [`crate::scalar`].

mod bf16;
mod gemm;
mod panels;
mod rows;

use crate::avx2::{self, adamw, floats, quantize, read, rows as ymm_rows, training};
use crate::bf16::Bf16;
use crate::dispatch::Table;

/// AVX-512 with VNNI.
pub(crate) static TABLE: Table = table(avx2::bf16::BF16);

/// With AVX512-BF16 besides.
pub(crate) static TABLE_BF16: Table = table(bf16::BF16);

const fn table(bf16: Bf16) -> Table {
    Table {
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
        transpose: avx2::gemm::transpose,
        bf16,
        training: training::TRAINING,
    }
}
