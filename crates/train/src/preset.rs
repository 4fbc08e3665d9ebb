//! Shapes with names: Karpathy's TinyStories models, our own, and those that speed is measured on.

use llamaboot_checkpoint::{Config, RopeScaling};

/// A shape; the vocabulary comes with the tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// Width of the residual stream.
    pub dim: usize,
    /// Width inside the feed-forward network.
    pub hidden_dim: usize,
    /// Blocks.
    pub n_layers: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Heads of keys and values.
    pub n_kv_heads: usize,
    /// Positions.
    pub seq_len: usize,
    /// Tokens of the vocabulary that goes with it.
    pub vocab_size: usize,
}

impl Preset {
    /// All of them, the smallest first.
    pub const ALL: [Self; 5] = [
        Self::new("260K", [64, 172, 5, 8, 4, 512, 512]),
        Self::new("shakespeare", [192, 512, 6, 6, 6, 256, 512]),
        Self::new("15M", [288, 768, 6, 6, 6, 256, 32_000]),
        Self::new("42M", [512, 1376, 8, 8, 8, 1024, 32_000]),
        Self::new("110M", [768, 2048, 12, 12, 12, 1024, 32_000]),
    ];

    /// The two shapes that training speed is measured on, with the windows of a batch.
    pub const MEASURED: [(Self, usize); 2] = [
        (Self::new("S", [192, 512, 6, 6, 6, 256, 2048]), 8),
        (Self::new("L", [288, 768, 6, 6, 6, 256, 32_000]), 4),
    ];

    const fn new(name: &'static str, shape: [usize; 7]) -> Self {
        let [dim, hidden_dim, n_layers, n_heads, n_kv_heads, seq_len, vocab_size] = shape;
        Self { name, dim, hidden_dim, n_layers, n_heads, n_kv_heads, seq_len, vocab_size }
    }

    /// The preset of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name == name)
    }

    /// A model of this shape with that many tokens; ε and the rotary base are llama2.c's.
    #[must_use]
    pub fn config(&self, vocab_size: usize) -> Config {
        Config {
            dim: self.dim,
            hidden_dim: self.hidden_dim,
            n_layers: self.n_layers,
            n_heads: self.n_heads,
            n_kv_heads: self.n_kv_heads,
            head_dim: self.dim / self.n_heads,
            vocab_size,
            seq_len: self.seq_len,
            norm_eps: 1e-5,
            rope_base: 10_000.0,
            rope_scaling: RopeScaling::None,
        }
    }
}
