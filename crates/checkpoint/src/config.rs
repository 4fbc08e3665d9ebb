//! The hyperparameters of a Llama model, as they stand in a checked file.

use crate::{Error, caps};
use alloc::format;

/// Shape and constants of a model. Every value is within [`caps`] and the shapes divide.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Width of the residual stream.
    pub dim: usize,
    /// Width inside the feed-forward network.
    pub hidden_dim: usize,
    /// Transformer blocks.
    pub n_layers: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; divides `n_heads`.
    pub n_kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Positions the model was trained for.
    pub seq_len: usize,
    /// ε inside the root of rmsnorm.
    pub norm_eps: f32,
    /// Base of the rotary frequencies: `freq(i) = base^(-2i / head_dim)`.
    pub rope_base: f32,
    /// How rotary frequencies are stretched.
    pub rope_scaling: RopeScaling,
}

/// Stretching of rotary frequencies for contexts longer than those trained on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// None, or the per-frequency factors of Llama 3 in the tensor `rope_freqs.weight`.
    None,
    /// Every position divided by this factor.
    Linear(f32),
}

impl Config {
    /// Width of the keys (and of the values) of one position: `n_kv_heads * head_dim`.
    #[must_use]
    pub fn kv_dim(&self) -> usize {
        self.n_kv_heads * self.head_dim
    }

    /// Width of the queries of one position: `n_heads * head_dim`.
    #[must_use]
    pub fn q_dim(&self) -> usize {
        self.n_heads * self.head_dim
    }

    /// Checks each field as if it came from a file, for files of other formats than those read
    /// here.
    ///
    /// # Errors
    /// [`Error::Value`], at offset 0, for a field out of its range or shapes that do not divide.
    pub fn validate(&self) -> Result<(), Error> {
        self.check(&|_| 0)
    }

    /// Checks each field against its cap and the shapes against each other. `at` gives the file
    /// offset of a field by its name.
    pub(crate) fn check(&self, at: &dyn Fn(&str) -> u64) -> Result<(), Error> {
        let fields = [
            ("dim", self.dim, caps::DIM),
            ("hidden_dim", self.hidden_dim, caps::DIM),
            ("n_layers", self.n_layers, caps::LAYERS),
            ("n_heads", self.n_heads, caps::HEADS),
            ("n_kv_heads", self.n_kv_heads, caps::HEADS),
            ("vocab_size", self.vocab_size, caps::VOCAB),
            ("seq_len", self.seq_len, caps::CONTEXT),
        ];
        for (name, value, cap) in fields {
            in_range(name, value as u64, cap, at(name))?;
        }
        let bad =
            |name: &str, expected: &str, found| Err(Error::value(name, at(name), expected, found));
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            return bad(
                "n_kv_heads",
                &format!("a divisor of n_heads = {}", self.n_heads),
                self.n_kv_heads,
            );
        }
        if self.head_dim == 0 || self.head_dim % 2 == 1 || self.head_dim as u64 > caps::DIM {
            return bad("head_dim", "an even width of at least 2", self.head_dim);
        }
        if self.q_dim() as u64 > caps::DIM {
            return bad(
                "n_heads",
                &format!("n_heads x head_dim of at most {}", caps::DIM),
                self.q_dim(),
            );
        }
        if !(self.norm_eps >= 0.0 && self.norm_eps < 1.0) {
            let found = format!("{}", self.norm_eps);
            return Err(Error::value("norm_eps", at("norm_eps"), "0 to 1", found));
        }
        if !(self.rope_base >= 1.0 && self.rope_base <= 1e12) {
            let found = format!("{}", self.rope_base);
            return Err(Error::value("rope_base", at("rope_base"), "1 to 1e12", found));
        }
        Ok(())
    }
}

/// A count that must be at least 1 and at most `cap`.
pub(crate) fn in_range(name: &str, value: u64, cap: u64, offset: u64) -> Result<(), Error> {
    if value == 0 || value > cap {
        return Err(Error::value(name, offset, format!("1 to {cap}"), value));
    }
    Ok(())
}
