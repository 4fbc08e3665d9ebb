//! Causal attention over whole windows, and its gradient. Probabilities are not kept for the
//! backward pass: they are computed again, 64 rows at a time, which costs less than storing them.
//!
//! ```text
//! s = q · kᵀ / √width      p[i] = softmax(s[i][..=i])      out = p · v
//! d_p = d_out · vᵀ         d_s[i] = p[i] · (d_p[i] − Σ_j p[i][j] d_p[i][j]) / √width
//! d_q = d_s · k            d_k += d_sᵀ · q                 d_v += pᵀ · d_out
//! ```
//!
//! A thread takes all query heads that share a head of keys and values, so that nothing is added
//! to from two sides.

use crate::{Compute, ops::HeadShape};
use alloc::vec::Vec;
use llamaboot_kernels::{
    Aligned, GemmSpace, Kernels, Matrix, OutOfMemory, Precision, for_each_with,
};
use llamaboot_math::sqrt;

/// Query rows handled together.
const ROWS: usize = 64;

/// A thread's room.
pub(crate) struct HeadSpace {
    gemm: GemmSpace,
    /// `(ROWS, context)`.
    probabilities: Aligned<f32>,
    /// `(ROWS, context)`.
    gradients: Aligned<f32>,
}

impl HeadSpace {
    /// Room for windows of `context` tokens.
    pub(crate) fn new(context: usize) -> Result<Self, OutOfMemory> {
        let scores = || Aligned::zeros(ROWS * context);
        Ok(Self { gemm: GemmSpace::new(1)?, probabilities: scores()?, gradients: scores()? })
    }

    /// What the products that follow are computed with.
    pub(crate) fn multiply_in(&mut self, precision: Precision) {
        self.gemm.precision = precision;
    }
}

/// Queries, keys and values by heads, as [`crate::ops::split_heads`] lays them out.
#[derive(Clone, Copy)]
pub(crate) struct Heads<'a> {
    pub(crate) q: &'a [f32],
    pub(crate) k: &'a [f32],
    pub(crate) v: &'a [f32],
    /// Of keys and values.
    pub(crate) shape: HeadShape,
    /// Query heads for each head of keys and values.
    pub(crate) group: usize,
}

impl<'a> Heads<'a> {
    /// Numbers of one head.
    fn len(&self) -> usize {
        self.shape.context * self.shape.width
    }

    /// One head of keys and values with its queries.
    fn each(self) -> impl Iterator<Item = Head<'a>> {
        let len = self.len();
        let kv = self.k.chunks_exact(len).zip(self.v.chunks_exact(len));
        self.q.chunks_exact(self.group * len).zip(kv).map(move |(q, (k, v))| Head {
            q,
            k,
            v,
            width: self.shape.width,
            len,
        })
    }
}

/// One head of keys and values with all its queries.
struct Head<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    width: usize,
    len: usize,
}

/// `out`, shaped as the queries.
pub(crate) fn forward(compute: &mut Compute<'_>, out: &mut [f32], heads: Heads<'_>) {
    let kernels = compute.kernels;
    let outs = out.chunks_exact_mut(heads.group * heads.len());
    let mut items: Vec<_> = heads.each().zip(outs).collect();
    for_each_with(compute.threads, &mut items, &mut compute.heads, |(head, out), space| {
        for (q, out) in head.q.chunks_exact(head.len).zip(out.chunks_exact_mut(head.len)) {
            for first in (0..head.len / head.width).step_by(ROWS) {
                let rows = Rows::new(head, first);
                rows.probabilities(kernels, space, q);
                let p = Matrix::new(&space.probabilities[..rows.area()], rows.count, rows.end);
                let v = Matrix::new(&head.v[..rows.end * head.width], rows.end, head.width);
                kernels.gemm_single(&mut space.gemm, &mut out[rows.range()], p, v, false);
            }
        }
    });
}

