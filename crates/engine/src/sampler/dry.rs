//! DRY ("don't repeat yourself"): a penalty on the token that would go on with a passage that
//! stood before, growing with the passage's length; llama.cpp's `llama_sampler_dry`. Other than
//! the penalties on single tokens it leaves common words alone.
//!
//! ```text
//! at(i)     = the token i places before the end of the text
//! length[k] = how many of the last tokens also stand k places earlier      (Z-algorithm, O(n))
//! the token at(k - 1) followed them there: drawn next, it would make length[k] + 1 repeated
//! logit[at(k - 1)] -= multiplier * base^(length - allowed)   for the greatest length ≥ allowed
//! ```
//! A passage reaches back no further than the last breaker (a line's end, a quote), and breakers
//! themselves are never penalised. The Z-algorithm: D. Gusfield, *Algorithms on Strings, Trees, and
//! Sequences*, section 1.3.

use super::Sampling;
use alloc::vec::Vec;

/// `breakers` are sorted. `repeats` is scratch with room for as many as `text` has.
pub(super) fn penalize(
    logits: &mut [f32],
    text: &[u32],
    breakers: &[u32],
    repeats: &mut Vec<(u32, u32)>,
    sampling: &Sampling,
) {
    let breaks = |token: u32| breakers.binary_search(&token).is_ok();
    let unbroken = text.iter().rev().take_while(|&&token| !breaks(token)).count();
    let allowed = sampling.dry_allowed_length;
    if unbroken < allowed {
        return;
    }
    find_repeats(text, repeats);
    repeats.retain(|&(token, length)| length as usize >= allowed && !breaks(token));
    repeats.sort_unstable();
    for same in repeats.chunk_by(|a, b| a.0 == b.0) {
        // The last of equal tokens has the greatest length.
        let (token, length) = same[same.len() - 1];
        let excess = (length as usize).min(unbroken) - allowed;
        let factor = llamaboot_math::pow(f64::from(sampling.dry_base), excess as f64);
        // Kept finite: logits of which all were infinite would leave no probabilities.
        let penalty = (f64::from(sampling.dry_multiplier) * factor).min(f64::from(f32::MAX));
        if let Some(logit) = logits.get_mut(token as usize) {
            *logit -= penalty as f32;
        }
    }
}

/// Fills `repeats` with `(at(k - 1), length[k])`, one for each k ≥ 1.
fn find_repeats(text: &[u32], repeats: &mut Vec<(u32, u32)>) {
    let at = |i: usize| text[text.len() - 1 - i];
    repeats.clear();
    // The repeat found so far that reaches furthest: at(from..to) equals at(0..to - from).
    let (mut from, mut to) = (0, 0);
    for k in 1..text.len() {
        let mut length = 0;
        if k < to {
            length = (repeats[k - from - 1].1 as usize).min(to - k);
        }
        while k + length < text.len() && at(length) == at(k + length) {
            length += 1;
        }
        if k + length > to {
            (from, to) = (k, k + length);
        }
        repeats.push((at(k - 1), length as u32));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The Z-algorithm against its definition.
        #[test]
        fn repeats_are_those_that_comparing_finds(text in prop::collection::vec(0u32..3, 0..60)) {
            let mut repeats = Vec::new();
            find_repeats(&text, &mut repeats);
            let reversed: Vec<u32> = text.iter().rev().copied().collect();
            let expected: Vec<_> = (1..text.len())
                .map(|k| {
                    let pairs = reversed.iter().zip(&reversed[k..]);
                    (reversed[k - 1], pairs.take_while(|(a, b)| a == b).count() as u32)
                })
                .collect();
            prop_assert_eq!(repeats, expected);
        }
    }
}
