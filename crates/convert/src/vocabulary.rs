//! What a model's ids stand for, on its way from one file to another.
//!
//! A GGUF's keys are copied as they stand, whatever kind of vocabulary they describe. llama2.c's
//! tokenizer.bin can hold one kind alone: SentencePiece-style, `<unk>`, `<s>`, `</s>`, 256 bytes,
//! text, with BOS and a space before every text.

use crate::Error;
use crate::keys::Keys;
use llamaboot_checkpoint::gguf::{Array, Gguf, RawEntry, Value};
use llamaboot_tokenizer::{
    MAX_TOKENS, Piece, PieceKind, Pieces, Tokenizer, VISIBLE_SPACE, byte_value,
};

/// Ids that llama2.c has in its code; its byte tokens follow them.
pub(crate) const UNKNOWN: u32 = 0;
const BOS: u32 = 1;
const EOS: u32 = 2;
const FIRST_BYTE: usize = 3;

/// What a model's ids stand for.
#[derive(Debug, Clone, Default)]
pub enum Vocabulary {
    /// Nobody knows.
    #[default]
    None,
    /// From a tokenizer.bin, or trained.
    Pieces(Pieces),
    /// From a GGUF, or a tokenizer.json as a GGUF has it.
    Gguf(GgufVocabulary),
}

/// The vocabulary of a GGUF.
#[derive(Debug, Clone)]
pub struct GgufVocabulary {
    /// The keys `tokenizer.*`, and those of `general.*` that say whose model it is.
    pub entries: Vec<GgufEntry>,
    /// `tokenizer.ggml.bos_token_id`.
    pub bos: Option<u32>,
    /// `tokenizer.ggml.eos_token_id`.
    pub eos: Option<u32>,
    /// The same as llama2.c has it, or why that cannot be.
    pub pieces: Result<Pieces, String>,
}

/// A key of a GGUF as it stood in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GgufEntry {
    /// Its name.
    pub key: String,
    /// Type number of the value.
    pub kind: u32,
    /// The value's bytes.
    pub bytes: Vec<u8>,
}

impl Vocabulary {
    /// The vocabulary as llama2.c has it.
    ///
    /// # Errors
    /// There is none, or one of another kind; the text says why.
    pub fn pieces(&self) -> Result<&Pieces, &str> {
        match self {
            Self::None => Err("none was given"),
            Self::Pieces(pieces) => Ok(pieces),
            Self::Gguf(gguf) => gguf.pieces.as_ref().map_err(String::as_str),
        }
    }

    /// The id that begins a sequence.
    #[must_use]
    pub fn bos(&self) -> Option<u32> {
        match self {
            Self::None => None,
            Self::Pieces(_) => Some(BOS),
            Self::Gguf(gguf) => gguf.bos,
        }
    }

    /// The id that ends a sequence.
    #[must_use]
    pub fn eos(&self) -> Option<u32> {
        match self {
            Self::None => None,
            Self::Pieces(_) => Some(EOS),
            Self::Gguf(gguf) => gguf.eos,
        }
    }
}

impl Vocabulary {
    /// The tokenizer that these ids are for.
    ///
    /// # Errors
    /// There is none, or its parts do not fit together.
    pub fn tokenizer(&self) -> Result<Tokenizer, Error> {
        match self {
            Self::None => Err(Error::value("tokenizer", "one", "none")),
            Self::Pieces(pieces) => {
                Ok(Tokenizer::from_llama2c(&pieces.to_llama2c(), pieces.0.len())?)
            }
            Self::Gguf(_) => {
                let file = self.to_gguf();
                Ok(Tokenizer::from_metadata(&Gguf::parse(&file, file.len() as u64)?)?)
            }
        }
    }

    /// A GGUF that holds this vocabulary and nothing else.
    pub(crate) fn to_gguf(&self) -> Vec<u8> {
        let mut keys = Keys::default();
        self.push_keys(&mut keys);
        keys.head(0)
    }

