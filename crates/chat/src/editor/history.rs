//! Earlier inputs, for Up, Down and Ctrl-R. They live in memory only.

use alloc::{string::String, vec::Vec};

/// Inputs kept; the oldest go first.
const MAX_INPUTS: usize = 200;

/// The inputs of this session, oldest first.
#[derive(Debug, Default)]
pub struct History(Vec<String>);

impl History {
    /// Keeps an input, unless it is empty or the same as the last one.
    pub fn push(&mut self, text: &str) {
        if text.trim().is_empty() || self.0.last().is_some_and(|last| last == text) {
            return;
        }
        if self.0.len() == MAX_INPUTS {
            self.0.remove(0);
        }
        self.0.push(text.into());
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, index: usize) -> &str {
        &self.0[index]
    }

    /// The latest input before `before` that contains `wanted`.
    pub(super) fn find(&self, wanted: &str, before: usize) -> Option<usize> {
        self.0[..before].iter().rposition(|text| !wanted.is_empty() && text.contains(wanted))
    }
}
