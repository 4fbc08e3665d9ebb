//! The kernels of eight lanes with SSE2.

mod registers;

#[path = "../kernels/mod.rs"]
mod kernels;

use llamaboot_kernel_features::sse2 as features;

pub(crate) use kernels::TABLE;
