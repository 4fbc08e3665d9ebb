//! Prompt lookup: where the last few tokens have stood before, what followed them then may follow
//! again. Such a draft is computed together with the token before it, in one batch; each of its
//! tokens counts only if sampling, in order, draws the very same one, so the text is unchanged.
//!
//! A batch costs more than a token, so drafts are made only while they pay: both what a draft
//! yields and what it costs are followed with a decaying mean. A wrong guess here costs time,
//! never a token.

/// Tokens that must have stood together before.
const LOOKUP: usize = 3;

/// How much a new observation counts.
const WEIGHT: f32 = 0.25;

/// Whether and what to draft.
#[derive(Debug, Clone)]
pub struct Speculation {
    /// Tokens that a draft's batch yields, its first included.
    gain: f32,
    /// Microseconds of a single token, and of a draft's batch; 0 before the first.
    single: f32,
    batch: f32,
    /// Tokens drafted, and those of them that were right.
    drafted: usize,
    accepted: usize,
}

impl Default for Speculation {
    fn default() -> Self {
        // Hopeful at first: text that repeats itself is what there is to gain from.
        Self { gain: 4.0, single: 0.0, batch: 0.0, drafted: 0, accepted: 0 }
    }
}

impl Speculation {
    /// Longest draft: with the token before it, it fills one tile of the kernels.
    pub const MAX: usize = 5;

    /// What may follow `token` behind `held`: at most `room` tokens, none where nothing is known
    /// or drafts do not pay.
    #[must_use]
    pub fn draft<'h>(&mut self, held: &'h [u32], token: u32, room: usize) -> &'h [u32] {
        let pays = self.single == 0.0 || self.batch == 0.0 || self.gain > self.batch / self.single;
        if !pays {
            // Times change, and so do texts: after a while it is tried again.
            self.gain += 0.02;
            return &[];
        }
        let Some(from) = find(held, token) else { return &[] };
        &held[from..(from + room.min(Self::MAX)).min(held.len())]
    }

    /// Notes what a computation took, of one token where `drafted` is 0, and how many of a draft
    /// were right.
    pub fn note(&mut self, drafted: usize, accepted: usize, micros: u64) {
        let (mean, new) = (if drafted == 0 { &mut self.single } else { &mut self.batch }, micros);
        let new = new as f32;
        *mean = if *mean == 0.0 { new } else { *mean + WEIGHT * (new - *mean) };
        if drafted > 0 {
            self.gain += WEIGHT * (accepted as f32 + 1.0 - self.gain);
            self.drafted += drafted;
            self.accepted += accepted;
        }
    }

    /// Tokens drafted so far, and those of them that were right.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.drafted, self.accepted)
    }
}

/// The position behind the latest earlier place of the last tokens, `token` the last of them.
fn find(held: &[u32], token: u32) -> Option<usize> {
    let last = &held[held.len().checked_sub(LOOKUP - 1)?..];
    let mut earlier = held.windows(LOOKUP).enumerate().rev();
    let same = |window: &[u32]| window[..LOOKUP - 1] == *last && window[LOOKUP - 1] == token;
    earlier.find(|(_, window)| same(window)).map(|(at, _)| at + LOOKUP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_what_followed_the_latest_time() {
        let held = [9, 1, 2, 3, 4, 5, 1, 2, 3, 7, 8, 1, 2];
        let mut speculation = Speculation::default();
        assert_eq!(speculation.draft(&held, 3, 4), [7, 8, 1, 2]);
        assert_eq!(speculation.draft(&held, 3, 2), [7, 8]);
        assert_eq!(speculation.draft(&held, 4, 4), [0; 0]);
        assert_eq!(speculation.draft(&held[..1], 1, 4), [0; 0]);
        assert_eq!(speculation.draft(&[], 1, 4), [0; 0]);
    }

    #[test]
    fn drafts_that_do_not_pay_stop_for_a_while() {
        let held = [1, 2, 3, 4, 1, 2];
        let mut speculation = Speculation::default();
        speculation.note(0, 0, 100);
        for _ in 0..20 {
            speculation.note(4, 0, 300);
        }
        assert_eq!(speculation.draft(&held, 3, 4), [0; 0]);
        let again = (0..200).any(|_| !speculation.draft(&held, 3, 4).is_empty());
        assert!(again, "tried again");
        assert_eq!(speculation.counts(), (80, 0));
    }
}
