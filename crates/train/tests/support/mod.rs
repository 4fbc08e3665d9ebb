//! Weights and tokens from formulas that `tools/oracle/train_reference.py` has as well.

#![allow(dead_code, reason = "each test program uses a part")]

use llamaboot_checkpoint::{Config, RopeScaling};
use llamaboot_train::{Batch, Parameters};

/// A small shape of two blocks with four heads, to be changed where a test wants another.
pub(crate) fn config(dim: usize, hidden_dim: usize, vocab_size: usize, seq_len: usize) -> Config {
    Config {
        dim,
        hidden_dim,
        n_layers: 2,
        n_heads: 4,
        n_kv_heads: 2,
        head_dim: dim / 4,
        vocab_size,
        seq_len,
        norm_eps: 1e-5,
        rope_base: 10_000.0,
        rope_scaling: RopeScaling::None,
    }
}

/// Weights within half of `spread` around 0, and around 1 for norms: large enough that no gradient
/// is lost in rounding.
pub(crate) fn weights(parameters: &Parameters, spread: f64) -> Vec<f32> {
    let mut weights = vec![0.0; parameters.len()];
    for (role, range) in parameters.layout().iter() {
        for i in range {
            let u = ((i as u64 * 2_654_435_761 + 12_345) % (1 << 32)) as f64 / 2_f64.powi(32);
            let norm = if role.is_vector() { 1.0 } else { 0.0 };
            weights[i] = ((u - 0.5) * spread) as f32 + norm;
        }
    }
    weights
}

/// Windows of tokens; each target is the input that follows.
pub(crate) fn batch(windows: usize, context: usize, vocab_size: usize) -> Batch {
    let token = |b: usize, t: usize| ((7 * b + 5 * t + t * t) % vocab_size) as u32;
    let places = || (0..windows).flat_map(move |b| (0..context).map(move |t| (b, t)));
    Batch {
        inputs: places().map(|(b, t)| token(b, t)).collect(),
        targets: places().map(|(b, t)| token(b, t + 1)).collect(),
        context,
    }
}
