//! From a model in memory to files: the model's own, and what belongs beside it.
//!
//! ```text
//! NAME.bin           NAME.tokenizer.bin
//! NAME.gguf
//! NAME.safetensors   config.json, tokenizer.json, tokenizer_config.json, tokenizer.bin
//!                    (in a folder: model.safetensors)
//! ```

use crate::encode::TooLarge;
use crate::{
    Error, Format, Model, Partial, Target, Vocabulary, WeightType, gguf, huggingface, llama2c,
};
use llamaboot_checkpoint::Role;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes the model's own file. What belongs beside it, [`save`] writes as well.
///
/// # Errors
/// A model that the format cannot hold, a weight too large for the type, and faults of `out`.
pub fn write(model: &Model, target: Target, out: &mut dyn Write) -> Result<(), Error> {
    match (target.format(), target.weights()) {
        (Format::Llama2c, WeightType::Q8_0) => llama2c::write_v2(model, out),
        (Format::Llama2c, _) => llama2c::write_v0(model, out),
        (Format::Gguf, _) => gguf::write(model, target, out),
        (Format::Safetensors, _) => huggingface::write(model, target, out),
    }
}

/// What was written.
#[derive(Debug)]
pub struct Saved {
    /// Every file with its length in bytes, the model's own first.
    pub files: Vec<(PathBuf, u64)>,
    /// What a user should know: matrices of another type, a tokenizer that could not be written.
    pub notes: Vec<String>,
}

/// Writes a model to `path`, and beside it what belongs to it. All files are whole before the first
/// takes its place. `progress` is told the bytes written so far of the
/// [`tensor_bytes`](Target::tensor_bytes).
///
/// # Errors
/// As [`write`]; former files then stay as they were.
pub fn save(
    model: &Model,
    path: &Path,
    target: Target,
    progress: &mut dyn FnMut(u64),
) -> Result<Saved, Error> {
    let is_folder = target.format() == Format::Safetensors && !huggingface::names_safetensors(path);
    let file = if is_folder {
        std::fs::create_dir_all(path).map_err(|e| crate::error::named(path, e))?;
        path.join(huggingface::FILE)
    } else {
        path.to_path_buf()
    };
    let small = |path: PathBuf, bytes: &[u8]| -> Result<_, Error> {
        let partial = Partial::create(&path, |out| out.write_all(bytes))?;
        Ok((path, partial))
    };
    let mut notes: Vec<String> = gguf_note(model, target).into_iter().collect();
    let mut parts = vec![(
        file.clone(),
        Partial::create(&file, |out| write(model, target, &mut Watched { out, done: 0, progress }))
            .map_err(|e| e.within(&file))?,
    )];
    let mut has_tokenizer = false;
    if target.format() == Format::Safetensors {
        let config = huggingface::config_json(model, target)?;
        parts.push(small(file.with_file_name(huggingface::CONFIG_FILE), config.as_bytes())?);
        if !matches!(model.vocabulary, Vocabulary::None) {
            match huggingface::tokenizer::files(model) {
                Ok(files) => {
                    for (name, text) in files {
                        parts.push(small(file.with_file_name(name), text.as_bytes())?);
                    }
                    has_tokenizer = true;
                }
                Err(why) => notes.push(format!("no tokenizer.json is written: {why}")),
            }
        }
    }
    if target.format() == Format::Gguf && matches!(model.vocabulary, Vocabulary::None) {
        notes.push(String::from(
            "it has no tokenizer, without which it does not run: none was given",
        ));
    }
    if let Some(place) = tokenizer_file(&file, target.format()) {
        match model.vocabulary.pieces() {
            Ok(pieces) => parts.push(small(place, &pieces.to_llama2c())?),
            Err(_) if has_tokenizer => {}
            Err(why) => notes.push(format!("no tokenizer.bin is written: {why}")),
        }
    }
    if target.format() == Format::Safetensors {
        let folder = file.parent().unwrap_or(Path::new(""));
        let written: Vec<PathBuf> = parts.iter().map(|(path, _)| path.clone()).collect();
        huggingface::tokenizer::refuse_strangers(folder, &written)?;
    }
    let in_place = |(path, part): (PathBuf, Partial)| Ok((path, part.put_in_place()?));
    let files = parts.into_iter().map(in_place).collect::<io::Result<_>>()?;
    Ok(Saved { files, notes })
}

fn gguf_note(model: &Model, target: Target) -> Option<String> {
    (target.format() == Format::Gguf).then(|| gguf::note(model, target)).flatten()
}

/// Where the tokenizer of a model file goes; a GGUF has its own inside.
fn tokenizer_file(file: &Path, format: Format) -> Option<PathBuf> {
    match format {
        Format::Gguf => None,
        Format::Safetensors => Some(file.with_file_name(huggingface::TOKENIZER_FILE)),
        Format::Llama2c => {
            let mut name = file.file_stem().map_or_else(OsString::new, OsString::from);
            name.push(".tokenizer.bin");
            Some(file.with_file_name(name))
        }
    }
}

/// The fault of a tensor with a weight too large for its type.
pub(crate) fn too_large(role: Role, TooLarge(weight): TooLarge) -> Error {
    let expected = "weights and scales of at most 65504, the greatest f16";
    Error::value(&role.gguf_name(), expected, weight)
}

/// Tells how far it is.
struct Watched<'a> {
    out: &'a mut dyn Write,
    done: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.done += written as u64;
        (self.progress)(self.done);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
