//! Penalties on recent tokens, so that a text does not go round in circles; llama.cpp's
//! `llama_sampler_penalties`.
//!
//! ```text
//! for each token that stands `count` ≥ 1 times among the recent ones:
//!   logit = logit > 0 ? logit / repeat : logit * repeat
//!   logit = logit - (count * frequency + presence)
//! ```

use super::Sampling;
use alloc::vec::Vec;

/// `pairs` is scratch with room for as many as `recent` has.
pub(super) fn penalize(
    logits: &mut [f32],
    recent: &[u32],
    pairs: &mut Vec<(u32, u32)>,
    sampling: &Sampling,
) {
    let repeat = sampling.repeat_penalty;
    // Equal tokens come to stand together, and are counted with no table.
    pairs.clear();
    pairs.extend(recent.iter().map(|&token| (token, 1)));
    pairs.sort_unstable();
    for same in pairs.chunk_by(|a, b| a.0 == b.0) {
        if let Some(logit) = logits.get_mut(same[0].0 as usize) {
            *logit = if *logit > 0.0 { *logit / repeat } else { *logit * repeat };
            let count = same.len() as f32;
            *logit -= count * sampling.frequency_penalty + sampling.presence_penalty;
        }
    }
}
