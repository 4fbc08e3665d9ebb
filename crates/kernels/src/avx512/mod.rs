//! Kernels for AVX-512 with VNNI: the products, where nearly all time goes. Everything else, a few
//! percent, is the AVX2 code. Bit-identical to [`crate::scalar`],
//! but for AMX's products of bf16, which are training's.

mod amx;
mod bf16;
mod bytes;
mod gemm;
mod panels;
mod rows;

use crate::bf16::Bf16;
use crate::dispatch::Table;
use crate::simd8::avx2;

pub(crate) use amx::may_be_used as amx_may_be_used;

/// AVX-512 with VNNI.
pub(crate) static TABLE: Table = table(avx2::bf16::BF16);

/// With AVX512-BF16 besides.
pub(crate) static TABLE_BF16: Table = table(bf16::BF16);

/// With AMX-BF16 besides.
pub(crate) static TABLE_AMX: Table = table(amx::BF16);

const fn table(bf16: Bf16) -> Table {
    Table {
        dot: rows::dot,
        float_rows: rows::float_rows,
        panels: panels::panels,
        split: Some(bytes::split),
        tile: gemm::TILE,
        bf16,
        ..avx2::TABLE
    }
}