/// The gradients `[d_q, d_k, d_v]` from that of the result.
pub(crate) fn backward(
    compute: &mut Compute<'_>,
    [d_q, d_k, d_v]: [&mut [f32]; 3],
    d_out: &[f32],
    heads: Heads<'_>,
) {
    let (kernels, len, group) = (compute.kernels, heads.len(), heads.group * heads.len());
    let d_kv = d_k.chunks_exact_mut(len).zip(d_v.chunks_exact_mut(len));
    let gradients = d_q.chunks_exact_mut(group).zip(d_kv).zip(d_out.chunks_exact(group));
    let mut items: Vec<_> = heads.each().zip(gradients).collect();
    for_each_with(compute.threads, &mut items, &mut compute.heads, |(head, gradients), space| {
        let ((d_q, (d_k, d_v)), d_out) = gradients;
        d_k.fill(0.0);
        d_v.fill(0.0);
        let queries = head.q.chunks_exact(len).zip(d_out.chunks_exact(len));
        for ((q, d_out), d_q) in queries.zip(d_q.chunks_exact_mut(len)) {
            for first in (0..len / head.width).step_by(ROWS) {
                let rows = Rows::new(head, first);
                rows.backward(kernels, space, q, d_out, [&mut *d_q, &mut *d_k, &mut *d_v]);
            }
        }
    });
}

/// Some rows of queries, and the positions that they see.
struct Rows<'h, 'a> {
    head: &'h Head<'a>,
    first: usize,
    count: usize,
    /// One past the last position that the last row sees.
    end: usize,
}

impl<'h, 'a> Rows<'h, 'a> {
    fn new(head: &'h Head<'a>, first: usize) -> Self {
        let end = (first + ROWS).min(head.len / head.width);
        Self { head, first, count: end - first, end }
    }

    /// The rows' place in a head.
    fn range(&self) -> core::ops::Range<usize> {
        self.first * self.head.width..self.end * self.head.width
    }

    /// Numbers of a matrix `(count, end)`.
    fn area(&self) -> usize {
        self.count * self.end
    }

    /// A matrix `(end, width)`, the positions seen, of keys or values.
    fn seen<'m>(&self, x: &'m [f32]) -> Matrix<'m> {
        Matrix::new(&x[..self.end * self.head.width], self.end, self.head.width)
    }

    /// A matrix `(count, width)`, these rows of queries or of their gradients.
    fn own<'m>(&self, x: &'m [f32]) -> Matrix<'m> {
        Matrix::new(&x[self.range()], self.count, self.head.width)
    }

    /// The rows' probabilities `(count, end)`, zero where a row does not see.
    fn probabilities(&self, kernels: Kernels, space: &mut HeadSpace, q: &[f32]) {
        let scores = &mut space.probabilities[..self.area()];
        let keys = self.seen(self.head.k).t();
        kernels.gemm_single(&mut space.gemm, scores, self.own(q), keys, false);
        let scale = self.scale();
        for (row, scores) in scores.chunks_exact_mut(self.end).enumerate() {
            let (seen, hidden) = scores.split_at_mut(self.first + row + 1);
            seen.iter_mut().for_each(|score| *score *= scale);
            let (_, sum) = kernels.exponentials(seen);
            let share = 1.0 / sum;
            seen.iter_mut().for_each(|p| *p *= share);
            hidden.fill(0.0);
        }
    }

    fn scale(&self) -> f32 {
        1.0 / sqrt(self.head.width as f32)
    }

    fn backward(
        &self,
        kernels: Kernels,
        space: &mut HeadSpace,
        q: &[f32],
        d_out: &[f32],
        [d_q, d_k, d_v]: [&mut [f32]; 3],
    ) {
        self.probabilities(kernels, space, q);
        let HeadSpace { gemm, probabilities, gradients } = space;
        let p = &probabilities[..self.area()];
        let d_s = &mut gradients[..self.area()];
        kernels.gemm_single(gemm, d_s, self.own(d_out), self.seen(self.head.v).t(), false);
        let scale = self.scale();
        let rows = d_s.chunks_exact_mut(self.end).zip(p.chunks_exact(self.end));
        for (row, (d_s, p)) in rows.enumerate() {
            let seen = self.first + row + 1;
            let mean = kernels.dot(&p[..seen], &d_s[..seen]);
            for (d_s, p) in d_s.iter_mut().zip(p) {
                *d_s = p * (*d_s - mean) * scale;
            }
        }
        let (p, d_s) =
            (Matrix::new(p, self.count, self.end), Matrix::new(d_s, self.count, self.end));
        let seen = ..self.end * self.head.width;
        kernels.gemm_single(gemm, &mut d_q[self.range()], d_s, self.seen(self.head.k), false);
        kernels.gemm_single(gemm, &mut d_k[seen], d_s.t(), self.own(q), true);
        kernels.gemm_single(gemm, &mut d_v[seen], p.t(), self.own(d_out), true);
    }
}
