//! The forward pass of a Llama over whole windows, and the backward pass, step by step the other
//! way. Shapes are `(tokens, width)` with tokens = windows · context, unless a comment says more.
//!
//! ```text
//! x = dropout(embedding[token])
//! each block:  n = rmsnorm(x)       q, k, v = n · wqᵀ, n · wkᵀ, n · wvᵀ, q and k turned
//!              x += dropout(attention(q, k, v) · woᵀ)
//!              n = rmsnorm(x)       x += dropout((silu(n · w1ᵀ) · (n · w3ᵀ)) · w2ᵀ)
//! logits = rmsnorm(x) · outputᵀ
//! ```

use crate::attention::{self, Heads};
use crate::classifier::{Classified, Classifier};
use crate::ops::{self, Dropout, HeadShape};
use crate::{Backend, Batch, Compute, Error, Parameters};
use alloc::vec::Vec;
use core::ops::Range;
use llamaboot_checkpoint::{Config, RopeScaling};
use llamaboot_kernels::{Matrix, OutOfMemory, Precision, zeros};
use llamaboot_math::{pow, sin_cos};

/// What a block's backward pass needs of its forward pass.
struct LayerState {
    /// The residual stream before attention, `(tokens, dim)`.
    input: Vec<f32>,
    /// Its rmsnorm, `(tokens, dim)`.
    normed: Vec<f32>,
    /// `(windows, n_heads, context, head_dim)`.
    q: Vec<f32>,
    /// `(windows, n_kv_heads, context, head_dim)`.
    k: Vec<f32>,
    /// As `k`.
    v: Vec<f32>,
    /// `(tokens, q_dim)`.
    attended: Vec<f32>,
    /// The residual stream before the feed-forward network, `(tokens, dim)`.
    mid: Vec<f32>,
    /// Its rmsnorm, `(tokens, dim)`.
    mid_normed: Vec<f32>,
    /// `(tokens, hidden_dim)`.
    gate: Vec<f32>,
    /// `(tokens, hidden_dim)`.
    up: Vec<f32>,
    /// `silu(gate) · up`, `(tokens, hidden_dim)`.
    hidden: Vec<f32>,
}

/// Room that the blocks share.
struct Scratch {
    /// `(tokens, dim)` each.
    dim: [Vec<f32>; 2],
    /// `(tokens, q_dim)` each.
    q: [Vec<f32>; 2],
    /// `(tokens, kv_dim)` each.
    kv: [Vec<f32>; 4],
    /// `(tokens, hidden_dim)` each.
    hidden: [Vec<f32>; 2],
}

/// A model's passes on the CPU with all the room they need. They do not fail, but panic where a
/// batch is larger than what there is room for, or names a token that the model does not have: bugs
/// of the caller.
pub struct Network {
    /// Shape and places of the weights.
    pub parameters: Parameters,
    layers: Vec<LayerState>,
    /// The residual stream behind the last block, and its rmsnorm.
    last: [Vec<f32>; 2],
    scratch: Scratch,
    classifier: Classifier,
    /// Cosine and sine, `(context, head_dim / 2)`.
    rotations: Vec<(f32, f32)>,
    /// Most tokens of a batch.
    tokens: usize,
}

/// Windows, tokens a window, and tokens in all.
#[derive(Clone, Copy)]
struct Size {
    context: usize,
    tokens: usize,
}

