//! One running sequence: a model, its state, the kernels and the threads it runs on.

use crate::plan::widest;
use crate::{KvCache, KvType, MemoryPlan, Model, Speculation};
use alloc::vec::Vec;
use llamaboot_kernels::{Activations, Kernels, OutOfMemory, Parallel, Workspace, room, zeros};

/// Which tokens of a call get logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logits {
    /// None: more tokens of a prompt follow.
    None,
    /// Only the last: what generating needs.
    Last,
    /// All of them.
    All,
}

/// A fault of what the engine was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The sequence would be longer than its KV cache.
    #[error("the context is full: {needed} positions needed, room for {context}")]
    ContextFull {
        /// Positions after the tokens asked for.
        needed: usize,
        /// Positions there are.
        context: usize,
    },
    /// A token id past the vocabulary.
    #[error("token {token}: the vocabulary has {vocab_size} entries")]
    Token {
        /// The id.
        token: u32,
        /// Entries of the vocabulary.
        vocab_size: usize,
    },
    /// No token at all.
    #[error("no token to compute")]
    Empty,
    /// The memory that the plan says is not there in one block.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// Weights or settings that no number comes out of.
    #[error("position {position}: the logits are not finite: the model's weights are damaged")]
    NotFinite {
        /// The position they belong to.
        position: usize,
    },
}

/// Scratch of the forward pass for a batch of tokens, reserved once.
pub(crate) struct Scratch {
    /// Residual stream, `(batch, dim)`.
    pub(crate) x: Vec<f32>,
    /// Output of a projection back to the stream, `(batch, dim)`.
    pub(crate) delta: Vec<f32>,
    /// Queries, `(batch, q_dim)`.
    pub(crate) q: Vec<f32>,
    /// Keys, `(batch, kv_dim)`.
    pub(crate) k: Vec<f32>,
    /// Values, `(batch, kv_dim)`.
    pub(crate) v: Vec<f32>,
    /// Gate, `(batch, hidden_dim)`.
    pub(crate) gate: Vec<f32>,
    /// Up, `(batch, hidden_dim)`.
    pub(crate) up: Vec<f32>,
    /// Cosine and sine of each pair of a head, `(batch, head_dim / 2)`.
    pub(crate) rotations: Vec<(f32, f32)>,
    pub(crate) activations: Activations,
    pub(crate) workspace: Workspace,
}

/// Rows of logits there is room for: those of a token and a draft behind it.
pub(crate) fn logit_rows(batch: usize) -> usize {
    batch.min(1 + Speculation::MAX)
}

/// A model with everything it needs to run, and the sequence it has seen.
pub struct Engine<'a> {
    pub(crate) model: &'a Model<'a>,
    pub(crate) kernels: Kernels,
    pub(crate) threads: &'a dyn Parallel,
    pub(crate) cache: KvCache,
    pub(crate) scratch: Scratch,
    pub(crate) batch: usize,
    /// Tokens whose keys and values the cache holds.
    pub(crate) held: Vec<u32>,
    /// `(vocab_size)`, or `(batch, vocab_size)` once all were asked for.
    pub(crate) logits: Vec<f32>,
}

impl<'a> Engine<'a> {
    /// Reserves cache and scratch as `plan` says.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn new(
        model: &'a Model<'a>,
        plan: &MemoryPlan,
        kernels: Kernels,
        threads: &'a dyn Parallel,
    ) -> Result<Self, EngineError> {
        let config = &model.config;
        let batch = plan.batch;
        let rows = |width: usize| zeros(batch * width);
        // The largest blocks first, while memory is least divided.
        let cache = KvCache::new(config, plan.context, plan.kv)?;
        let scratch = Scratch {
            x: rows(config.dim)?,
            delta: rows(config.dim)?,
            q: rows(config.q_dim())?,
            k: rows(config.kv_dim())?,
            v: rows(config.kv_dim())?,
            gate: rows(config.hidden_dim)?,
            up: rows(config.hidden_dim)?,
            rotations: zeros(batch * config.head_dim / 2)?,
            activations: Activations::new(batch, widest(config))?,
            workspace: Workspace::new(threads.threads(), widest(config))?,
        };
        let held = room(plan.context)?;
        let mut logits = room(logit_rows(batch) * config.vocab_size)?;
        logits.resize(config.vocab_size, 0.0);
        Ok(Self { model, kernels, threads, cache, scratch, batch, held, logits })
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &'a Model<'a> {
        self.model
    }

    /// The kernels that run.
    #[must_use]
    pub fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// Runs on other kernels from here on; the bits stay the same.
    pub fn set_kernels(&mut self, kernels: Kernels) {
        self.kernels = kernels;
    }

    /// How keys and values are kept.
    #[must_use]
    pub fn kv(&self) -> KvType {
        self.cache.kv()
    }

    /// Bytes that keys and values take.
    #[must_use]
    pub fn kv_bytes(&self) -> u64 {
        KvCache::bytes(&self.model.config, self.context(), self.kv())
    }

    /// Keeps keys and values of so many positions (at least one, and at most as many as the model
    /// was made for) in this form from here on; the sequence is forgotten.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`] where there is no room for them; they are then kept as before.
    pub fn set_cache(&mut self, context: usize, kv: KvType) -> Result<(), EngineError> {
        let config = &self.model.config;
        let context = context.clamp(1, config.seq_len);
        let before = (self.context(), self.kv());
        self.held.clear();
        if (context, kv) == before {
            return Ok(());
        }
        // The old one goes first: there may not be room for both.
        self.cache = KvCache::new(config, 0, kv)?;
        match KvCache::new(config, context, kv) {
            Ok(cache) => self.cache = cache,
            Err(error) => {
                // Memory may have come apart meanwhile: then a shorter one.
                let mut context = before.0;
                self.cache = loop {
                    match KvCache::new(config, context, before.1) {
                        Ok(cache) => break cache,
                        Err(fault) if context == 0 => return Err(fault.into()),
                        Err(_) => context /= 2,
                    }
                };
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Threads that take part.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads.threads()
    }

    /// Rows of matrices that each thread has multiplied with a token so far: which cores work.
    #[must_use]
    pub fn rows_done(&self) -> Vec<u64> {
        self.scratch.workspace.rows_done().collect()
    }

    /// Reads every weight that a token needs and computes nothing: the bound of decoding. Returns
    /// a sum, so that the reading is really done.
    #[must_use]
    pub fn read_weights(&self) -> u64 {
        self.kernels.read(self.threads, &self.model.matrices())
    }

    /// Tokens computed together while reading a prompt.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The tokens computed so far, one a position.
    #[must_use]
    pub fn held(&self) -> &[u32] {
        &self.held
    }

    /// Positions there is room for.
    #[must_use]
    pub fn context(&self) -> usize {
        self.cache.context()
    }

    /// Forgets everything behind the first `pos` positions.
    pub fn truncate(&mut self, pos: usize) {
        self.held.truncate(pos);
    }

    /// Tokens that the last call which computed logits did so for; 1 before any.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.logits.len() / self.model.config.vocab_size
    }

    /// Logits of token `row` of the last call that computed them, `(vocab_size)`.
    ///
    /// # Panics
    /// Where that call had fewer.
    #[must_use]
    pub fn logits(&self, row: usize) -> &[f32] {
        let vocab_size = self.model.config.vocab_size;
        &self.logits[row * vocab_size..][..vocab_size]
    }

    /// Logits of the last token computed, `(vocab_size)`.
    #[must_use]
    pub fn last_logits(&self) -> &[f32] {
        &self.logits[self.logits.len() - self.model.config.vocab_size..]
    }
}
