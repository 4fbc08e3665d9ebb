//! The text of a run as tokens: cut into what is trained on and what is kept for validation. They
//! are kept in a file beside the run, for large texts take long.
//!
//! ```text
//! "LBTOKENS"   u32 CRC-32 of the text, u32 of what tells its tokens (tokenizer, context)
//! u64 lengths of train, of each opening (as many as u64 before them), of validation; u32 tokens
//! u32 CRC-32 of all that                                                        (little-endian)
//! ```

use crate::progress::bar;
use anyhow::Result;
use llamaboot_convert::write_atomically;
use llamaboot_tokenizer::{Special, Tokenizer, training_part};
use llamaboot_train::Corpus;
use std::path::Path;

/// The most openings that are tokenised.
const OPENINGS: usize = 1024;

/// Bytes of text that surely hold one token.
const TOKEN_BYTES: usize = 24;

/// The tokens of a text: from `cache` where that has them, else computed and kept there.
pub(super) fn tokenise(
    text: &str,
    tokenizer: &Tokenizer,
    context: usize,
    cache: &Path,
) -> Result<Corpus> {
    let vocabulary = (0..tokenizer.vocab_size() as u32).fold(0_u32, |sum, token| {
        let text = tokenizer.token_bytes(token).unwrap_or_default();
        crc32fast::hash(&[text, &sum.to_le_bytes()].concat())
    });
    let key = [
        crc32fast::hash(text.as_bytes()),
        vocabulary ^ crc32fast::hash(&(context as u64).to_le_bytes()),
    ];
    if let Some(corpus) = std::fs::read(cache).ok().and_then(|bytes| unpack(&bytes, key)) {
        return Ok(corpus);
    }
    let corpus = encode(text, tokenizer, context);
    write_atomically(cache, |out| out.write_all(&pack(&corpus, key)))?;
    Ok(corpus)
}

/// Tokens of both parts, and openings: BOS and what follows a blank line.
fn encode(text: &str, tokenizer: &Tokenizer, context: usize) -> Corpus {
    let (train, validation) = training_part(text);
    let starts: Vec<usize> =
        core::iter::once(0).chain(train.match_indices("\n\n").map(|(at, _)| at + 2)).collect();
    let every = starts.len().div_ceil(OPENINGS);
    let progress = bar(text.len() as u64, None);
    // Texts are encoded whole, so that no token is cut: the bar shows two stages.
    let part = |part: &str| {
        let tokens = tokenizer.encode(part, Special::Plain);
        progress.inc(part.len() as u64);
        tokens
    };
    let (validation, train_tokens) = (part(validation), part(train));
    let mut corpus = Corpus { train: train_tokens, openings: Vec::new(), validation };
    if let Some(bos) = tokenizer.bos().filter(|_| tokenizer.adds_bos()) {
        let opening = |&start: &usize| {
            let end = train.floor_char_boundary(start.saturating_add(context * TOKEN_BYTES));
            let mut tokens = vec![bos];
            tokens.extend(tokenizer.encode(&train[start..end], Special::Plain));
            tokens.truncate(context + 1);
            tokens
        };
        let openings = starts.iter().step_by(every.max(1)).map(opening);
        corpus.openings = openings.filter(|tokens| tokens.len() > context).collect();
    }
    progress.finish_and_clear();
    corpus
}

const MAGIC: &[u8; 8] = b"LBTOKENS";

fn pack(corpus: &Corpus, key: [u32; 2]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    key.iter().for_each(|part| bytes.extend(part.to_le_bytes()));
    let lengths = [corpus.train.len(), corpus.openings.len(), corpus.validation.len()];
    let lengths = lengths.into_iter().chain(corpus.openings.iter().map(Vec::len));
    lengths.for_each(|len| bytes.extend((len as u64).to_le_bytes()));
    let texts = [&corpus.train, &corpus.validation].into_iter().chain(&corpus.openings);
    texts.flatten().for_each(|token| bytes.extend(token.to_le_bytes()));
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// `None` where the bytes are damaged or of another text: they are then computed anew.
fn unpack(bytes: &[u8], key: [u32; 2]) -> Option<Corpus> {
    let (content, sum) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(content).to_le_bytes() != *sum {
        return None;
    }
    let rest = content.strip_prefix(MAGIC)?;
    let (found, mut rest) = rest.split_at_checked(8)?;
    if found != key.map(u32::to_le_bytes).as_flattened() {
        return None;
    }
    let mut length = || {
        let (len, behind) = rest.split_first_chunk::<8>()?;
        rest = behind;
        usize::try_from(u64::from_le_bytes(*len)).ok()
    };
    let (train, openings, validation) = (length()?, length()?, length()?);
    let openings: Vec<usize> =
        (0..openings.min(content.len())).map(|_| length()).collect::<Option<_>>()?;
    let mut tokens = |len: usize| {
        let (tokens, behind) = rest.split_at_checked(len.checked_mul(4)?)?;
        rest = behind;
        Some(tokens.as_chunks().0.iter().map(|&raw| u32::from_le_bytes(raw)).collect::<Vec<_>>())
    };
    Some(Corpus {
        train: tokens(train)?,
        validation: tokens(validation)?,
        openings: openings.into_iter().map(tokens).collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus() -> Corpus {
        Corpus {
            train: vec![1, 2, 70_000],
            openings: vec![vec![1], vec![1, 9]],
            validation: vec![5],
        }
    }

    #[test]
    fn a_cache_gives_the_tokens_back() {
        assert_eq!(unpack(&pack(&corpus(), [3, 4]), [3, 4]), Some(corpus()));
        assert_eq!(unpack(&pack(&corpus(), [3, 4]), [3, 5]), None);
    }

    /// A cache is never trusted: whatever byte is damaged, the text is tokenised again.
    #[test]
    fn a_damaged_cache_is_not_used() {
        let whole = pack(&corpus(), [3, 4]);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            assert_eq!(unpack(&bytes, [3, 4]), None, "byte {at}");
            assert_eq!(unpack(&whole[..at], [3, 4]), None, "cut at {at}");
        }
    }
}
