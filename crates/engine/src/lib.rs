//! A Llama model at work: weights, KV cache, forward pass, sampler.
//!
//! ```text
//! Header ─ MemoryPlan::new ─▶ MemoryPlan   what it will take, before it is taken
//! Header, bytes ─ pack ─▶                  quantised matrices in panels
//! Checkpoint ─ Model::new ─▶ Model         weights (borrowed), rotary frequencies
//! Model, MemoryPlan ─ Engine::new ─▶ Engine  KV cache and scratch, all reserved here
//! Engine::forward(tokens) ─▶ logits ─ Sampler ─▶ token
//! ```
//! What is absent: text (this crate knows token ids), I/O, clocks, and any `#[cfg]` that asks
//! whether it runs on a host or on bare metal.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod digest;
mod engine;
mod forward;
mod kv_cache;
mod model;
mod pack;
mod plan;
mod sampler;
mod speculation;

pub use digest::{Digest, logit_report};
pub use engine::{Engine, EngineError, Logits};
pub use kv_cache::{KvCache, KvType};
pub use model::Model;
pub use pack::pack;
pub use plan::MemoryPlan;
pub use sampler::{Random, Sampler, Sampling};
pub use speculation::Speculation;
