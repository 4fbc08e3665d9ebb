//! What a trainer computes its losses and gradients with: [`crate::Network`] on the CPU, or a crate
//! that does the same elsewhere. All else of a run (data, clipping, AdamW, states) is shared.

use crate::{Batch, Compute, Dropout, Error};

/// The two passes. Weights and gradients lie as [`crate::Parameters::layout`] says; `compute` is
/// the trainer's own, for passes on the CPU.
pub trait Backend {
    /// The sum of all tokens' losses, in nats.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    fn loss(
        &mut self,
        compute: &mut Compute<'_>,
        weights: &[f32],
        batch: &Batch,
    ) -> Result<f64, Error>;

    /// The sum of all tokens' losses, in nats, of a pass with `dropout`; adds the gradients of that
    /// sum times `scale` to `gradients`.
    ///
    /// # Errors
    /// As [`Backend::loss`].
    fn gradients(
        &mut self,
        compute: &mut Compute<'_>,
        weights: &[f32],
        batch: &Batch,
        scale: f32,
        gradients: &mut [f32],
        dropout: Dropout,
    ) -> Result<f64, Error>;
}
