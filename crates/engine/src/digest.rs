//! Logits in a form that two machines can compare: the first ten by eye, a checksum by program.

use crate::{Engine, EngineError, Logits};
use alloc::{format, string::String};
use llamaboot_kernels::argmax;

/// FNV-1a, 64 bits, over the little-endian bytes of f32s
/// (<https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Takes in more values. All NaNs count as one: which of them an operation gives is the
    /// instruction set's choice.
    pub fn update(&mut self, values: &[f32]) {
        let same = |value: &f32| if value.is_nan() { f32::NAN } else { *value };
        for byte in values.iter().flat_map(|value| same(value).to_le_bytes()) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// The checksum of all values so far.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }
}

/// Logits position by position, in the one format that host and booted prompt share: a line for
/// each token with the first ten, and a last line with a checksum of every bit of every logit.
///
/// # Errors
/// As [`Engine::forward`].
pub fn logit_report(engine: &mut Engine<'_>, tokens: &[u32]) -> Result<String, EngineError> {
    let mut digest = Digest::default();
    let mut report = String::new();
    for (pos, &token) in tokens.iter().enumerate() {
        let logits = engine.forward(&[token], Logits::Last)?;
        digest.update(logits);
        let first: String = logits.iter().take(10).map(|value| format!(" {value:.6}")).collect();
        let argmax = argmax(logits);
        report += &format!("pos={pos} token={token} argmax={argmax} first10:{first}\n");
    }
    let (checksum, positions) = (digest.value(), tokens.len());
    report += &format!("logits-fnv1a64={checksum:016x} positions={positions}\n");
    Ok(report)
}
