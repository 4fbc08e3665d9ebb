//! Chats on a stick in memory, whose power fails where it is told to.

use super::*;
use alloc::{format, string::ToString};
use proptest::prelude::*;

/// A stick in memory whose power fails after so many more bytes are written.
struct Stick {
    bytes: Vec<u8>,
    power: usize,
    /// Where the flash is damaged.
    unreadable: core::ops::Range<u64>,
}

impl Stick {
    fn new() -> Self {
        Self { bytes: vec![], power: usize::MAX, unreadable: 0..0 }
    }
}

impl Storage for Stick {
    fn list(&mut self, _: &str) -> Vec<String> {
        vec![CHATS_FILE.to_string()]
    }

    fn read(&mut self, _: &str, _: u64) -> Result<Vec<u8>, StorageError> {
        Err(StorageError::Missing)
    }

    fn reserve(&mut self, _: &str, len: u64) -> Result<(), StorageError> {
        self.bytes.resize(len as usize, 0);
        Ok(())
    }

    fn read_at(&mut self, _: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        if self.unreadable.contains(&offset) {
            return Err(StorageError::Failed("bad sector".to_string()));
        }
        let all = self.bytes.get(offset as usize..).ok_or(StorageError::Missing)?;
        buffer.copy_from_slice(all.get(..buffer.len()).ok_or(StorageError::Missing)?);
        Ok(())
    }

    fn write_at(&mut self, _: &str, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let written = bytes.len().min(self.power);
        self.bytes[offset as usize..][..written].copy_from_slice(&bytes[..written]);
        self.power -= written;
        if written < bytes.len() {
            return Err(StorageError::Failed("no power".to_string()));
        }
        Ok(())
    }
}

fn chat(turns: usize) -> SavedChat {
    let turn = |i: usize| Turn {
        user: format!("question {i} of {turns}: où est l'été ?"),
        answer: format!("answer {i} "),
        prompt: (0..9).map(|t| t + i as u32).collect(),
        reply: vec![i as u32; 4],
    };
    SavedChat {
        model: "a.gguf".to_string(),
        model_bytes: 1 << 33 | 7,
        template: "chatml".to_string(),
        turns: (0..turns).map(turn).collect(),
    }
}

/// The power fails at every single byte of a save: the old chat is there, or the new one.
#[test]
fn every_byte_is_a_good_place_for_a_power_cut() {
    let mut stick = Stick::new();
    save(&mut stick, "", &chat(1)).unwrap();
    save(&mut stick, "", &chat(2)).unwrap();
    let before = stick.bytes.clone();
    let (old, new) = (chat(2), chat(3));
    let mut kept = [0, 0];
    for power in 0.. {
        stick.bytes.copy_from_slice(&before);
        stick.power = power;
        let saved = save(&mut stick, "", &new).is_ok();
        stick.power = usize::MAX;
        let found = load(&mut stick, "").unwrap().unwrap();
        assert!(found == old || found == new, "cut at byte {power}");
        kept[usize::from(found == new)] += 1;
        if saved {
            assert_eq!(found, new);
            break;
        }
    }
    assert!(kept[0] > HEAD_BYTES, "{kept:?}");
}

#[test]
fn chats_have_names_and_places() {
    let mut stick = Stick::new();
    assert_eq!(load(&mut stick, "x"), Ok(None));
    for i in 0..PLACES {
        assert_eq!(save(&mut stick, &format!("n{i:02}"), &chat(i)), Ok(Some(0)));
    }
    assert_eq!(save(&mut stick, "another", &chat(1)), Ok(None));
    assert_eq!(save(&mut stick, "n03", &chat(7)), Ok(Some(0)));
    assert_eq!(load(&mut stick, "n03"), Ok(Some(chat(7))));
    let listed = list(&mut stick).unwrap();
    assert_eq!((listed.len(), &*listed[3].name, listed[3].turns), (15, "n03", 7));
    assert_eq!(delete(&mut stick, "n05"), Ok(true));
    assert_eq!(delete(&mut stick, "n05"), Ok(false));
    assert_eq!(save(&mut stick, "another", &chat(1)), Ok(Some(0)));
    assert!(!stick.bytes.windows(16).any(|bytes| bytes == b"question 4 of 5:"));
}

#[test]
fn a_long_chat_loses_its_oldest_turns() {
    let mut long = chat(5);
    long.turns.iter_mut().for_each(|turn| turn.answer = "long ".repeat(20_000));
    let mut stick = Stick::new();
    assert_eq!(save(&mut stick, "", &long), Ok(Some(3)));
    assert_eq!(load(&mut stick, "").unwrap().unwrap().turns, long.turns[3..]);
}

/// Damage to the half that was being written, of any kind, costs at most that half.
#[test]
fn a_half_that_cannot_be_read_does_not_cost_the_other() {
    let mut stick = Stick::new();
    save(&mut stick, "", &chat(1)).unwrap();
    save(&mut stick, "", &chat(2)).unwrap();
    save(&mut stick, "a", &chat(3)).unwrap();
    stick.unreadable = HALF_BYTES..2 * HALF_BYTES;
    assert_eq!(load(&mut stick, ""), Ok(Some(chat(1))));
    assert_eq!(save(&mut stick, "b", &chat(4)), Ok(Some(0)));
    assert_eq!(list(&mut stick).unwrap().len(), 2);
    stick.unreadable = 0..2 * HALF_BYTES;
    assert!(load(&mut stick, "").is_err() && list(&mut stick).is_err());
}

#[test]
fn a_turn_that_fits_no_place_leaves_what_was_there() {
    let mut stick = Stick::new();
    save(&mut stick, "", &chat(2)).unwrap();
    let mut long = chat(1);
    long.turns[0].user = "x".repeat(CONTENT_BYTES);
    assert_eq!(save(&mut stick, "", &long), Err(StorageError::TooLong(CONTENT_BYTES as u64)));
    assert_eq!(load(&mut stick, ""), Ok(Some(chat(2))));
}

proptest! {
    /// Whatever stands in the file, reading it ends, with whole chats only.
    #[test]
    fn damage_is_harmless(
        changes in prop::collection::vec((0..2_u64, 0..2_u64, 0..700_u64, any::<u8>()), 1..20),
    ) {
        let mut stick = Stick::new();
        save(&mut stick, "", &chat(1)).unwrap();
        save(&mut stick, "", &chat(2)).unwrap();
        save(&mut stick, "a", &chat(3)).unwrap();
        for (half, place, at, byte) in changes {
            stick.bytes[(half * HALF_BYTES + place * PLACE_BYTES + at) as usize] = byte;
        }
        for name in ["", "a"] {
            if let Some(found) = load(&mut stick, name).unwrap() {
                prop_assert!((1..4).any(|turns| found == chat(turns)));
            }
        }
        list(&mut stick).unwrap();
        save(&mut stick, "a", &chat(9)).unwrap();
        prop_assert_eq!(load(&mut stick, "a").unwrap().unwrap(), chat(9));
    }

    #[test]
    fn any_content_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        decode(&bytes);
    }
}
