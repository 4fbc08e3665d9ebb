//! The classifier and the cross entropy, with their gradients, over some tokens at a time: the
//! logits of all would be the largest buffer by far.
//!
//! ```text
//! p = softmax(x · outputᵀ)      loss = −ln p[target]      d_logits = (p − onehot(target)) · scale
//! d_x = d_logits · output       d_output += d_logitsᵀ · x
//! ```

use crate::Compute;
use alloc::{vec, vec::Vec};
use llamaboot_kernels::{Matrix, OutOfMemory, argmax, zeros};
use llamaboot_math::ln;

/// Logits held at once.
const LOGITS: usize = 1 << 24;
/// Rows of logits handled by a thread at a time.
const ROWS: usize = 8;

/// The classifier's room.
pub(crate) struct Classifier {
    logits: Vec<f32>,
    vocab_size: usize,
}

/// What is classified: the last rmsnorm's result, and what should come of it.
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
        let rows = (LOGITS / vocab_size).clamp(ROWS, tokens.max(ROWS));
        Ok(Self { logits: zeros(rows * vocab_size)?, vocab_size })
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
        let (vocab_size, dim) = (self.vocab_size, x.len() / targets.len());
        let at_once = self.logits.len() / vocab_size;
        let output = Matrix::new(output, vocab_size, dim);
        let mut total = 0.0;
        for (number, (x, targets)) in
            x.chunks(at_once * dim).zip(targets.chunks(at_once)).enumerate()
        {
            let rows = targets.len();
            let logits = &mut self.logits[..rows * vocab_size];
            let x = Matrix::new(x, rows, dim);
            compute.product(logits, x, output.t());
            total += cross_entropy(compute, logits, targets, scale);
            if let Some([d_x, d_output]) = &mut gradients {
                let d_logits = Matrix::new(logits, rows, vocab_size);
                let d_x = &mut d_x[number * at_once * dim..][..rows * dim];
                compute.product(d_x, d_logits, output);
                compute.add_product(d_output, d_logits.t(), x);
            }
        }
        total
    }
}

/// The sum of losses; turns logits into gradients.
fn cross_entropy(
    compute: &mut Compute<'_>,
    logits: &mut [f32],
    targets: &[u32],
    scale: f32,
) -> f64 {
    let (kernels, vocab_size) = (compute.kernels, logits.len() / targets.len());
    let mut losses = vec![0.0; targets.len()];
    let items = logits.chunks_mut(ROWS * vocab_size).zip(losses.chunks_mut(ROWS));
    compute.for_each(items.zip(targets.chunks(ROWS)), |((logits, losses), targets)| {
        let rows = logits.chunks_exact_mut(vocab_size).zip(losses.iter_mut());
        for ((row, loss), &target) in rows.zip(targets.iter()) {
            let target = target as usize;
            let likeliest = argmax(row);
            let below = f64::from(row[likeliest]) - f64::from(row[target]);
            kernels.softmax(row);
            // Of the likeliest, because the target's own probability may round to 0.
            *loss = below - ln(f64::from(row[likeliest]));
            row[target] -= 1.0;
            row.iter_mut().for_each(|p| *p *= scale);
        }
    });
    losses.iter().sum()
}
