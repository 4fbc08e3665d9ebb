//! One step of AdamW over weights that lie side by side, for training.
//!
//! ```text
//! g = gradient · scale        m = m · β1 + g · (1 − β1)        v = v · β2 + g · g · (1 − β2)
//! w = w · kept − step · (m / (√v / root + ε))                  each operation rounded by itself
//! ```

/// The numbers that all weights of a step share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWStep {
    /// What gradients are multiplied with: 1, or less to keep their norm down.
    pub scale: f32,
    /// Decay of the mean of gradients.
    pub beta1: f32,
    /// Decay of the mean of their squares.
    pub beta2: f32,
    /// Keeps the divisor from being 0.
    pub epsilon: f32,
    /// What is left of a weight after decay.
    pub kept: f32,
    /// The learning rate divided by `1 − β1^t`.
    pub step: f32,
    /// `√(1 − β2^t)`.
    pub root: f32,
}

impl crate::Kernels {
    /// Changes `weights` by `gradients`, and their running `means` and `squares`.
    ///
    /// # Panics
    /// Where the lengths differ.
    pub fn adamw(
        self,
        step: &AdamWStep,
        weights: &mut [f32],
        gradients: &[f32],
        means: &mut [f32],
        squares: &mut [f32],
    ) {
        let len = weights.len();
        assert_eq!((gradients.len(), means.len(), squares.len()), (len, len, len));
        // SAFETY: the CPU has the table's features; lengths agree.
        unsafe { (self.table.adamw)(step, weights, gradients, means, squares) }
    }
}