impl Network {
    /// Room for batches of `windows` windows of `context` tokens.
    ///
    /// # Errors
    /// Where there is not enough memory.
    pub fn new(
        parameters: Parameters,
        windows: usize,
        context: usize,
    ) -> Result<Self, OutOfMemory> {
        let c = parameters.config.clone();
        let tokens = windows * context;
        let room = |width: usize| zeros::<f32>(tokens * width);
        let (q_dim, kv_dim) = (c.q_dim(), c.kv_dim());
        let layer = |_| {
            Ok(LayerState {
                input: room(c.dim)?,
                normed: room(c.dim)?,
                q: room(q_dim)?,
                k: room(kv_dim)?,
                v: room(kv_dim)?,
                attended: room(q_dim)?,
                mid: room(c.dim)?,
                mid_normed: room(c.dim)?,
                gate: room(c.hidden_dim)?,
                up: room(c.hidden_dim)?,
                hidden: room(c.hidden_dim)?,
            })
        };
        let scratch = Scratch {
            dim: [room(c.dim)?, room(c.dim)?],
            q: [room(q_dim)?, room(q_dim)?],
            kv: [room(kv_dim)?, room(kv_dim)?, room(kv_dim)?, room(kv_dim)?],
            hidden: [room(c.hidden_dim)?, room(c.hidden_dim)?],
        };
        Ok(Self {
            layers: (0..c.n_layers).map(layer).collect::<Result<_, _>>()?,
            last: [room(c.dim)?, room(c.dim)?],
            scratch,
            classifier: Classifier::new(c.vocab_size, tokens)?,
            rotations: rotations(&c, context),
            tokens,
            parameters,
        })
    }
}

impl Backend for Network {
    fn loss(
        &mut self,
        compute: &mut Compute<'_>,
        weights: &[f32],
        batch: &Batch,
    ) -> Result<f64, Error> {
        compute.multiply_in(Precision::F32);
        self.forward(compute, weights, batch, Dropout::NONE);
        let tokens = batch.inputs.len();
        let x = &self.last[1][..tokens * self.parameters.config.dim];
        let output = &weights[self.parameters.output.clone()];
        let classified = Classified { x, output, targets: &batch.targets };
        Ok(self.classifier.loss(compute, classified, 1.0, None))
    }

    fn gradients(
        &mut self,
        compute: &mut Compute<'_>,
        weights: &[f32],
        batch: &Batch,
        scale: f32,
        gradients: &mut [f32],
        dropout: Dropout,
    ) -> Result<f64, Error> {
        compute.multiply_in(compute.precision);
        let size = self.forward(compute, weights, batch, dropout);
        let Parameters { config, output, output_norm, .. } = &self.parameters;
        let width = size.tokens * config.dim;
        let [x, normed] = &self.last;
        let [d_normed, d_x] = &mut self.scratch.dim;
        let classified = Classified {
            x: &normed[..width],
            output: &weights[output.clone()],
            targets: &batch.targets,
        };
        let d_output = &mut gradients[output.clone()];
        let both = Some([&mut d_normed[..width], d_output]);
        let loss = self.classifier.loss(compute, classified, scale, both);
        let d_x = &mut d_x[..width];
        d_x.fill(0.0);
        ops::rmsnorm_backward(
            compute,
            [d_x, &mut gradients[output_norm.clone()]],
            &d_normed[..width],
            &x[..width],
            &weights[output_norm.clone()],
            config.norm_eps,
        );
        for l in (0..config.n_layers).rev() {
            self.ffn_backward(compute, weights, gradients, size, l, dropout);
            self.attention_backward(compute, weights, gradients, size, l, dropout);
        }
        self.embedding_backward(compute, &batch.inputs, gradients, dropout);
        Ok(loss)
    }
}

impl Network {
    fn forward(
        &mut self,
        compute: &mut Compute<'_>,
        weights: &[f32],
        batch: &Batch,
        dropout: Dropout,
    ) -> Size {
        let size = Size { context: batch.context, tokens: batch.inputs.len() };
        assert!(size.tokens <= self.tokens && batch.targets.len() == size.tokens, "a batch's size");
        assert!(size.context * self.parameters.config.head_dim / 2 <= self.rotations.len());
        let config = &self.parameters.config;
        let width = size.tokens * config.dim;
        let embedding = &weights[self.parameters.embedding.clone()];
        let embedded = &mut self.scratch.dim[0][..width];
        for (out, &token) in embedded.chunks_exact_mut(config.dim).zip(&batch.inputs) {
            out.copy_from_slice(&embedding[token as usize * config.dim..][..config.dim]);
        }
        let first = self.layers.first_mut().map_or(&mut self.last[0], |layer| &mut layer.input);
        ops::drop_out(compute, &mut first[..width], embedded, config.dim, dropout, 0);
        for l in 0..self.layers.len() {
            self.attention_forward(compute, weights, size, l, dropout);
            self.ffn_forward(compute, weights, size, l, dropout);
        }
        let Parameters { config, output_norm, .. } = &self.parameters;
        let [x, normed] = &mut self.last;
        let weight = &weights[output_norm.clone()];
        ops::rmsnorm(compute, &mut normed[..width], &x[..width], weight, config.norm_eps);
        size
    }

