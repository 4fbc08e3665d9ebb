//! From logits to the next token. Greedy, temperature and top-p are llama2.c's, its random
//! generator included, so that the same seed gives its text; repetition penalty, top-k and min-p
//! are off unless set.
//!
//! ```text
//! repetition penalty → ÷ temperature → softmax → top-k → min-p → top-p → draw
//! ```

use alloc::vec::Vec;
use llamaboot_kernels::{Kernels, OutOfMemory, argmax, room};

/// What the user can set. The defaults are those of the booted prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 is greedy.
    pub temperature: f32,
    /// Keeps the likeliest tokens that together reach this probability; 0 or 1 keeps all.
    pub top_p: f32,
    /// Keeps this many of the likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps tokens at least this likely relative to the likeliest; 0 keeps all.
    pub min_p: f32,
    /// Divides (or multiplies, below 0) logits of recent tokens; 1 is off. As in the CTRL paper,
    /// <https://arxiv.org/abs/1909.05858>, section 4.1.
    pub repeat_penalty: f32,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.7, top_p: 0.9, top_k: 0, min_p: 0.0, repeat_penalty: 1.0 }
    }
}

/// llama2.c's generator, xorshift* (<https://en.wikipedia.org/wiki/Xorshift#xorshift*>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Random(u64);

impl Random {
    /// A generator for a seed; 0, which xorshift cannot leave, counts as 1.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// A number in [0, 1) of 24 bits.
    pub fn next_f32(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 / 16_777_216.0
    }
}

/// Below this a temperature is 0: dividing by it would leave nothing finite.
const COLD: f32 = 1e-4;

/// Tokens that the repetition penalty looks back on.
const RECENT: usize = 64;

/// Settings, random state and scratch, reserved once.
#[derive(Debug)]
pub struct Sampler {
    /// Current settings.
    pub sampling: Sampling,
    random: Random,
    /// `(vocab_size)`.
    probabilities: Vec<f32>,
    /// Candidates, likeliest first.
    sorted: Vec<(f32, u32)>,
    recent: Vec<u32>,
}

impl Sampler {
    /// A sampler for a vocabulary of `vocab_size` tokens.
    ///
    /// # Errors
    /// Where there is not enough memory.
    pub fn new(vocab_size: usize, sampling: Sampling, seed: u64) -> Result<Self, OutOfMemory> {
        let random = Random::new(seed);
        let (probabilities, sorted, recent) = (room(vocab_size)?, room(vocab_size)?, room(RECENT)?);
        Ok(Self { sampling, random, probabilities, sorted, recent })
    }

    /// Bytes that [`Sampler::new`] reserves.
    #[must_use]
    pub fn bytes(vocab_size: usize) -> usize {
        vocab_size * (size_of::<f32>() + size_of::<(f32, u32)>()) + RECENT * size_of::<u32>()
    }

    /// Forgets the text so far, which the repetition penalty looks back on.
    pub fn forget(&mut self) {
        self.recent.clear();
    }

    /// Starts the random generator afresh.
    pub fn set_seed(&mut self, seed: u64) {
        self.random = Random::new(seed);
    }

    /// Tells the repetition penalty of a token that is part of the text.
    pub fn accept(&mut self, token: u32) {
        if self.recent.len() == RECENT {
            self.recent.remove(0);
        }
        self.recent.push(token);
    }

    /// Chooses the next token.
    #[must_use]
    pub fn sample(&mut self, kernels: Kernels, logits: &[f32]) -> u32 {
        let Sampling { temperature, top_p, top_k, min_p, repeat_penalty } = self.sampling;
        self.probabilities.clear();
        self.probabilities.extend_from_slice(logits);
        if repeat_penalty != 1.0 {
            self.penalize(repeat_penalty);
        }
        if temperature < COLD {
            return argmax(&self.probabilities) as u32;
        }
        self.probabilities.iter_mut().for_each(|p| *p /= temperature);
        kernels.softmax(&mut self.probabilities);
        let coin = self.random.next_f32();
        let top_p = if top_p > 0.0 && top_p < 1.0 { top_p } else { 1.0 };
        if top_p == 1.0 && top_k == 0 && min_p == 0.0 {
            return draw(self.probabilities.iter().copied(), coin) as u32;
        }
        self.sort_candidates(top_p, top_k, min_p);
        let total = self.keep_top_p(top_p);
        self.sorted[draw(self.sorted.iter().map(|&(p, _)| p), coin * total)].1
    }

    fn penalize(&mut self, penalty: f32) {
        for (i, &token) in self.recent.iter().enumerate() {
            let seen_before = self.recent[..i].contains(&token);
            if let Some(p) = self.probabilities.get_mut(token as usize).filter(|_| !seen_before) {
                *p = if *p > 0.0 { *p / penalty } else { *p * penalty };
            }
        }
    }

    /// Fills `sorted` with the tokens that can still be chosen. As in llama2.c, tokens below
    /// `(1 - top_p) / (n - 1)` are left out first: they cannot be among those that reach top_p.
    fn sort_candidates(&mut self, top_p: f32, top_k: usize, min_p: f32) {
        let others = self.probabilities.len().saturating_sub(1).max(1);
        let likeliest = llamaboot_kernels::max(&self.probabilities);
        let cutoff = ((1.0 - top_p) / others as f32).max(min_p * likeliest);
        self.sorted.clear();
        let all = self.probabilities.iter().zip(0..).map(|(&p, token)| (p, token));
        self.sorted.extend(all.filter(|&(p, _)| p >= cutoff));
        if self.sorted.is_empty() {
            // Only where every probability is NaN, or all are equal and rounding is unkind.
            self.sorted.push((1.0, argmax(&self.probabilities) as u32));
        }
        self.sorted.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        if top_k > 0 {
            self.sorted.truncate(top_k);
        }
    }

    /// Cuts `sorted` behind the token with which the sum exceeds `top_p`; returns what remains.
    fn keep_top_p(&mut self, top_p: f32) -> f32 {
        let mut total = 0.0;
        for (i, &(p, _)) in self.sorted.iter().enumerate() {
            total += p;
            if total > top_p {
                self.sorted.truncate(i + 1);
                break;
            }
        }
        total
    }
}

/// The first index at which the running sum exceeds `coin`; the last where rounding prevents it.
fn draw(probabilities: impl ExactSizeIterator<Item = f32>, coin: f32) -> usize {
    let last = probabilities.len() - 1;
    let mut sum = 0.0;
    for (i, p) in probabilities.enumerate() {
        sum += p;
        if coin < sum {
            return i;
        }
    }
    last
}
