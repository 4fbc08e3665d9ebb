//! AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization"), as PyTorch computes it:
//!
//! ```text
//! m = β1 m + (1 − β1) g        v = β2 v + (1 − β2) g²        w = w − rate · decay · w
//! w = w − rate / (1 − β1^t) · m / (√v / √(1 − β2^t) + ε)
//! ```
//!
//! Norms are not decayed. Gradients are first scaled down to a greatest norm.

use crate::{Compute, Parameters};
use alloc::{vec, vec::Vec};
use llamaboot_kernels::AdamWStep;
use llamaboot_math::{pow, sqrt};

/// The constants of the optimizer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Decay of the mean of gradients.
    pub beta1: f32,
    /// Decay of the mean of their squares.
    pub beta2: f32,
    /// Keeps the divisor from being 0.
    pub epsilon: f32,
    /// Weight decay of matrices.
    pub decay: f32,
    /// Greatest norm of all gradients together; 0 for any.
    pub clip: f32,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0.1, clip: 1.0 }
    }
}

/// Weights handled by a thread at a time.
const CHUNK: usize = 1 << 14;

/// The norm of all gradients together, its sum taken in f64 over chunks of fixed length.
pub(crate) fn norm(compute: &mut Compute<'_>, gradients: &[f32]) -> f32 {
    let mut sums = vec![0.0; gradients.len().div_ceil(CHUNK)];
    let kernels = compute.kernels;
    compute.for_each(gradients.chunks(CHUNK).zip(&mut sums), |(chunk, sum)| {
        **sum = kernels.dot(chunk, chunk);
    });
    sqrt(sums.iter().map(|&sum| f64::from(sum)).sum::<f64>() as f32)
}

/// A thread's share of one update.
struct Item<'a> {
    step: AdamWStep,
    weights: &'a mut [f32],
    gradients: &'a [f32],
    means: &'a mut [f32],
    squares: &'a mut [f32],
}

/// The buffers that an update reads and writes, all of one layout.
pub(crate) struct Buffers<'a> {
    pub(crate) weights: &'a mut [f32],
    pub(crate) gradients: &'a [f32],
    /// Running means of gradients.
    pub(crate) means: &'a mut [f32],
    /// Running means of their squares.
    pub(crate) squares: &'a mut [f32],
}

impl AdamW {
    /// Update number `t`, from 1: changes the weights by gradients whose norm is given.
    pub(crate) fn update(
        &self,
        compute: &mut Compute<'_>,
        parameters: &Parameters,
        buffers: Buffers<'_>,
        rate: f32,
        t: u64,
        norm: f32,
    ) {
        let scale = if self.clip > 0.0 && norm > self.clip { self.clip / norm } else { 1.0 };
        let correction = |beta: f32| match beta {
            0.0 => 1.0,
            _ => (1.0 - pow(f64::from(beta), t as f64)) as f32,
        };
        let Self { beta1, beta2, epsilon, .. } = *self;
        let (step, root) = (rate / correction(beta1), sqrt(correction(beta2)));
        let Buffers { mut weights, mut gradients, mut means, mut squares } = buffers;
        let mut items = Vec::new();
        for (role, range) in parameters.layout.iter() {
            let kept = if role.is_vector() { 1.0 } else { 1.0 - rate * self.decay };
            let step = AdamWStep { scale, beta1, beta2, epsilon, kept, step, root };
            let len = range.len();
            let own = weights.split_off_mut(..len).unwrap_or_default().chunks_mut(CHUNK);
            let own = own.zip(gradients.split_off(..len).unwrap_or_default().chunks(CHUNK));
            let means = means.split_off_mut(..len).unwrap_or_default().chunks_mut(CHUNK);
            let squares = squares.split_off_mut(..len).unwrap_or_default().chunks_mut(CHUNK);
            for ((weights, gradients), (means, squares)) in own.zip(means.zip(squares)) {
                items.push(Item { step, weights, gradients, means, squares });
            }
        }
        let kernels = compute.kernels;
        compute.for_each(items.into_iter(), |item| {
            let Item { step, weights, gradients, means, squares } = item;
            kernels.adamw(step, weights, gradients, means, squares);
        });
    }
}
