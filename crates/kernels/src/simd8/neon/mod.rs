//! The kernels of eight lanes with NEON.

mod registers;

#[path = "../kernels/mod.rs"]
mod kernels;

use llamaboot_kernel_features::neon as features;

pub(crate) use kernels::TABLE;
