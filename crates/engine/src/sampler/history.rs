//! The latest tokens of the text, which penalties look back on, in memory that never grows.
//!
//! ```text
//! tokens  [ older | KEPT latest ]   filled to 2 · KEPT, then the older half is dropped
//! ```
//! So they lie in one piece, and moving them costs one token's worth a token.

use alloc::vec::Vec;
use llamaboot_kernels::{OutOfMemory, room};

/// Tokens that can be looked back on: bounded, for DRY reads all of them for each token.
pub(super) const KEPT: usize = 4096;

#[derive(Debug)]
pub(super) struct History {
    tokens: Vec<u32>,
}

impl History {
    pub(super) const BYTES: usize = 2 * KEPT * size_of::<u32>();

    pub(super) fn new() -> Result<Self, OutOfMemory> {
        Ok(Self { tokens: room(2 * KEPT)? })
    }

    pub(super) fn clear(&mut self) {
        self.tokens.clear();
    }

    pub(super) fn push(&mut self, token: u32) {
        if self.tokens.len() == 2 * KEPT {
            self.tokens.drain(..KEPT);
        }
        self.tokens.push(token);
    }

    /// The last `n` tokens, or as many of them as are kept.
    pub(super) fn last(&self, n: usize) -> &[u32] {
        &self.tokens[self.tokens.len().saturating_sub(n.min(KEPT))..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_stay_and_memory_does_not_grow() {
        let mut history = History::new().unwrap();
        let capacity = history.tokens.capacity();
        for token in 0..5 * KEPT as u32 {
            history.push(token);
            let first = (token + 1).saturating_sub(KEPT as u32);
            assert!(history.last(usize::MAX).iter().copied().eq(first..=token));
        }
        assert_eq!(history.last(2), [5 * KEPT as u32 - 2, 5 * KEPT as u32 - 1]);
        assert_eq!(history.tokens.capacity(), capacity);
        history.clear();
        assert!(history.last(64).is_empty());
    }
}
