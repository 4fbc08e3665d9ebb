//! The keys `tokenizer.ggml.*` of a GGUF, gathered into a [`GgufVocab`].

use alloc::vec::Vec;
use llamaboot_checkpoint::gguf::{Array, Gguf, Value};

use crate::{Error, GgufVocab, Pieces, Tokenizer};

/// Why a GGUF gives no tokenizer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MetadataError {
    /// A key holds a value of another type.
    #[error(transparent)]
    Metadata(#[from] llamaboot_checkpoint::Error),
    /// The keys do not make a vocabulary.
    #[error(transparent)]
    Vocabulary(#[from] Error),
}

impl Tokenizer {
    /// The tokenizer that a GGUF's metadata describes.
    ///
    /// # Errors
    /// A key of the wrong type, or a vocabulary that [`Tokenizer::from_gguf`] refuses.
    pub fn from_metadata(gguf: &Gguf<'_>) -> Result<Tokenizer, MetadataError> {
        Ok(Tokenizer::from_gguf(&GgufVocab::from_metadata(gguf)?)?)
    }
}

impl Pieces {
    /// The pieces of a GGUF's SentencePiece vocabulary, to write them as a tokenizer.bin.
    ///
    /// # Errors
    /// A key of the wrong type, or a vocabulary that [`Pieces::from_gguf`] refuses.
    pub fn from_metadata(gguf: &Gguf<'_>) -> Result<Pieces, MetadataError> {
        Ok(Pieces::from_gguf(&GgufVocab::from_metadata(gguf)?)?)
    }
}

impl<'a> GgufVocab<'a> {
    /// The keys as they stand, unchecked but for their types.
    ///
    /// # Errors
    /// A key of the wrong type.
    pub fn from_metadata(gguf: &Gguf<'a>) -> Result<Self, llamaboot_checkpoint::Error> {
        let id = |key| match gguf.get(key) {
            // A converter's way to say that there is none.
            Some(Value::Int(-1)) => Ok(None),
            _ => Ok(gguf.uint(key, u64::from(u32::MAX))?.map(|id| id as u32)),
        };
        let strings = |key| Ok(gguf.array(key)?.and_then(Array::byte_strings));
        Ok(Self {
            model: gguf.text("tokenizer.ggml.model")?.unwrap_or_default(),
            pre: gguf.text("tokenizer.ggml.pre")?.unwrap_or_default(),
            tokens: strings("tokenizer.ggml.tokens")?.unwrap_or_default(),
            scores: gguf.array("tokenizer.ggml.scores")?.map(floats),
            token_types: gguf.array("tokenizer.ggml.token_type")?.map(integers),
            merges: strings("tokenizer.ggml.merges")?,
            bos: id("tokenizer.ggml.bos_token_id")?,
            eos: id("tokenizer.ggml.eos_token_id")?,
            eot: id("tokenizer.ggml.eot_token_id")?,
            eom: id("tokenizer.ggml.eom_token_id")?,
            unknown: id("tokenizer.ggml.unknown_token_id")?,
            add_bos: gguf.bool("tokenizer.ggml.add_bos_token")?,
            add_space_prefix: gguf.bool("tokenizer.ggml.add_space_prefix")?,
        })
    }
}

/// Values of another type are left out; the length then tells.
fn floats(array: &Array<'_>) -> Vec<f32> {
    let float = |value| match value {
        Value::Float(x) => Some(x as f32),
        _ => None,
    };
    array.iter().filter_map(float).collect()
}

fn integers(array: &Array<'_>) -> Vec<i32> {
    let integer = |value| match value {
        Value::Int(x) => i32::try_from(x).ok(),
        _ => None,
    };
    array.iter().filter_map(integer).collect()
}
