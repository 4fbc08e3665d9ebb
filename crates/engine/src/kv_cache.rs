//! Keys and values of every position held, reserved once for the whole context.

use alloc::vec::Vec;
use llamaboot_checkpoint::Config;
use llamaboot_kernels::{OutOfMemory, zeros};

/// `(n_layers, n_kv_heads, context, head_dim)` keys and as many values, in f32: the positions of
/// one head lie side by side, which is the order attention reads them in.
#[derive(Debug)]
pub struct KvCache {
    context: usize,
    n_kv_heads: usize,
    head_dim: usize,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl KvCache {
    /// Reserves room for `context` positions.
    pub(crate) fn new(config: &Config, context: usize) -> Result<Self, OutOfMemory> {
        let len = config.n_layers * config.kv_dim() * context;
        let (n_kv_heads, head_dim) = (config.n_kv_heads, config.head_dim);
        Ok(Self { context, n_kv_heads, head_dim, keys: zeros(len)?, values: zeros(len)? })
    }

    /// Bytes that a cache of `context` positions takes.
    #[must_use]
    pub fn bytes(config: &Config, context: usize) -> u64 {
        2 * 4 * config.n_layers as u64 * config.kv_dim() as u64 * context as u64
    }

    /// Positions there is room for.
    #[must_use]
    pub fn context(&self) -> usize {
        self.context
    }

    /// Keeps the keys and values of one position; both are `(n_kv_heads, head_dim)`.
    pub(crate) fn store(&mut self, layer: usize, pos: usize, k: &[f32], v: &[f32]) {
        for head in 0..self.n_kv_heads {
            let from = head * self.head_dim..(head + 1) * self.head_dim;
            let at = self.start(layer, head) + pos * self.head_dim;
            self.keys[at..at + self.head_dim].copy_from_slice(&k[from.clone()]);
            self.values[at..at + self.head_dim].copy_from_slice(&v[from]);
        }
    }

    /// Keys and values of one head for the first `n` positions, each `(n, head_dim)`.
    pub(crate) fn head(&self, layer: usize, head: usize, n: usize) -> (&[f32], &[f32]) {
        let start = self.start(layer, head);
        let end = start + n * self.head_dim;
        (&self.keys[start..end], &self.values[start..end])
    }

    fn start(&self, layer: usize, head: usize) -> usize {
        (layer * self.n_kv_heads + head) * self.context * self.head_dim
    }
}
