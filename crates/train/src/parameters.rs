//! Where each weight lies in the one buffer, and what the weights are before training.

use crate::random::Random;
use alloc::vec::Vec;
use core::ops::Range;
use llamaboot_checkpoint::{Config, Layout, Role};
use llamaboot_math::sqrt;

/// The shape of a model with the places of its tensors; weights, gradients and moments each are
/// one buffer of this layout.
#[derive(Debug, Clone)]
pub struct Parameters {
    pub(crate) config: Config,
    pub(crate) layout: Layout,
    /// Token embeddings, `(vocab_size, dim)`.
    pub(crate) embedding: Range<usize>,
    pub(crate) layers: Vec<LayerPlaces>,
    /// `(dim)`.
    pub(crate) output_norm: Range<usize>,
    /// Classifier, `(vocab_size, dim)`: the embeddings where the two are tied.
    pub(crate) output: Range<usize>,
}

/// The places of one block's tensors; [`Role`] has their shapes.
#[derive(Debug, Clone)]
pub(crate) struct LayerPlaces {
    pub(crate) attn_norm: Range<usize>,
    pub(crate) wq: Range<usize>,
    pub(crate) wk: Range<usize>,
    pub(crate) wv: Range<usize>,
    pub(crate) wo: Range<usize>,
    pub(crate) ffn_norm: Range<usize>,
    pub(crate) w1: Range<usize>,
    pub(crate) w2: Range<usize>,
    pub(crate) w3: Range<usize>,
}

impl Parameters {
    /// The places for a model of this shape; `tied` says that the classifier is the embeddings.
    #[must_use]
    pub fn new(config: Config, tied: bool) -> Self {
        let layout = Layout::new(&config, tied);
        let place = |role| layout.range(role).unwrap_or_default();
        let layers = (0..config.n_layers).map(|l| LayerPlaces {
            attn_norm: place(Role::AttnNorm(l)),
            wq: place(Role::Wq(l)),
            wk: place(Role::Wk(l)),
            wv: place(Role::Wv(l)),
            wo: place(Role::Wo(l)),
            ffn_norm: place(Role::FfnNorm(l)),
            w1: place(Role::W1(l)),
            w2: place(Role::W2(l)),
            w3: place(Role::W3(l)),
        });
        let layers = layers.collect();
        let embedding = place(Role::TokenEmbedding);
        let output = layout.range(Role::Output).unwrap_or_else(|| embedding.clone());
        Self { embedding, layers, output_norm: place(Role::OutputNorm), output, layout, config }
    }

    /// The model's shape.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where each tensor lies.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Number of weights.
    #[must_use]
    pub fn len(&self) -> usize {
        self.layout.n_params()
    }

    /// Whether there are no weights; never so for a model.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Weights to begin with, as GPT-2 and llama2.c have them: normal with deviation 0.02, less by
/// √(2 · n_layers) for the two matrices of each block that add to the residual stream; norms are 1.
#[must_use]
pub fn initial_weights(parameters: &Parameters, seed: u64) -> Vec<f32> {
    const DEVIATION: f32 = 0.02;
    let mut weights = alloc::vec![1.0; parameters.len()];
    let residual = DEVIATION / sqrt(2.0 * parameters.config.n_layers as f32);
    for (number, (role, range)) in parameters.layout.iter().enumerate() {
        let deviation = match role {
            _ if role.is_vector() => continue,
            Role::Wo(_) | Role::W2(_) => residual,
            _ => DEVIATION,
        };
        let mut random = Random::new(&[seed, number as u64]);
        for pair in weights[range].chunks_mut(2) {
            for (weight, normal) in pair.iter_mut().zip(random.normal_pair()) {
                *weight = deviation * normal;
            }
        }
    }
    weights
}
