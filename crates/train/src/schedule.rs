//! The learning rate of each step: a linear warm-up, then half a cosine down to a last rate.
//!
//! ```text
//! step < warmup   peak · (step + 1) / warmup
//! then            last + (peak − last) · (1 + cos(π · (step − warmup) / (steps − warmup))) / 2
//! ```

use llamaboot_math::sin_cos;

/// The learning rate over a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// The greatest rate.
    pub peak: f32,
    /// The rate at the end, as a share of the greatest.
    pub last: f32,
    /// Steps until the greatest rate.
    pub warmup: u64,
    /// Steps in all.
    pub steps: u64,
}

impl Schedule {
    /// The rate of a step, counted from 0.
    #[must_use]
    pub fn rate(&self, step: u64) -> f32 {
        if step < self.warmup {
            return self.peak * (step + 1) as f32 / self.warmup as f32;
        }
        let (done, all) = (step - self.warmup, self.steps.saturating_sub(self.warmup).max(1));
        let part = (done as f64 / all as f64).min(1.0);
        let (_, cos) = sin_cos(core::f64::consts::PI * part);
        let last = f64::from(self.last);
        (f64::from(self.peak) * (last + (1.0 - last) * (1.0 + cos) / 2.0)) as f32
    }
}
