//! The tokens that may still be drawn, likeliest first, and the filters that need no more than
//! that order.
//!
//! ```text
//! collect  { (p, token) : p ≥ at_least, p > 0 },    total = 1
//! top_k    the first k
//! top_p    the first n, n least with  p[0] + … + p[n-1] > top_p * total
//! min_p    those with  p ≥ min_p * p[0]
//! ```
//! Probabilities are not divided by their new sum after each filter; filters scale by `total`
//! instead, which is the same, and with top-p alone is llama2.c's arithmetic to the bit.

use super::random::draw;
use alloc::vec::Vec;
use core::cmp::Ordering;
use llamaboot_kernels::{OutOfMemory, room};

#[derive(Debug)]
pub(super) struct Candidates {
    pub(super) list: Vec<(f32, u32)>,
    /// What the probabilities add up to.
    pub(super) total: f32,
}

/// The likelier first; where they are equal, the lower id, so that the order is always the same.
fn likelier(a: &(f32, u32), b: &(f32, u32)) -> Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

impl Candidates {
    pub(super) fn new(vocab_size: usize) -> Result<Self, OutOfMemory> {
        Ok(Self { list: room(vocab_size)?, total: 0.0 })
    }

    /// No candidate but `token`.
    pub(super) fn set(&mut self, token: u32) {
        self.list.clear();
        self.list.push((1.0, token));
        self.total = 1.0;
    }

    /// Takes in, in no order yet, the tokens with at least this probability and more than 0. None
    /// remain where all are NaN.
    pub(super) fn collect(&mut self, probabilities: &[f32], at_least: f32) {
        const LEAST: f32 = f32::from_bits(1);
        let at_least = at_least.max(LEAST);
        let all = probabilities.iter().zip(0..).map(|(&p, token)| (p, token));
        self.list.clear();
        self.list.extend(all.filter(|&(p, _)| p >= at_least));
        self.total = 1.0;
    }

    pub(super) fn sort(&mut self) {
        self.list.sort_unstable_by(likelier);
    }

    /// Keeps the first `k` in order; sorts no more than those.
    pub(super) fn top_k(&mut self, k: usize) {
        if (1..self.list.len()).contains(&k) {
            self.list.select_nth_unstable_by(k - 1, likelier);
            self.list.truncate(k);
        }
        self.sort();
        self.add_up();
    }

    /// Of sorted candidates.
    pub(super) fn top_p(&mut self, top_p: f32) {
        let enough = top_p * self.total;
        self.total = 0.0;
        for (i, &(p, _)) in self.list.iter().enumerate() {
            self.total += p;
            if self.total > enough {
                self.list.truncate(i + 1);
                break;
            }
        }
    }

    /// Of sorted candidates.
    pub(super) fn min_p(&mut self, min_p: f32) {
        let Some(&(likeliest, _)) = self.list.first() else { return };
        let kept = self.list.partition_point(|&(p, _)| p >= min_p * likeliest);
        self.list.truncate(kept.max(1));
        self.add_up();
    }

    pub(super) fn add_up(&mut self) {
        self.total = self.list.iter().map(|&(p, _)| p).sum();
    }

    /// The token that `coin` in [0, 1) falls on; `None` without candidates. Their probabilities
    /// add up to 1 from here on.
    pub(super) fn draw(&mut self, coin: f32) -> Option<u32> {
        if self.list.is_empty() {
            return None;
        }
        let drawn = draw(self.list.iter().map(|&(p, _)| p), coin * self.total);
        let total = self.total;
        self.list.iter_mut().for_each(|(p, _)| *p /= total);
        Some(self.list[drawn].1)
    }
}
