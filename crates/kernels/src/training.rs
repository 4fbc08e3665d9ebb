//! What only training computes element by element: exponentials that need not be exact
//! ([`llamaboot_math::exp_near()`]) and what is built of them.

use crate::Kernels;

/// Of [`Training::swiglu_backward`].
type SwigluBackwardFn = unsafe fn(&mut [f32], &mut [f32], &[f32], &[f32]);

/// The entries of [`crate::dispatch::Table`] that only training uses. Lengths of slices that belong
/// together are equal; callers check.
pub(crate) struct Training {
    /// See [`Kernels::exponentials`].
    pub(crate) exponentials: unsafe fn(&mut [f32]) -> (f32, f32),
    /// See [`Kernels::swiglu_near`].
    pub(crate) swiglu: unsafe fn(&mut [f32], &[f32], &[f32]),
    /// See [`Kernels::swiglu_backward`].
    pub(crate) swiglu_backward: SwigluBackwardFn,
}

impl Kernels {
    /// `x[i] = e^(x[i] − max)`; gives `max` and the sum of the results, added as the crate's head
    /// says.
    pub fn exponentials(self, x: &mut [f32]) -> (f32, f32) {
        // SAFETY: `Kernels` exists only for a CPU that has the table's features.
        unsafe { (self.table.training.exponentials)(x) }
    }

    /// `out[i] = gate[i] / (1 + e^−gate[i]) · up[i]`.
    ///
    /// # Panics
    /// Where the lengths differ.
    pub fn swiglu_near(self, out: &mut [f32], gate: &[f32], up: &[f32]) {
        assert_eq!((out.len(), gate.len()), (up.len(), up.len()));
        // SAFETY: the CPU has the table's features; lengths agree.
        unsafe { (self.table.training.swiglu)(out, gate, up) }
    }

    /// The gradient of [`Kernels::swiglu_near`]: `d_up` holds the gradient of its result and
    /// becomes that of `up`.
    ///
    /// ```text
    /// σ = 1 / (1 + e^−gate)    d_gate = d · up · σ · (1 + gate · (1 − σ))    d_up = d · gate · σ
    /// ```
    ///
    /// # Panics
    /// Where the lengths differ.
    pub fn swiglu_backward(self, d_up: &mut [f32], d_gate: &mut [f32], gate: &[f32], up: &[f32]) {
        let len = up.len();
        assert_eq!((d_up.len(), d_gate.len(), gate.len()), (len, len, len));
        // SAFETY: the CPU has the table's features; lengths agree.
        unsafe { (self.table.training.swiglu_backward)(d_up, d_gate, gate, up) }
    }
}
