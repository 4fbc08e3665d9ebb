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
    let safetensors = target.format() == Format::Safetensors;
    let is_folder = safetensors && !huggingface::names_safetensors(path);
    let file = if is_folder { path.join(huggingface::FILE) } else { path.to_path_buf() };
    let mut notes: Vec<String> = gguf_note(model, target).into_iter().collect();
    // What is short is made first, so that its faults cost no time and leave nothing behind.
    let mut shorts: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    if safetensors {
        let config = huggingface::config_json(model, target)?;
        shorts.push((file.with_file_name(huggingface::CONFIG_FILE), config.into_bytes()));
        if !matches!(model.vocabulary, Vocabulary::None) {
            match huggingface::tokenizer::files(model) {
                Ok(files) => shorts.extend(
                    files.map(|(name, text)| (file.with_file_name(name), text.into_bytes())),
                ),
                Err(why) => notes.push(format!("no tokenizer.json is written: {why}")),
            }
        }
    }
    if target.format() == Format::Gguf && matches!(model.vocabulary, Vocabulary::None) {
        notes.push(String::from("it has no tokenizer, without which no text runs: none was given"));
    }
    if let Some(place) = tokenizer_file(&file, target.format()) {
        match model.vocabulary.pieces() {
            Ok(pieces) => shorts.push((place, pieces.to_llama2c())),
            // Beside config.json there is tokenizer.json, which can hold any kind.
            Err(_) if shorts.len() > 1 => {}
            Err(why) => notes.push(format!("no tokenizer.bin is written: {why}")),
        }
    }
    if safetensors {
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut written: Vec<PathBuf> = shorts.iter().map(|(path, _)| path.clone()).collect();
        written.push(file.clone());
        huggingface::tokenizer::refuse_strangers(folder, &written)?;
    }
    if is_folder {
        std::fs::create_dir_all(path).map_err(|e| crate::error::named(path, e))?;
    }
    let small = |path: PathBuf, bytes: &[u8]| -> Result<_, Error> {
        let partial = Partial::create(&path, |out| out.write_all(bytes))?;
        Ok((path, partial))
    };
    let mut parts = vec![(
        file.clone(),
        Partial::create(&file, |out| write(model, target, &mut Watched { out, done: 0, progress }))
            .map_err(|e| e.within(&file))?,
    )];
    for (path, bytes) in shorts {
        parts.push(small(path, &bytes)?);
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