    fn attention_forward(
        &mut self,
        compute: &mut Compute<'_>,
        weights: &[f32],
        Size { context, tokens }: Size,
        l: usize,
        dropout: Dropout,
    ) {
        let (c, places) = (&self.parameters.config, &self.parameters.layers[l]);
        let layer = &mut self.layers[l];
        let width = tokens * c.dim;
        let normed = &mut layer.normed[..width];
        let norm = &weights[places.attn_norm.clone()];
        ops::rmsnorm(compute, normed, &layer.input[..width], norm, c.norm_eps);
        let normed = Matrix::new(normed, tokens, c.dim);
        let shapes = shapes(c, context);
        let Scratch { q: [q, out], kv: [kv, ..], dim: [branch, _], .. } = &mut self.scratch;
        let turn = Some(&self.rotations[..]);
        let mut project =
            |place: &Range<usize>, room: &mut [f32], heads: &mut [f32], shape, turn| {
                let w = &weights[place.clone()];
                project(compute, normed, w, [room, heads], shape, turn);
            };
        project(&places.wq, q, &mut layer.q, shapes.q, turn);
        project(&places.wk, kv, &mut layer.k, shapes.kv, turn);
        project(&places.wv, kv, &mut layer.v, shapes.kv, None);
        let q_width = tokens * c.q_dim();
        let out = &mut out[..q_width];
        attention::forward(compute, out, layer.heads(c, tokens, shapes.kv));
        let attended = &mut layer.attended[..q_width];
        ops::merge_heads(compute, attended, out, shapes.q, None);
        let wo = Matrix::new(&weights[places.wo.clone()], c.dim, c.q_dim());
        let branch = &mut branch[..width];
        compute.product(branch, Matrix::new(attended, tokens, c.q_dim()), wo.t());
        let both = [&layer.input[..width], branch];
        ops::add_branch(compute, &mut layer.mid[..width], both, c.dim, dropout, 2 * l + 1);
    }

    fn ffn_forward(
        &mut self,
        compute: &mut Compute<'_>,
        weights: &[f32],
        Size { tokens, .. }: Size,
        l: usize,
        dropout: Dropout,
    ) {
        let (c, places) = (&self.parameters.config, &self.parameters.layers[l]);
        let (these, behind) = self.layers.split_at_mut(l + 1);
        let layer = &mut these[l];
        let (width, hidden_width) = (tokens * c.dim, tokens * c.hidden_dim);
        let (mid, normed) = (&layer.mid[..width], &mut layer.mid_normed[..width]);
        ops::rmsnorm(compute, normed, mid, &weights[places.ffn_norm.clone()], c.norm_eps);
        let normed = Matrix::new(normed, tokens, c.dim);
        let matrix =
            |place: &Range<usize>, rows, cols| Matrix::new(&weights[place.clone()], rows, cols).t();
        let gate = &mut layer.gate[..hidden_width];
        let up = &mut layer.up[..hidden_width];
        compute.product(gate, normed, matrix(&places.w1, c.hidden_dim, c.dim));
        compute.product(up, normed, matrix(&places.w3, c.hidden_dim, c.dim));
        let hidden = &mut layer.hidden[..hidden_width];
        ops::swiglu(compute, hidden, gate, up);
        let branch = &mut self.scratch.dim[0][..width];
        let hidden = Matrix::new(hidden, tokens, c.hidden_dim);
        compute.product(branch, hidden, matrix(&places.w2, c.dim, c.hidden_dim));
        let next = behind.first_mut().map_or(&mut self.last[0], |layer| &mut layer.input);
        ops::add_branch(compute, &mut next[..width], [mid, branch], c.dim, dropout, 2 * l + 2);
    }

