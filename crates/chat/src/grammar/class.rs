//! Sets of characters, and characters of which only the first bytes are there.
//!
//! A token's bytes may end inside a character. Its bits so far, `v`, with `n` bytes missing, stand
//! for every character that they may still become:
//!
//! ```text
//! completions = [v << 6n, (v << 6n) | (2^6n - 1)] ∩ [least of this length, 10FFFF] \ surrogates
//! ```
//! The beginning is well-formed UTF-8 exactly if that is not empty, and may stand where a class is
//! wanted exactly if it meets the class.

use alloc::vec::Vec;

const LAST: u32 = char::MAX as u32;
const SURROGATES: (u32, u32) = (0xd800, 0xdfff);

/// A set of characters.
#[derive(Debug)]
pub(super) struct Class {
    /// A bit for each ASCII character, for they are asked for most.
    ascii: u128,
    /// First and last of each run, in order, none touching the next.
    runs: Vec<(u32, u32)>,
}

impl Class {
    /// The characters of `ranges`, which may overlap, or all others.
    pub(super) fn new(mut ranges: Vec<(char, char)>, negated: bool) -> Self {
        ranges.sort_unstable();
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for (first, last) in ranges.into_iter().map(|(a, b)| (u32::from(a), u32::from(b))) {
            match runs.last_mut() {
                Some(run) if first <= run.1 + 1 => run.1 = run.1.max(last),
                _ => runs.push((first, last)),
            }
        }
        if negated {
            runs = complement(&runs);
        }
        let held = |c: &u32| runs.iter().any(|run| (run.0..=run.1).contains(c));
        let ascii = (0..128).filter(held).fold(0, |bits, c| bits | 1 << c);
        Self { ascii, runs }
    }

    /// Whether no character is in it.
    pub(super) fn is_empty(&self) -> bool {
        !self.meets((0, SURROGATES.0 - 1)) && !self.meets((SURROGATES.1 + 1, LAST))
    }

    /// Whether the character is in it.
    pub(super) fn contains(&self, c: u32) -> bool {
        if c < 128 { self.ascii >> c & 1 == 1 } else { self.meets((c, c)) }
    }

    /// The character with the fewest bytes; of those, the first that can be printed.
    pub(super) fn shortest(&self) -> char {
        const PRINTABLE: u128 = (1 << 0x7f) - (1 << 0x20);
        let printable = char::from((self.ascii & PRINTABLE).trailing_zeros() as u8);
        // An empty class is refused when it is read.
        let first = || self.first((0, LAST)).unwrap_or_default();
        if printable.is_ascii() { printable } else { first() }
    }

    /// The first character from the first to the last of `range`.
    pub(super) fn first(&self, range: (u32, u32)) -> Option<char> {
        let at = self.runs.partition_point(|run| run.1 < range.0);
        self.runs[at..].iter().take_while(|run| run.0 <= range.1).find_map(|run| {
            let (first, last) = (run.0.max(range.0), run.1.min(range.1));
            let surrogate = (SURROGATES.0..=SURROGATES.1).contains(&first);
            let first = if surrogate { SURROGATES.1 + 1 } else { first };
            char::from_u32(first).filter(|_| first <= last)
        })
    }

    /// Whether some number from the first to the last of `range` is in it.
    pub(super) fn meets(&self, range: (u32, u32)) -> bool {
        let at = self.runs.partition_point(|run| run.1 < range.0);
        self.runs.get(at).is_some_and(|run| run.0 <= range.1)
    }
}

fn complement(runs: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut out = Vec::with_capacity(runs.len() + 1);
    let mut next = 0;
    for &(first, last) in runs {
        if next < first {
            out.push((next, first - 1));
        }
        next = last + 1;
    }
    if next <= LAST {
        out.push((next, LAST));
    }
    out
}

/// A character whose last bytes are missing; none are missing between characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Partial {
    /// The bits so far.
    pub(super) value: u32,
    /// How many bytes are missing.
    pub(super) missing: u32,
    /// The least character of as many bytes, for longer forms of it are not UTF-8.
    least: u32,
}

