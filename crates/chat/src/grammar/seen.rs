//! Which heads have been followed since the last character.
//!
//! It is asked a few times for every character of every token that is tried, and begins anew each
//! time, so it is a hash table that is emptied by counting up:
//!
//! ```text
//! slot holds a head  ⇔  its round = the round now;    clear: round += 1
//! ```

use super::machine::Head;
use alloc::vec::Vec;

/// The set.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Heads with the round they were put in. Their number is a power of two, and at least half
    /// are free.
    slots: Vec<(u32, Head)>,
    round: u32,
    len: usize,
}

impl Seen {
    /// Empties the set.
    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.slots.fill((0, Head::default()));
            self.round = 1;
        }
    }

    /// Number of heads.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Puts a head in; `false` where it was in already.
    pub(super) fn insert(&mut self, head: Head) -> bool {
        if 2 * self.len >= self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let hash = head.at.wrapping_mul(0x9e37_79b1) ^ head.stack.wrapping_mul(0x85eb_ca77);
        let mut at = (hash ^ hash >> 15) as usize & mask;
        while self.slots[at].0 == self.round {
            if self.slots[at].1 == head {
                return false;
            }
            at = (at + 1) & mask;
        }
        self.slots[at] = (self.round, head);
        self.len += 1;
        true
    }

    fn grow(&mut self) {
        let empty = (0, Head::default());
        let slots = alloc::vec![empty; (2 * self.slots.len()).max(32)];
        let old = core::mem::replace(&mut self.slots, slots);
        let round = core::mem::replace(&mut self.round, 1);
        self.len = 0;
        for (_, head) in old.into_iter().filter(|slot| slot.0 == round) {
            self.insert(head);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    /// The oracle is the library's set.
    #[test]
    fn it_is_a_set_in_every_round() {
        let mut seen = Seen::default();
        let mut random = 1u32;
        for round in 0..100 {
            seen.clear();
            seen.round = if round == 50 { u32::MAX } else { seen.round };
            let mut set = BTreeSet::new();
            for _ in 0..10 * round {
                random = random.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
                let head = Head { at: random >> 8 & 31, stack: random >> 16 & 31 };
                assert_eq!(seen.insert(head), set.insert((head.at, head.stack)));
            }
            assert_eq!(seen.len(), set.len());
        }
    }
}
