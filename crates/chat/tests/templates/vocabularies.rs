//! Vocabularies for the formats: real ones, with the control tokens that a format needs added.

use llamaboot_checkpoint::gguf::{Gguf, Value};
use llamaboot_tokenizer::{GgufVocab, Tokenizer};

pub(crate) const CONTROL: i32 = 3;
pub(crate) const USER_DEFINED: i32 = 4;

/// Which vocabulary is the base.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Base {
    /// Llama 2's, SentencePiece.
    Llama,
    /// GPT-2's, byte-level.
    Gpt2,
}

/// Which tokens are added, and what the file says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vocabulary {
    pub(crate) base: Base,
    pub(crate) pre: &'static str,
    pub(crate) added: &'static [(&'static str, i32)],
    pub(crate) bos: Option<&'static str>,
    pub(crate) eos: Option<&'static str>,
    pub(crate) add_space_prefix: Option<bool>,
}

/// Llama 2's as it is.
pub(crate) const LLAMA: Vocabulary = Vocabulary {
    base: Base::Llama,
    pre: "",
    added: &[],
    bos: None,
    eos: None,
    add_space_prefix: None,
};

/// GPT-2's as it is.
pub(crate) const GPT2: Vocabulary = Vocabulary { base: Base::Gpt2, pre: "gpt-2", ..LLAMA };

/// Its markers are user-defined, as some converters have them.
pub(crate) const CHATML: Vocabulary = Vocabulary {
    pre: "qwen2",
    added: &[("<|im_start|>", USER_DEFINED), ("<|im_end|>", USER_DEFINED)],
    ..GPT2
};

pub(crate) const CHATML_SENTENCEPIECE: Vocabulary =
    Vocabulary { added: &[("<|im_start|>", CONTROL), ("<|im_end|>", CONTROL)], ..LLAMA };

pub(crate) const LLAMA3: Vocabulary = Vocabulary {
    pre: "llama-bpe",
    added: &[
        ("<|begin_of_text|>", CONTROL),
        ("<|end_of_text|>", CONTROL),
        ("<|start_header_id|>", CONTROL),
        ("<|end_header_id|>", CONTROL),
        ("<|eot_id|>", CONTROL),
    ],
    bos: Some("<|begin_of_text|>"),
    eos: Some("<|end_of_text|>"),
    ..GPT2
};

/// StableLM has the roles of Zephyr as tokens.
pub(crate) const ZEPHYR_TOKENS: Vocabulary = Vocabulary {
    added: &[("<|user|>", CONTROL), ("<|assistant|>", CONTROL), ("<|system|>", CONTROL)],
    eos: Some("<|endoftext|>"),
    ..GPT2
};

pub(crate) const MISTRAL_V3: Vocabulary =
    Vocabulary { added: &[("[INST]", CONTROL), ("[/INST]", CONTROL)], ..LLAMA };

/// Gemma's line ends and runs of spaces are user-defined; they reach across a template's borders.
pub(crate) const GEMMA: Vocabulary = Vocabulary {
    added: &[
        ("<bos>", CONTROL),
        ("<eos>", CONTROL),
        ("<start_of_turn>", CONTROL),
        ("<end_of_turn>", CONTROL),
        ("\n", USER_DEFINED),
        ("\n\n", USER_DEFINED),
        ("\n\n\n", USER_DEFINED),
        ("▁▁", USER_DEFINED),
    ],
    bos: Some("<bos>"),
    eos: Some("<eos>"),
    add_space_prefix: Some(false),
    ..LLAMA
};

pub(crate) const PHI3: Vocabulary = Vocabulary {
    added: &[
        ("<|endoftext|>", CONTROL),
        ("<|assistant|>", USER_DEFINED),
        ("<|system|>", USER_DEFINED),
        ("<|end|>", USER_DEFINED),
        ("<|user|>", USER_DEFINED),
    ],
    eos: Some("<|endoftext|>"),
    ..LLAMA
};

impl Vocabulary {
    /// The tokenizer, or `None` after saying that the base is missing.
    pub(crate) fn tokenizer(&self) -> Option<Tokenizer> {
        let bytes = llamaboot_test_support::read(match self.base {
            Base::Llama => "gguf-vocab/ggml-vocab-llama-spm.gguf",
            Base::Gpt2 => "gguf-vocab/ggml-vocab-gpt-2.gguf",
        })?;
        let gguf = Gguf::parse(&bytes, bytes.len() as u64).unwrap();
        let array = |key: &str| gguf.array(&format!("tokenizer.ggml.{key}")).unwrap();
        let mut vocab = GgufVocab {
            model: gguf.text("tokenizer.ggml.model").unwrap().unwrap(),
            pre: self.pre,
            tokens: array("tokens").unwrap().byte_strings().unwrap(),
            scores: array("scores").map(|array| {
                array
                    .iter()
                    .map(|value| if let Value::Float(x) = value { x as f32 } else { 0.0 })
                    .collect()
            }),
            token_types: array("token_type").map(|array| {
                array
                    .iter()
                    .map(|value| if let Value::Int(x) = value { x as i32 } else { 0 })
                    .collect()
            }),
            merges: array("merges").map(|array| array.byte_strings().unwrap()),
            bos: gguf.uint("tokenizer.ggml.bos_token_id", u64::MAX).unwrap().map(|id| id as u32),
            eos: gguf.uint("tokenizer.ggml.eos_token_id", u64::MAX).unwrap().map(|id| id as u32),
            add_space_prefix: self.add_space_prefix,
            ..GgufVocab::default()
        };
        for (text, kind) in self.added {
            vocab.tokens.push(text.as_bytes());
            vocab.token_types.as_mut().unwrap().push(*kind);
            vocab.scores.iter_mut().for_each(|scores| scores.push(0.0));
        }
        let find = |name: &str| {
            vocab.tokens.iter().position(|&token| token == name.as_bytes()).map(|id| id as u32)
        };
        vocab.bos = self.bos.map_or(vocab.bos, find);
        vocab.eos = self.eos.map_or(vocab.eos, find);
        Some(Tokenizer::from_gguf(&vocab).unwrap())
    }
}