impl Partial {
    /// With one more byte; `None` where that is not UTF-8.
    pub(super) fn push(self, byte: u8) -> Option<Self> {
        let bits = u32::from(byte);
        let next = if self.missing > 0 {
            let value = self.value << 6 | bits & 0x3f;
            (byte & 0xc0 == 0x80).then_some(Self { value, missing: self.missing - 1, ..self })
        } else {
            match byte {
                0..0x80 => Some(Self { value: bits, missing: 0, least: 0 }),
                0xc0..0xe0 => Some(Self { value: bits & 0x1f, missing: 1, least: 0x80 }),
                0xe0..0xf0 => Some(Self { value: bits & 0xf, missing: 2, least: 0x800 }),
                0xf0..0xf8 => Some(Self { value: bits & 7, missing: 3, least: 0x1_0000 }),
                _ => None,
            }
        }?;
        next.completions().map(|_| next)
    }

    /// First and last character that this may become. No beginning has characters on both sides of
    /// the surrogates, so cutting them off at either end is enough.
    pub(super) fn completions(self) -> Option<(u32, u32)> {
        let shift = 6 * self.missing;
        let mut first = (self.value << shift).max(self.least);
        let mut last = (self.value << shift | ((1 << shift) - 1)).min(LAST);
        if (SURROGATES.0..=SURROGATES.1).contains(&first) {
            first = SURROGATES.1 + 1;
        }
        if (SURROGATES.0..=SURROGATES.1).contains(&last) {
            last = SURROGATES.0 - 1;
        }
        (first <= last).then_some((first, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The oracle is the standard library's reading of UTF-8.
    #[test]
    fn every_character_can_be_pushed_byte_by_byte() {
        for c in '\0'..=char::MAX {
            let mut partial = Partial::default();
            for &byte in c.encode_utf8(&mut [0; 4]).as_bytes() {
                partial = partial.push(byte).unwrap();
                let (first, last) = partial.completions().unwrap();
                assert!((first..=last).contains(&u32::from(c)), "{c:?}");
            }
            assert_eq!((partial.missing, partial.value), (0, u32::from(c)));
        }
    }

    #[test]
    fn what_is_not_utf8_cannot_be_pushed() {
        for a in 0..=255 {
            for b in 0..=255 {
                let pushed = Partial::default().push(a).and_then(|partial| {
                    if partial.missing == 0 { Partial::default() } else { partial }.push(b)
                });
                let whole = match core::str::from_utf8(&[a, b]) {
                    Ok(_) => true,
                    Err(error) => error.error_len().is_none(),
                };
                assert_eq!(pushed.is_some(), whole, "{a:02x} {b:02x}");
            }
        }
    }

    #[test]
    fn a_class_and_its_negation_share_out_all_characters() {
        let ranges = alloc::vec![('c', 'f'), ('a', 'b'), ('é', 'é'), ('e', 'z'), ('ぁ', 'ゟ')];
        let class = Class::new(ranges.clone(), false);
        let others = Class::new(ranges.clone(), true);
        for c in '\0'..=char::MAX {
            let within = ranges.iter().any(|&(first, last)| (first..=last).contains(&c));
            assert_eq!(class.contains(c.into()), within, "{c:?}");
            assert_eq!(others.contains(c.into()), !within, "{c:?}");
            let one = (c.into(), c.into());
            assert_eq!(class.first(one).is_some(), within, "{c:?}");
        }
        assert!(
            Class::new(alloc::vec![('\0', '\u{d7ff}'), ('\u{e000}', char::MAX)], true).is_empty()
        );
        assert!(
            !Class::new(alloc::vec![('\0', '\u{d7ff}'), ('\u{e001}', char::MAX)], true).is_empty()
        );
    }

    #[test]
    fn the_shortest_character_is_printed_if_it_can_be() {
        for (ranges, negated, shortest) in [
            (alloc::vec![], true, ' '),
            (alloc::vec![('z', 'é'), ('\n', '\n'), ('c', 'c')], false, 'c'),
            (alloc::vec![('\u{7f}', 'é'), ('ぁ', 'ゟ')], false, '\u{7f}'),
            (alloc::vec![('\t', '\t'), ('é', 'é')], false, '\t'),
            (alloc::vec![('\0', '\u{d7ff}')], true, '\u{e000}'),
        ] {
            assert_eq!(Class::new(ranges, negated).shortest(), shortest);
        }
        let class = Class::new(alloc::vec![('a', 'c'), ('é', 'ë'), ('ぁ', 'ゟ')], false);
        assert_eq!(class.first(('b'.into(), LAST)), Some('b'));
        assert_eq!(class.first(('d'.into(), 'ê'.into())), Some('é'));
        assert_eq!(class.first(('d'.into(), 'è'.into())), None);
        assert_eq!(class.first(('ì'.into(), LAST)), Some('ぁ'));
    }
}
