//! The vocabulary beside a Hugging Face model: which of its files is read, and which are written.
//!
//! ```text
//! tokenizer.bin           llama2.c's, which llamaboot writes where it can
//! tokenizer.json          PyPI's tokenizers and transformers: vocabulary, merges, rules
//! tokenizer.model         sentencepiece's
//! tokenizer_config.json   names of BOS and EOS, whether BOS is added, the chat template
//! chat_template.jinja     the chat template, in newer folders
//! ```
//!
//! The first of the first three that is there counts. tokenizer.json becomes the keys that a GGUF
//! has (`tokenizer.ggml.*`), and is written from them.

mod merges;
mod pre_tokenizer;
mod read;
mod settings;
mod write;

pub(crate) use write::files;

use super::{TOKENIZER_FILE, small_file};
use crate::keys::Keys;
use crate::vocabulary::{GgufVocabulary, push_pieces};
use crate::{Error, Vocabulary};
use llamaboot_tokenizer::Pieces;
use settings::Settings;
use std::path::Path;

const JSON_FILE: &str = "tokenizer.json";
const MODEL_FILE: &str = "tokenizer.model";
const SETTINGS_FILE: &str = "tokenizer_config.json";
const TEMPLATE_FILE: &str = "chat_template.jinja";
/// Longest tokenizer.json that is read, in bytes. Llama 3's has 17 MB.
const MAX_JSON_BYTES: u64 = 128 << 20;
/// The key of a chat template in a GGUF.
const TEMPLATE_KEY: &str = "tokenizer.chat_template";

/// What config.json says of special tokens.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct SpecialIds {
    pub(super) bos: Option<u32>,
    pub(super) eos: Option<u32>,
}

/// The vocabulary of a model with `vocab_size` ids: from the bytes given, a tokenizer.json or what
/// [`Pieces::from_file`] takes, or else from the folder.
pub(super) fn read(
    folder: &Path,
    given: Option<&[u8]>,
    vocab_size: usize,
    ids: SpecialIds,
) -> Result<Vocabulary, Error> {
    let settings = Settings::read(folder)?;
    let json_of = |bytes: &[u8]| read::vocabulary(bytes, vocab_size, &settings, ids);
    if let Some(bytes) = given {
        let is_json = bytes.trim_ascii_start().starts_with(b"{");
        return if is_json { json_of(bytes) } else { pieces(Pieces::from_file(bytes)?, &settings) };
    }
    let beside = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
    if let Some(path) = beside(TOKENIZER_FILE) {
        let bytes = small_file(&path, super::MAX_JSON_BYTES)?;
        return pieces(Pieces::from_llama2c(&bytes)?, &settings);
    }
    if let Some(path) = beside(JSON_FILE) {
        let bytes = small_file(&path, MAX_JSON_BYTES)?;
        return json_of(&bytes).map_err(|e| e.within(&path));
    }
    if let Some(path) = beside(MODEL_FILE) {
        let bytes = small_file(&path, llamaboot_tokenizer::MAX_MODEL_BYTES as u64)?;
        return pieces(Pieces::from_sentencepiece(&bytes)?, &settings);
    }
    Ok(Vocabulary::None)
}

/// Pieces, and the chat template where there is one.
fn pieces(pieces: Pieces, settings: &Settings) -> Result<Vocabulary, Error> {
    let Some(template) = &settings.chat_template else { return Ok(Vocabulary::Pieces(pieces)) };
    let mut keys = Keys::default();
    push_pieces(&mut keys, &pieces);
    keys.text(TEMPLATE_KEY, template);
    Ok(Vocabulary::Gguf(GgufVocabulary::of_keys(&keys)?))
}
