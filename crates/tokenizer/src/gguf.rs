//! The vocabulary of a GGUF.
//!
//! The keys `tokenizer.ggml.*` are described in ggml's docs/gguf.md; what llama.cpp does where one
//! is missing or odd (`llama_vocab::impl::load` in src/llama-vocab.cpp) decides what happens here.
//! Reading them out of the file is the business of `llamaboot-checkpoint`.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::byte_level::{ByteLevel, decode_alphabet};
use crate::error::{Error, shorten};
use crate::pieces::{Piece, PieceKind, Pieces};
use crate::pretokenize::PreTokenizer;
use crate::sentencepiece::{Dialect, SentencePiece, byte_value, push_plain_spaces};
use crate::special::SpecialTokens;
use crate::vocab::{TokenType, Vocab};
use crate::{Ends, MAX_SPECIAL_LENGTHS, MAX_TOKENS, Model, Tokenizer};

pub(crate) const TOKENS: &str = "tokenizer.ggml.tokens";
const SCORES: &str = "tokenizer.ggml.scores";
const TOKEN_TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";

/// The vocabulary part of a GGUF's metadata, as borrowed bytes.
#[derive(Debug, Clone, Default)]
pub struct GgufVocab<'a> {
    /// `tokenizer.ggml.model`: "llama" or "gpt2".
    pub model: &'a str,
    /// `tokenizer.ggml.pre`, "" when absent.
    pub pre: &'a str,
    /// `tokenizer.ggml.tokens`.
    pub tokens: Vec<&'a [u8]>,
    /// `tokenizer.ggml.scores`; "llama" needs it.
    pub scores: Option<Vec<f32>>,
    /// `tokenizer.ggml.token_type`: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused,
    /// 6 byte.
    pub token_types: Option<Vec<i32>>,
    /// `tokenizer.ggml.merges`; "gpt2" needs it.
    pub merges: Option<Vec<&'a [u8]>>,
    /// `tokenizer.ggml.bos_token_id`.
    pub bos: Option<u32>,
    /// `tokenizer.ggml.eos_token_id`.
    pub eos: Option<u32>,
    /// `tokenizer.ggml.eot_token_id`.
    pub eot: Option<u32>,
    /// `tokenizer.ggml.eom_token_id`.
    pub eom: Option<u32>,
    /// `tokenizer.ggml.unknown_token_id`.
    pub unknown: Option<u32>,
    /// `tokenizer.ggml.add_bos_token`.
    pub add_bos: Option<bool>,
    /// `tokenizer.ggml.add_space_prefix`.
    pub add_space_prefix: Option<bool>,
}

/// Tokens with these texts end a turn or a text, whatever the file says of them (llama.cpp's list
/// of "end of generation" tokens).
const END_TEXTS: &[&str] = &[
    "</s>",
    "<eos>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<｜end▁of▁sentence｜>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
];

/// Tokens with these texts mark turns and roles. They are control tokens even where the file calls
/// them user-defined, which would make them of what a user types.
const MARKER_TEXTS: &[&str] = &[
    "<s>",
    "<bos>",
    "<|begin_of_text|>",
    "<|im_start|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<start_of_turn>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "[INST]",
    "[/INST]",
];

/// Builds the tokenizer. See [`Tokenizer::from_gguf`].
pub(crate) fn read(gguf: &GgufVocab) -> Result<Tokenizer, Error> {
    let vocab_size = gguf.tokens.len();
    if vocab_size == 0 || vocab_size > MAX_TOKENS {
        return Err(Error::TokenCount { what: TOKENS, max: MAX_TOKENS, found: vocab_size });
    }
    let types = gguf.token_types.as_deref();
    check_length(TOKEN_TYPES, types.map(<[i32]>::len), vocab_size)?;
    match gguf.model {
        "llama" => sentencepiece(gguf, types),
        "gpt2" => byte_level(gguf, types),
        other => {
            let supported = "\"llama\", \"gpt2\"";
            Err(Error::UnsupportedModel { supported, found: shorten(other) })
        }
    }
}

fn check_length(key: &'static str, found: Option<usize>, expected: usize) -> Result<(), Error> {
    match found {
        Some(found) if found != expected => Err(Error::ArrayLength { key, expected, found }),
        _ => Ok(()),
    }
}

