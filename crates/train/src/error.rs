//! What can be wrong with what a trainer is given.

use alloc::string::String;
use llamaboot_kernels::OutOfMemory;

/// Why training cannot start, go on or be resumed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The text is too short.
    #[error("{what}: expected at least {expected} tokens, found {found}")]
    TooShort {
        /// Which text.
        what: &'static str,
        /// Tokens that are needed.
        expected: usize,
        /// Tokens that are there.
        found: usize,
    },
    /// A token that the model does not have.
    #[error("token {token}: expected one of the model's {vocab_size}")]
    Token {
        /// The token.
        token: u32,
        /// How many the model has.
        vocab_size: usize,
    },
    /// A setting out of range.
    #[error("{name}: expected {expected}, found {found}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// What is possible.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A loss that is not a number, or far above those before it.
    #[error(
        "step {step}: a loss of {loss} where {usual} was usual, gradients with a norm of \
         {gradient_norm}: stopped before the weights changed; a lower learning rate may help"
    )]
    Diverged {
        /// The step.
        step: u64,
        /// Its loss, nats a token.
        loss: f64,
        /// The norm of its gradients.
        gradient_norm: f32,
        /// A mean of the losses before.
        usual: f64,
    },
    /// A saved state that is damaged, or another model's.
    #[error("{what}: expected {expected}, found {found}")]
    State {
        /// What part of it.
        what: &'static str,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A device that computes beside the CPU is missing or fails.
    #[error("{device}: {fault}")]
    Device {
        /// Which device.
        device: String,
        /// What it says.
        fault: String,
    },
    /// Not enough memory.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
}
