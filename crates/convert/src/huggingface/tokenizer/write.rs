//! tokenizer.json and tokenizer_config.json, from a vocabulary as a GGUF has it.

use super::pre_tokenizer::Rules;
use super::settings::Settings;
use super::{JSON_FILE, SETTINGS_FILE, TEMPLATE_KEY, merges};
use crate::vocabulary::UNKNOWN;
use crate::{Error, Model};
use llamaboot_checkpoint::gguf::Gguf;
use llamaboot_tokenizer::{GgufVocab, PieceKind, Tokenizer};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

#[derive(Serialize)]
struct TokenizerJson<'a> {
    version: &'static str,
    truncation: Value,
    padding: Value,
    added_tokens: Vec<Value>,
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    decoder: Value,
    model: Bpe<'a>,
}

#[derive(Serialize)]
struct Bpe<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    dropout: Value,
    unk_token: Option<&'a str>,
    continuing_subword_prefix: Value,
    end_of_word_suffix: Value,
    fuse_unk: bool,
    byte_fallback: bool,
    ignore_merges: bool,
    #[serde(serialize_with = "in_order")]
    vocab: Vec<(&'a str, usize)>,
    merges: Vec<(&'a str, &'a str)>,
}

/// A map in the order of ids, which is how people read it.
fn in_order<S: Serializer>(vocab: &[(&str, usize)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(vocab.iter().copied())
}

/// The two files' names and contents, or why there are none.
pub(crate) fn files(model: &Model) -> Result<[(&'static str, String); 2], Error> {
    let file = model.vocabulary.to_gguf();
    let gguf = Gguf::parse(&file, file.len() as u64)?;
    let vocab = GgufVocab::from_metadata(&gguf).map_err(Error::Checkpoint)?;
    let tokenizer = model.vocabulary.tokenizer()?;
    let tokens = Tokens::of(&vocab)?;
    let rules = match tokenizer.pre_tokenizer() {
        None => Rules::SentencePiece { adds_space: vocab.add_space_prefix.unwrap_or(true) },
        Some(pre) => Rules::of_pre(pre).ok_or_else(|| {
            let expected = "gpt-2, smollm, starcoder, llama-bpe, dbrx or qwen2";
            Error::value("pre-tokenizer in tokenizer.json", expected, pre)
        })?,
    };
    let text_of = |id: Option<u32>| Some(*tokens.texts.get(id? as usize)?);
    let sentencepiece = matches!(rules, Rules::SentencePiece { .. });
    let unknown = vocab.unknown.or(sentencepiece.then_some(UNKNOWN));
    let (normalizer, pre_tokenizer, decoder) = rules.json();
    let bos = tokenizer.bos();
    let begins = text_of(bos).zip(bos).filter(|_| tokenizer.adds_bos());
    let json = TokenizerJson {
        version: "1.0",
        truncation: Value::Null,
        padding: Value::Null,
        added_tokens: tokens.added(&tokenizer),
        normalizer,
        pre_tokenizer,
        post_processor: begins.map_or(Value::Null, post_processor),
        decoder,
        model: Bpe {
            kind: "BPE",
            dropout: Value::Null,
            unk_token: text_of(unknown).filter(|_| sentencepiece),
            continuing_subword_prefix: Value::Null,
            end_of_word_suffix: Value::Null,
            fuse_unk: sentencepiece,
            byte_fallback: sentencepiece,
            ignore_merges: rules.ignores_merges(),
            vocab: tokens.texts.iter().zip(0..).map(|(&text, id)| (text, id)).collect(),
            merges: match rules {
                Rules::SentencePiece { .. } => tokens.scored_merges(&vocab)?,
                Rules::ByteLevel { .. } => listed_merges(&vocab)?,
            },
        },
    };
    let json =
        serde_json::to_string_pretty(&json).map_err(|e| Error::value(JSON_FILE, "text", e))?;
    let padding = gguf.uint("tokenizer.ggml.padding_token_id", u64::from(u32::MAX)).ok().flatten();
    let padding = padding.map(|id| id as u32);
    let settings = Settings {
        bos_token: text_of(bos).map(String::from),
        eos_token: text_of(tokenizer.eos()).map(String::from),
        pad_token: text_of(padding).map(String::from),
        add_bos_token: Some(tokenizer.adds_bos()),
        chat_template: gguf.text(TEMPLATE_KEY)?.map(String::from),
        ..Settings::default()
    };
    Ok([(JSON_FILE, json + "\n"), (SETTINGS_FILE, settings.json(model.config.seq_len))])
}

/// Every id's text and kind, checked to be what JSON can hold.
struct Tokens<'a> {
    texts: Vec<&'a str>,
    kinds: Vec<i32>,
}

impl<'a> Tokens<'a> {
    fn of(vocab: &GgufVocab<'a>) -> Result<Self, Error> {
        let text = |(id, &bytes): (usize, &&'a [u8])| {
            std::str::from_utf8(bytes).map_err(|_| {
                let found = String::from_utf8_lossy(bytes);
                Error::value(&format!("token {id}"), "UTF-8, as JSON is", found)
            })
        };
        let texts = vocab.tokens.iter().enumerate().map(text).collect::<Result<Vec<_>, _>>()?;
        let mut sorted = texts.clone();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let found = format!("{:?} twice", pair[0]);
            return Err(Error::value("tokens", "each text once, as JSON has keys", found));
        }
        let kinds = match &vocab.token_types {
            Some(kinds) => kinds.clone(),
            None => vec![PieceKind::Normal as i32; texts.len()],
        };
        Ok(Self { texts, kinds })
    }

    fn is(&self, id: usize, kind: PieceKind) -> bool {
        self.kinds[id] == kind as i32
    }

    /// Tokens that are found in a text before it is merged.
    fn added(&self, tokenizer: &Tokenizer) -> Vec<Value> {
        let token = |(id, &text): (usize, &&str)| {
            // Some are control tokens by their texts, whatever their file says.
            let special = tokenizer.is_control(id as u32) || self.is(id, PieceKind::Unknown);
            (special || self.is(id, PieceKind::UserDefined)).then(|| {
                json!({
                    "id": id,
                    "content": text,
                    "single_word": false,
                    "lstrip": false,
                    "rstrip": false,
                    "normalized": false,
                    "special": special,
                })
            })
        };
        self.texts.iter().enumerate().filter_map(token).collect()
    }

    /// The pairs that scores imply.
    fn scored_merges(&self, vocab: &GgufVocab<'_>) -> Result<Vec<(&'a str, &'a str)>, Error> {
        let scores = vocab.scores.as_deref().unwrap_or_default();
        let pieces = self.texts.iter().zip(scores).enumerate();
        let pieces = pieces.filter(|(id, _)| self.is(*id, PieceKind::Normal));
        let pieces: Vec<(&str, f32)> = pieces.map(|(_, (&text, &score))| (text, score)).collect();
        merges::of_scores(&pieces)
    }
}

/// The pairs that a GGUF lists.
fn listed_merges<'a>(vocab: &GgufVocab<'a>) -> Result<Vec<(&'a str, &'a str)>, Error> {
    let fits = |(a, b): &(&str, &str)| !a.is_empty() && !b.is_empty();
    let pair = |&bytes: &&'a [u8]| {
        let text = std::str::from_utf8(bytes).ok();
        text.and_then(|text| text.split_once(' ')).filter(fits).ok_or_else(|| {
            Error::value("merges", "two texts and a space", String::from_utf8_lossy(bytes))
        })
    };
    vocab.merges.iter().flatten().map(pair).collect()
}

/// Puts BOS before every text.
fn post_processor((text, id): (&str, u32)) -> Value {
    let token = |kind: u32| json!({"SpecialToken": {"id": text, "type_id": kind}});
    let sequence = |name: &str, kind: u32| json!({"Sequence": {"id": name, "type_id": kind}});
    json!({
        "type": "TemplateProcessing",
        "single": [token(0), sequence("A", 0)],
        "pair": [token(0), sequence("A", 0), token(1), sequence("B", 1)],
        "special_tokens": {text: {"id": text, "ids": [id], "tokens": [text]}},
    })
}
