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
const SWIGLU_CHUNK: usize = 512;

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
        product.norm(&mut s.normed, &s.x[..n * dim], &layer.attn_norm, config.norm_eps);
        product.load(&s.normed[..n * dim], dim, &[&layer.wq, &layer.wk, &layer.wv]);
        product.run([
            (&layer.wq, &mut s.q[..n * q_dim]),
            (&layer.wk, &mut s.k[..n * kv_dim]),
            (&layer.wv, &mut s.v[..n * kv_dim]),
        ]);
        let (pos, half) = (self.held.len(), config.head_dim / 2);
        for t in 0..n {
            let (q, k) = (&mut s.q[t * q_dim..][..q_dim], &mut s.k[t * kv_dim..][..kv_dim]);
            let rotations = &s.rotations[t * half..][..half];
            rotate(q, rotations);
            rotate(k, rotations);
            let kv = (&*k, &s.v[t * kv_dim..][..kv_dim]);
            self.cache.store(self.kernels, index, pos + t, kv);
        }
        self.attend(index, n);
        let s = &mut self.scratch;
        let mut product =
            Product::new(self.kernels, self.threads, &mut s.activations, &mut s.workspace);
        product.load(&s.attended[..n * q_dim], q_dim, &[&layer.wo]);
        product.run([(&layer.wo, &mut s.delta[..n * dim])]);
        add(&mut s.x[..n * dim], &s.delta[..n * dim]);
    }

    /// Heads of all tokens, spread over the threads.
    fn attend(&mut self, index: usize, n: usize) {
        let config = &self.model.config;
        let (n_heads, head_dim) = (config.n_heads, config.head_dim);
        let group = n_heads / config.n_kv_heads;
        let divisor = llamaboot_math::sqrt(head_dim as f32);
        let (cache, kernels, pos) = (&self.cache, self.kernels, self.held.len());
        let s = &mut self.scratch;
        let q = &s.q;
        let attended = &mut s.attended[..n * n_heads * head_dim];
        let job = |i: usize, out: &mut [f32]| {
            let (token, head) = (i / n_heads, i % n_heads);
            let (keys, values) = cache.head(index, head / group, pos + token + 1);
            kernels.attend(out, &q[i * head_dim..][..head_dim], keys, values, divisor);
        };
        for_each_chunk(self.threads, attended, head_dim, job);
    }

    fn feed_forward(&mut self, layer: &Layer<'_>, n: usize) {
        let config = &self.model.config;
        let (dim, hidden) = (config.dim, config.hidden_dim);
        let s = &mut self.scratch;
        let mut product =
            Product::new(self.kernels, self.threads, &mut s.activations, &mut s.workspace);
        product.norm(&mut s.normed, &s.x[..n * dim], &layer.ffn_norm, config.norm_eps);
        product.load(&s.normed[..n * dim], dim, &[&layer.w1, &layer.w3]);
        product.run([(&layer.w1, &mut s.gate[..n * hidden]), (&layer.w3, &mut s.up[..n * hidden])]);
        let (kernels, up) = (self.kernels, &s.up[..n * hidden]);
        for_each_chunk(self.threads, &mut s.gate[..n * hidden], SWIGLU_CHUNK, |i, gate| {
            kernels.swiglu(gate, &up[i * SWIGLU_CHUNK..][..gate.len()]);
        });
        product.load(&s.gate[..n * hidden], hidden, &[&layer.w2]);
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
        product.norm(
            &mut s.normed,
            &s.x[from * dim..n * dim],
            &self.model.output_norm,
            config.norm_eps,
        );
        product.load(&s.normed[..(n - from) * dim], dim, &[&self.model.output]);
        product.run([(&self.model.output, &mut self.logits)]);
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

    /// rmsnorm of each row of `x`.
    fn norm(&self, out: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
        let width = weight.len();
        for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            self.kernels.rmsnorm(out, x, weight, eps);
        }
    }

    /// Takes in rows of `cols` values that the matrices `users` will be multiplied with.
    fn load(&mut self, x: &[f32], cols: usize, users: &[&Tensor<'_>]) {
        let blocks = users.iter().any(|w| w.dtype.is_blocked());
        self.activations.load(self.kernels, x, cols, blocks);
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
