//! How a tokenizer.json treats text before merges, as a value that can be compared: its
//! `normalizer` and `pre_tokenizer`, from which llama.cpp's name for the same rule follows, and
//! back.

use crate::Error;
use llamaboot_tokenizer::VISIBLE_SPACE;
use serde_json::{Value, json};

/// Llama 3's words.
const LLAMA3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
/// Qwen 2's words.
const QWEN2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// What happens to text before merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// Spaces become U+2581, and texts are merged whole.
    SentencePiece {
        /// A space goes before every text.
        adds_space: bool,
    },
    /// Text is cut into words, whose bytes are written in GPT-2's alphabet.
    ByteLevel {
        /// `tokenizer.ggml.pre`.
        pre: &'static str,
    },
}

/// One step of a `pre_tokenizer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'a> {
    /// Each match of the expression is a word, and so is what lies between two.
    Split(&'a str),
    /// Each digit is a word.
    Digits,
    /// Bytes are written in GPT-2's alphabet; before that `words`, GPT-2's.
    Bytes { words: bool },
}

/// llama.cpp's names for rules, and their steps. The fourth is the third where words that are
/// tokens are merged like all others.
const BYTE_LEVEL: [(&str, &[Step<'static>]); 6] = [
    ("gpt-2", &[Step::Bytes { words: true }]),
    ("smollm", &[Step::Digits, Step::Bytes { words: true }]),
    ("llama-bpe", &[Step::Split(LLAMA3), Step::Bytes { words: false }]),
    ("dbrx", &[Step::Split(LLAMA3), Step::Bytes { words: false }]),
    ("qwen2", &[Step::Split(QWEN2), Step::Bytes { words: false }]),
    ("starcoder", &[Step::Digits, Step::Bytes { words: true }]),
];

impl Rules {
    /// The rules of a tokenizer.json. `byte_fallback` and `ignore_merges` are its model's.
    pub(super) fn read(
        normalizer: &Value,
        pre_tokenizer: &Value,
        byte_fallback: bool,
        ignore_merges: bool,
    ) -> Result<Self, Error> {
        if byte_fallback {
            return sentencepiece(normalizer, pre_tokenizer);
        }
        // Text that is typed is in this form as a rule; llama.cpp leaves it out as well.
        if !normalizer.is_null() && normalizer["type"] != "NFC" {
            return Err(Error::value(
                "normalizer without byte_fallback",
                "none, or NFC",
                normalizer,
            ));
        }
        let unknown = || {
            let expected = "the rules of GPT-2, SmolLM, Llama 3 or Qwen 2";
            Error::value("pre_tokenizer", expected, pre_tokenizer)
        };
        let steps: Option<Vec<Step<'_>>> =
            parts(pre_tokenizer, "pretokenizers").into_iter().map(step).collect();
        let steps = steps.ok_or_else(unknown)?;
        // Whether words that are tokens are merged decides between two that are else alike.
        let fits = |(pre, of): &&(&str, &[Step<'_>])| {
            *of == steps.as_slice() && ignore_merges == (*pre == "llama-bpe")
        };
        let (pre, _) = BYTE_LEVEL.iter().find(fits).ok_or_else(unknown)?;
        Ok(Self::ByteLevel { pre })
    }

    /// The rules by llama.cpp's name, or `None` where Hugging Face's form is not known here.
    pub(super) fn of_pre(name: &str) -> Option<Self> {
        let (pre, _) = BYTE_LEVEL.iter().find(|(pre, _)| *pre == name)?;
        Some(Self::ByteLevel { pre })
    }

    /// Whether words that are tokens are not merged.
    pub(super) fn ignores_merges(self) -> bool {
        self == Self::ByteLevel { pre: "llama-bpe" }
    }

    /// The values of `normalizer`, `pre_tokenizer` and `decoder`.
    pub(super) fn json(self) -> (Value, Value, Value) {
        match self {
            Self::SentencePiece { adds_space } => {
                let space = VISIBLE_SPACE.to_string();
                let replace =
                    json!({"type": "Replace", "pattern": {"String": " "}, "content": space});
                let prepend = json!({"type": "Prepend", "prepend": space});
                let normalizers = if adds_space { vec![prepend, replace] } else { vec![replace] };
                let mut decoders = vec![
                    json!({"type": "Replace", "pattern": {"String": space}, "content": " "}),
                    json!({"type": "ByteFallback"}),
                    json!({"type": "Fuse"}),
                ];
                if adds_space {
                    decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
                }
                (
                    json!({"type": "Sequence", "normalizers": normalizers}),
                    Value::Null,
                    json!({"type": "Sequence", "decoders": decoders}),
                )
            }
            Self::ByteLevel { pre } => {
                let steps = BYTE_LEVEL.iter().find(|(name, _)| *name == pre);
                let steps = steps.into_iter().flat_map(|(_, steps)| steps.iter());
                let mut values: Vec<Value> = steps.map(|step| step.json()).collect();
                let pre_tokenizer = match values.len() {
                    1 => values.remove(0),
                    _ => json!({"type": "Sequence", "pretokenizers": values}),
                };
                let decoder = byte_level(true, true);
                (Value::Null, pre_tokenizer, decoder)
            }
        }
    }
}

impl Step<'_> {
    fn json(&self) -> Value {
        match *self {
            Step::Split(regex) => json!({
                "type": "Split",
                "pattern": {"Regex": regex},
                "behavior": "Isolated",
                "invert": false,
            }),
            Step::Digits => json!({"type": "Digits", "individual_digits": true}),
            Step::Bytes { words } => byte_level(false, words),
        }
    }
}

fn byte_level(adds_space: bool, words: bool) -> Value {
    json!({
        "type": "ByteLevel",
        "add_prefix_space": adds_space,
        "trim_offsets": true,
        "use_regex": words,
    })
}

/// The parts of a sequence, or the one thing that is none.
fn parts<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    match (value["type"] == "Sequence", value[key].as_array()) {
        (true, Some(parts)) => parts.iter().collect(),
        _ if value.is_null() => Vec::new(),
        _ => vec![value],
    }
}

fn step(value: &Value) -> Option<Step<'_>> {
    match value["type"].as_str()? {
        "Split" if value["behavior"] == "Isolated" && value["invert"] != true => {
            Some(Step::Split(value["pattern"]["Regex"].as_str()?))
        }
        "Digits" if value["individual_digits"] == true => Some(Step::Digits),
        "ByteLevel" if value["add_prefix_space"] == false => {
            Some(Step::Bytes { words: value["use_regex"] != false })
        }
        _ => None,
    }
}

fn sentencepiece(normalizer: &Value, pre_tokenizer: &Value) -> Result<Rules, Error> {
    let space = VISIBLE_SPACE.to_string();
    let is = |value: &Value, kind: &str, key: &str| value["type"] == kind && value[key] == space;
    let replaces =
        |value: &Value| is(value, "Replace", "content") && value["pattern"]["String"] == " ";
    let adds_space = match (parts(normalizer, "normalizers").as_slice(), pre_tokenizer) {
        ([first, second], Value::Null) if is(first, "Prepend", "prepend") && replaces(second) => {
            Some(true)
        }
        ([only], Value::Null) if replaces(only) => Some(false),
        ([], meta) if is(meta, "Metaspace", "replacement") && meta["split"] == false => {
            match meta["prepend_scheme"].as_str() {
                Some("always" | "first") => Some(true),
                Some("never") => Some(false),
                _ => None,
            }
        }
        _ => None,
    };
    let found = || format!("{normalizer} and {pre_tokenizer}");
    let adds_space = adds_space.ok_or_else(|| {
        Error::value("normalizer and pre_tokenizer", "Llama 2's rules for spaces", found())
    })?;
    Ok(Rules::SentencePiece { adds_space })
}
