//! Many stacks of return places that share what they have in common.
//!
//! Where a text can be read in several ways there is a stack for each. All of them hang in one
//! tree, from the empty stack at its root, each frame below those that were pushed on it:
//!
//! ```text
//! stack        = number of its top frame
//! push(s, b)   = the child of s that goes back to b, else a new one
//! cost(s)      = Σ cost(b) over its frames, added up as they are pushed
//! pop(s)       = where s goes back to, and the frame below s
//! ```
//! Equal stacks have equal numbers, so comparing them takes no time however deep they are, and the
//! tree is two flat tables of numbers: nothing about it is recursive.

use super::machine::Head;
use alloc::vec::Vec;

/// The most frames. A level of nested JSON takes two.
pub(super) const MAX_FRAMES: usize = 1 << 18;

/// The empty stack. It is no other's child, so it also stands for none.
pub(super) const EMPTY: u32 = 0;

#[derive(Debug, Clone, Copy)]
struct Frame {
    back: u32,
    below: u32,
    /// What this frame and those below it cost.
    cost: u32,
    /// The newest frame that was pushed on this one.
    child: u32,
    /// The next older frame that was pushed on the same one.
    sibling: u32,
}

/// The tree.
#[derive(Debug, Clone)]
pub(super) struct Stacks {
    frames: Vec<Frame>,
    /// As many frames make another look at which are in use worth its time.
    collect_at: usize,
}

impl Stacks {
    /// The empty stack alone.
    pub(super) fn new() -> Self {
        let empty = Frame { back: 0, below: EMPTY, cost: 0, child: EMPTY, sibling: EMPTY };
        Self { frames: alloc::vec![empty], collect_at: COLLECT_LEAST }
    }

    /// The stack with `back` on top, which costs `cost` whenever it is pushed; `None` where that
    /// would be too many frames.
    pub(super) fn push(&mut self, stack: u32, back: u32, cost: u32) -> Option<u32> {
        let Frame { child: newest, cost: below, .. } = self.frames[stack as usize];
        let mut child = newest;
        while child != EMPTY {
            let frame = &self.frames[child as usize];
            if frame.back == back {
                return Some(child);
            }
            child = frame.sibling;
        }
        if self.frames.len() == MAX_FRAMES {
            return None;
        }
        child = self.frames.len() as u32;
        let cost = below.saturating_add(cost);
        self.frames.push(Frame { back, below: stack, cost, child: EMPTY, sibling: newest });
        self.frames[stack as usize].child = child;
        Some(child)
    }

    /// Where the top frame goes back to, and the rest; `None` for the empty stack.
    pub(super) fn pop(&self, stack: u32) -> Option<(u32, u32)> {
        let frame = &self.frames[stack as usize];
        (stack != EMPTY).then_some((frame.back, frame.below))
    }

    /// What its frames cost.
    pub(super) fn cost(&self, stack: u32) -> u32 {
        self.frames[stack as usize].cost
    }

    /// Number of frames, for [`Stacks::truncate`].
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Forgets the frames that came after there were `len`.
    pub(super) fn truncate(&mut self, len: usize) {
        while self.frames.len() > len.max(1)
            && let Some(frame) = self.frames.pop()
        {
            self.frames[frame.below as usize].child = frame.sibling;
        }
    }

    /// Where frames have doubled, forgets those that no head needs and renumbers the rest.
    pub(super) fn collect(&mut self, heads: &mut [Head]) {
        if self.frames.len() < self.collect_at {
            return;
        }
        let mut new = alloc::vec![EMPTY; self.frames.len()];
        for head in heads.iter() {
            let mut stack = head.stack;
            while stack != EMPTY && new[stack as usize] == EMPTY {
                new[stack as usize] = IN_USE;
                stack = self.frames[stack as usize].below;
            }
        }
        let mut kept = Self::new();
        // A frame is younger than the one below it, so that one already has its new number.
        for (number, frame) in self.frames.iter().enumerate() {
            if new[number] != IN_USE {
                continue;
            }
            let below = new[frame.below as usize];
            let child = kept.frames.len() as u32;
            let sibling = core::mem::replace(&mut kept.frames[below as usize].child, child);
            kept.frames.push(Frame { below, child: EMPTY, sibling, ..*frame });
            new[number] = child;
        }
        kept.collect_at = 2 * kept.frames.len() + COLLECT_LEAST;
        heads.iter_mut().for_each(|head| head.stack = new[head.stack as usize]);
        *self = kept;
    }
}

const COLLECT_LEAST: usize = 256;
/// No frame has this number.
const IN_USE: u32 = u32::MAX;
const _: () = assert!(MAX_FRAMES < IN_USE as usize);

#[cfg(test)]
mod tests {
    use super::*;

    fn push_all(stacks: &mut Stacks, backs: &[u32]) -> u32 {
        backs.iter().fold(EMPTY, |stack, &back| stacks.push(stack, back, back + 1).unwrap())
    }

    fn backs(stacks: &Stacks, mut stack: u32) -> Vec<u32> {
        let mut out = Vec::new();
        while let Some((back, below)) = stacks.pop(stack) {
            out.push(back);
            stack = below;
        }
        out.reverse();
        out
    }

    #[test]
    fn equal_stacks_have_equal_numbers_also_after_truncation() {
        let mut stacks = Stacks::new();
        let a = push_all(&mut stacks, &[1, 2, 3]);
        let len = stacks.len();
        push_all(&mut stacks, &[1, 2, 4, 5]);
        push_all(&mut stacks, &[6]);
        stacks.truncate(len);
        assert_eq!(stacks.len(), len);
        let b = push_all(&mut stacks, &[1, 7]);
        assert_eq!(push_all(&mut stacks, &[1, 2, 3]), a);
        assert_eq!(push_all(&mut stacks, &[1, 7]), b);
        assert_ne!(a, b);
        assert_eq!(backs(&stacks, b), [1, 7]);
    }

    #[test]
    fn collecting_keeps_what_heads_need() {
        let mut stacks = Stacks::new();
        let mut heads = Vec::new();
        for i in 0..2000 {
            let stack = push_all(&mut stacks, &[i % 7, i, i + 1]);
            if i % 500 == 3 {
                heads.push(Head { at: i, stack });
            }
        }
        stacks.collect(&mut heads);
        assert_eq!(stacks.len(), 1 + 4 * 3);
        for head in &heads {
            assert_eq!(backs(&stacks, head.stack), [head.at % 7, head.at, head.at + 1]);
            let cost: u32 = backs(&stacks, head.stack).iter().map(|back| back + 1).sum();
            assert_eq!(stacks.cost(head.stack), cost);
            let again = push_all(&mut stacks, &[head.at % 7, head.at, head.at + 1]);
            assert_eq!(again, head.stack);
        }
    }

    #[test]
    fn frames_have_an_end() {
        let mut stacks = Stacks::new();
        let mut stack = EMPTY;
        for i in 1..MAX_FRAMES as u32 {
            stack = stacks.push(stack, i, i).unwrap();
        }
        assert_eq!(stacks.push(stack, 0, 0), None);
        assert_eq!(stacks.cost(stack), u32::MAX);
        assert_eq!(stacks.len(), MAX_FRAMES);
    }
}
