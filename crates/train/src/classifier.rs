//! The classifier and the cross entropy, with their gradients.
//!
//! ```text
//! p = softmax(x · outputᵀ)      loss = −ln p[target]      d_logits = (p − onehot(target)) · scale
//! d_x = d_logits · output       d_output += d_logitsᵀ · x
//! ```
//!
//! The logits of all tokens would be the largest buffer by far, and memory would be what bounds
//! this: they are handled for some tokens at a time and, of those, in blocks of columns that the
//! last cache holds. Each block is exponentiated at once, less its own maximum, while it is there;
//! on the way back, from the last block, which is there still, it is scaled by what all blocks
//! together have shown.

use crate::Compute;
use alloc::vec::Vec;
use core::ops::Range;
use llamaboot_kernels::{Matrix, OutOfMemory, zeros};
use llamaboot_math::{exp, ln};

/// Logits held at once.
const LOGITS: usize = 1 << 24;
/// Logits of a block.
const BLOCK: usize = 1 << 21;
/// Columns of a block.
const COLS: usize = 4096;
/// Rows of logits handled by a thread at a time.
const ROWS: usize = 8;

/// The classifier's room.
pub(crate) struct Classifier {
    /// Blocks one after another, each `(tokens at once, columns of the block)`.
    logits: Vec<f32>,
    /// `(blocks, tokens at once)`.
    sums: Vec<Sums>,
    vocab_size: usize,
    /// Tokens at once.
    tokens: usize,
    /// Columns of a block; the last may have fewer.
    cols: usize,
}

/// What a token's logits come to, those of one block or of several.
#[derive(Debug, Clone, Copy)]
struct Sums {
    max: f32,
    /// `Σ e^(logit − max)`.
    sum: f32,
    /// The target's logit, where it is among them.
    target: Option<f32>,
}

impl Default for Sums {
    fn default() -> Self {
        Self { max: f32::NEG_INFINITY, sum: 0.0, target: None }
    }
}

impl Sums {
    /// Those of both.
    fn and(self, other: &Self) -> Self {
        let max = self.max.max(other.max);
        let sum = self.sum * exp(self.max - max) + other.sum * exp(other.max - max);
        Self { max, sum, target: self.target.or(other.target) }
    }

    /// `−ln p[target]`, of all logits.
    fn loss(&self) -> f64 {
        let target = self.target.unwrap_or(f32::NAN);
        f64::from(self.max) - f64::from(target) + ln(f64::from(self.sum))
    }

    /// What turns `e^(logit − max)` into a probability where these are a block's and `all` those of
    /// all blocks.
    fn share(&self, all: &Self) -> f32 {
        exp(self.max - all.max) / all.sum
    }
}

/// What is classified: the last rmsnorm's result, and what should come of it.
#[derive(Clone, Copy)]
pub(crate) struct Classified<'a> {
    /// `(tokens, dim)`.
    pub(crate) x: &'a [f32],
    /// The classifier's weights, `(vocab_size, dim)`.
    pub(crate) output: &'a [f32],
    /// `(tokens)`.
    pub(crate) targets: &'a [u32],
}

impl Classifier {
    /// Room for windows that hold `tokens` in all.
    pub(crate) fn new(vocab_size: usize, tokens: usize) -> Result<Self, OutOfMemory> {
        let blocks = vocab_size.div_ceil(COLS);
        let cols = vocab_size.div_ceil(blocks);
        let most = (LOGITS / vocab_size).min(BLOCK / cols);
        let tokens = most.clamp(ROWS, tokens.max(ROWS));
        let (logits, sums) = (zeros(tokens * vocab_size)?, zeros(blocks * tokens)?);
        Ok(Self { logits, sums, vocab_size, tokens, cols })
    }

    /// Each block's number and columns.
    fn blocks(&self) -> impl DoubleEndedIterator<Item = (usize, Range<usize>)> + use<> {
        let (cols, all) = (self.cols, self.vocab_size);
        let block = move |number: usize| (number, number * cols..(number * cols + cols).min(all));
        (0..all.div_ceil(cols)).map(block)
    }

    /// The sum of all tokens' losses in nats. Where `gradients` `[d_x, d_output]` are given, they
    /// are those of the loss times `scale`; the first is overwritten, the second added to.
    pub(crate) fn loss(
        &mut self,
        compute: &mut Compute<'_>,
        Classified { x, output, targets }: Classified<'_>,
        scale: f32,
        mut gradients: Option<[&mut [f32]; 2]>,
    ) -> f64 {
        let (at_once, dim) = (self.tokens, x.len() / targets.len());
        let mut total = 0.0;
        for (number, targets) in targets.chunks(at_once).enumerate() {
            let place = number * at_once * dim..(number * at_once + targets.len()) * dim;
            let some = Classified { x: &x[place.clone()], output, targets };
            let sums = self.forward(compute, some);
            total += sums.iter().map(Sums::loss).sum::<f64>();
            if let Some([d_x, d_output]) = &mut gradients {
                self.backward(compute, some, &sums, scale, [&mut d_x[place], d_output]);
            }
        }
        total
    }

