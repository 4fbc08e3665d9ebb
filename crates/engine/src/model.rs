//! A checkpoint made ready to run: norm weights as f32, rotary frequencies in f64, matrices
//! borrowed as they lie in the file.

use alloc::{vec, vec::Vec};
use llamaboot_checkpoint::{Checkpoint, Config, RopeScaling, Tensor};
use llamaboot_kernels::Kernels;
use llamaboot_math::{pow, sin_cos};

/// One transformer block.
#[derive(Debug)]
pub(crate) struct Layer<'a> {
    /// `(dim)`.
    pub(crate) attn_norm: Vec<f32>,
    pub(crate) wq: Tensor<'a>,
    pub(crate) wk: Tensor<'a>,
    pub(crate) wv: Tensor<'a>,
    pub(crate) wo: Tensor<'a>,
    /// `(dim)`.
    pub(crate) ffn_norm: Vec<f32>,
    pub(crate) w1: Tensor<'a>,
    pub(crate) w2: Tensor<'a>,
    pub(crate) w3: Tensor<'a>,
}

/// A model whose weights borrow from the file's bytes.
#[derive(Debug)]
pub struct Model<'a> {
    pub(crate) config: Config,
    pub(crate) token_embedding: Tensor<'a>,
    pub(crate) layers: Vec<Layer<'a>>,
    /// `(dim)`.
    pub(crate) output_norm: Vec<f32>,
    pub(crate) output: Tensor<'a>,
    /// Radians a position, `(head_dim / 2)`.
    rope_frequencies: Vec<f64>,
}

impl<'a> Model<'a> {
    /// Decodes the norms and computes the rotary frequencies; the matrices stay where they are.
    #[must_use]
    pub fn new(checkpoint: &Checkpoint<'a>) -> Self {
        let layers = checkpoint
            .layers
            .iter()
            .map(|layer| Layer {
                attn_norm: vector(&layer.attn_norm),
                wq: layer.wq,
                wk: layer.wk,
                wv: layer.wv,
                wo: layer.wo,
                ffn_norm: vector(&layer.ffn_norm),
                w1: layer.w1,
                w2: layer.w2,
                w3: layer.w3,
            })
            .collect();
        let divisors = checkpoint.rope_freqs.as_ref().map(vector);
        Self {
            config: checkpoint.config.clone(),
            token_embedding: checkpoint.token_embedding,
            layers,
            output_norm: vector(&checkpoint.output_norm),
            output: checkpoint.output,
            rope_frequencies: rope_frequencies(&checkpoint.config, divisors.as_deref()),
        }
    }

    /// Hyperparameters.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes of weights that one generated token reads.
    #[must_use]
    pub fn bytes_per_token(&self) -> u64 {
        self.matrices().into_iter().map(Tensor::bytes).sum::<usize>() as u64
    }

    /// Every matrix that a token is multiplied with, in order.
    pub(crate) fn matrices(&self) -> Vec<&Tensor<'a>> {
        let layers = self.layers.iter();
        let in_layers = layers.flat_map(|l| [&l.wq, &l.wk, &l.wv, &l.wo, &l.w1, &l.w3, &l.w2]);
        in_layers.chain([&self.output]).collect()
    }

    /// Cosine and sine of every rotary pair at `n` positions from `pos` on, each computed in f64
    /// and rounded once. `out` begins with `(n, head_dim / 2)` pairs.
    pub(crate) fn rotations(&self, pos: usize, n: usize, out: &mut [(f32, f32)]) {
        for (t, out) in out.chunks_exact_mut(self.rope_frequencies.len()).take(n).enumerate() {
            for (out, &frequency) in out.iter_mut().zip(&self.rope_frequencies) {
                let (sin, cos) = sin_cos((pos + t) as f64 * frequency);
                *out = (cos as f32, sin as f32);
            }
        }
    }
}

/// A one-row tensor as f32; norms are small, so the kernels' choice does not matter.
fn vector(tensor: &Tensor<'_>) -> Vec<f32> {
    let mut out = vec![0.0; tensor.cols];
    Kernels::scalar().dequantize_row(tensor, 0, &mut out);
    out
}

/// `1 / base^(2i / head_dim)`, divided by Llama 3's factor or by the linear one.
fn rope_frequencies(config: &Config, divisors: Option<&[f32]>) -> Vec<f64> {
    (0..config.head_dim / 2)
        .map(|i| {
            let exponent = (2 * i) as f64 / config.head_dim as f64;
            let divisor = divisors.map_or(1.0, |d| f64::from(d[i]));
            let linear = match config.rope_scaling {
                RopeScaling::None => 1.0,
                RopeScaling::Linear(factor) => f64::from(factor),
            };
            1.0 / pow(f64::from(config.rope_base), exponent) / divisor / linear
        })
        .collect()
}
