//! Why a vocabulary is refused.
//!
//! A vocabulary comes from a file that anybody may have written, so every way in which it can be
//! wrong has a variant that says what is wrong, where, what was expected and what was found. Once a
//! [`Tokenizer`](crate::Tokenizer) exists, nothing about it can fail any more.

use alloc::string::String;

/// Why a vocabulary is refused. Offsets are in bytes from the start of the tokenizer file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tokenizer.json, or other JSON.
    #[error(
        "expected a tokenizer.bin or a tokenizer.model, found JSON; a tokenizer.json goes with its \
         safetensors"
    )]
    Json,

    /// The file ends before the vocabulary is complete.
    #[error(
        "tokenizer.bin: ends at byte {offset} in token {token}: expected {expected} tokens, found \
         {token}; the tokenizer belongs to a smaller model, or the file is cut short"
    )]
    Truncated {
        /// First token that is missing or cut short.
        token: usize,
        /// Length of the file.
        offset: usize,
        /// The model's vocabulary size.
        expected: usize,
    },

    /// Bytes follow the last token.
    #[error(
        "tokenizer.bin: expected the end of the file at byte {offset}, after {tokens} tokens, \
         found {extra} more bytes; the tokenizer belongs to a larger model"
    )]
    TrailingBytes {
        /// Where the last token ends.
        offset: usize,
        /// The model's vocabulary size.
        tokens: usize,
        /// How many bytes follow.
        extra: usize,
    },

    /// A token's length is not between 1 and [`MAX_TOKEN_BYTES`](crate::MAX_TOKEN_BYTES).
    #[error(
        "tokenizer.bin: token {token} at byte {offset}: expected a length from 1 to {max} bytes, \
         found {found}"
    )]
    TokenLength {
        /// The token.
        token: usize,
        /// Where its length is stored.
        offset: usize,
        /// The longest that is accepted.
        max: usize,
        /// The length in the file.
        found: i32,
    },

    /// A vocabulary has no tokens or more than [`MAX_TOKENS`](crate::MAX_TOKENS).
    #[error("{what}: expected from 1 to {max} tokens, found {found}")]
    TokenCount {
        /// The file or key.
        what: &'static str,
        /// The most that are accepted.
        max: usize,
        /// The number found.
        found: usize,
    },

    /// A token of a GGUF is longer than [`MAX_TOKEN_BYTES`](crate::MAX_TOKEN_BYTES), or all of them
    /// together than [`MAX_VOCAB_BYTES`](crate::MAX_VOCAB_BYTES).
    #[error("{what}, token {token}: expected at most {max} bytes, found {found}")]
    TooLong {
        /// The file or key, and which of the two limits.
        what: &'static str,
        /// The token at which the limit is passed.
        token: usize,
        /// The limit.
        max: usize,
        /// The length found.
        found: usize,
    },

    /// The special tokens have more different lengths than
    /// [`MAX_SPECIAL_LENGTHS`](crate::MAX_SPECIAL_LENGTHS).
    #[error(
        "tokenizer.ggml.token_type: expected special tokens of at most {max} different \
             lengths, found {found}"
    )]
    SpecialLengths {
        /// The limit.
        max: usize,
        /// The number found.
        found: usize,
    },

    /// A score is not a number, so no order of merges follows from it.
    #[error("{what}, token {token}: expected a number as score, found NaN")]
    Score {
        /// The file or key.
        what: &'static str,
        /// The token.
        token: usize,
    },

    /// A tokenizer.model is no protocol buffer of sentencepiece's.
    #[error("tokenizer.model: expected sentencepiece's ModelProto, found a {0}")]
    Protobuf(String),

    /// A tokenizer.model is longer than [`MAX_MODEL_BYTES`](crate::MAX_MODEL_BYTES).
    #[error("tokenizer.model: expected at most {max} bytes, found {found}")]
    ModelLength {
        /// The limit.
        max: usize,
        /// The length found.
        found: usize,
    },

    /// A tokenizer.model is not a BPE.
    #[error("tokenizer.model: expected a BPE model, found a {found} model")]
    ModelType {
        /// sentencepiece's name of the other kind.
        found: &'static str,
    },

    /// A tokenizer.model has another number of tokens than its model.
    #[error("tokenizer.model: expected the model's {expected} tokens, found {found}")]
    VocabSize {
        /// The model's vocabulary size.
        expected: usize,
        /// The number found.
        found: usize,
    },

    /// A vocabulary has a rule that is not built in.
    #[error("{setting}: expected {expected}, found {found}")]
    Setting {
        /// The file and the field, or the key.
        setting: &'static str,
        /// The rule that is built in.
        expected: bool,
        /// The rule found.
        found: bool,
    },

    /// A vocabulary is laid out in another way than Llama's: `<unk>`, `<s>`, `</s>`, 256 bytes, and
    /// text, none of which is empty.
    #[error(
        "{what}, token {token}: expected {expected}, as Llama's vocabularies have, found {found}"
    )]
    Layout {
        /// The file or key.
        what: &'static str,
        /// The first token that is out of place.
        token: usize,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },

    /// `tokenizer.ggml.model` names a tokenizer that is not built in.
    #[error("tokenizer.ggml.model: expected one of {supported}, found \"{found}\"")]
    UnsupportedModel {
        /// The names that work.
        supported: &'static str,
        /// The name in the file, shortened.
        found: String,
    },

    /// `tokenizer.ggml.pre` names a pre-tokenizer that is not built in.
    #[error("tokenizer.ggml.pre: expected one of {supported}, found \"{found}\"")]
    UnsupportedPreTokenizer {
        /// The names that work.
        supported: &'static str,
        /// The name in the file, shortened.
        found: String,
    },

    /// The tokenizer's model cannot work without this key.
    #[error("{key}: expected, because tokenizer.ggml.model is \"{model}\", found nothing")]
    MissingKey {
        /// The key.
        key: &'static str,
        /// The tokenizer's model.
        model: &'static str,
    },

    /// An array that has one entry a token has another length.
    #[error("{key}: expected {expected} entries, one a token, found {found}")]
    ArrayLength {
        /// The key.
        key: &'static str,
        /// Number of tokens.
        expected: usize,
        /// Length of the array.
        found: usize,
    },

    /// A token id is not in the vocabulary.
    #[error("{key}: expected a token id below {vocab_size}, found {found}")]
    IdOutOfRange {
        /// The key.
        key: &'static str,
        /// Number of tokens.
        vocab_size: usize,
        /// The id found.
        found: u32,
    },

    /// A merge is not two token texts with a space between them.
    #[error(
        "tokenizer.ggml.merges, entry {merge}: expected two texts and a space, found \"{found}\""
    )]
    Merge {
        /// The merge's index, which is its rank.
        merge: usize,
        /// The entry, shortened.
        found: String,
    },
}

/// A text from a file, short enough to stand in a message.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}