    /// What each token's logits come to; leaves their exponentials in `logits`.
    fn forward(&mut self, compute: &mut Compute<'_>, some: Classified<'_>) -> Vec<Sums> {
        let Classified { x, output, targets } = some;
        let (tokens, dim, kernels) = (targets.len(), x.len() / targets.len(), compute.kernels);
        let x = Matrix::new(x, tokens, dim);
        for (number, block) in self.blocks() {
            let (start, cols) = (block.start, block.len());
            let logits = &mut self.logits[start * tokens..block.end * tokens];
            let output = &output[start * dim..block.end * dim];
            compute.product(logits, x, Matrix::new(output, cols, dim).t());
            let sums = &mut self.sums[number * tokens..][..tokens];
            let rows = logits.chunks_mut(ROWS * cols).zip(sums.chunks_mut(ROWS));
            compute.for_each(rows.zip(targets.chunks(ROWS)), |((logits, sums), targets)| {
                let rows = logits.chunks_exact_mut(cols).zip(sums.iter_mut());
                for ((row, sums), &target) in rows.zip(targets.iter()) {
                    let target = row.get((target as usize).wrapping_sub(start)).copied();
                    let (max, sum) = kernels.exponentials(row);
                    *sums = Sums { max, sum, target };
                }
            });
        }
        let sums = &self.sums[..self.blocks().count() * tokens];
        let of_token = |token| sums[token..].iter().step_by(tokens);
        (0..tokens).map(|token| of_token(token).fold(Sums::default(), Sums::and)).collect()
    }

    /// The gradients, from what [`Classifier::forward`] left behind.
    fn backward(
        &mut self,
        compute: &mut Compute<'_>,
        Classified { x, output, targets }: Classified<'_>,
        all: &[Sums],
        scale: f32,
        [d_x, d_output]: [&mut [f32]; 2],
    ) {
        let (tokens, dim) = (targets.len(), x.len() / targets.len());
        for (number, block) in self.blocks().rev() {
            let (start, cols) = (block.start, block.len());
            let logits = &mut self.logits[start * tokens..block.end * tokens];
            let sums = &self.sums[number * tokens..][..tokens];
            let sums = sums.chunks(ROWS).zip(all.chunks(ROWS).zip(targets.chunks(ROWS)));
            compute.for_each(logits.chunks_mut(ROWS * cols).zip(sums), |(rows, (sums, all))| {
                let sums = sums.iter().zip(all.0.iter().zip(all.1));
                for (row, (sums, (all, &target))) in rows.chunks_exact_mut(cols).zip(sums) {
                    let factor = sums.share(all) * scale;
                    row.iter_mut().for_each(|p| *p *= factor);
                    if let Some(p) = row.get_mut((target as usize).wrapping_sub(start)) {
                        *p -= scale;
                    }
                }
            });
            let d_logits = Matrix::new(logits, tokens, cols);
            let weights = start * dim..block.end * dim;
            let output = Matrix::new(&output[weights.clone()], cols, dim);
            compute.product_or_sum(d_x, d_logits, output, block.end < self.vocab_size);
            let x = Matrix::new(x, tokens, dim);
            compute.add_product(&mut d_output[weights], d_logits.t(), x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use alloc::vec;
    use llamaboot_kernels::{Kernels, SingleThread};

    /// More columns than a block has, more tokens than are taken at once, against f64 all at once.
    #[test]
    fn blocks_together_are_one_softmax() {
        let (vocab_size, tokens, dim, scale) = (COLS * 2 + 100, 800, 4, 0.5_f32);
        let mut random = Random::new(&[1]);
        let mut numbers = |len: usize| -> Vec<f32> {
            (0..len).map(|_| (random.bits() >> 40) as f32 / (1 << 22) as f32 - 2.0).collect()
        };
        let (x, output) = (numbers(tokens * dim), numbers(vocab_size * dim));
        let targets: Vec<u32> = (0..tokens).map(|t| (t * 7919 % vocab_size) as u32).collect();
        let mut classifier = Classifier::new(vocab_size, tokens).expect("room");
        assert!(classifier.blocks().count() > 2 && classifier.tokens < tokens);
        let mut compute = Compute::new(Kernels::best(), &SingleThread, 8).expect("room");
        let (mut d_x, mut d_output) = (vec![9.0; x.len()], vec![0.25; output.len()]);
        let some = Classified { x: &x, output: &output, targets: &targets };
        let gradients = Some([&mut d_x[..], &mut d_output[..]]);
        let loss = classifier.loss(&mut compute, some, scale, gradients);
        let (mut exact_loss, mut exact_x) = (0.0, vec![0.0; x.len()]);
        let mut exact_output = vec![0.25; output.len()];
        let rows = x.chunks(dim).zip(exact_x.chunks_mut(dim)).zip(&targets);
        for ((x, d_x), &target) in rows {
            let dot = |w: &[f32]| {
                w.iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum::<f64>()
            };
            let logits: Vec<f64> = output.chunks(dim).map(dot).collect();
            let sum: f64 = logits.iter().map(|l| f64::exp(*l)).sum();
            exact_loss += f64::ln(sum) - logits[target as usize];
            for (token, logit) in logits.iter().enumerate() {
                let hit = if token == target as usize { 1.0 } else { 0.0 };
                let d = (f64::exp(*logit) / sum - hit) * f64::from(scale);
                for i in 0..dim {
                    d_x[i] += d * f64::from(output[token * dim + i]);
                    exact_output[token * dim + i] += d * f64::from(x[i]);
                }
            }
        }
        assert!((loss / exact_loss - 1.0).abs() < 1e-6, "{loss}, exactly {exact_loss}");
        for (found, exact) in [(&d_x, &exact_x), (&d_output, &exact_output)] {
            for (i, (found, exact)) in found.iter().zip(exact).enumerate() {
                let error = (f64::from(*found) - exact).abs();
                assert!(error < 1e-5, "[{i}] {found}, exactly {exact}");
            }
        }
    }
}
