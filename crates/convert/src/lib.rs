//! A model in memory as f32, and the way there from every file format and back: what `llamaboot
//! convert` does, and what training starts from and ends with.
//!
//! ```text
//! llama2.c .bin v0, v1, v2 ┐ read_checkpoint                          write ┌ llama2.c .bin v0, v2
//! GGUF, any dtype we read  ┴────────────────▶ Model ───────────────────────▶┤ GGUF
//! safetensors + config.json ─ read_safetensors ▶ │  weights, (n_params) f32  └ safetensors
//!                                                └─ save: all files, atomically
//! ```
//!
//! Weights are in llama2.c's order ([`llamaboot_checkpoint::Layout`]). Hugging Face has the rows of
//! `wq` and `wk` in another order than llama2.c and llama.cpp; `huggingface` says which.
//!
//! What is absent: mapping of files (shells do it) and any thread.

#![forbid(unsafe_code)]

mod atomic;
mod encode;
mod error;
mod gguf;
mod huggingface;
mod keys;
mod llama2c;
mod model;

mod save;
mod target;
mod vocabulary;

pub use atomic::{Partial, write_atomically};
pub use error::Error;
pub use huggingface::{is_safetensors, names_safetensors};
pub use model::Model;
pub use save::{Saved, save, write};
pub use target::{Format, Target, WeightType};
pub use vocabulary::{GgufEntry, GgufVocabulary, Vocabulary};
