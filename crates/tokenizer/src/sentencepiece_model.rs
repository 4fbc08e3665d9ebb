//! sentencepiece's tokenizer.model, which Llama 2 and its kin are published with.
//!
//! The file is one protocol buffer, `ModelProto` of sentencepiece's
//! `src/sentencepiece_model.proto`; the messages below name the fields that matter here:
//!
//! ```text
//! 1  pieces           1 piece, 2 score, 3 type (normal where absent)
//! 2  trainer_spec     3 model_type, 24 treat_whitespace_as_suffix, 35 byte_fallback
//! 3  normalizer_spec  2 precompiled_charsmap, 3 add_dummy_prefix, 4 remove_extra_whitespaces,
//!                     5 escape_whitespaces
//! ```
//!
//! Decoding takes at most some 50 bytes a byte of the file, whose length is capped.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use prost::Message;

use crate::error::Error;
use crate::pieces::{Piece, PieceKind, Pieces};
use crate::sentencepiece::{VISIBLE_SPACE, byte_value};
use crate::vocab::TokenType;
use crate::{MAX_TOKEN_BYTES, MAX_TOKENS, Tokenizer};

const FILE: &str = "tokenizer.model";

/// The longest tokenizer.model that is read, in bytes. The largest in use have 4 MB.
pub const MAX_MODEL_BYTES: usize = 1 << 24;

/// What is said of a table that changes text before it is encoded.
const CHARSMAP: &str = "sentencepiece would turn some characters of a text into others with this \
                        model (precompiled_charsmap); here every character stays as it is";

/// What is said of pieces that are tokens of their own in any text.
const USER_DEFINED: &str = "this model has user-defined pieces; spaces beside them are encoded as \
                            llama.cpp does, not as sentencepiece does";

#[derive(Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<PieceProto>,
    #[prost(message, optional, tag = "2")]
    trainer: Option<TrainerProto>,
    #[prost(message, optional, tag = "3")]
    normalizer: Option<NormalizerProto>,
}

#[derive(Message)]
struct PieceProto {
    #[prost(string, tag = "1")]
    piece: String,
    #[prost(float, tag = "2")]
    score: f32,
    #[prost(int32, tag = "3", default = "1")]
    kind: i32,
}

#[derive(Message)]
struct TrainerProto {
    #[prost(int32, tag = "3", default = "1")]
    model_type: i32,
    #[prost(bool, tag = "24")]
    treat_whitespace_as_suffix: bool,
    #[prost(bool, tag = "35")]
    byte_fallback: bool,
}

#[derive(Message)]
struct NormalizerProto {
    #[prost(bytes = "vec", tag = "2")]
    precompiled_charsmap: Vec<u8>,
    #[prost(bool, tag = "3", default = "true")]
    add_dummy_prefix: bool,
    #[prost(bool, tag = "4", default = "true")]
    remove_extra_whitespaces: bool,
    #[prost(bool, tag = "5", default = "true")]
    escape_whitespaces: bool,
}

/// Whether these are the bytes of a tokenizer.model and not of a tokenizer.bin. The one begins with
/// a field's tag, its length and the tag of the first piece; the other with the length of its
/// longest token, whose upper half is 0.
///
/// # Errors
/// It is JSON, which is neither.
pub(crate) fn is_model(bytes: &[u8]) -> Result<bool, Error> {
    if is_json(bytes) {
        return Err(Error::Json);
    }
    Ok(bytes.first() == Some(&0x0a) && bytes.get(2..4).is_some_and(|half| half != [0, 0]))
}

/// Whether a file is a JSON object: a tokenizer.bin may begin with the same byte, but not go on so.
pub fn is_json(bytes: &[u8]) -> bool {
    let inside = bytes.trim_ascii_start().strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    inside.is_some_and(|inside| inside.starts_with(b"\"") || inside.starts_with(b"}"))
}

/// Reads the file. See [`Tokenizer::from_sentencepiece`].
pub(crate) fn read(bytes: &[u8]) -> Result<Tokenizer, Error> {
    let model = decode(bytes)?;
    let pieces = pieces(&model.pieces)?;
    let mut tokenizer = Tokenizer::from_pieces(&pieces)?;
    let normalizer = model.normalizer.unwrap_or_default();
    tokenizer.removes_extra_spaces = normalizer.remove_extra_whitespaces;
    let user_defined = pieces.0.iter().any(|piece| piece.kind == PieceKind::UserDefined);
    let notes =
        [(!normalizer.precompiled_charsmap.is_empty(), CHARSMAP), (user_defined, USER_DEFINED)];
    tokenizer.notes = notes.into_iter().filter(|(holds, _)| *holds).map(|(_, note)| note).collect();
    Ok(tokenizer)
}

/// Reads the file's pieces. See [`Pieces::from_sentencepiece`].
pub(crate) fn read_pieces(bytes: &[u8]) -> Result<Pieces, Error> {
    pieces(&decode(bytes)?.pieces)
}

/// Decodes the file and refuses what encodes in another way than Llama's.
fn decode(bytes: &[u8]) -> Result<ModelProto, Error> {
    if bytes.len() > MAX_MODEL_BYTES {
        return Err(Error::ModelLength { max: MAX_MODEL_BYTES, found: bytes.len() });
    }
    let model = ModelProto::decode(bytes).map_err(|error| Error::Protobuf(format!("{error}")))?;
    let trainer = model.trainer.as_ref();
    let found = match trainer.map_or(1, |trainer| trainer.model_type) {
        2 => None,
        1 => Some("unigram"),
        3 => Some("word"),
        4 => Some("character"),
        _ => Some("unknown"),
    };
    if let Some(found) = found {
        return Err(Error::ModelType { found });
    }
    let trainer = |flag: fn(&TrainerProto) -> bool| trainer.is_some_and(flag);
    let normalizer =
        |flag: fn(&NormalizerProto) -> bool| model.normalizer.as_ref().is_none_or(flag);
    for (setting, expected, found) in [
        ("tokenizer.model: byte_fallback", true, trainer(|spec| spec.byte_fallback)),
        (
            "tokenizer.model: treat_whitespace_as_suffix",
            false,
            trainer(|spec| spec.treat_whitespace_as_suffix),
        ),
        ("tokenizer.model: add_dummy_prefix", true, normalizer(|spec| spec.add_dummy_prefix)),
        ("tokenizer.model: escape_whitespaces", true, normalizer(|spec| spec.escape_whitespaces)),
    ] {
        if found != expected {
            return Err(Error::Setting { setting, expected, found });
        }
    }
    Ok(model)
}

fn pieces(found: &[PieceProto]) -> Result<Pieces, Error> {
    if found.is_empty() || found.len() > MAX_TOKENS {
        return Err(Error::TokenCount { what: FILE, max: MAX_TOKENS, found: found.len() });
    }
    let mut pieces = Vec::with_capacity(found.len());
    for (token, PieceProto { piece, score, kind }) in found.iter().enumerate() {
        let (max, found) = (MAX_TOKEN_BYTES, piece.len());
        if found > max {
            return Err(Error::TooLong { what: FILE, token, max, found });
        }
        if score.is_nan() {
            return Err(Error::Score { what: FILE, token });
        }
        let kind = PieceKind::of(TokenType::from_gguf(*kind));
        // The piece of a byte is its name.
        let text = match byte_value(piece.as_bytes()) {
            Some(byte) if kind == PieceKind::Byte => vec![byte],
            _ => piece.replace(VISIBLE_SPACE, " ").into_bytes(),
        };
        pieces.push(Piece { text, score: *score, kind });
    }
    Pieces(pieces).laid_out_as_llamas(FILE)
}