    /// Adds its keys to those of a GGUF.
    pub(crate) fn push_keys(&self, keys: &mut Keys) {
        match self {
            // llama.cpp's name for a model that has none.
            Self::None => keys.text(MODEL, "none"),
            Self::Pieces(pieces) => {
                push_pieces(keys, pieces);
                Special::IMPLIED.push(keys);
            }
            Self::Gguf(gguf) => {
                gguf.entries.iter().for_each(|e| keys.raw(&e.key, e.kind, &e.bytes));
            }
        }
    }
}

/// Which tokens begin and end a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Special {
    pub(crate) bos: Option<u32>,
    pub(crate) eos: Option<u32>,
    /// Two ends more, which a GGUF has names for.
    pub(crate) eot: Option<u32>,
    pub(crate) eom: Option<u32>,
    /// What fills up a batch.
    pub(crate) pad: Option<u32>,
    /// Whether BOS goes before every text.
    pub(crate) adds_bos: bool,
}

impl Special {
    /// What a tokenizer.bin implies.
    pub(crate) const IMPLIED: Self =
        Self { bos: Some(BOS), eos: Some(EOS), eot: None, eom: None, pad: None, adds_bos: true };

    /// Adds its keys to those of a GGUF.
    pub(crate) fn push(&self, keys: &mut Keys) {
        let ids = [
            ("bos", self.bos),
            ("eos", self.eos),
            ("eot", self.eot),
            ("eom", self.eom),
            ("padding", self.pad),
        ];
        for (name, id) in ids {
            if let Some(id) = id {
                keys.u32(&format!("tokenizer.ggml.{name}_token_id"), id as usize);
            }
        }
        keys.bool("tokenizer.ggml.add_bos_token", self.adds_bos);
    }
}

/// The keys of pieces as a GGUF has them, but for those of [`Special`].
pub(crate) fn push_pieces(keys: &mut Keys, Pieces(pieces): &Pieces) {
    let texts: Vec<Vec<u8>> = pieces.iter().map(gguf_text).collect();
    let scores: Vec<f32> = pieces.iter().map(|piece| piece.score).collect();
    let types: Vec<i32> = pieces.iter().map(|piece| piece.kind as i32).collect();
    keys.text(MODEL, "llama");
    keys.text("tokenizer.ggml.pre", "default");
    keys.texts("tokenizer.ggml.tokens", &texts);
    keys.f32s("tokenizer.ggml.scores", &scores);
    keys.i32s("tokenizer.ggml.token_type", &types);
    keys.u32("tokenizer.ggml.unknown_token_id", UNKNOWN as usize);
    keys.bool("tokenizer.ggml.add_eos_token", false);
    keys.bool("tokenizer.ggml.add_space_prefix", true);
}

impl GgufVocabulary {
    /// Of the keys of a file that has no others.
    pub(crate) fn of_keys(keys: &Keys) -> Result<Self, Error> {
        let file = keys.head(0);
        Self::read(&Gguf::parse(&file, file.len() as u64)?)
    }

    /// Copies the keys.
    ///
    /// # Errors
    /// A key with a value of another type.
    pub fn read(gguf: &Gguf<'_>) -> Result<Self, Error> {
        let entry = |e: RawEntry<'_>| GgufEntry {
            key: e.key.to_string(),
            kind: e.kind,
            bytes: e.bytes.to_vec(),
        };
        let entries = gguf.raw_entries().filter(|e| is_kept(e.key)).map(entry).collect();
        let llama = gguf.text(MODEL)? == Some("llama");
        let id = |key, default| match gguf.get(key) {
            None => llama.then_some(default),
            Some(&Value::Int(id)) => u32::try_from(id).ok(),
            Some(_) => None,
        };
        let bos = id("tokenizer.ggml.bos_token_id", BOS);
        let eos = id("tokenizer.ggml.eos_token_id", EOS);
        let pieces = pieces_of(gguf, bos, eos);
        Ok(Self { entries, bos, eos, pieces })
    }
}

const MODEL: &str = "tokenizer.ggml.model";

