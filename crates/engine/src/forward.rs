//! The forward pass, for a batch of consecutive tokens. Every step treats each token alone, so a
//! batch gives the bits that its tokens would give one by one.
//!
//! ```text
//! x = token_embedding[token]                                              (dim)
//! for each layer:
//!   h = rmsnorm(x, attn_norm);  q = wq h;  k = wk h;  v = wv h
//!   rotate each pair (2i, 2i+1) of q and k by pos * frequency[i];  cache k, v
//!   per head:  a = softmax(q · K / √head_dim);  attended = a V
//!   x += wo attended
//!   h = rmsnorm(x, ffn_norm);  x += w2 (silu(w1 h) * (w3 h))
//! logits = output rmsnorm(x, output_norm)                                 (vocab_size)
//! ```

use crate::model::Layer;
use crate::{Engine, EngineError, Logits};
use llamaboot_checkpoint::Tensor;
use llamaboot_kernels::{
    Activations, Kernels, OutOfMemory, Parallel, Workspace, add, for_each_chunk,
};

/// Numbers of swiglu that are worth a thread's while.
const SWIGLU_PIECE: usize = 512;

impl Engine<'_> {
    /// Computes `tokens` behind what is held and returns logits: `(vocab_size)` for
    /// [`Logits::Last`], `(tokens, vocab_size)` for [`Logits::All`], those of an earlier call for
    /// [`Logits::None`]. At most `batch` tokens.
    ///
    /// # Errors
    /// No tokens, a token past the vocabulary, or more tokens than the context has room for;
    /// nothing has changed then.
    ///
    /// # Panics
    /// With more tokens than a batch: a bug of the caller.
    pub fn forward(&mut self, tokens: &[u32], want: Logits) -> Result<&[f32], EngineError> {
        assert!(tokens.len() <= self.batch, "more tokens than a batch");
        self.check(tokens)?;
        if want == Logits::All {
            let all = tokens.len() * self.model.config.vocab_size;
            let more = all.saturating_sub(self.logits.len());
            let reserved = self.logits.try_reserve_exact(more);
            reserved.map_err(|_| OutOfMemory { bytes: 4 * more })?;
        }
        self.embed(tokens);
        self.model.rotations(self.held.len(), tokens.len(), &mut self.scratch.rotations);
        let model = self.model;
        for (index, layer) in model.layers.iter().enumerate() {
            self.attention(index, layer, tokens.len());
            self.feed_forward(layer, tokens.len());
        }
        self.held.extend_from_slice(tokens);
        self.classify(tokens.len(), want);
        Ok(&self.logits)
    }

    /// Computes any number of tokens, a batch at a time, and leaves the last one's logits in
    /// [`Engine::last_logits`]. `next` is asked before each batch, with the count done so far, how
    /// many tokens the batch may have; `None` stops early. Returns how many were computed.
    ///
    /// # Errors
    /// As [`Engine::forward`], checked for all tokens before the first is computed.
    pub fn prefill(
        &mut self,
        tokens: &[u32],
        mut next: impl FnMut(usize) -> Option<usize>,
    ) -> Result<usize, EngineError> {
        self.check(tokens)?;
        let mut rest = tokens;
        while !rest.is_empty() {
            let Some(limit) = next(tokens.len() - rest.len()) else { break };
            let (batch, later) = rest.split_at(limit.clamp(1, self.batch).min(rest.len()));
            self.forward(batch, if later.is_empty() { Logits::Last } else { Logits::None })?;
            rest = later;
        }
        Ok(tokens.len() - rest.len())
    }

    fn check(&self, tokens: &[u32]) -> Result<(), EngineError> {
        let vocab_size = self.model.config.vocab_size;
        if tokens.is_empty() {
            return Err(EngineError::Empty);
        }
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= vocab_size) {
            return Err(EngineError::Token { token, vocab_size });
        }
        let needed = self.held.len() + tokens.len();
        if needed > self.context() {
            return Err(EngineError::ContextFull { needed, context: self.context() });
        }
        Ok(())
    }

    fn embed(&mut self, tokens: &[u32]) {
        let dim = self.model.config.dim;
        for (x, &token) in self.scratch.x.chunks_exact_mut(dim).zip(tokens) {
            self.kernels.dequantize_row(&self.model.token_embedding, token as usize, x);
        }
    }

    fn attention(&mut self, index: usize, layer: &Layer<'_>, n: usize) {
        let config = &self.model.config;
        let (dim, q_dim, kv_dim) = (config.dim, config.q_dim(), config.kv_dim());
        let s = &mut self.scratch;
        let mut product =
            Product::new(self.kernels, self.threads, &mut s.activations, &mut s.workspace);
        let users = [&layer.wq, &layer.wk, &layer.wv];
        product.load_normed(&s.x[..n * dim], &layer.attn_norm, config.norm_eps, &users);
        product.run([
            (&layer.wq, &mut s.q[..n * q_dim]),
            (&layer.wk, &mut s.k[..n * kv_dim]),
            (&layer.wv, &mut s.v[..n * kv_dim]),
        ]);
        let (pos, half) = (self.held.len(), config.head_dim / 2);
        let rotations = &s.rotations;
        for (rows, width) in [(&mut s.q[..n * q_dim], q_dim), (&mut s.k[..n * kv_dim], kv_dim)] {
            for_each_chunk(self.threads, rows, width, |t, row| {
                rotate(row, &rotations[t * half..][..half]);
            });
        }
        for t in 0..n {
            let kv = (&s.k[t * kv_dim..][..kv_dim], &s.v[t * kv_dim..][..kv_dim]);
            self.cache.store(self.kernels, index, pos + t, kv);
        }
        self.attend(index, layer, n);
    }

    /// The heads of all tokens, and back to the residual stream.
    fn attend(&mut self, index: usize, layer: &Layer<'_>, n: usize) {
        let config = &self.model.config;
        let (dim, n_heads, head_dim) = (config.dim, config.n_heads, config.head_dim);
        let group = n_heads / config.n_kv_heads;
        let divisor = llamaboot_math::sqrt(head_dim as f32);
        let (cache, kernels, pos) = (&self.cache, self.kernels, self.held.len());
        let s = &mut self.scratch;
        let q = &s.q;
        let mut product =
            Product::new(self.kernels, self.threads, &mut s.activations, &mut s.workspace);
        product.load((n, n_heads * head_dim), head_dim, &[&layer.wo], |start, out| {
            for (i, out) in (start / head_dim..).zip(out.chunks_exact_mut(head_dim)) {
                let (token, head) = (i / n_heads, i % n_heads);
                let (keys, values) = cache.head(index, head / group, pos + token + 1);
                kernels.attend(out, &q[i * head_dim..][..head_dim], keys, values, divisor);
            }
        });
        product.run([(&layer.wo, &mut s.delta[..n * dim])]);
        add(&mut s.x[..n * dim], &s.delta[..n * dim]);
    }

    fn feed_forward(&mut self, layer: &Layer<'_>, n: usize) {
        let config = &self.model.config;
        let (dim, hidden) = (config.dim, config.hidden_dim);
        let s = &mut self.scratch;
        let mut product =
            Product::new(self.kernels, self.threads, &mut s.activations, &mut s.workspace);
        let users = [&layer.w1, &layer.w3];
        product.load_normed(&s.x[..n * dim], &layer.ffn_norm, config.norm_eps, &users);
        product.run([(&layer.w1, &mut s.gate[..n * hidden]), (&layer.w3, &mut s.up[..n * hidden])]);
        let (kernels, gate, up) = (self.kernels, &s.gate, &s.up);
        product.load((n, hidden), SWIGLU_PIECE, &[&layer.w2], |start, out| {
            kernels.swiglu(out, &gate[start..][..out.len()], &up[start..][..out.len()]);
        });
        product.run([(&layer.w2, &mut s.delta[..n * dim])]);
        add(&mut s.x[..n * dim], &s.delta[..n * dim]);
    }

    fn classify(&mut self, n: usize, want: Logits) {
        let config = &self.model.config;
        let dim = config.dim;
        let from = match want {
            Logits::None => return,
            Logits::Last => n - 1,
            Logits::All => 0,
        };
        self.logits.resize((n - from) * config.vocab_size, 0.0);
        let s = &mut self.scratch;
        let mut product =
            Product::new(self.kernels, self.threads, &mut s.activations, &mut s.workspace);
        let output = &self.model.output;
        let x = &s.x[from * dim..n * dim];
        product.load_normed(x, &self.model.output_norm, config.norm_eps, &[output]);
        product.run([(output, &mut self.logits)]);
    }
}

