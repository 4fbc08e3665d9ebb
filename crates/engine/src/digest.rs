//! Logits in a form that two machines can compare: the first ten by eye, a checksum by program.

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
    /// Takes in more values.
    pub fn update(&mut self, values: &[f32]) {
        for byte in values.iter().flat_map(|value| value.to_le_bytes()) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// The checksum of all values so far.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }
}

/// Prints logits position by position, in the one format that host and booted prompt share.
#[derive(Debug, Default)]
pub struct LogitReport {
    digest: Digest,
    positions: usize,
}

impl LogitReport {
    /// The line for the logits after `token` at the next position.
    pub fn line(&mut self, token: u32, logits: &[f32]) -> String {
        self.digest.update(logits);
        let pos = self.positions;
        self.positions += 1;
        let first: String = logits.iter().take(10).map(|value| format!(" {value:.6}")).collect();
        format!("pos={pos} token={token} argmax={} first10:{first}", argmax(logits))
    }

    /// The machine-readable last line: a checksum of every bit of every logit.
    #[must_use]
    pub fn summary(&self) -> String {
        format!("logits-fnv1a64={:016x} positions={}", self.digest.value(), self.positions)
    }
}
