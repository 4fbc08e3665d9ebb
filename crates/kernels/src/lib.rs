//! The arithmetic of a Llama model, with the same bits on every instruction set; products of bf16,
//! which only training has, are others with AMX.
//!
//! Every result is defined by its *reduction shape*, not by the code that computes it:
//!
//! ```text
//! dot of f32s        lane[i % 16] = fma(a[i], b[i], lane[i % 16]);  then lanes added pairwise:
//!                    16 → 8 → 4 → 2 → 1, lane j with lane j + half
//! row of Block32s    activations in blocks of 32: x ≈ dx * qx, qx an i16
//!   · activations    for each block in order, for each scale span (16 or 32 weights) in order:
//!                      acc = fma(f32(Σ q * qx), scale * dx, acc)        Σ exact in i32
//!                      acc = fma(f32(Σ qx), min * dx, acc)              where the format has a min
//! weighted sum       out[i] = fma(weight[t], v[t][i], out[i]) for t in order
//! attention          blocks of 32 positions, see Kernels::attend
//! sum                as dot, with plain additions
//! product of f32s    blocks of k in order, see gemm.rs; numbers may be rounded to bf16 before
//! training's exp     as llamaboot_math::exp_near states; the exact one everywhere else
//! ```
//!
//! [`scalar`] computes exactly this, plainly, and is the oracle of every other module. Rows are
//! never split between threads, so the number of threads changes nothing either. exp is correctly
//! rounded, hence the same everywhere. One table ([`Kernels`]) chooses, once, at start.

#![no_std]

extern crate alloc;

mod activations;
mod adamw;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bf16;
mod dispatch;
mod gemm;
mod matmul;
mod ops;
mod parallel;
mod pool;
mod reserve;
mod scalar;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod simd8;
mod training;

pub use activations::Activations;
pub use adamw::AdamWStep;
pub use bf16::Bf16Instructions;
pub use dispatch::{Cached, Isa, Kernels, Unavailable};
pub use gemm::{GemmSpace, Matrix, Precision};
pub use matmul::Workspace;
pub use ops::{add, argmax, max};
pub use parallel::{Parallel, SingleThread, for_each_chunk, for_each_with};
pub use pool::{Park, Pool};
pub use reserve::{Aligned, OutOfMemory, room, zeros};
