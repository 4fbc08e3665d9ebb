//! How much of a prompt is computed between two looks at the keyboard.
//!
//! Batches start small and grow while they are quick, so that Esc is heard on a slow machine as
//! well; what is computed does not depend on their sizes.

use crate::Clock;

/// A batch that takes less may be followed by one twice as long, in microseconds.
const QUICK_US: u64 = 200_000;
/// A batch that takes more is followed by one half as long.
const SLOW_US: u64 = 4 * QUICK_US;
/// Tokens of the first batch.
const FIRST: usize = 4;

/// Sizes of batches, asked for before each.
pub(crate) struct Pace<'c> {
    clock: &'c dyn Clock,
    most: usize,
    limit: usize,
    /// When the last batch began.
    begun: Option<u64>,
}

impl<'c> Pace<'c> {
    /// Batches of at most `most` tokens.
    pub(crate) fn new(clock: &'c dyn Clock, most: usize) -> Self {
        Self { clock, most, limit: FIRST.min(most), begun: None }
    }

    /// How many tokens the next batch may have, which begins now.
    pub(crate) fn next_batch(&mut self) -> usize {
        let now = self.clock.micros();
        match self.begun.map(|begun| now.saturating_sub(begun)) {
            Some(0..QUICK_US) => self.limit = (2 * self.limit).min(self.most),
            Some(QUICK_US..=SLOW_US) | None => {}
            Some(_) => self.limit = (self.limit / 2).max(1),
        }
        self.begun = Some(now);
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::cell::Cell;

    struct Told(Cell<u64>);

    impl Clock for Told {
        fn micros(&self) -> u64 {
            self.0.get()
        }
    }

    /// The sizes of batches on a machine that takes so long for a token, and after that.
    fn sizes(us_per_token: u64, batches: usize) -> Vec<usize> {
        let clock = Told(Cell::new(77));
        let mut pace = Pace::new(&clock, 48);
        let mut batch = || {
            let size = pace.next_batch();
            clock.0.set(clock.0.get() + size as u64 * us_per_token);
            size
        };
        (0..batches).map(|_| batch()).collect()
    }

    #[test]
    fn quick_machines_take_whole_batches_and_slow_ones_listen() {
        assert_eq!(sizes(1_000, 6), [4, 8, 16, 32, 48, 48]);
        assert_eq!(sizes(20_000, 5), [4, 8, 16, 16, 16]);
        assert_eq!(sizes(500_000, 5), [4, 2, 1, 1, 1]);
        assert_eq!(sizes(60_000_000, 4), [4, 2, 1, 1]);
    }

    #[test]
    fn no_batch_is_longer_than_the_engines() {
        let clock = Told(Cell::new(0));
        let mut pace = Pace::new(&clock, 1);
        assert_eq!((pace.next_batch(), pace.next_batch()), (1, 1));
    }
}
