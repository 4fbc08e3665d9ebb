//! Finding special tokens, such as `<|im_start|>`, in text.
//!
//! The rule is llama.cpp's `tokenizer_st_partition`: all tokens are searched in the whole text, the
//! longest first, and what one token has taken no other gets. User-defined tokens are always
//! searched for, control and unknown tokens only where the caller asks for them.
//!
//! ```text
//! parts = [text]
//! for each length that a token has, longest first:
//!     for each part that is text:
//!         cut out, from left to right, the tokens of that length
//! ```
//!
//! llama.cpp goes through the text once for each token; going once for each length gives the same
//! parts (it leaves open which of two equally long tokens goes first) and takes a vocabulary with
//! hundreds of special tokens about twenty passes.

use alloc::vec;
use alloc::vec::Vec;

use crate::vocab::Vocab;

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'t> {
    /// Plain text, not empty.
    Text(&'t str),
    /// A token.
    Token(u32),
}

/// Tokens to search for.
#[derive(Debug, Default)]
pub(crate) struct SpecialTokens {
    /// Longest first.
    groups: Vec<Group>,
}

/// The tokens of one length.
#[derive(Debug)]
struct Group {
    len: usize,
    /// Which bytes a token of this length begins with.
    first: [bool; 256],
    /// Sorted by text, no text twice.
    tokens: Vec<(Vec<u8>, u32)>,
}

impl SpecialTokens {
    /// The tokens of `vocab` that are UTF-8, not empty and that `wanted` holds for.
    pub(crate) fn new(vocab: &Vocab, wanted: impl Fn(u32) -> bool) -> SpecialTokens {
        let texts = vocab.ids().filter(|&id| wanted(id)).map(|id| (vocab.text(id).to_vec(), id));
        SpecialTokens::from_texts(texts.collect())
    }

    /// From texts and their ids. Of equal texts the lowest id counts.
    pub(crate) fn from_texts(mut texts: Vec<(Vec<u8>, u32)>) -> SpecialTokens {
        texts.retain(|(text, _)| !text.is_empty() && core::str::from_utf8(text).is_ok());
        texts.sort_unstable_by(|(a, a_id), (b, b_id)| {
            b.len().cmp(&a.len()).then_with(|| a.cmp(b)).then(a_id.cmp(b_id))
        });
        texts.dedup_by(|later, kept| later.0 == kept.0);
        let mut groups: Vec<Group> = Vec::new();
        for (text, id) in texts {
            let len = text.len();
            if groups.last().is_none_or(|group| group.len != len) {
                groups.push(Group { len, first: [false; 256], tokens: Vec::new() });
            }
            if let Some(group) = groups.last_mut() {
                group.first[usize::from(text[0])] = true;
                group.tokens.push((text, id));
            }
        }
        SpecialTokens { groups }
    }

    /// How many different lengths there are: a text is gone through once for each.
    pub(crate) fn lengths(&self) -> usize {
        self.groups.len()
    }

    /// The token whose text is exactly `text`.
    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        let group = self.groups.iter().find(|group| group.len == text.len())?;
        group.find(text.as_bytes())
    }

    /// Cuts `text` into special tokens and the text between them.
    pub(crate) fn partition<'t>(&self, text: &'t str) -> Vec<Part<'t>> {
        if text.is_empty() {
            return Vec::new();
        }
        let mut parts = vec![Part::Text(text)];
        for group in &self.groups {
            let mut cut = Vec::with_capacity(parts.len());
            for part in parts {
                match part {
                    Part::Text(text) => group.cut(text, &mut cut),
                    Part::Token(_) => cut.push(part),
                }
            }
            parts = cut;
        }
        parts
    }
}

impl Group {
    fn find(&self, text: &[u8]) -> Option<u32> {
        let found = self.tokens.binary_search_by(|(token, _)| token.as_slice().cmp(text)).ok()?;
        Some(self.tokens[found].1)
    }

    fn cut<'t>(&self, text: &'t str, parts: &mut Vec<Part<'t>>) {
        let bytes = text.as_bytes();
        let (mut start, mut at) = (0, 0);
        while at + self.len <= bytes.len() {
            let window = &bytes[at..at + self.len];
            let found = if self.first[usize::from(window[0])] { self.find(window) } else { None };
            match found {
                Some(id) => {
                    // A token is UTF-8, so it begins and ends between characters.
                    if start < at {
                        parts.push(Part::Text(&text[start..at]));
                    }
                    parts.push(Part::Token(id));
                    at += self.len;
                    start = at;
                }
                None => at += 1,
            }
        }
        if start < text.len() {
            parts.push(Part::Text(&text[start..]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Part::{Text, Token};
    use super::*;

    fn tokens(texts: &[&str]) -> SpecialTokens {
        let texts = texts.iter().zip(0..).map(|(text, id)| (text.as_bytes().to_vec(), id));
        SpecialTokens::from_texts(texts.collect())
    }

    #[test]
    fn longer_tokens_take_their_text_first() {
        let special = tokens(&["<a>", "<a><b>", "<b>"]);
        let parts = special.partition("x<a><b><a>y<b>");
        assert_eq!(parts, [Text("x"), Token(1), Token(0), Text("y"), Token(2)]);
    }

    #[test]
    fn a_longer_token_goes_first_even_where_a_shorter_one_begins_further_left() {
        // llama.cpp searches the longest token in the whole text before it looks for the next.
        let special = tokens(&["ab", "bcd"]);
        assert_eq!(special.partition("abcd"), [Text("a"), Token(1)]);
    }

    #[test]
    fn empty_and_invalid_texts_are_never_found() {
        let special = SpecialTokens::from_texts(vec![(vec![], 0), (vec![0xff], 1)]);
        assert_eq!(special.partition("ab"), [Text("ab")]);
        assert_eq!(special.partition(""), []);
    }
}