    /// Takes the gradient of the stream behind block `l` back to before its feed-forward network.
    fn ffn_backward(
        &mut self,
        compute: &mut Compute<'_>,
        weights: &[f32],
        gradients: &mut [f32],
        Size { tokens, .. }: Size,
        l: usize,
        dropout: Dropout,
    ) {
        let (c, places) = (&self.parameters.config, &self.parameters.layers[l]);
        let layer = &self.layers[l];
        let (width, hidden_width) = (tokens * c.dim, tokens * c.hidden_dim);
        let Scratch { dim: [room, d_x], hidden: [d_up, d_gate], .. } = &mut self.scratch;
        let (room, d_x) = (&mut room[..width], &mut d_x[..width]);
        let (d_up, d_gate) = (&mut d_up[..hidden_width], &mut d_gate[..hidden_width]);
        ops::drop_out(compute, room, d_x, c.dim, dropout, 2 * l + 2);
        let d_branch = Matrix::new(room, tokens, c.dim);
        let hidden = Matrix::new(&layer.hidden[..hidden_width], tokens, c.hidden_dim);
        compute.add_product(&mut gradients[places.w2.clone()], d_branch.t(), hidden);
        let w2 = Matrix::new(&weights[places.w2.clone()], c.dim, c.hidden_dim);
        compute.product(d_up, d_branch, w2);
        let (gate, up) = (&layer.gate[..hidden_width], &layer.up[..hidden_width]);
        ops::swiglu_backward(compute, d_up, d_gate, gate, up);
        let normed = Matrix::new(&layer.mid_normed[..width], tokens, c.dim);
        for (number, (d, place)) in
            [(d_gate, &places.w1), (d_up, &places.w3)].into_iter().enumerate()
        {
            let d = Matrix::new(d, tokens, c.hidden_dim);
            compute.add_product(&mut gradients[place.clone()], d.t(), normed);
            let w = Matrix::new(&weights[place.clone()], c.hidden_dim, c.dim);
            compute.product_or_sum(room, d, w, number > 0);
        }
        let norm = &weights[places.ffn_norm.clone()];
        let both = [d_x, &mut gradients[places.ffn_norm.clone()]];
        ops::rmsnorm_backward(compute, both, room, &layer.mid[..width], norm, c.norm_eps);
    }

    /// Takes the gradient of the stream behind attention of block `l` back to before the block.
    fn attention_backward(
        &mut self,
        compute: &mut Compute<'_>,
        weights: &[f32],
        gradients: &mut [f32],
        Size { context, tokens }: Size,
        l: usize,
        dropout: Dropout,
    ) {
        let (c, places) = (&self.parameters.config, &self.parameters.layers[l]);
        let (layer, shapes) = (&self.layers[l], shapes(c, context));
        let (width, q_width, kv_width) = (tokens * c.dim, tokens * c.q_dim(), tokens * c.kv_dim());
        let Scratch { dim: [room, d_x], q: [q, d_q], kv: [kv, d_k, d_v, _], .. } =
            &mut self.scratch;
        let (room, d_x) = (&mut room[..width], &mut d_x[..width]);
        let (q, d_q, kv) = (&mut q[..q_width], &mut d_q[..q_width], &mut kv[..kv_width]);
        let (d_k, d_v) = (&mut d_k[..kv_width], &mut d_v[..kv_width]);
        ops::drop_out(compute, room, d_x, c.dim, dropout, 2 * l + 1);
        let d_branch = Matrix::new(room, tokens, c.dim);
        let attended = Matrix::new(&layer.attended[..q_width], tokens, c.q_dim());
        compute.add_product(&mut gradients[places.wo.clone()], d_branch.t(), attended);
        let wo = Matrix::new(&weights[places.wo.clone()], c.dim, c.q_dim());
        compute.product(q, d_branch, wo);
        ops::split_heads(compute, d_q, q, shapes.q, None);
        let heads = layer.heads(c, tokens, shapes.kv);
        attention::backward(compute, [q, d_k, d_v], d_q, heads);
        let normed = Matrix::new(&layer.normed[..width], tokens, c.dim);
        let turn = Some(&self.rotations[..]);
        let mut back =
            |place: &Range<usize>, merged: &mut [f32], heads: &[f32], shape, turn, add| {
                ops::merge_heads(compute, merged, heads, shape, turn);
                let rows = shape.heads * shape.width;
                let d = Matrix::new(merged, tokens, rows);
                compute.add_product(&mut gradients[place.clone()], d.t(), normed);
                let w = Matrix::new(&weights[place.clone()], rows, c.dim);
                compute.product_or_sum(room, d, w, add);
            };
        back(&places.wq, d_q, q, shapes.q, turn, false);
        back(&places.wk, kv, d_k, shapes.kv, turn, true);
        back(&places.wv, kv, d_v, shapes.kv, None, true);
        let norm = &weights[places.attn_norm.clone()];
        let both = [d_x, &mut gradients[places.attn_norm.clone()]];
        ops::rmsnorm_backward(compute, both, room, &layer.input[..width], norm, c.norm_eps);
    }

