//! The vocabulary beside a Hugging Face model: which of its files is read, and which are written.
//!
//! ```text
//! tokenizer.json          Hugging Face's tokenizers: vocabulary, merges, rules
//! tokenizer.model         sentencepiece's
//! tokenizer.bin           llama2.c's, which llamaboot writes where it can
//! tokenizer_config.json   names of BOS and EOS, whether BOS is added, the chat template
//! chat_template.jinja     the chat template, in newer folders
//! generation_config.json  more ends
//! ```
//!
//! The first of the first three that is there counts: a tokenizer.bin says less of its tokens than
//! the others. tokenizer.json becomes the keys that a GGUF has (`tokenizer.ggml.*`), and is written
//! from them.

mod merges;
mod pre_tokenizer;
mod read;
mod settings;
mod write;

pub(crate) use write::files;

use super::special::SpecialIds;
use super::{MAX_SMALL_BYTES, TOKENIZER_FILE, names_safetensors, small_file};
use crate::keys::Keys;
use crate::vocabulary::{GgufVocabulary, Special, push_pieces};
use crate::{Error, Vocabulary};
use llamaboot_tokenizer::{Pieces, is_json};
use settings::Settings;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const JSON_FILE: &str = "tokenizer.json";
const MODEL_FILE: &str = "tokenizer.model";
const SETTINGS_FILE: &str = "tokenizer_config.json";
const TEMPLATE_FILE: &str = "chat_template.jinja";
const GENERATION_FILE: &str = "generation_config.json";
/// Longest tokenizer.json that is read, in bytes. Llama 3's has 17 MB.
const MAX_JSON_BYTES: u64 = 128 << 20;
/// The key of a chat template in a GGUF.
const TEMPLATE_KEY: &str = "tokenizer.chat_template";

/// Every file that [`read`] may take.
const FILES: [&str; 6] =
    [JSON_FILE, MODEL_FILE, TOKENIZER_FILE, SETTINGS_FILE, TEMPLATE_FILE, GENERATION_FILE];

/// Refuses a folder that holds weights or a vocabulary that are not among those `written`: they
/// would be read with what is written, or lose their config.json to it.
pub(crate) fn refuse_strangers(folder: &Path, written: &[PathBuf]) -> Result<(), Error> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    let is_stranger = |name: &OsString| {
        let is_read = FILES.iter().any(|file| name == file) || names_safetensors(Path::new(name));
        is_read && !written.iter().any(|path| path.file_name() == Some(name.as_os_str()))
    };
    match names.filter(is_stranger).min() {
        None => Ok(()),
        Some(name) => {
            let expected = "a folder without other models' files";
            Err(Error::value(&folder.display().to_string(), expected, name.display()))
        }
    }
}

/// The vocabulary of a model with `vocab_size` ids, whose config.json has `ids`: from the bytes
/// given, a tokenizer.json or what [`Pieces::from_file`] takes, or else from the folder.
pub(super) fn read(
    folder: &Path,
    given: Option<(&Path, &[u8])>,
    vocab_size: usize,
    ids: SpecialIds,
) -> Result<Vocabulary, Error> {
    let settings = Settings::read(folder, vocab_size, ids)?;
    let from_file = |path: &Path, bytes: &[u8], is_json: bool| {
        let read = match is_json {
            true => read::vocabulary(bytes, vocab_size, &settings),
            false => Pieces::from_file(bytes)
                .map_err(Error::from)
                .and_then(|pieces| of_pieces(pieces, &settings)),
        };
        read.map_err(|e| e.within(path))
    };
    if let Some((path, bytes)) = given {
        return from_file(path, bytes, is_json(bytes));
    }
    let files = [
        (JSON_FILE, MAX_JSON_BYTES),
        (MODEL_FILE, llamaboot_tokenizer::MAX_MODEL_BYTES as u64),
        (TOKENIZER_FILE, MAX_SMALL_BYTES),
    ];
    for (name, max) in files {
        let path = folder.join(name);
        if path.exists() {
            return from_file(&path, &small_file(&path, max)?, name == JSON_FILE);
        }
    }
    Ok(Vocabulary::None)
}

/// Pieces, with the settings where those say more than a tokenizer.bin implies.
fn of_pieces(pieces: Pieces, settings: &Settings) -> Result<Vocabulary, Error> {
    let id_of = |text: &str| pieces.0.iter().position(|piece| piece.text == text.as_bytes());
    let special = settings.special(|text| id_of(text).map(|id| id as u32), None, true);
    let implied = Special::IMPLIED;
    let special =
        Special { bos: special.bos.or(implied.bos), eos: special.eos.or(implied.eos), ..special };
    if special == implied && settings.chat_template.is_none() {
        return Ok(Vocabulary::Pieces(pieces));
    }
    let mut keys = Keys::default();
    push_pieces(&mut keys, &pieces);
    push_special(&mut keys, &special, settings);
    Ok(Vocabulary::Gguf(GgufVocabulary::of_keys(&keys)?))
}

/// The keys of special tokens and the chat template.
fn push_special(keys: &mut Keys, special: &Special, settings: &Settings) {
    special.push(keys);
    if let Some(template) = &settings.chat_template {
        keys.text(TEMPLATE_KEY, template);
    }
}
