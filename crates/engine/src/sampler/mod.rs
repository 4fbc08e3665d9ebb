//! From logits to the next token. Greedy, temperature and top-p are llama2.c's, its random
//! generator included, so that the same seed gives its text; everything else is off unless set,
//! and then does what llama.cpp's sampler of that name does.
//!
//! ```text
//! logits → penalties → DRY → ÷ temperature → softmax ┬→ top-k → typical → top-p → min-p ┬→ draw
//!          penalties.rs dry.rs                       ├→ mirostat                        ┤
//!                                                    └→ all, where no filter is on ─────┘
//! ```
//! This is llama.cpp's order but for the temperature, which it has last: llama2.c's top-p is of
//! probabilities that the temperature has shaped already. What a filter keeps counts as all there
//! is for the next one.

mod candidates;
mod dry;
mod history;
mod mirostat;
mod penalties;
mod random;
mod sampling;
mod typical;

pub use random::Random;
pub use sampling::Sampling;

use alloc::vec::Vec;
use candidates::Candidates;
use history::History;
use llamaboot_kernels::{Kernels, OutOfMemory, argmax, room};
use mirostat::Mirostat;

/// Settings, random state, the latest tokens, and scratch, reserved once.
#[derive(Debug)]
pub struct Sampler {
    /// Current settings.
    pub sampling: Sampling,
    random: Random,
    /// Logits, then probabilities, `(vocab_size)`.
    probabilities: Vec<f32>,
    candidates: Candidates,
    history: History,
    /// Scratch of the penalties, for as many tokens as the history keeps.
    pairs: Vec<(u32, u32)>,
    /// Sorted.
    dry_breakers: Vec<u32>,
    mirostat: Mirostat,
    /// Whether the last token drawn is still to be accepted.
    drawn: bool,
}

impl Sampler {
    /// Tokens of the text that penalties can look back on.
    pub const KEPT: usize = history::KEPT;

    /// A sampler for a vocabulary of `vocab_size` tokens.
    ///
    /// # Errors
    /// Where there is not enough memory.
    pub fn new(vocab_size: usize, sampling: Sampling, seed: u64) -> Result<Self, OutOfMemory> {
        Ok(Self {
            sampling,
            random: Random::new(seed),
            probabilities: room(vocab_size)?,
            candidates: Candidates::new(vocab_size)?,
            history: History::new()?,
            pairs: room(Self::KEPT)?,
            dry_breakers: Vec::new(),
            mirostat: Mirostat::default(),
            drawn: false,
        })
    }

    /// Bytes that [`Sampler::new`] reserves.
    #[must_use]
    pub fn bytes(vocab_size: usize) -> usize {
        vocab_size * (size_of::<f32>() + size_of::<(f32, u32)>())
            + History::BYTES
            + Self::KEPT * size_of::<(u32, u32)>()
    }

    /// Forgets the text so far, which penalties look back on and Mirostat has learned from.
    pub fn forget(&mut self) {
        self.history.clear();
        self.mirostat.reset();
        self.drawn = false;
    }

    /// Starts the random generator afresh, and what Mirostat has learned.
    pub fn set_seed(&mut self, seed: u64) {
        self.random = Random::new(seed);
        self.mirostat.reset();
        self.drawn = false;
    }

    /// Tokens over which DRY sees no repetition, as those of a line's end or a quote; none at
    /// first. Their order does not matter.
    pub fn set_dry_breakers(&mut self, mut tokens: Vec<u32>) {
        tokens.sort_unstable();
        self.dry_breakers = tokens;
    }

    /// Tells the sampler of a token that is part of the text. The first one after a draw counts as
    /// the token drawn, which Mirostat learns from.
    pub fn accept(&mut self, token: u32) {
        self.history.push(token);
        if core::mem::take(&mut self.drawn) && self.sampling.mirostats() {
            let drawn = self.candidates.list.iter().find(|&&(_, candidate)| candidate == token);
            if let Some(&(probability, _)) = drawn {
                self.mirostat.learn(probability, &self.sampling);
            }
        }
    }

    /// The tokens that the last draw chose among, likeliest first, with their probabilities, which
    /// add up to 1. Empty where no filter was on, and so every token was one.
    #[must_use]
    pub fn candidates(&self) -> &[(f32, u32)] {
        &self.candidates.list
    }

