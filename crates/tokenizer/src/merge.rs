//! The merge loop that both kinds of BPE share.
//!
//! Text starts as one symbol a character (or byte). Again and again the best pair of neighbours
//! becomes one symbol, the leftmost of equals first, until no pair can be merged. Looking at every
//! pair each time would make that quadratic, so symbols form a linked list and the pairs wait in a
//! heap:
//!
//! ```text
//! for each pair of neighbours that can merge: heap.push(priority, left)
//! while heap.pop() = candidate:
//!     skip it if one of its two symbols has changed since it was pushed
//!     left.end = right.end; unlink right
//!     push (left.prev, left) and (left, left.next) where they can merge
//! ```
//!
//! n symbols push at most 3n candidates: O(n log n), in one word of a megabyte as in a million
//! words.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// Longest text that one [`Merger`] takes, so that positions fit in 32 bits.
pub(crate) const MAX_MERGE_BYTES: usize = 1 << 30;

/// No symbol.
const END: u32 = u32::MAX;

/// A stretch of the text that is one symbol so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Symbol {
    start: u32,
    end: u32,
    prev: u32,
    next: u32,
    /// The token with these bytes, where there is one.
    pub(crate) id: Option<u32>,
}

impl Symbol {
    /// Where the symbol lies in the text.
    pub(crate) fn range(&self) -> core::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// What a pair of neighbours becomes.
pub(crate) struct Merge {
    /// Lower goes first.
    pub(crate) priority: u32,
    /// The token with both symbols' bytes.
    pub(crate) id: u32,
}

/// A pair of neighbours that was found to merge. It still holds if `left` has not been merged away
/// and the symbol after it still ends at `end`: had either of the two grown, that end would lie
/// further right.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// Priority in the high half, `left` in the low one: lower goes first.
    order: u64,
    end: u32,
    id: u32,
}

impl Ord for Candidate {
    /// The greatest comes out of a heap first.
    fn cmp(&self, other: &Candidate) -> Ordering {
        other.order.cmp(&self.order)
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Candidate) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Candidate) -> bool {
        self.order == other.order
    }
}

impl Eq for Candidate {}

/// The symbols of one text or word. Keeps its memory from word to word.
#[derive(Debug, Default)]
pub(crate) struct Merger {
    symbols: Vec<Symbol>,
    heap: BinaryHeap<Candidate>,
}

impl Merger {
    /// Forgets all symbols.
    pub(crate) fn clear(&mut self) {
        self.symbols.clear();
        self.heap.clear();
    }

    /// Appends the symbol for the next `len` bytes of the text.
    pub(crate) fn push(&mut self, len: usize, id: Option<u32>) {
        let index = self.symbols.len() as u32;
        let (prev, start) = match self.symbols.last_mut() {
            Some(last) => {
                last.next = index;
                (index - 1, last.end)
            }
            None => (END, 0),
        };
        self.symbols.push(Symbol { start, end: start + len as u32, prev, next: END, id });
    }

    /// Merges until nothing can be merged. `pair` says what two neighbours become.
    pub(crate) fn run(&mut self, pair: impl Fn(&Symbol, &Symbol) -> Option<Merge>) {
        let mut candidates = core::mem::take(&mut self.heap).into_vec();
        let pairs = self.symbols.windows(2).zip(0..);
        candidates.extend(pairs.filter_map(|(two, left)| candidate(left, &two[0], &two[1], &pair)));
        self.heap = BinaryHeap::from(candidates);
        while let Some(Candidate { order, end, id }) = self.heap.pop() {
            let left = order as u32;
            let old = self.symbols[left as usize];
            // A symbol that was merged away is empty.
            if old.start == old.end || old.next == END {
                continue;
            }
            let absorbed = self.symbols[old.next as usize];
            if absorbed.end != end {
                continue;
            }
            self.symbols[old.next as usize].end = absorbed.start;
            let merged = Symbol { end, next: absorbed.next, id: Some(id), ..old };
            self.symbols[left as usize] = merged;
            if merged.next != END {
                let next = &mut self.symbols[merged.next as usize];
                next.prev = left;
                self.heap.extend(candidate(left, &merged, next, &pair));
            }
            if merged.prev != END {
                let prev = &self.symbols[merged.prev as usize];
                self.heap.extend(candidate(merged.prev, prev, &merged, &pair));
            }
        }
    }

    /// The symbols that are left, in order.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = &Symbol> {
        self.symbols.iter().filter(|symbol| symbol.start != symbol.end)
    }
}

/// The candidate for the symbol at index `left` and the one after it, if they merge.
fn candidate(
    left: u32,
    a: &Symbol,
    b: &Symbol,
    pair: &impl Fn(&Symbol, &Symbol) -> Option<Merge>,
) -> Option<Candidate> {
    let merge = pair(a, b)?;
    let order = u64::from(merge.priority) << 32 | u64::from(left);
    Some(Candidate { order, end: b.end, id: merge.id })
}
