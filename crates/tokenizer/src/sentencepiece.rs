//! BPE by scores, as SentencePiece trains it and both llama2.c and llama.cpp apply it.
//!
//! ```text
//! text    = (" " if the model adds a dummy prefix) + text
//! symbols = characters of text
//! while some pair of neighbours is a token together:
//!     merge the pair whose token has the best score, the leftmost of equals
//! ids     = each symbol's token, or one byte token for each byte of a symbol that has none
//! ```
//!
//! Nothing is merged across a place where two bytes meet that are neighbours in no token, such as
//! the end of a word before a space. The text is cut there, so that most merges happen in short
//! words, in memory that is near.
//!
//! SentencePiece writes a space as U+2581 `▁`. Pieces and text are kept with plain spaces here:
//! tokenizer.bin has them so, a GGUF's are turned when they are read.
//! The merge rule is llama2.c's `encode` (run.c) and llama.cpp's `llm_tokenizer_spm_session`.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::error::Error;
use crate::merge::{Merge, Merger, Symbol};
use crate::vocab::{TextIndex, Vocab};

/// SentencePiece's visible space.
pub const VISIBLE_SPACE: char = '\u{2581}';

/// The tables of a SentencePiece-style BPE.
#[derive(Debug)]
pub(crate) struct SentencePiece {
    index: TextIndex,
    /// A bit for each pair of bytes, set if they are neighbours in some token.
    neighbours: Vec<u64>,
    /// For each token, lower for a better score; equal scores have equal priorities.
    priorities: Vec<u32>,
    /// For each byte its token.
    bytes: Vec<Option<u32>>,
    adds_space: bool,
    dialect: Dialect,
}

/// Where llama2.c and llama.cpp differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// llama2.c breaks a character that is no token into bytes before it merges, so that such a
    /// character is never part of a longer token; `▁` in the text is a character like others.
    Llama2c,
    /// llama.cpp breaks it after; `▁` in the text is a space.
    LlamaCpp,
}

impl SentencePiece {
    /// `scores` has one entry a token, `bytes` one a byte, `what` names the scores in an error.
    pub(crate) fn new(
        vocab: &Vocab,
        what: &'static str,
        scores: &[f32],
        bytes: Vec<Option<u32>>,
        adds_space: bool,
        dialect: Dialect,
    ) -> Result<SentencePiece, Error> {
        if let Some(token) = scores.iter().position(|score| score.is_nan()) {
            return Err(Error::Score { what, token });
        }
        let is_text = |id: u32| vocab.kind(id).is_some_and(|kind| kind.is_text());
        let mut neighbours = vec![0; 1 << 10];
        for id in vocab.ids().filter(|&id| is_text(id)) {
            for pair in vocab.text(id).windows(2) {
                let (word, bit) = bit_of(pair[0], pair[1]);
                neighbours[word] |= bit;
            }
        }
        let index = TextIndex::new(vocab, is_text);
        let priorities = scores.iter().map(|&score| priority_of(score)).collect();
        Ok(SentencePiece { index, neighbours, priorities, bytes, adds_space, dialect })
    }

    /// Whether a space goes before a text that begins the input or follows a special token.
    pub(crate) fn adds_space(&self) -> bool {
        self.adds_space
    }