/// Reads the tokens without their rules. See [`Pieces::from_gguf`].
pub(crate) fn read_pieces(gguf: &GgufVocab) -> Result<Pieces, Error> {
    if gguf.model != "llama" {
        return Err(Error::UnsupportedModel { supported: "\"llama\"", found: shorten(gguf.model) });
    }
    if gguf.add_space_prefix == Some(false) {
        let setting = "tokenizer.ggml.add_space_prefix";
        return Err(Error::Setting { setting, expected: true, found: false });
    }
    // Finds everything else that is wrong with it.
    read(gguf)?;
    let (vocab, scores) = sentencepiece_vocab(gguf, gguf.token_types.as_deref())?;
    let piece = |(id, &score): (u32, &f32)| {
        let kind = vocab.kind(id).map_or(PieceKind::Normal, PieceKind::of);
        Piece { text: vocab.text(id).to_vec(), score, kind }
    };
    Ok(Pieces(vocab.ids().zip(scores).map(piece).collect()))
}

/// The tokenizer of these pieces, as if a GGUF had them. See [`Tokenizer::from_pieces`].
pub(crate) fn from_pieces(pieces: &Pieces) -> Result<Tokenizer, Error> {
    let names: Vec<Vec<u8>> = pieces.0.iter().map(Piece::name).collect();
    read(&GgufVocab {
        model: "llama",
        tokens: names.iter().map(Vec::as_slice).collect(),
        scores: Some(pieces.0.iter().map(|piece| piece.score).collect()),
        token_types: Some(pieces.0.iter().map(|piece| piece.kind as i32).collect()),
        ..GgufVocab::default()
    })
}

/// The tokens with plain spaces, and their scores.
fn sentencepiece_vocab<'a>(
    gguf: &'a GgufVocab,
    types: Option<&[i32]>,
) -> Result<(Vocab, &'a [f32]), Error> {
    let scores = gguf.scores.as_ref().ok_or(Error::MissingKey { key: SCORES, model: "llama" })?;
    check_length(SCORES, Some(scores.len()), gguf.tokens.len())?;
    let mut vocab = Vocab::default();
    for (id, &token) in gguf.tokens.iter().enumerate() {
        let kind = token_type(types, id, token);
        match (byte_value(token), kind) {
            // A file without types still has byte tokens; their texts tell.
            (Some(byte), TokenType::Byte) => vocab.push(TOKENS, &[byte], TokenType::Byte)?,
            (Some(byte), _) if types.is_none() => vocab.push(TOKENS, &[byte], TokenType::Byte)?,
            (None, TokenType::Byte) => vocab.push(TOKENS, token, TokenType::Unused)?,
            _ if kind.is_text() => vocab.push(TOKENS, &plain_spaces(token), kind)?,
            _ => vocab.push(TOKENS, token, kind)?,
        }
    }
    Ok((vocab, scores))
}

fn sentencepiece(gguf: &GgufVocab, types: Option<&[i32]>) -> Result<Tokenizer, Error> {
    let (vocab, scores) = sentencepiece_vocab(gguf, types)?;
    let unknown = special_id("tokenizer.ggml.unknown_token_id", gguf.unknown, Some(0), &vocab)?;
    let mut bytes = alloc::vec![unknown; 256];
    for id in vocab.ids().rev().filter(|&id| vocab.kind(id) == Some(TokenType::Byte)) {
        bytes[usize::from(vocab.text(id)[0])] = Some(id);
    }
    let adds_space = gguf.add_space_prefix.unwrap_or(true);
    let model = SentencePiece::new(&vocab, SCORES, scores, bytes, adds_space, Dialect::LlamaCpp)?;
    finish(gguf, vocab, Model::SentencePiece(model), String::from("SentencePiece BPE"))
}

