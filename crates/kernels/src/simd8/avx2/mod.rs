//! The kernels of eight lanes with AVX2, FMA and F16C.

mod registers;

#[path = "../kernels/mod.rs"]
mod kernels;

use llamaboot_kernel_features::avx2 as features;

pub(crate) use kernels::{TABLE, bf16, formats, gemm, panels, store_first};
pub(crate) use registers::Floats;
