//! Text to token ids and back.
//!
//! A model reads and writes token ids; this crate knows what text they stand for. It reads
//! llama2.c's tokenizer.bin, sentencepiece's tokenizer.model and the vocabulary of a GGUF, learns a
//! vocabulary from a text ([`train`]), and implements the two kinds of BPE that Llama models come
//! with:
//!
//! ```text
//! text --special--> parts --+-- SentencePiece-style BPE: merges by score over the whole part
//!                           +-- byte-level BPE: pre-tokenizer --> words, merges by rank
//!                                                                     |
//! text <-- StreamDecoder (holds back incomplete UTF-8) <-- bytes <-- ids
//! ```
//!
//! Both take O(n log n) for n bytes, whatever the text. Every number and length from a file is
//! checked while a [`Tokenizer`] is built ([`Error`]); after that nothing can fail.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod byte_level;
mod decode;
mod error;
mod gguf;
mod llama2c;
mod merge;
mod metadata;
mod pieces;
mod pretokenize;
mod sentencepiece;
mod sentencepiece_model;
mod special;
mod train;
mod vocab;

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::byte_level::ByteLevel;
use crate::merge::{MAX_MERGE_BYTES, Merger};
use crate::sentencepiece::{SentencePiece, without_extra_spaces};
use crate::special::{Part, SpecialTokens};
use crate::vocab::{TokenType, Vocab};

pub use crate::decode::StreamDecoder;
pub use crate::error::Error;
pub use crate::gguf::GgufVocab;
pub use crate::metadata::MetadataError;
pub use crate::pieces::{Piece, PieceKind, Pieces};
pub use crate::sentencepiece::{VISIBLE_SPACE, byte_value};
pub use crate::sentencepiece_model::{MAX_MODEL_BYTES, is_json};
pub use crate::train::{TrainError, TrainOptions, train, training_part};

/// The most tokens that a vocabulary may have. The largest that are in use have 262,144.
pub const MAX_TOKENS: usize = 1 << 20;

/// The longest that a token may be, in bytes. Few in use pass 256.
pub const MAX_TOKEN_BYTES: usize = 4096;

/// The most that all tokens together may take, in bytes.
pub const MAX_VOCAB_BYTES: usize = 1 << 28;

/// The most different lengths that special tokens may have; those in use have about twenty. A
/// text is searched once for each.
pub const MAX_SPECIAL_LENGTHS: usize = 64;

/// What [`Tokenizer::encode`] does with the text of a control token, such as `<|im_start|>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// It is text like any other. For what a user types.
    Plain,
    /// It becomes the control token. For templates.
    Parse,
}

/// A vocabulary with its rules: text to token ids and back.
#[derive(Debug)]
pub struct Tokenizer {
    vocab: Vocab,
    model: Model,
    /// Tokens to find in any text.
    user_defined: SpecialTokens,
    /// Tokens to find where the caller asks for special ones.
    special: SpecialTokens,
    bos: Option<u32>,
    eos: Option<u32>,
    ends: Ends,
    adds_bos: bool,
    /// A text loses its extra spaces before it is encoded.
    removes_extra_spaces: bool,
    kind: String,
    notes: Vec<&'static str>,
}

#[derive(Debug)]
enum Model {
    SentencePiece(SentencePiece),
    ByteLevel(ByteLevel),
}

/// Tokens that end something.
#[derive(Debug)]
struct Ends {
    text: Vec<u32>,
    turn: Vec<u32>,
}

impl Tokenizer {
    /// Reads llama2.c's tokenizer.bin. The file does not say how many tokens it has; `vocab_size`
    /// comes from the model.
    ///
    /// # Errors
    /// The file has fewer or more tokens, a token's length is out of bounds, or a score is NaN.
    pub fn from_llama2c(bytes: &[u8], vocab_size: usize) -> Result<Tokenizer, Error> {
        llama2c::read(bytes, vocab_size)
    }

    /// Reads sentencepiece's tokenizer.model. It encodes as sentencepiece does; where a text ends
    /// is as for a tokenizer.bin.
    ///
    /// # Errors
    /// The bytes are no such file or too many, the model is not a BPE with Llama's layout and
    /// rules, a token is too long, or a score is NaN.
    pub fn from_sentencepiece(bytes: &[u8]) -> Result<Tokenizer, Error> {
        sentencepiece_model::read(bytes)
    }

    /// The tokenizer of a llama2.c model: reads a tokenizer.bin or a tokenizer.model, whichever the
    /// bytes are.
    ///
    /// # Errors
    /// As [`Tokenizer::from_llama2c`] and [`Tokenizer::from_sentencepiece`]; either has another
    /// number of tokens than `vocab_size`.
    pub fn from_file(bytes: &[u8], vocab_size: usize) -> Result<Tokenizer, Error> {
        if !sentencepiece_model::is_model(bytes)? {
            return Tokenizer::from_llama2c(bytes, vocab_size);
        }
        let tokenizer = Tokenizer::from_sentencepiece(bytes)?;
        match tokenizer.vocab_size() {
            found if found == vocab_size => Ok(tokenizer),
            found => Err(Error::VocabSize { expected: vocab_size, found }),
        }
    }

