//! The steps between products, each with its gradient: rmsnorm, rotation, SwiGLU, the residual
//! stream with dropout. All are `(tokens, width)` and go row by row, spread over the threads.

use crate::Compute;
use crate::random::Random;
use alloc::{vec, vec::Vec};
use llamaboot_math::sqrt;

/// Rows handled by a thread at a time; reductions over rows are taken in blocks of as many.
const ROWS: usize = 64;

/// `out = x / √(mean(x²) + ε) · weight`, row by row.
pub(crate) fn rmsnorm(
    compute: &mut Compute<'_>,
    out: &mut [f32],
    x: &[f32],
    weight: &[f32],
    eps: f32,
) {
    let (kernels, dim) = (compute.kernels, weight.len());
    compute.for_each(out.chunks_mut(ROWS * dim).zip(x.chunks(ROWS * dim)), |(out, x)| {
        for (out, x) in out.chunks_exact_mut(dim).zip(x.chunks_exact(dim)) {
            kernels.rmsnorm(out, x, weight, eps);
        }
    });
}

/// The gradient of [`rmsnorm`]: adds to that of `x` and to that of `weight`.
///
/// ```text
/// s = 1 / √(mean(x²) + ε)        d_weight[j] += Σ_rows d_out[j] · x[j] · s
/// d_x[j] += s · weight[j] · d_out[j] − x[j] · s³ / dim · Σ_i weight[i] · d_out[i] · x[i]
/// ```
pub(crate) fn rmsnorm_backward(
    compute: &mut Compute<'_>,
    [d_x, d_weight]: [&mut [f32]; 2],
    d_out: &[f32],
    x: &[f32],
    weight: &[f32],
    eps: f32,
) {
    let (kernels, dim) = (compute.kernels, weight.len());
    let block = ROWS * dim;
    let mut sums = vec![0.0; d_x.len().div_ceil(block) * dim];
    let items = d_x.chunks_mut(block).zip(sums.chunks_exact_mut(dim));
    let items = items.zip(d_out.chunks(block).zip(x.chunks(block)));
    compute.for_each(items, |((d_x, sums), (d_out, x))| {
        let rows = d_out.chunks_exact(dim).zip(x.chunks_exact(dim));
        for (d_x, (d_out, x)) in d_x.chunks_exact_mut(dim).zip(rows) {
            let s = 1.0 / sqrt(kernels.dot(x, x) / dim as f32 + eps);
            let mut weighted = [0.0; 16];
            for (at, (&d, (&x, &w))) in d_out.iter().zip(x.iter().zip(weight)).enumerate() {
                weighted[at % 16] += w * d * x;
            }
            let sum: f32 = weighted.iter().sum();
            let back = s * s * s / dim as f32 * sum;
            let weights = weight.iter().zip(sums.iter_mut());
            for ((d_x, (&d, &x)), (&w, sum)) in d_x.iter_mut().zip(d_out.iter().zip(x)).zip(weights)
            {
                *d_x += s * w * d - x * back;
                *sum += d * x * s;
            }
        }
    });
    for sums in sums.chunks_exact(dim) {
        add(d_weight, sums);
    }
}

/// Heads side by side for each token, `(batch · context, heads · width)`, into heads one after
/// another, `(batch, heads, context, width)`, each pair turned by its position's angle where
/// `rotations` `(context, width / 2)` of cosine and sine are given.
pub(crate) fn split_heads(
    compute: &mut Compute<'_>,
    out: &mut [f32],
    x: &[f32],
    shape: HeadShape,
    rotations: Option<&[(f32, f32)]>,
) {
    let HeadShape { heads, context, width } = shape;
    let row = heads * width;
    compute.for_each(out.chunks_exact_mut(context * width).enumerate(), |(index, out)| {
        let (batch, head) = (*index / heads, *index % heads);
        for (t, out) in out.chunks_exact_mut(width).enumerate() {
            out.copy_from_slice(&x[(batch * context + t) * row + head * width..][..width]);
            if let Some(rotations) = rotations {
                rotate(out, &rotations[t * width / 2..][..width / 2], 1.0);
            }
        }
    });
}

/// The way back from [`split_heads`], and its gradient: pairs are turned back.
pub(crate) fn merge_heads(
    compute: &mut Compute<'_>,
    out: &mut [f32],
    x: &[f32],
    shape: HeadShape,
    rotations: Option<&[(f32, f32)]>,
) {
    let HeadShape { heads, context, width } = shape;
    let rows = out.chunks_exact_mut(heads * width).enumerate();
    compute.for_each(rows, |(index, out)| {
        let (batch, t) = (*index / context, *index % context);
        for (head, out) in out.chunks_exact_mut(width).enumerate() {
            let from = ((batch * heads + head) * context + t) * width;
            out.copy_from_slice(&x[from..from + width]);
            if let Some(rotations) = rotations {
                rotate(out, &rotations[t * width / 2..][..width / 2], -1.0);
            }
        }
    });
}

/// How heads lie in a buffer.
#[derive(Clone, Copy)]
pub(crate) struct HeadShape {
    /// Heads of a token.
    pub(crate) heads: usize,
    /// Tokens of a window.
    pub(crate) context: usize,
    /// Numbers of a head.
    pub(crate) width: usize,
}

