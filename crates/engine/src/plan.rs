//! What a model will take in memory, known from its header alone, so that it can be shown, and
//! refused, before anything is reserved.

use crate::engine::logit_rows;
use crate::{KvCache, KvType, Sampler};
use llamaboot_checkpoint::{Config, Header};
use llamaboot_kernels::{Activations, Workspace};

/// Memory in bytes, by purpose, and the settings it follows from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Positions in the KV cache.
    pub context: usize,
    /// Tokens computed together while reading a prompt.
    pub batch: usize,
    /// How keys and values are kept.
    pub kv: KvType,
    /// The file: weights stay as they are stored.
    pub weights: u64,
    /// Keys and values of every position.
    pub kv_cache: u64,
    /// Everything else the engine reserves.
    pub scratch: u64,
}

impl MemoryPlan {
    /// Less is not worth a conversation; a model made for less is taken as it is.
    pub const MIN_CONTEXT: usize = 256;

    /// Tokens of a prompt computed together unless told otherwise.
    pub const BATCH: usize = 48;

    /// The plan for a file of `file_len` bytes. `context` is cut to what the model was trained for.
    #[must_use]
    pub fn new(
        header: &Header<'_>,
        file_len: u64,
        context: usize,
        batch: usize,
        threads: usize,
        kv: KvType,
    ) -> Self {
        let config = &header.config;
        let context = context.clamp(1, config.seq_len);
        let batch = batch.clamp(1, context);
        Self {
            context,
            batch,
            kv,
            weights: file_len,
            kv_cache: KvCache::bytes(config, context, kv),
            scratch: scratch_bytes(config, context, batch, threads),
        }
    }

    /// Everything together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.weights + self.kv_cache + self.scratch
    }

    /// This plan with the longest context, halved as often as needed, that fits `available`
    /// bytes; `None` where not even [`MemoryPlan::MIN_CONTEXT`] positions do.
    #[must_use]
    pub fn fitted(
        header: &Header<'_>,
        file_len: u64,
        available: u64,
        batch: usize,
        threads: usize,
        kv: KvType,
    ) -> Option<Self> {
        let mut context = header.config.seq_len;
        loop {
            let plan = Self::new(header, file_len, context, batch, threads, kv);
            if plan.total() <= available {
                return Some(plan);
            }
            if context <= Self::MIN_CONTEXT {
                return None;
            }
            context = (context / 2).max(Self::MIN_CONTEXT);
        }
    }
}

/// The widest row that a matrix of this model is multiplied with.
pub(crate) fn widest(config: &Config) -> usize {
    config.dim.max(config.hidden_dim).max(config.q_dim())
}

fn scratch_bytes(config: &Config, context: usize, batch: usize, threads: usize) -> u64 {
    let floats = batch
        * (2 * config.dim + config.q_dim() + 2 * config.kv_dim() + 2 * config.hidden_dim)
        + logit_rows(batch) * config.vocab_size
        + batch * config.head_dim
        + (2 * config.n_layers + 1) * config.dim;
    let widest = widest(config);
    let held = context * size_of::<u32>();
    let shared = Activations::bytes(batch, widest) + Workspace::bytes(threads, widest);
    (4 * floats + shared + held + Sampler::bytes(config.vocab_size)) as u64
}
