//! tokenizer.json (Hugging Face's `tokenizers`), turned into the keys of a GGUF.
//!
//! Of all that such a file can say, what models of the Llama family use is taken: BPE, byte-level
//! with one of the [`Rules`] known, or SentencePiece's with byte fallback. Another model, other
//! rules or merges are refused by name. What a GGUF cannot say is left out: the finer properties of
//! special tokens (`lstrip`, `rstrip`, `single_word`, `normalized`), NFC, and what a post-processor
//! does but put BOS before a text. Metaspace is taken for sentencepiece's rule, a space before any
//! text; Hugging Face's adds none to a text that begins with one, nor ("first") behind a token.

use super::pre_tokenizer::Rules;
use super::settings::Settings;
use super::{merges, push_special};
use crate::keys::Keys;
use crate::vocabulary::GgufVocabulary;
use crate::{Error, Vocabulary};
use llamaboot_tokenizer::{MAX_TOKEN_BYTES, MAX_TOKENS, PieceKind, byte_value};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;

#[derive(Deserialize)]
struct TokenizerJson {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    model: Bpe,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
}

#[derive(Deserialize)]
struct Bpe {
    vocab: HashMap<String, u32>,
    merges: Vec<Merge>,
    dropout: Option<f32>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
}

/// Two texts, in older files with a space between them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Line(String),
    Pair(String, String),
}

