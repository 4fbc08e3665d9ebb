//! Locally typical sampling: people say neither what is certain nor what is far-fetched, so tokens
//! are kept whose surprise is near the expected one; llama.cpp's `llama_sampler_typical`.
//!
//! ```text
//! surprise(p) = -ln p        H = Σ p surprise(p)
//! keep tokens by ascending |surprise(p) - H| until their p add up to more than typical_p
//! ```
//! Sorted by probability, tokens are sorted by surprise as well. Those nearest to H are then
//! neighbours, found by going outwards from H, and what is kept is a stretch of the list:
//! ```text
//! surprise   small ──────── from [ ── H ── ] to ──────── large
//! ```

use super::candidates::Candidates;
use llamaboot_math::ln;

impl Candidates {
    /// Of sorted candidates.
    pub(super) fn typical(&mut self, typical_p: f32) {
        let total = f64::from(self.total);
        let list = &self.list;
        let probability = |i: usize| f64::from(list[i].0) / total;
        let surprise = |i: usize| -ln(probability(i));
        let expected: f64 = (0..list.len()).map(|i| probability(i) * surprise(i)).sum();
        let likelier = list.partition_point(|&(p, _)| -ln(f64::from(p) / total) <= expected);
        let (mut from, mut to) = (likelier, likelier);
        let mut sum = 0.0;
        while sum <= f64::from(typical_p) && to - from < list.len() {
            let before = from.checked_sub(1).map(|i| expected - surprise(i));
            let behind = (to < list.len()).then(|| surprise(to) - expected);
            // Of two as typical the likelier.
            if before.is_some_and(|before| behind.is_none_or(|behind| before <= behind)) {
                from -= 1;
                sum += probability(from);
            } else {
                sum += probability(to);
                to += 1;
            }
        }
        self.list.truncate(to);
        self.list.drain(..from);
        self.add_up();
    }
}
