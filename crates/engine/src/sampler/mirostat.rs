//! Mirostat: filters steered so that the text's surprise stays near a target, neither dull nor
//! confused; <https://arxiv.org/abs/2007.14966>, llama.cpp's `llama_sampler_mirostat` and
//! `llama_sampler_mirostat_v2`.
//!
//! ```text
//! μ = 2 τ at first
//! version 1   s = Σ t b / Σ t²    over neighbours i, i+1 of the 100 likeliest (Zipf's exponent),
//!                                 t = ln((i + 2) / (i + 1)),  b = ln(p[i] / p[i+1])
//!             ε = s - 1;  keep the k likeliest, k = (ε 2^μ / (1 - n^-ε))^(1/s)    n: vocabulary
//! version 2   keep tokens with -log2 p ≤ μ, that is p ≥ 2^-μ
//! the token drawn had probability p among those kept:   μ = μ - η (-log2 p - τ)
//! ```

use super::{Sampling, candidates::Candidates};
use core::f64::consts::LN_2;
use llamaboot_math::{ln, pow};

/// The likeliest tokens that Zipf's exponent is estimated from; llama.cpp's `m`.
const ESTIMATED_FROM: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Mirostat {
    /// Bits of surprise that the next token may have; `None` before the first.
    mu: Option<f32>,
}

impl Mirostat {
    pub(super) fn reset(&mut self) {
        self.mu = None;
    }

    fn mu(&self, sampling: &Sampling) -> f32 {
        self.mu.unwrap_or(2.0 * sampling.mirostat_tau)
    }

    /// Fills `candidates` with the tokens that the version in use keeps of all `probabilities`.
    pub(super) fn keep(
        &self,
        candidates: &mut Candidates,
        probabilities: &[f32],
        sampling: &Sampling,
    ) {
        let allowed = pow(2.0, f64::from(self.mu(sampling)));
        if sampling.mirostat == 1 {
            candidates.collect(probabilities, 0.0);
            candidates.sort();
            let k = zipf_k(&candidates.list, allowed, probabilities.len() as f64);
            candidates.list.truncate(k.max(1));
        } else {
            let (least, likeliest) = (1.0 / allowed, llamaboot_kernels::max(probabilities));
            candidates.collect(probabilities, likeliest.min(least as f32));
            candidates.sort();
            if f64::from(likeliest) < least {
                candidates.list.truncate(1);
            }
        }
        candidates.add_up();
    }

    /// Learns from the token drawn, which had this probability among those kept.
    pub(super) fn learn(&mut self, probability: f32, sampling: &Sampling) {
        let surprise = (-ln(f64::from(probability)) / LN_2) as f32;
        let error = surprise - sampling.mirostat_tau;
        self.mu = Some(self.mu(sampling) - sampling.mirostat_eta * error);
    }
}

/// Version 1's k for `allowed` = 2^μ, of sorted candidates. Where the estimate has no finite
/// value (one candidate, or all alike) it is 0.
fn zipf_k(list: &[(f32, u32)], allowed: f64, vocab_size: f64) -> usize {
    let first = &list[..list.len().min(ESTIMATED_FROM)];
    let (mut t_b, mut t_t) = (0.0, 0.0);
    for (i, pair) in first.windows(2).enumerate() {
        let t = ln((i as f64 + 2.0) / (i as f64 + 1.0));
        t_b += t * ln(f64::from(pair[0].0) / f64::from(pair[1].0));
        t_t += t * t;
    }
    let s = t_b / t_t;
    let epsilon = s - 1.0;
    pow(epsilon * allowed / (1.0 - pow(vocab_size, -epsilon)), 1.0 / s) as usize
}