/// Only the kind of model, which decides what shape all else has.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Probe {
    model: ModelKind,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct ModelKind {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// The vocabulary of a model with `vocab_size` ids. An id without a token gets one that no text
/// becomes.
pub(super) fn vocabulary(
    json: &[u8],
    vocab_size: usize,
    settings: &Settings,
) -> Result<Vocabulary, Error> {
    let malformed = |e| Error::value("JSON", "the format of Hugging Face's tokenizers", e);
    let probe: Probe = serde_json::from_slice(json).map_err(malformed)?;
    if probe.model.kind.as_deref().unwrap_or("BPE") != "BPE" {
        let found = format!("{:?}", probe.model.kind.unwrap_or_default());
        return Err(Error::value("type of the tokenizer's model", "\"BPE\"", found));
    }
    let file: TokenizerJson = serde_json::from_slice(json).map_err(malformed)?;
    file.model.check()?;
    let (fallback, ignores) = (file.model.byte_fallback, file.model.ignore_merges);
    let rules = Rules::read(&file.normalizer, &file.pre_tokenizer, fallback, ignores)?;
    let tokens = Tokens::of(&file, vocab_size)?;
    let pairs = file.model.merges.iter().map(Merge::pair).collect::<Result<Vec<_>, _>>()?;

    let mut keys = Keys::default();
    match rules {
        Rules::ByteLevel { pre } => {
            let lines: Vec<String> = pairs.iter().map(|(a, b)| format!("{a} {b}")).collect();
            keys.text("tokenizer.ggml.model", "gpt2");
            keys.text("tokenizer.ggml.pre", pre);
            keys.texts("tokenizer.ggml.merges", &lines);
        }
        Rules::SentencePiece { adds_space } => {
            keys.text("tokenizer.ggml.model", "llama");
            keys.text("tokenizer.ggml.pre", "default");
            keys.f32s("tokenizer.ggml.scores", &tokens.scores(&pairs)?);
            keys.bool("tokenizer.ggml.add_space_prefix", adds_space);
        }
    }
    keys.texts("tokenizer.ggml.tokens", &tokens.texts);
    let kinds: Vec<i32> = tokens.kinds.iter().map(|&kind| kind as i32).collect();
    keys.i32s("tokenizer.ggml.token_type", &kinds);
    if let Some(id) = file.model.unk_token.as_deref().and_then(|text| tokens.id(text)) {
        keys.u32("tokenizer.ggml.unknown_token_id", id as usize);
    }
    let before = token_before_texts(&file.post_processor);
    let special = settings.special(|text| tokens.id(text), before, false);
    push_special(&mut keys, &special, settings);
    let vocabulary = Vocabulary::Gguf(GgufVocabulary::of_keys(&keys)?);
    // Finds everything else that is wrong with it.
    vocabulary.tokenizer()?;
    Ok(vocabulary)
}

impl Bpe {
    /// Refuses what a GGUF cannot say.
    fn check(&self) -> Result<(), Error> {
        if self.dropout.is_some_and(|p| p != 0.0) {
            return Err(Error::value("dropout of the tokenizer", "none", "some"));
        }
        for (what, affix) in [
            ("continuing_subword_prefix", &self.continuing_subword_prefix),
            ("end_of_word_suffix", &self.end_of_word_suffix),
        ] {
            if let Some(affix) = affix.as_deref().filter(|affix| !affix.is_empty()) {
                return Err(Error::value(what, "none", format!("{affix:?}")));
            }
        }
        Ok(())
    }
}

impl Merge {
    fn pair(&self) -> Result<(&str, &str), Error> {
        let pair = match self {
            Merge::Line(line) => line.split_once(' '),
            Merge::Pair(a, b) => Some((a.as_str(), b.as_str())),
        };
        let fits = |text: &str| !text.is_empty() && !text.contains(' ');
        pair.filter(|(a, b)| fits(a) && fits(b)).ok_or_else(|| {
            let found = match self {
                Merge::Line(line) => format!("{line:?}"),
                Merge::Pair(a, b) => format!("{a:?} {b:?}"),
            };
            Error::value("merges", "two texts without spaces", found)
        })
    }
}

/// Every id's text and kind.
struct Tokens {
    texts: Vec<String>,
    kinds: Vec<PieceKind>,
    ids: HashMap<String, u32>,
}

impl Tokens {
    fn of(file: &TokenizerJson, vocab_size: usize) -> Result<Self, Error> {
        if vocab_size > MAX_TOKENS {
            let expected = format!("at most {MAX_TOKENS} tokens");
            return Err(Error::value("vocab_size", &expected, vocab_size));
        }
        let mut texts: Vec<Option<(&str, PieceKind)>> = vec![None; vocab_size];
        let unknown = file.model.unk_token.as_deref();
        for (text, &id) in &file.model.vocab {
            if text.len() > MAX_TOKEN_BYTES {
                let expected = format!("at most {MAX_TOKEN_BYTES} bytes");
                return Err(Error::value(&format!("token {id}"), &expected, text.len()));
            }
            let place = texts.get_mut(id as usize).ok_or_else(|| {
                let expected = format!("an id below {vocab_size}, the model's number of tokens");
                Error::value(&format!("token {text:?}"), &expected, id)
            })?;
            if let Some((other, _)) = place {
                return Err(two_texts(id, text, other));
            }
            let kind = match text.as_str() {
                text if Some(text) == unknown => PieceKind::Unknown,
                text if file.model.byte_fallback && byte_value(text.as_bytes()).is_some() => {
                    PieceKind::Byte
                }
                _ => PieceKind::Normal,
            };
            *place = Some((text, kind));
        }
        for token in &file.added_tokens {
            // Some tokenizers have more than their models, such as a padding that is never met.
            let Some(place) = texts.get_mut(token.id as usize) else { continue };
            let text = token.content.as_str();
            let kind = match (place.as_ref(), token.special) {
                (Some((other, _)), _) if *other != text => {
                    return Err(two_texts(token.id, text, other));
                }
                (Some((_, PieceKind::Unknown)), _) => PieceKind::Unknown,
                (_, true) => PieceKind::Control,
                (_, false) => PieceKind::UserDefined,
            };
            *place = Some((text, kind));
        }
        let mut tokens = Self { texts: Vec::new(), kinds: Vec::new(), ids: HashMap::new() };
        for (id, place) in texts.into_iter().enumerate() {
            // llama.cpp's name for it.
            let filler = format!("[PAD{id}]");
            let (text, kind) = place.unwrap_or((&filler, PieceKind::Unused));
            tokens.ids.entry(String::from(text)).or_insert(id as u32);
            tokens.texts.push(String::from(text));
            tokens.kinds.push(kind);
        }
        Ok(tokens)
    }

    fn id(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }

    /// Scores that merge as these pairs do; 0 for what is never merged.
    fn scores(&self, pairs: &[(&str, &str)]) -> Result<Vec<f32>, Error> {
        let is_piece = |id: &usize| self.kinds[*id] == PieceKind::Normal;
        // Text that is always a token of its own is never merged.
        let makes_piece = |(a, b): &&(&str, &str)| {
            let made = self.id(&[*a, *b].concat());
            made.is_none_or(|id| is_piece(&(id as usize)))
        };
        let pairs: Vec<(&str, &str)> = pairs.iter().filter(makes_piece).copied().collect();
        let places: Vec<usize> = (0..self.texts.len()).filter(is_piece).collect();
        let pieces: Vec<&str> = places.iter().map(|&id| self.texts[id].as_str()).collect();
        let mut scores = vec![0.0; self.texts.len()];
        for (id, score) in places.iter().zip(merges::to_scores(&pieces, &pairs)?) {
            scores[*id] = score;
        }
        Ok(scores)
    }
}

/// The fault of an id that stands for two texts, told the same whichever was met first.
fn two_texts(id: u32, one: &str, other: &str) -> Error {
    let found = format!("{:?} and {:?}", one.min(other), one.max(other));
    Error::value(&format!("token {id}"), "one text", found)
}

/// The text of the token that a template of the post-processor puts before a text.
fn token_before_texts(post_processor: &Value) -> Option<&str> {
    match post_processor["type"].as_str()? {
        "Sequence" => post_processor["processors"].as_array()?.iter().find_map(token_before_texts),
        "TemplateProcessing" => post_processor["single"][0]["SpecialToken"]["id"].as_str(),
        _ => None,
    }
}