/// Whether a key goes into a copy: what says how to write the file's own numbers does not.
fn is_kept(key: &str) -> bool {
    const OF_THE_FILE: [&str; 4] = [
        "general.architecture",
        "general.alignment",
        "general.file_type",
        "general.quantization_version",
    ];
    key.starts_with("tokenizer.") || (key.starts_with("general.") && !OF_THE_FILE.contains(&key))
}

/// llama2.c's view of a GGUF's vocabulary, or why there is none.
fn pieces_of(gguf: &Gguf<'_>, bos: Option<u32>, eos: Option<u32>) -> Result<Pieces, String> {
    match gguf.text(MODEL) {
        Ok(Some("llama")) => {}
        Ok(Some(other)) => {
            let name: String = other.chars().filter(|c| !c.is_control()).take(40).collect();
            return Err(format!("a vocabulary of kind {name:?} has no llama2.c form"));
        }
        _ => return Err(String::from("the GGUF has none")),
    }
    let array = |key: &str| gguf.array(key).ok().flatten();
    let texts = array("tokenizer.ggml.tokens").and_then(Array::byte_strings).unwrap_or_default();
    let scores = array("tokenizer.ggml.scores").map(Array::iter).into_iter().flatten();
    let types = array("tokenizer.ggml.token_type").map(Array::iter).into_iter().flatten();
    let pieces: Vec<Piece> = texts.iter().zip(scores).zip(types).map_while(piece).collect();
    if pieces.is_empty() || pieces.len() != texts.len() || pieces.len() > MAX_TOKENS {
        return Err(String::from("its tokens, scores and types do not fit together"));
    }
    let is_byte = |(byte, piece): (usize, &Piece)| {
        piece.kind == PieceKind::Byte && piece.text.as_slice() == [byte as u8]
    };
    let bytes = pieces.get(FIRST_BYTE..FIRST_BYTE + 256);
    let in_place = bytes.is_some_and(|bytes| bytes.iter().enumerate().all(is_byte));
    if !in_place || (bos, eos) != (Some(BOS), Some(EOS)) {
        return Err(String::from(
            "llama2.c has <unk>, <s>, </s> and all bytes as tokens 0 to 258, this model has not",
        ));
    }
    let off = |key| matches!(gguf.get(key), Some(Value::Bool(false)));
    if off("tokenizer.ggml.add_space_prefix") || off("tokenizer.ggml.add_bos_token") {
        return Err(String::from(
            "llama2.c puts BOS and a space before every text, this model does not",
        ));
    }
    Ok(Pieces(pieces))
}

/// One token, or `None` where its values are of other types.
fn piece(((text, score), kind): ((&&[u8], Value<'_>), Value<'_>)) -> Option<Piece> {
    let (Value::Float(score), Value::Int(kind)) = (score, kind) else { return None };
    let kind = match kind {
        2 => PieceKind::Unknown,
        3 => PieceKind::Control,
        4 => PieceKind::UserDefined,
        5 => PieceKind::Unused,
        6 => PieceKind::Byte,
        _ => PieceKind::Normal,
    };
    let text = match kind {
        PieceKind::Byte => vec![byte_value(text)?],
        _ => match std::str::from_utf8(text) {
            Ok(text) => text.replace(VISIBLE_SPACE, " ").into_bytes(),
            Err(_) => text.to_vec(),
        },
    };
    // An empty token cannot stand in a tokenizer.bin.
    (!text.is_empty()).then_some(Piece { text, score: score as f32, kind })
}

/// The text of a piece as a GGUF has it.
fn gguf_text(piece: &Piece) -> Vec<u8> {
    match (piece.kind, piece.text.as_slice()) {
        (PieceKind::Byte, &[byte]) => format!("<0x{byte:02X}>").into_bytes(),
        (PieceKind::Normal | PieceKind::UserDefined | PieceKind::Unused, text) => {
            // Only whole UTF-8 can hold U+2581; other bytes stay as they are.
            std::str::from_utf8(text).map_or_else(
                |_| text.to_vec(),
                |t| t.replace(' ', &VISIBLE_SPACE.to_string()).into_bytes(),
            )
        }
        (_, text) => text.to_vec(),
    }
}
