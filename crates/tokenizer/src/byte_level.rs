//! Byte-level BPE, as GPT-2 introduced it: merges by rank within words.
//!
//! ```text
//! for each word of the pre-tokenizer:
//!     symbols = bytes of the word
//!     while some pair of neighbours is in the list of merges:
//!         merge the pair that comes first in the list, the leftmost of equals
//!     ids = each symbol's token
//! ```
//!
//! In the file every byte is written as a printable character, so that tokens are readable strings
//! without spaces: `Ġ` (U+0120) is a space. [`decode_alphabet`] turns that back; from then on
//! tokens are bytes. The map is `bytes_to_unicode` of GPT-2's encoder.py.
//!
//! Merges are looked up by token id: `entries[starts[left]..starts[left + 1]]` holds the merges
//! with that left side, sorted by the right one. A byte that is no token has the id
//! `tokens + byte` while it is merged and is dropped in the end, as llama.cpp does. SmolLM2 lacks
//! 21 of them, most of which UTF-8 never uses.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{Error, shorten};
use crate::merge::{Merge, Merger, Symbol};
use crate::pretokenize::PreTokenizer;
use crate::vocab::{TextIndex, Vocab};

/// The tables of a byte-level BPE.
#[derive(Debug)]
pub(crate) struct ByteLevel {
    pre: PreTokenizer,
    index: TextIndex,
    /// For each byte its token, or `tokens + byte`.
    bytes: Vec<u32>,
    /// One more than there are tokens and bytes.
    starts: Vec<u32>,
    entries: Vec<Entry>,
    tokens: u32,
}

/// A merge with a given left side.
#[derive(Debug, Clone, Copy)]
struct Entry {
    right: u32,
    rank: u32,
    merged: u32,
}

impl ByteLevel {
    /// `findable` says which tokens text may become: those whose text in the file is in GPT-2's
    /// alphabet. `merges` are the entries of `tokenizer.ggml.merges`, in order.
    pub(crate) fn new(
        vocab: &Vocab,
        pre: PreTokenizer,
        findable: impl Fn(u32) -> bool,
        merges: &[&[u8]],
    ) -> Result<ByteLevel, Error> {
        let index = TextIndex::new(vocab, findable);
        let tokens = vocab.len() as u32;
        let bytes: Vec<u32> = (0..=255u8)
            .map(|byte| index.find(vocab, &[byte]).unwrap_or(tokens + u32::from(byte)))
            .collect();

        let id_of = |text: &[u8]| match text {
            [byte] => Some(bytes[usize::from(*byte)]),
            _ => index.find(vocab, text),
        };
        let mut sorted: Vec<(u32, Entry)> = Vec::with_capacity(merges.len());
        for (merge, entry) in merges.iter().enumerate() {
            let (left, right) = parse_merge(merge, entry)?;
            let merged = [left.as_slice(), right.as_slice()].concat();
            // A merge of what is no token leads nowhere; converters leave some in.
            if let (Some(left), Some(right), Some(merged)) =
                (id_of(&left), id_of(&right), id_of(&merged))
            {
                sorted.push((left, Entry { right, rank: merge as u32, merged }));
            }
        }
        sorted.sort_unstable_by_key(|(left, entry)| (*left, entry.right, entry.rank));
        sorted.dedup_by_key(|(left, entry)| (*left, entry.right));

        let mut starts = Vec::with_capacity(tokens as usize + 257);
        let mut start = 0;
        for left in 0..=tokens + 256 {
            while start < sorted.len() && sorted[start].0 < left {
                start += 1;
            }
            starts.push(start as u32);
        }
        let entries = sorted.into_iter().map(|(_, entry)| entry).collect();
        Ok(ByteLevel { pre, index, bytes, starts, entries, tokens })
    }

    /// How it cuts text into words.
    pub(crate) fn pre(&self) -> PreTokenizer {
        self.pre
    }

    /// Appends the ids of `text` to `ids`.
    pub(crate) fn encode(
        &self,
        vocab: &Vocab,
        text: &str,
        merger: &mut Merger,
        ids: &mut Vec<u32>,
    ) {
        self.pre.split(text, &mut |word| {
            if self.pre.takes_whole_words()
                && let Some(id) = self.index.find(vocab, word.as_bytes())
            {
                ids.push(id);
                return;
            }
            merger.clear();
            for &byte in word.as_bytes() {
                merger.push(1, Some(self.bytes[usize::from(byte)]));
            }
            merger.run(|left, right| self.merge(left, right));
            let symbols = merger.symbols().filter_map(|symbol| symbol.id);
            ids.extend(symbols.filter(|&id| id < self.tokens));
        });
    }

    fn merge(&self, left: &Symbol, right: &Symbol) -> Option<Merge> {
        let (left, right) = (left.id? as usize, right.id?);
        let range = self.starts[left] as usize..self.starts[left + 1] as usize;
        let entries = &self.entries[range];
        let found = entries.binary_search_by_key(&right, |entry| entry.right).ok()?;
        Some(Merge { priority: entries[found].rank, id: entries[found].merged })
    }
}

/// An entry of `tokenizer.ggml.merges`: two texts and a space. The first is at least one byte long,
/// so that it may begin with a space.
fn parse_merge(merge: usize, entry: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let text = core::str::from_utf8(entry).ok();
    let space = entry.iter().skip(1).position(|&byte| byte == b' ').map(|at| at + 1);
    let (Some(text), Some(space)) = (text, space) else {
        let found = shorten(&String::from_utf8_lossy(entry));
        return Err(Error::Merge { merge, found });
    };
    let bytes = |text| decode_alphabet(text).unwrap_or_default();
    Ok((bytes(&text[..space]), bytes(&text[space + 1..])))
}

/// The bytes that `text` stands for; `None` where a character is not in GPT-2's alphabet.
pub(crate) fn decode_alphabet(text: &str) -> Option<Vec<u8>> {
    text.chars().map(byte_of).collect()
}

/// The byte that a character stands for. Printable bytes stand for themselves; the other 68 take
/// the characters from U+0100 on, in order: 0x00-0x20, 0x7F-0xA0 and 0xAD.
fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    match code {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => u8::try_from(code).ok(),
        0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        0x121..=0x142 => u8::try_from(code - 0x121 + 0x7f).ok(),
        0x143 => Some(0xad),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_character() {
        let mut seen = [false; 256];
        for character in (0..0x200).filter_map(char::from_u32) {
            if let Some(byte) = byte_of(character) {
                assert!(!core::mem::replace(&mut seen[usize::from(byte)], true), "{character}");
            }
        }
        assert!(seen.iter().all(|&seen| seen));
        assert_eq!(decode_alphabet("ĠHiĊ"), Some(b" Hi\n".to_vec()));
        assert_eq!(decode_alphabet("a b"), None);
    }

    #[test]
    fn a_merge_is_two_texts_and_a_space() {
        assert_eq!(parse_merge(0, "Ġ t".as_bytes()), Ok((b" ".to_vec(), b"t".to_vec())));
        assert!(parse_merge(7, b"abc").is_err());
        assert!(parse_merge(7, b" ").is_err());
        assert!(parse_merge(7, b"").is_err());
    }
}
