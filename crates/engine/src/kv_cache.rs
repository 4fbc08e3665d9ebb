//! Keys and values of every position held, reserved once for the whole context.

use llamaboot_checkpoint::Config;
use llamaboot_kernels::{Aligned, Cached, Kernels, OutOfMemory};

/// How keys and values are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KvType {
    /// As computed.
    #[default]
    F32,
    /// Rounded to f16: half the memory, and half the reading in a long context.
    F16,
}

impl core::fmt::Display for KvType {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        })
    }
}

impl KvType {
    /// Bytes of a number.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

#[derive(Debug)]
enum Numbers {
    F32(Aligned<f32>),
    F16(Aligned<u16>),
}

impl Numbers {
    fn new(kv: KvType, len: usize) -> Result<Self, OutOfMemory> {
        Ok(match kv {
            KvType::F32 => Self::F32(Aligned::zeros(len)?),
            KvType::F16 => Self::F16(Aligned::zeros(len)?),
        })
    }

    fn put(&mut self, kernels: Kernels, at: usize, x: &[f32]) {
        match self {
            Self::F32(numbers) => numbers[at..at + x.len()].copy_from_slice(x),
            Self::F16(numbers) => kernels.narrow_f16(x, &mut numbers[at..at + x.len()]),
        }
    }

    fn get(&self, at: usize, len: usize) -> Cached<'_> {
        match self {
            Self::F32(numbers) => Cached::F32(&numbers[at..at + len]),
            Self::F16(numbers) => Cached::F16(&numbers[at..at + len]),
        }
    }
}

/// `(n_layers, n_kv_heads, context, head_dim)` keys and as many values: the positions of one head
/// lie side by side, which is the order attention reads them in.
#[derive(Debug)]
pub struct KvCache {
    context: usize,
    n_kv_heads: usize,
    head_dim: usize,
    keys: Numbers,
    values: Numbers,
}

impl KvCache {
    /// Reserves room for `context` positions.
    pub(crate) fn new(config: &Config, context: usize, kv: KvType) -> Result<Self, OutOfMemory> {
        let len = config.n_layers * config.kv_dim() * context;
        let (n_kv_heads, head_dim) = (config.n_kv_heads, config.head_dim);
        let (keys, values) = (Numbers::new(kv, len)?, Numbers::new(kv, len)?);
        Ok(Self { context, n_kv_heads, head_dim, keys, values })
    }

    /// Bytes that a cache of `context` positions takes.
    #[must_use]
    pub fn bytes(config: &Config, context: usize, kv: KvType) -> u64 {
        let numbers = 2 * config.n_layers as u64 * config.kv_dim() as u64 * context as u64;
        numbers * kv.bytes() as u64
    }

    /// How its numbers are kept.
    pub(crate) fn kv(&self) -> KvType {
        match self.keys {
            Numbers::F32(_) => KvType::F32,
            Numbers::F16(_) => KvType::F16,
        }
    }

    /// Positions there is room for.
    #[must_use]
    pub fn context(&self) -> usize {
        self.context
    }

    /// Keeps the keys and values of one position; both are `(n_kv_heads, head_dim)`.
    pub(crate) fn store(
        &mut self,
        kernels: Kernels,
        layer: usize,
        pos: usize,
        (k, v): (&[f32], &[f32]),
    ) {
        let rows = k.chunks_exact(self.head_dim).zip(v.chunks_exact(self.head_dim));
        for (head, (k, v)) in rows.enumerate() {
            let at = self.start(layer, head) + pos * self.head_dim;
            self.keys.put(kernels, at, k);
            self.values.put(kernels, at, v);
        }
    }

    /// Keys and values of one head for the first `n` positions, each `(n, head_dim)`.
    pub(crate) fn head(&self, layer: usize, head: usize, n: usize) -> (Cached<'_>, Cached<'_>) {
        let (start, len) = (self.start(layer, head), n * self.head_dim);
        (self.keys.get(start, len), self.values.get(start, len))
    }

    fn start(&self, layer: usize, head: usize) -> usize {
        (layer * self.n_kv_heads + head) * self.context * self.head_dim
    }
}
