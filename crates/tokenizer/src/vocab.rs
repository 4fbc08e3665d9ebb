//! The tokens of a model: what each one's bytes are, and which token has given bytes.
//!
//! All bytes lie end to end in one allocation; token `id` is `bytes[ends[id - 1]..ends[id]]`.
//! [`TextIndex`] goes the other way. It is a hash table whose buckets are sorted, because a file
//! must not be able to make the loader slow: tokens chosen to collide cost log n instead of n.
//!
//! ```text
//! bucket      = hash(text) & (buckets - 1)
//! ids[starts[bucket]..starts[bucket + 1]]    sorted by text, searched by halves
//! ```

use alloc::vec::Vec;

use crate::error::Error;
use crate::{MAX_TOKEN_BYTES, MAX_VOCAB_BYTES};

/// What a token is for; the numbers are those of `tokenizer.ggml.token_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenType {
    /// 1: text.
    Normal,
    /// 2: stands for what the vocabulary cannot express.
    Unknown,
    /// 3: structure, such as `<|im_start|>`. Never made from plain text.
    Control,
    /// 4: text that is always a token of its own.
    UserDefined,
    /// 5: never used in training.
    Unused,
    /// 6: one raw byte, for characters without a token.
    Byte,
}

impl TokenType {
    /// From the number in a GGUF. llama.cpp knows no others but 0, "undefined".
    pub(crate) fn from_gguf(number: i32) -> TokenType {
        match number {
            2 => TokenType::Unknown,
            3 => TokenType::Control,
            4 => TokenType::UserDefined,
            5 => TokenType::Unused,
            6 => TokenType::Byte,
            _ => TokenType::Normal,
        }
    }

    /// Whether plain text may become this token through merges.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, TokenType::Normal | TokenType::UserDefined | TokenType::Unused)
    }
}

/// Every token's bytes and type, by id.
#[derive(Debug, Default)]
pub(crate) struct Vocab {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    types: Vec<TokenType>,
}

impl Vocab {
    /// Appends the next token. `what` names the file or key in an error.
    pub(crate) fn push(
        &mut self,
        what: &'static str,
        text: &[u8],
        kind: TokenType,
    ) -> Result<(), Error> {
        let too_long = |max, found| Error::TooLong { what, token: self.ends.len(), max, found };
        if text.len() > MAX_TOKEN_BYTES {
            return Err(too_long(MAX_TOKEN_BYTES, text.len()));
        }
        let end = self.bytes.len() + text.len();
        if end > MAX_VOCAB_BYTES {
            return Err(too_long(MAX_VOCAB_BYTES, end));
        }
        self.bytes.extend_from_slice(text);
        self.ends.push(end as u32);
        self.types.push(kind);
        Ok(())
    }

    /// Number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// All ids in order.
    pub(crate) fn ids(&self) -> core::ops::Range<u32> {
        0..self.ends.len() as u32
    }

    /// A token's bytes; empty where there is no such token.
    pub(crate) fn text(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let Some(&end) = self.ends.get(id) else { return &[] };
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.bytes[start as usize..end as usize]
    }

    /// A token's type; `None` where there is no such token.
    pub(crate) fn kind(&self, id: u32) -> Option<TokenType> {
        self.types.get(id as usize).copied()
    }
}

/// Which token has given bytes; of several with the same bytes, the one with the lowest id.
#[derive(Debug)]
pub(crate) struct TextIndex {
    starts: Vec<u32>,
    ids: Vec<u32>,
    longest: usize,
}

impl TextIndex {
    /// Over the tokens of `vocab` that are not empty and that `wanted` holds for.
    pub(crate) fn new(vocab: &Vocab, wanted: impl Fn(u32) -> bool) -> TextIndex {
        let mut entries: Vec<(usize, u32)> = Vec::new();
        let buckets = vocab.len().next_power_of_two();
        let mut longest = 0;
        for id in vocab.ids() {
            let text = vocab.text(id);
            if !text.is_empty() && wanted(id) {
                entries.push((bucket_of(text, buckets), id));
                longest = longest.max(text.len());
            }
        }
        let text_order = |a: u32, b: u32| vocab.text(a).cmp(vocab.text(b)).then(a.cmp(&b));
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| text_order(a.1, b.1)));
        entries.dedup_by(|later, kept| vocab.text(later.1) == vocab.text(kept.1));

        let mut starts = Vec::with_capacity(buckets + 1);
        let mut start = 0;
        for bucket in 0..=buckets {
            while start < entries.len() && entries[start].0 < bucket {
                start += 1;
            }
            starts.push(start as u32);
        }
        TextIndex { starts, ids: entries.into_iter().map(|(_, id)| id).collect(), longest }
    }

    /// The token whose bytes are `text`.
    pub(crate) fn find(&self, vocab: &Vocab, text: &[u8]) -> Option<u32> {
        if text.len() > self.longest {
            return None;
        }
        let bucket = bucket_of(text, self.starts.len() - 1);
        let ids = &self.ids[self.starts[bucket] as usize..self.starts[bucket + 1] as usize];
        let found = ids.binary_search_by(|&id| vocab.text(id).cmp(text)).ok()?;
        Some(ids[found])
    }
}

/// FNV-1a, folded to a power of two of buckets.
fn bucket_of(text: &[u8], buckets: usize) -> usize {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for &byte in text {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (hash ^ (hash >> 32)) as usize & (buckets - 1)
}