/// Turns each pair by its angle (cosine, sine), forwards or (`direction` −1) backwards.
fn rotate(head: &mut [f32], rotations: &[(f32, f32)], direction: f32) {
    for (pair, &(cos, sin)) in head.chunks_exact_mut(2).zip(rotations) {
        let (a, b, sin) = (pair[0], pair[1], sin * direction);
        pair[0] = a * cos - b * sin;
        pair[1] = a * sin + b * cos;
    }
}

/// `out = silu(gate) · up`, all `(tokens, hidden_dim)`.
pub(crate) fn swiglu(compute: &mut Compute<'_>, out: &mut [f32], gate: &[f32], up: &[f32]) {
    let kernels = compute.kernels;
    let inputs = gate.chunks(ROWS * 64).zip(up.chunks(ROWS * 64));
    compute.for_each(out.chunks_mut(ROWS * 64).zip(inputs), |(out, (gate, up))| {
        kernels.swiglu_near(out, gate, up);
    });
}

/// The gradient of [`swiglu`]: `d_up` holds the gradient of its result and becomes that of `up`.
pub(crate) fn swiglu_backward(
    compute: &mut Compute<'_>,
    d_up: &mut [f32],
    d_gate: &mut [f32],
    gate: &[f32],
    up: &[f32],
) {
    let kernels = compute.kernels;
    let gradients = d_up.chunks_mut(ROWS * 64).zip(d_gate.chunks_mut(ROWS * 64));
    let inputs = gate.chunks(ROWS * 64).zip(up.chunks(ROWS * 64));
    compute.for_each(gradients.zip(inputs), |((d_up, d_gate), (gate, up))| {
        kernels.swiglu_backward(d_up, d_gate, gate, up);
    });
}

/// Which numbers a dropout lets through: those of one place of the network in one pass, a row at a
/// time, from a counter, so that the backward pass finds the same.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    /// A hash of seed, step and pass; `None` where everything goes through.
    pub(crate) key: Option<u64>,
    /// Share of the numbers that become 0.
    pub(crate) rate: f32,
}

impl Dropout {
    /// Everything goes through.
    pub const NONE: Self = Self { key: None, rate: 0.0 };

    /// What the numbers of a place `(tokens, dim)` are multiplied with, 0 or 1 / (1 − rate);
    /// `None` where everything goes through. Place 0 is the embeddings, 2 l + 1 the attention and
    /// 2 l + 2 the feed-forward network of block l.
    #[must_use]
    pub fn factors(self, place: usize, tokens: usize, dim: usize) -> Option<Vec<f32>> {
        self.key.filter(|_| self.rate > 0.0)?;
        let mut factors = vec![0.0; tokens * dim];
        for (row, factors) in factors.chunks_exact_mut(dim).enumerate() {
            self.row(place, row, dim, |i, factor| factors[i] = factor);
        }
        Some(factors)
    }

    /// Calls `put` with each index of row `row` and what its number is multiplied with.
    fn row(self, place: usize, row: usize, len: usize, mut put: impl FnMut(usize, f32)) {
        let Some(key) = self.key.filter(|_| self.rate > 0.0) else {
            return (0..len).for_each(|i| put(i, 1.0));
        };
        let mut random = Random::new(&[key, place as u64, row as u64]);
        let dropped = (f64::from(self.rate) * 65536.0) as u64;
        let kept = 1.0 / (1.0 - self.rate);
        for start in (0..len).step_by(4) {
            let bits = random.bits();
            for i in start..(start + 4).min(len) {
                let draw = bits >> (16 * (i - start)) & 0xffff;
                put(i, if draw < dropped { 0.0 } else { kept });
            }
        }
    }
}

/// `out = x + dropout(branch)`, `(tokens, dim)`.
pub(crate) fn add_branch(
    compute: &mut Compute<'_>,
    out: &mut [f32],
    [x, branch]: [&[f32]; 2],
    dim: usize,
    dropout: Dropout,
    place: usize,
) {
    let inputs = x.chunks_exact(dim).zip(branch.chunks_exact(dim));
    let rows = out.chunks_exact_mut(dim).zip(inputs).enumerate();
    compute.for_each(rows, |(row, (out, (x, branch)))| {
        dropout.row(place, *row, dim, |i, factor| out[i] = x[i] + factor * branch[i]);
    });
}

/// `out = dropout(x)`: what goes back through a dropped branch, and the dropout of embeddings.
pub(crate) fn drop_out(
    compute: &mut Compute<'_>,
    out: &mut [f32],
    x: &[f32],
    dim: usize,
    dropout: Dropout,
    place: usize,
) {
    let rows = out.chunks_exact_mut(dim).zip(x.chunks_exact(dim)).enumerate();
    compute.for_each(rows, |(row, (out, x))| {
        dropout.row(place, *row, dim, |i, factor| out[i] = factor * x[i]);
    });
}

/// `out += x`.
pub(crate) fn add(out: &mut [f32], x: &[f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out += x;
    }
}