fn byte_level(gguf: &GgufVocab, types: Option<&[i32]>) -> Result<Tokenizer, Error> {
    let pre = PreTokenizer::from_name(gguf.pre)?;
    let merges = gguf.merges.as_ref().ok_or(Error::MissingKey { key: MERGES, model: "gpt2" })?;
    let mut vocab = Vocab::default();
    let mut in_alphabet = Vec::with_capacity(gguf.tokens.len());
    for (id, &token) in gguf.tokens.iter().enumerate() {
        let kind = token_type(types, id, token);
        // Control and user-defined tokens are written as they are, not in GPT-2's alphabet.
        let bytes = match kind {
            TokenType::Normal | TokenType::Unused => {
                core::str::from_utf8(token).ok().and_then(decode_alphabet)
            }
            _ => None,
        };
        vocab.push(TOKENS, bytes.as_deref().unwrap_or(token), kind)?;
        in_alphabet.push(bytes.is_some());
    }
    let findable = |id: u32| in_alphabet[id as usize];
    let model = ByteLevel::new(&vocab, pre, findable, merges)?;
    let kind = format!("byte-level BPE ({})", pre.name());
    finish(gguf, vocab, Model::ByteLevel(model), kind)
}

/// What both kinds have in common: special tokens and the ends.
fn finish(gguf: &GgufVocab, vocab: Vocab, model: Model, kind: String) -> Result<Tokenizer, Error> {
    let llama = gguf.model == "llama";
    let default = |id| Some(id).filter(|_| llama);
    let bos = special_id("tokenizer.ggml.bos_token_id", gguf.bos, default(1), &vocab)?;
    let eos = special_id("tokenizer.ggml.eos_token_id", gguf.eos, default(2), &vocab)?;
    let eot = special_id("tokenizer.ggml.eot_token_id", gguf.eot, None, &vocab)?;

    let eom = special_id("tokenizer.ggml.eom_token_id", gguf.eom, None, &vocab)?;
    let mut ends: Vec<u32> = eos.into_iter().chain(eot).chain(eom).collect();
    ends.extend(vocab.ids().filter(|&id| is_end_text(vocab.text(id))));
    ends.sort_unstable();
    ends.dedup();

    let user_defined =
        SpecialTokens::new(&vocab, |id| vocab.kind(id) == Some(TokenType::UserDefined));
    let special = SpecialTokens::new(&vocab, |id| {
        use TokenType::{Control, Unknown, UserDefined};
        matches!(vocab.kind(id), Some(Control | Unknown | UserDefined))
    });
    if special.lengths() > MAX_SPECIAL_LENGTHS {
        let (max, found) = (MAX_SPECIAL_LENGTHS, special.lengths());
        return Err(Error::SpecialLengths { max, found });
    }
    let adds_bos = gguf.add_bos.unwrap_or(llama) && bos.is_some();
    // Models that learned texts one behind the other end one by beginning the next.
    let text = ends.iter().copied().chain(bos).collect();
    let ends = Ends { text, turn: ends };
    Ok(Tokenizer {
        vocab,
        model,
        user_defined,
        special,
        bos,
        eos,
        ends,
        adds_bos,
        removes_extra_spaces: false,
        kind,
        notes: Vec::new(),
    })
}

fn token_type(types: Option<&[i32]>, id: usize, token: &[u8]) -> TokenType {
    // A token that ends a text is one even where a converter took it for text.
    if is_end_text(token) || MARKER_TEXTS.iter().any(|text| text.as_bytes() == token) {
        return TokenType::Control;
    }
    types.and_then(|types| types.get(id)).map_or(TokenType::Normal, |&n| TokenType::from_gguf(n))
}

fn is_end_text(token: &[u8]) -> bool {
    END_TEXTS.iter().any(|text| text.as_bytes() == token)
}

/// A special token's id: the file's, or else the default where the vocabulary has it. Converters
/// write -1, which is `u32::MAX` here, for "none".
fn special_id(
    key: &'static str,
    found: Option<u32>,
    default: Option<u32>,
    vocab: &Vocab,
) -> Result<Option<u32>, Error> {
    let vocab_size = vocab.len();
    match found {
        None => Ok(default.filter(|&id| (id as usize) < vocab_size)),
        Some(u32::MAX) => Ok(None),
        Some(id) if (id as usize) < vocab_size => Ok(Some(id)),
        Some(found) => Err(Error::IdOutOfRange { key, vocab_size, found }),
    }
}

/// A piece with U+2581 turned into spaces.
fn plain_spaces(piece: &[u8]) -> Cow<'_, [u8]> {
    match core::str::from_utf8(piece) {
        Ok(text) => {
            let mut plain = String::with_capacity(text.len());
            push_plain_spaces(&mut plain, text);
            Cow::Owned(plain.into_bytes())
        }
        Err(_) => Cow::Borrowed(piece),
    }
}