    /// Appends the ids of `text` to `ids`. `starts` says that the dummy prefix belongs before it.
    pub(crate) fn encode(
        &self,
        vocab: &Vocab,
        text: &str,
        starts: bool,
        merger: &mut Merger,
        ids: &mut Vec<u32>,
    ) {
        let text = self.normalize(text, starts);
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (word, after) = rest.split_at(self.word_len(rest));
            self.encode_word(vocab, word, merger, ids);
            rest = after;
        }
    }

    /// Bytes up to the first place that no token spans.
    fn word_len(&self, text: &str) -> usize {
        let inside = |pair: &[u8]| {
            let (word, bit) = bit_of(pair[0], pair[1]);
            self.neighbours[word] & bit != 0
        };
        let ends = text.as_bytes().windows(2).zip(1..).filter(|(pair, _)| !inside(pair));
        ends.map(|(_, end)| end).find(|&end| text.is_char_boundary(end)).unwrap_or(text.len())
    }

    fn encode_word(&self, vocab: &Vocab, word: &str, merger: &mut Merger, ids: &mut Vec<u32>) {
        let bytes = word.as_bytes();
        merger.clear();
        let mut buffer = [0; 4];
        for character in word.chars() {
            let symbol = character.encode_utf8(&mut buffer).as_bytes();
            merger.push(symbol.len(), self.index.find(vocab, symbol));
        }
        merger.run(|left, right| self.merge(vocab, bytes, left, right));
        for symbol in merger.symbols() {
            match symbol.id {
                Some(id) => ids.push(id),
                None => {
                    let fallback = bytes[symbol.range()].iter();
                    ids.extend(fallback.filter_map(|&byte| self.bytes[usize::from(byte)]));
                }
            }
        }
    }

    fn normalize(&self, text: &str, starts: bool) -> String {
        let mut normal = String::with_capacity(text.len() + 1);
        if starts && self.adds_space {
            normal.push(' ');
        }
        match self.dialect {
            Dialect::Llama2c => normal.push_str(text),
            Dialect::LlamaCpp => push_plain_spaces(&mut normal, text),
        }
        normal
    }

    fn merge(&self, vocab: &Vocab, text: &[u8], left: &Symbol, right: &Symbol) -> Option<Merge> {
        if self.dialect == Dialect::Llama2c && (left.id.is_none() || right.id.is_none()) {
            return None;
        }
        let id = self.index.find(vocab, &text[left.range().start..right.range().end])?;
        Some(Merge { priority: self.priorities[id as usize], id })
    }
}

/// Where `neighbours` keeps a pair of bytes: index and mask.
fn bit_of(left: u8, right: u8) -> (usize, u64) {
    let pair = usize::from(left) << 8 | usize::from(right);
    (pair >> 6, 1 << (pair & 63))
}

/// `text` with single spaces between words and none around them, which is what sentencepiece makes
/// of a text by its `remove_extra_whitespaces`. Other white space stays, and `▁` but at the end.
pub(crate) fn without_extra_spaces(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let text = text.trim_end_matches([' ', VISIBLE_SPACE]);
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// Appends `text` with every `▁` turned into a plain space.
pub(crate) fn push_plain_spaces(out: &mut String, text: &str) {
    for (at, part) in text.split(VISIBLE_SPACE).enumerate() {
        if at > 0 {
            out.push(' ');
        }
        out.push_str(part);
    }
}

/// Maps scores to integers that order the other way round: the best score has the lowest number.
fn priority_of(score: f32) -> u32 {
    // -0.0 and 0.0 are equal scores; adding 0.0 makes both 0.0.
    let bits = (score + 0.0).to_bits();
    // The bits of positive floats order as the floats do, those of negative ones the other way.
    if bits >> 31 == 0 { 0x7fff_ffff - bits } else { bits }
}

/// The value of a byte token's text, `<0x0A>` for 10.
pub fn byte_value(text: &[u8]) -> Option<u8> {
    let digits = text.strip_prefix(b"<0x")?.strip_suffix(b">")?;
    let [high, low] = digits else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(*high)? * 16 + digit(*low)?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_scores_have_lower_priorities() {
        let scores = [f32::INFINITY, 3.5, 1e-40, 0.0, -1e-40, -1.0, -1e10, f32::NEG_INFINITY];
        for pair in scores.windows(2) {
            assert!(priority_of(pair[0]) < priority_of(pair[1]), "{pair:?}");
        }
        assert_eq!(priority_of(0.0), priority_of(-0.0));
    }

    #[test]
    fn byte_tokens_are_exactly_two_hex_digits() {
        assert_eq!(byte_value(b"<0x0A>"), Some(10));
        assert_eq!(byte_value(b"<0xff>"), Some(255));
        for text in ["<0x>", "<0xA>", "<0x00A>", "<0xG0>", "0x0A", "<0x0A"] {
            assert_eq!(byte_value(text.as_bytes()), None, "{text}");
        }
    }
}