    /// Reads a tokenizer.bin or a tokenizer.model without its model: as many tokens as it holds.
    ///
    /// # Errors
    /// As [`Tokenizer::from_file`].
    pub fn from_file_alone(bytes: &[u8]) -> Result<Tokenizer, Error> {
        if sentencepiece_model::is_model(bytes)? {
            return Tokenizer::from_sentencepiece(bytes);
        }
        llama2c::read(bytes, llama2c::count(bytes))
    }

    /// The tokenizer of pieces that were read or learned. It encodes as sentencepiece and a GGUF of
    /// the same pieces do; where a text ends is as for a tokenizer.bin.
    ///
    /// # Errors
    /// No pieces or too many, a piece that is too long, or a score that is NaN.
    pub fn from_pieces(pieces: &Pieces) -> Result<Tokenizer, Error> {
        let ends = llama2c::ends();
        Ok(Tokenizer { ends, ..gguf::from_pieces(pieces)? })
    }

    /// Builds the tokenizer that a GGUF describes.
    ///
    /// # Errors
    /// The tokenizer or pre-tokenizer is not built in, a key is missing, or what the keys say does
    /// not fit together.
    pub fn from_gguf(vocab: &GgufVocab<'_>) -> Result<Tokenizer, Error> {
        gguf::read(vocab)
    }

    /// The ids of `text`, without BOS.
    ///
    /// User-defined tokens are found in any text, as llama.cpp does. A byte for which the
    /// vocabulary has neither a token nor a fallback is left out.
    pub fn encode(&self, text: &str, special: Special) -> Vec<u32> {
        let table = match special {
            Special::Plain => &self.user_defined,
            Special::Parse => &self.special,
        };
        self.encode_parts(table, text, true)
    }

    /// The ids of plain text that goes on where other text ended: no space of SentencePiece's goes
    /// before it.
    pub fn encode_continuation(&self, text: &str) -> Vec<u32> {
        self.encode_parts(&self.user_defined, text, false)
    }

    fn encode_parts(&self, table: &SpecialTokens, text: &str, mut starts: bool) -> Vec<u32> {
        let mut ids = Vec::new();
        let mut merger = Merger::default();
        let text = match self.removes_extra_spaces && starts {
            true => Cow::Owned(without_extra_spaces(text)),
            false => Cow::Borrowed(text),
        };
        for part in table.partition(&text) {
            match part {
                Part::Token(id) => {
                    ids.push(id);
                    starts = true;
                }
                Part::Text(text) => {
                    self.encode_part(text, starts, &mut merger, &mut ids);
                    starts = false;
                }
            }
        }
        ids
    }

    fn encode_part(&self, text: &str, starts: bool, merger: &mut Merger, ids: &mut Vec<u32>) {
        let (mut rest, mut starts) = (text, starts);
        while !rest.is_empty() {
            let (text, after) = rest.split_at(rest.floor_char_boundary(MAX_MERGE_BYTES));
            match &self.model {
                Model::SentencePiece(model) => model.encode(&self.vocab, text, starts, merger, ids),
                Model::ByteLevel(model) => model.encode(&self.vocab, text, merger, ids),
            }
            (rest, starts) = (after, false);
        }
    }

    /// The token that begins a sequence.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The token that ends a sequence.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// Whether BOS goes before the ids of a text. llama2.c: always. GGUF: what
    /// `tokenizer.ggml.add_bos_token` says, and where that is absent yes for "llama", no for
    /// "gpt2".
    pub fn adds_bos(&self) -> bool {
        self.adds_bos
    }

    /// Whether a chat turn is over with this token: EOS, end-of-turn and what else is known to end
    /// an answer, such as `<|im_end|>` and `<|eot_id|>`; BOS as well for llama2.c.
    pub fn is_end(&self, token: u32) -> bool {
        self.ends.turn.contains(&token)
    }

    /// Whether a continued text is over with this token: as [`Tokenizer::is_end`], or with BOS,
    /// which begins the next one. llama2.c's `generate` stops only at BOS and prints EOS.
    pub fn is_text_end(&self, token: u32) -> bool {
        self.ends.text.contains(&token)
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.vocab.len()
    }

    /// What a token stands for: text with plain spaces, the one byte of a byte token, or a control
    /// token's name. `None` where there is no such token.
    pub fn token_bytes(&self, token: u32) -> Option<&[u8]> {
        self.vocab.kind(token).map(|_| self.vocab.text(token))
    }

    /// Whether a token is structure and not text.
    pub fn is_control(&self, token: u32) -> bool {
        self.vocab.kind(token) == Some(TokenType::Control) || self.is_end(token)
    }

    /// The control or user-defined token with this text, such as `<|im_start|>`.
    pub fn control_id(&self, text: &str) -> Option<u32> {
        self.special.find(text)
    }

    /// What users should know of how this differs from the program the vocabulary was made for: a
    /// line for each thing.
    pub fn notes(&self) -> &[&'static str] {
        &self.notes
    }

    /// What kind of tokenizer this is, for people: "llama2.c BPE", "SentencePiece BPE" or
    /// "byte-level BPE (smollm)".
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// How text is cut into words before merges, by llama.cpp's name for it, of several the best
    /// known. `None` where it is not: SentencePiece's BPE merges across whole texts.
    pub fn pre_tokenizer(&self) -> Option<&'static str> {
        match &self.model {
            Model::SentencePiece(_) => None,
            Model::ByteLevel(model) => Some(model.pre().name()),
        }
    }
}
