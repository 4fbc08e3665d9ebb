//! From ids to text, a token at a time.
//!
//! A token's bytes need not be whole characters: with byte fallback `🦙` is four tokens. Printing
//! them as they come would show broken characters, so [`StreamDecoder`] keeps what may still become
//! one:
//!
//! ```text
//! pending += piece(token)
//! print the longest beginning of pending that is UTF-8
//! drop what can never become UTF-8, printing U+FFFD for each maximal subpart of a character
//! keep what may (at most 3 bytes)
//! ```
//!
//! The pieces are those of `decode` in llama2.c's run.c.

use alloc::string::String;
use alloc::vec::Vec;

use crate::vocab::TokenType;
use crate::{Model, Tokenizer};

impl Tokenizer {
    /// The bytes to print for `token` after `prev`. Nothing for a control token or one that does
    /// not exist. SentencePiece puts a space before a text, so the first one after BOS is dropped.
    ///
    /// The tokens of llama2.c have no types: it prints EOS as `"\n</s>\n"`, and so does this.
    pub fn decode_piece(&self, prev: Option<u32>, token: u32) -> &[u8] {
        let piece = self.vocab.text(token);
        match self.vocab.kind(token) {
            None | Some(TokenType::Control | TokenType::Unknown) => &[],
            Some(TokenType::Byte) => piece,
            Some(_) if prev.is_some() && prev == self.bos && self.adds_space() => {
                piece.strip_prefix(b" ").unwrap_or(piece)
            }
            Some(_) => piece,
        }
    }

    fn adds_space(&self) -> bool {
        match &self.model {
            Model::SentencePiece(model) => model.adds_space(),
            Model::ByteLevel(_) => false,
        }
    }
}

/// Turns a stream of ids into text without ever splitting a character.
#[derive(Debug, Default, Clone)]
pub struct StreamDecoder {
    prev: Option<u32>,
    pending: Vec<u8>,
}

impl StreamDecoder {
    /// For the tokens that follow `prev`, which is BOS or the last token before, or `None` at the
    /// very beginning.
    pub fn new(prev: Option<u32>) -> StreamDecoder {
        StreamDecoder { prev, pending: Vec::new() }
    }

    /// Appends to `out` what can be printed once `token` has come.
    pub fn push(&mut self, tokenizer: &Tokenizer, token: u32, out: &mut String) {
        let piece = tokenizer.decode_piece(self.prev, token);
        self.prev = Some(token);
        self.push_bytes(piece, out);
    }

    /// Appends to `out` what can be printed once `bytes` have come, which are of no token.
    pub fn push_bytes(&mut self, bytes: &[u8], out: &mut String) {
        self.pending.extend_from_slice(bytes);
        let mut rest = self.pending.as_slice();
        loop {
            match core::str::from_utf8(rest) {
                Ok(text) => {
                    out.push_str(text);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (text, after) = rest.split_at(error.valid_up_to());
                    out.push_str(core::str::from_utf8(text).unwrap_or_default());
                    rest = after;
                    // Without a length the bytes are the beginning of a character.
                    let Some(len) = error.error_len() else { break };
                    out.push(char::REPLACEMENT_CHARACTER);
                    rest = &rest[len..];
                }
            }
        }
        let done = self.pending.len() - rest.len();
        self.pending.drain(..done);
    }

    /// Appends U+FFFD to `out` if a character was left incomplete; the decoder is then as new.
    pub fn finish(&mut self, out: &mut String) {
        if !self.pending.is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
        self.pending.clear();
        self.prev = None;
    }
}
