//! Training of Llama models: the forward and the backward pass written out, over one flat buffer of
//! weights in llama2.c's order.
//!
//! ```text
//! tokens ── Windows ──▶ Batch ──▶ Network::loss ──▶ gradients ──▶ AdamW ──▶ weights
//!                                  │ forward: embedding, blocks, classifier and cross entropy
//!                                  └ backward: the same, from the end
//! ```
//!
//! Nothing here does I/O, knows text, or reads a clock, and there is no std: it runs over the
//! engine's thread trait wherever that is implemented. Every sum has a fixed order (products as
//! `kernels::gemm` defines them, reductions over rows in blocks of fixed size, randomness from
//! counters), so that a seed gives the same losses bit for bit on any number of threads and any
//! instruction set, and a resumed run those of one never stopped.
//!
//! What is absent: a tensor type, a graph, automatic differentiation.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod adamw;
mod attention;
mod backend;
mod classifier;
mod compute;
mod data;
mod error;
mod network;
mod ops;
mod parameters;
mod preset;
mod random;
mod schedule;
mod state;
mod trainer;

pub use adamw::AdamW;
pub use backend::Backend;
pub use compute::Compute;
pub use data::{Batch, Corpus, Windows};
pub use error::Error;
pub use network::{Network, rotations};
pub use ops::Dropout;
pub use parameters::{Parameters, initial_weights};
pub use preset::Preset;
pub use schedule::Schedule;
pub use trainer::{Settings, StepReport, Trainer};