/// Products that share their input.
struct Product<'s> {
    kernels: Kernels,
    threads: &'s dyn Parallel,
    activations: &'s mut Activations,
    workspace: &'s mut Workspace,
}

impl<'s> Product<'s> {
    fn new(
        kernels: Kernels,
        threads: &'s dyn Parallel,
        activations: &'s mut Activations,
        workspace: &'s mut Workspace,
    ) -> Self {
        Self { kernels, threads, activations, workspace }
    }

    /// Takes in the input of the matrices `users`; see [`Activations::load`].
    fn load(
        &mut self,
        shape: (usize, usize),
        piece: usize,
        users: &[&Tensor<'_>],
        write: impl Fn(usize, &mut [f32]) + Sync,
    ) {
        let blocks = users.iter().any(|w| w.dtype.is_blocked());
        self.activations.load((self.kernels, self.threads), shape, piece, blocks, write);
    }

    /// Takes in the rmsnorm of each row of `x`.
    fn load_normed(&mut self, x: &[f32], weight: &[f32], eps: f32, users: &[&Tensor<'_>]) {
        let (kernels, dim) = (self.kernels, weight.len());
        self.load((x.len() / dim, dim), dim, users, |start, out| {
            kernels.rmsnorm(out, &x[start..][..out.len()], weight, eps);
        });
    }

    fn run<const N: usize>(&mut self, products: [(&Tensor<'_>, &mut [f32]); N]) {
        self.kernels.matmul(self.threads, self.workspace, self.activations, products);
    }
}

/// Turns each pair `(2i, 2i + 1)` of every head by its angle.
fn rotate(x: &mut [f32], rotations: &[(f32, f32)]) {
    for head in x.chunks_exact_mut(2 * rotations.len()) {
        for (pair, &(cos, sin)) in head.chunks_exact_mut(2).zip(rotations) {
            let (a, b) = (pair[0], pair[1]);
            pair[0] = a * cos - b * sin;
            pair[1] = a * sin + b * cos;
        }
    }
}