    /// Chooses the next token.
    #[must_use]
    pub fn sample(&mut self, kernels: Kernels, logits: &[f32]) -> u32 {
        self.probabilities.clear();
        self.probabilities.extend_from_slice(logits);
        let filters = self.sampling.filters();
        // Nothing is drawn only where no probability is a number.
        self.choose(kernels, filters)
            .unwrap_or_else(|| self.only(argmax(&self.probabilities) as u32))
    }

    /// As [`Sampler::sample`], but tokens that are not `allowed` are taken out first; `None` where
    /// none is. One that is drawn is allowed, whatever the logits are.
    #[must_use]
    pub fn sample_where(
        &mut self,
        kernels: Kernels,
        logits: &[f32],
        allowed: &dyn Fn(u32) -> bool,
    ) -> Option<u32> {
        let mut likeliest: Option<(f32, u32)> = None;
        self.probabilities.clear();
        self.probabilities.extend((0..).zip(logits).map(|(token, &logit)| {
            if !allowed(token) {
                return f32::NEG_INFINITY;
            }
            if likeliest.is_none_or(|(most, _)| logit > most) {
                likeliest = Some((logit, token));
            }
            logit
        }));
        let (_, likeliest) = likeliest?;
        // Never from all: rounding might let the draw end on a token that was taken out.
        Some(self.choose(kernels, true).unwrap_or_else(|| self.only(likeliest)))
    }

    /// Chooses by the logits in `probabilities`, from all tokens unless `filter` says that some
    /// may be left out. `None` where no logit or no probability is a number above its least.
    fn choose(&mut self, kernels: Kernels, filter: bool) -> Option<u32> {
        self.penalize();
        self.drawn = true;
        if self.sampling.is_greedy() {
            let token = argmax(&self.probabilities);
            self.candidates.set(token as u32);
            return (self.probabilities[token] > f32::NEG_INFINITY).then_some(token as u32);
        }
        let temperature = self.sampling.temperature;
        self.probabilities.iter_mut().for_each(|p| *p /= temperature);
        kernels.softmax(&mut self.probabilities);
        let coin = self.random.next_f32();
        if !filter {
            self.candidates.list.clear();
            return Some(random::draw(self.probabilities.iter().copied(), coin) as u32);
        }
        if self.sampling.mirostats() {
            self.mirostat.keep(&mut self.candidates, &self.probabilities, &self.sampling);
        } else {
            self.filter();
        }
        self.candidates.draw(coin)
    }

    fn penalize(&mut self) {
        let sampling = &self.sampling;
        if sampling.penalizes() {
            let recent = self.history.last(sampling.repeat_last_n);
            penalties::penalize(&mut self.probabilities, recent, &mut self.pairs, sampling);
        }
        if sampling.dries() {
            let (text, breakers) = (self.history.last(Self::KEPT), &self.dry_breakers);
            dry::penalize(&mut self.probabilities, text, breakers, &mut self.pairs, sampling);
        }
    }

    /// Fills `candidates` with what the filters leave of `probabilities`.
    fn filter(&mut self) {
        let Self { sampling, candidates, probabilities, .. } = self;
        candidates.collect(probabilities, least(sampling, probabilities));
        if sampling.top_k > 0 {
            candidates.top_k(sampling.top_k);
        } else {
            candidates.sort();
        }
        if sampling.typical_p < 1.0 {
            candidates.typical(sampling.typical_p);
        }
        if let Some(top_p) = sampling.nucleus() {
            candidates.top_p(top_p);
        }
        if sampling.min_p > 0.0 {
            candidates.min_p(sampling.min_p);
        }
    }

    /// Leaves one candidate, where there were no probabilities to choose by.
    fn only(&mut self, token: u32) -> u32 {
        self.candidates.set(token);
        token
    }
}

/// Tokens less likely than this need not even be sorted: the first filter that is on leaves them
/// out. As in llama2.c, those below `(1 - top_p) / (n - 1)` cannot be among those that reach top_p.
fn least(sampling: &Sampling, probabilities: &[f32]) -> f32 {
    if sampling.top_k > 0 || sampling.typical_p < 1.0 {
        0.0
    } else if let Some(top_p) = sampling.nucleus() {
        (1.0 - top_p) / probabilities.len().saturating_sub(1).max(1) as f32
    } else {
        sampling.min_p * llamaboot_kernels::max(probabilities)
    }
}