    fn embedding_backward(
        &mut self,
        compute: &mut Compute<'_>,
        inputs: &[u32],
        gradients: &mut [f32],
        dropout: Dropout,
    ) {
        let dim = self.parameters.config.dim;
        let [room, d_x] = &mut self.scratch.dim;
        let width = inputs.len() * dim;
        ops::drop_out(compute, &mut room[..width], &d_x[..width], dim, dropout, 0);
        let d_embedding = &mut gradients[self.parameters.embedding.clone()];
        for (&token, d) in inputs.iter().zip(room[..width].chunks_exact(dim)) {
            ops::add(&mut d_embedding[token as usize * dim..][..dim], d);
        }
    }
}

impl LayerState {
    /// Queries, keys and values of a batch.
    fn heads(&self, c: &Config, tokens: usize, shape: HeadShape) -> Heads<'_> {
        Heads {
            q: &self.q[..tokens * c.q_dim()],
            k: &self.k[..tokens * c.kv_dim()],
            v: &self.v[..tokens * c.kv_dim()],
            shape,
            group: c.n_heads / c.n_kv_heads,
        }
    }
}

/// `x · wᵀ`, by heads; the first room holds it by tokens on the way.
fn project(
    compute: &mut Compute<'_>,
    x: Matrix<'_>,
    w: &[f32],
    [room, heads]: [&mut [f32]; 2],
    shape: HeadShape,
    turn: Option<&[(f32, f32)]>,
) {
    let rows = shape.heads * shape.width;
    let (room, heads) = (&mut room[..x.rows() * rows], &mut heads[..x.rows() * rows]);
    compute.product(room, x, Matrix::new(w, rows, x.cols()).t());
    ops::split_heads(compute, heads, room, shape, turn);
}

/// How queries lie, and keys and values.
struct Shapes {
    q: HeadShape,
    kv: HeadShape,
}

fn shapes(c: &Config, context: usize) -> Shapes {
    let shape = |heads| HeadShape { heads, context, width: c.head_dim };
    Shapes { q: shape(c.n_heads), kv: shape(c.n_kv_heads) }
}

/// Cosine and sine of each position's pairs, `(context, head_dim / 2)`, as the engine has them.
#[must_use]
pub fn rotations(c: &Config, context: usize) -> Vec<(f32, f32)> {
    let linear = match c.rope_scaling {
        RopeScaling::None => 1.0,
        RopeScaling::Linear(factor) => f64::from(factor),
    };
    let pairs = c.head_dim / 2;
    let angle = |at: usize| {
        let exponent = (at % pairs) as f64 * 2.0 / c.head_dim as f64;
        (at / pairs) as f64 * (1.0 / pow(f64::from(c.rope_base), exponent) / linear)
    };
    let turn = |at| {
        let (sin, cos) = sin_cos(angle(at));
        (cos as f32, sin as f32)
    };
    (0..context * pairs).map(turn).collect()
}
