//! llama2.c's tokenizer.bin.
//!
//! ```text
//! u32 max_token_length
//! vocab_size times: f32 score, i32 len, len bytes       (all little-endian)
//! ```
//!
//! The file says nothing of how many tokens it has; the model does. The format is that of
//! `build_tokenizer` in llama2.c's run.c and of `export` in its tokenizer.py: tokens 0, 1 and 2 are
//! `<unk>`, BOS and EOS, and token `byte + 3` is the byte's.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::error::Error;
use crate::sentencepiece::{Dialect, SentencePiece, byte_value};
use crate::special::SpecialTokens;
use crate::vocab::{TokenType, Vocab};
use crate::{Ends, MAX_TOKEN_BYTES, MAX_TOKENS, Model, Tokenizer};

const FILE: &str = "tokenizer.bin";
const UNKNOWN: u32 = 0;
const BOS: u32 = 1;
const EOS: u32 = 2;
const FIRST_BYTE: u32 = 3;

/// Reads the file. See [`Tokenizer::from_llama2c`].
pub(crate) fn read(bytes: &[u8], vocab_size: usize) -> Result<Tokenizer, Error> {
    if vocab_size == 0 || vocab_size > MAX_TOKENS {
        return Err(Error::TokenCount { what: FILE, max: MAX_TOKENS, found: vocab_size });
    }
    let (vocab, scores) = read_tokens(bytes, vocab_size)?;
    let known = |id: u32| (id as usize) < vocab_size;
    let byte_tokens = (0..256).map(|byte| FIRST_BYTE + byte);
    let byte_tokens = byte_tokens.map(|id| Some(if known(id) { id } else { UNKNOWN })).collect();
    let dialect = Dialect::Llama2c;
    let model = SentencePiece::new(&vocab, FILE, &scores, byte_tokens, true, dialect)?;
    // The pieces of BOS and EOS have newlines around them. A text that asks for special tokens
    // means the plain names.
    let names = [(b"<s>".as_slice(), BOS), (b"</s>".as_slice(), EOS)];
    let named = names.into_iter().filter(|&(name, id)| vocab.text(id).trim_ascii() == name);
    let control = SpecialTokens::from_texts(named.map(|(name, id)| (name.to_vec(), id)).collect());
    let (bos, eos) = (Some(BOS).filter(|&id| known(id)), Some(EOS).filter(|&id| known(id)));
    Ok(Tokenizer {
        vocab,
        model: Model::SentencePiece(model),
        user_defined: SpecialTokens::default(),
        special: control,
        bos,
        eos,
        ends: ends(),
        adds_bos: bos.is_some(),
        removes_extra_spaces: false,
        kind: String::from("llama2.c BPE"),
        notes: Vec::new(),
    })
}

/// Where llama2.c's programs stop: `generate` at BOS, which parts the texts a model was trained on,
/// and `chat` at EOS as well.
pub(crate) fn ends() -> Ends {
    Ends { text: vec![BOS], turn: vec![BOS, EOS] }
}

/// How many tokens a file seems to hold, counted by its lengths alone: [`read`] checks the rest.
pub(crate) fn count(bytes: &[u8]) -> usize {
    let mut rest = bytes.get(4..).unwrap_or_default();
    let mut tokens = 0;
    while let Some(len) = rest.get(4..8).and_then(|len| len.first_chunk()) {
        let len = usize::try_from(i32::from_le_bytes(*len)).unwrap_or(usize::MAX);
        tokens += 1;
        rest = rest.get(8..).and_then(|rest| rest.get(len..)).unwrap_or_default();
    }
    tokens
}

/// All tokens with their scores.
pub(crate) fn read_tokens(bytes: &[u8], vocab_size: usize) -> Result<(Vocab, Vec<f32>), Error> {
    let mut vocab = Vocab::default();
    let mut scores = Vec::new();
    let truncated = |token| Error::Truncated { token, offset: bytes.len(), expected: vocab_size };
    // llama2.c sizes a buffer by max_token_length; here nothing needs it.
    let mut rest = bytes.get(4..).ok_or(truncated(0))?;
    for token in 0..vocab_size {
        let (score, after) = rest.split_first_chunk::<4>().ok_or(truncated(token))?;
        let offset = bytes.len() - after.len();
        let (len, after) = after.split_first_chunk::<4>().ok_or(truncated(token))?;
        let found = i32::from_le_bytes(*len);
        let len = usize::try_from(found).unwrap_or(0);
        if len == 0 || len > MAX_TOKEN_BYTES {
            return Err(Error::TokenLength { token, offset, max: MAX_TOKEN_BYTES, found });
        }
        let (text, after) = after.split_at_checked(len).ok_or(truncated(token))?;
        match byte_value(text) {
            Some(byte) => vocab.push(FILE, &[byte], TokenType::Byte)?,
            None => vocab.push(FILE, text, TokenType::Normal)?,
        }
        scores.push(f32::from_le_bytes(*score));
        rest = after;
    }
    if !rest.is_empty() {
        let (offset, extra) = (bytes.len() - rest.len(), rest.len());
        return Err(Error::TrailingBytes { offset, tokens: vocab_size, extra });
    }
    Ok((vocab, scores))
}
