//! Model files as typed views: llama2.c `.bin` versions 0, 1 and 2, and GGUF versions 2 and 3.
//!
//! Bytes from a file are checked once, here, with a cap on every count, length and dimension;
//! behind [`Checkpoint`] nobody checks again. Reading happens in two steps, because firmware
//! must know what a model needs before it reserves memory for it:
//!
//! ```text
//! first bytes of the file ─ Header::parse ─▶ Header (config, tensor places, vocabulary)
//! Header + regions of bytes ─ Checkpoint::attach ─▶ Checkpoint (tensors with borrowed data)
//! ```
//!
//! Nothing is copied: tensors borrow from the regions. What is absent: I/O, text decoding
//! (see `llamaboot-tokenizer`) and arithmetic (see `llamaboot-kernels`).

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod checkpoint;
mod config;
mod dtype;
mod error;
pub mod gguf;
mod header;
mod layout;
pub mod llama2c;
mod names;
mod panel;
mod reader;
mod regions;

pub use checkpoint::{Checkpoint, Layer, Tensor};
pub use config::{Config, RopeScaling};
pub use dtype::{Block32, DType};
pub use error::Error;
pub use header::{Format, Header, Role, TensorInfo};
pub use layout::Layout;
pub use panel::{PANEL_ROWS, PackJob, packable_rows};
pub use regions::Regions;

/// Caps on everything a file may claim. They are far above any real model and low enough that
/// no product of them overflows `u64`.
pub mod caps {
    /// Widest embedding or feed-forward dimension.
    pub const DIM: u64 = 1 << 20;
    /// Most layers.
    pub const LAYERS: u64 = 1024;
    /// Most attention heads.
    pub const HEADS: u64 = 4096;
    /// Largest vocabulary.
    pub const VOCAB: u64 = 1 << 21;
    /// Longest context, in tokens.
    pub const CONTEXT: u64 = 1 << 24;
    /// Most tensors in a GGUF.
    pub const TENSORS: u64 = 16 * 1024;
    /// Most metadata keys in a GGUF.
    pub const KEYS: u64 = 16 * 1024;
    /// Longest name of a key or tensor, in bytes.
    pub const NAME_BYTES: u64 = 1024;
    /// Longest metadata string, in bytes.
    pub const STRING_BYTES: u64 = 4 << 20;
    /// Longest text of one vocabulary entry, in bytes.
    pub const TOKEN_BYTES: u64 = 64 << 10;
    /// Most elements of one metadata array.
    pub const ARRAY: u64 = 1 << 22;
}
