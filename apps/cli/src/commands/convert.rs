//! `convert`: a model from one file format to another.

use crate::args::ModelFile;
use crate::model::weights;
use crate::progress::bar;
use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use llamaboot_chat::bytes_text;
use llamaboot_convert::{Format, Target, WeightType, names_safetensors, save};
use std::io::Write as _;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct Convert {
    /// A GGUF, a llama2.c .bin, or safetensors as Hugging Face has them, with a config.json (the
    /// folder or the file)
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// What to write, by its name: .bin, .gguf, .safetensors, or a folder, with / at its end, for
    /// safetensors
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// How matrices are stored [default: f32, which loses nothing]. .gguf has all four, .bin has
    /// f32 (version 0) and q8_0 (version 2), safetensors has f32 and f16
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<Kind>,
    /// tokenizer.bin or tokenizer.model of a .bin or safetensors, or tokenizer.json of safetensors
    /// [default: of a .bin NAME.tokenizer.bin or tokenizer.bin beside it; of safetensors the first
    /// of tokenizer.json, tokenizer.model and tokenizer.bin]
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    F32,
    F16,
    #[value(name = "q8_0")]
    Q8_0,
    #[value(name = "q4_0")]
    Q4_0,
}

/// Refuses an output that is one of the inputs, or safetensors beside others: what they are would
/// be lost.
fn refuse_overwriting(args: &Convert) -> Result<()> {
    let output = &args.output;
    let place = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok();
        path.canonicalize().ok().or(Some(folder?.join(path.file_name()?)))
    };
    let inputs = [Some(&args.input), args.tokenizer.as_ref()];
    let same = inputs.into_iter().flatten().any(|input| place(input) == place(output));
    ensure!(!same, "{}: both an input and the output", output.display());
    let folder = |path: &Path| {
        let place = place(path)?;
        if names_safetensors(&place) { place.parent().map(Path::to_path_buf) } else { Some(place) }
    };
    ensure!(
        folder(&args.input) != folder(output),
        "{}: the input is in this folder, and its config.json would be lost",
        output.display()
    );
    Ok(())
}

pub(crate) fn run(args: &Convert) -> Result<()> {
    let kind = args.kind.map(|kind| match kind {
        Kind::F32 => WeightType::F32,
        Kind::F16 => WeightType::F16,
        Kind::Q8_0 => WeightType::Q8_0,
        Kind::Q4_0 => WeightType::Q4_0,
    });
    let target = Target::new(Format::of_output(&args.output)?, kind)?;
    refuse_overwriting(args)?;
    let name = args.output.display();
    let model =
        weights(&ModelFile { model: args.input.clone(), tokenizer: args.tokenizer.clone() })?;
    let progress = bar(target.tensor_bytes(&model), None);
    let saved = save(&model, &args.output, target, &mut |done| progress.set_position(done))?;
    progress.finish_and_clear();
    for note in &saved.notes {
        eprintln!("llamaboot: {name}: {note}");
    }
    let (path, _) = &saved.files[0];
    let bytes = saved.files.iter().map(|(_, bytes)| bytes).sum();
    writeln!(std::io::stdout(), "{}: {target}, {}", path.display(), bytes_text(bytes))?;
    Ok(())
}
