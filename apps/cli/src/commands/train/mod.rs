//! `train`: from a text to a model that boots. Folder, files and progress are here; the arithmetic
//! is `llamaboot-train`'s.
//!
//! ```text
//! DIR/recipe.json        what the run follows from
//! DIR/tokens.cache       the text as tokens
//! DIR/loss.csv           a line a step
//! DIR/report.html, .svg  curves and samples          DIR/samples.txt
//! DIR/validation.txt     the part of the text that the model does not see
//! DIR/checkpoints/NAME_iter00200.state               the last two, to go on from
//! DIR/NAME.bin           the best model by validation loss, with NAME.tokenizer.bin
//! ```

mod args;
mod device;
mod log;
mod recipe;
mod report;
mod run;
mod samples;
mod start;
mod states;
mod tokens;

pub(crate) use args::{DeviceName, Train, TrainType};
pub(crate) use device::Device;

use crate::corpus::read_corpus;
use crate::model::kernels;
use crate::threads;
use anyhow::{Context as _, Result, ensure};
use llamaboot_tokenizer::training_part;
use llamaboot_train::{Compute, Parameters};
use recipe::Recipe;
use start::Start;
use std::fs::File;
use std::io;
use std::path::Path;

pub(crate) fn run(args: &Train) -> Result<()> {
    let kernels = kernels(args.isa)?;
    let device = Device::open(args.device)?;
    let folder = args.resume.as_deref().unwrap_or(&args.out);
    let (recipe, text) = match &args.resume {
        Some(folder) => {
            let recipe = Recipe::read(folder)?;
            let text = read_corpus(&recipe.data)?;
            recipe.check(&text)?;
            (recipe, text)
        }
        None => {
            let data = args.data.as_deref().context("--data TEXT: what to learn")?;
            let text = read_corpus(data)?;
            (Recipe::new(args, &text)?, text)
        }
    };
    if args.resume.is_none() {
        check_place(folder, &recipe)?;
    }
    device.check(recipe.dtype)?;
    let start = Start::new(&recipe, &text)?;
    let settings = recipe.settings(start.model.config.seq_len);
    settings.check(start.model.config.seq_len)?;
    std::fs::create_dir_all(folder.join("checkpoints"))
        .with_context(|| folder.display().to_string())?;
    let lock = File::create(folder.join("lock")).with_context(|| folder.display().to_string())?;
    ensure!(lock.try_lock().is_ok(), "{}: another run is at work in it", folder.display());
    if args.resume.is_none() {
        prepare(folder, &recipe, &text)?;
    }
    let cache = folder.join("tokens.cache");
    let corpus = tokens::tokenise(&text, &start.tokenizer, settings.context, &cache)?;
    let threads = threads::start(args.threads);
    let parameters = Parameters::new(start.model.config.clone(), start.model.layout.is_tied());
    let mut compute = Compute::new(kernels, threads, settings.context)?;
    compute.precision = recipe.dtype.precision();
    let weights = start.model.weights.clone();
    let data = || {
        let (data, windows) = (recipe.data.display(), settings.windows);
        format!("{data}: --batch {windows} --context {}", settings.context)
    };
    let mut trainer =
        device.trainer(parameters, weights, &corpus, settings, compute).with_context(data)?;
    if args.resume.is_some() {
        states::resume(&mut trainer, folder, &recipe.name)?;
    }
    eprintln!(
        "{}: {} parameters, {} tokens to learn from, {} to validate; {}{}{}, {}, {} threads",
        recipe.name,
        trainer.parameters().len(),
        corpus.train.len(),
        corpus.validation.len(),
        device.shown(),
        recipe.dtype.name(),
        recipe.dtype.remark(kernels),
        kernels.isa(),
        threads.threads()
    );
    let run =
        run::Run { folder, recipe: &recipe, corpus: &corpus, kernels, threads, json: args.json };
    run.train(trainer, start)
}

/// A new run overwrites no other, nor what it is made from.
fn check_place(folder: &Path, recipe: &Recipe) -> Result<()> {
    let there = Recipe::read(folder).ok();
    let begun = there.is_some_and(|there| there != *recipe);
    ensure!(
        !begun && states::newest(folder, &recipe.name)?.is_none(),
        "{}: there is a run in it; --resume {} goes on with it, --out takes another folder",
        folder.display(),
        folder.display()
    );
    let out = folder.canonicalize().ok();
    let sources = [Some(&recipe.data), recipe.init.as_ref(), recipe.tokenizer.as_ref()];
    for source in sources.into_iter().flatten().filter_map(|path| path.canonicalize().ok()) {
        ensure!(
            out.is_none() || (Some(&source) != out.as_ref() && source.parent() != out.as_deref()),
            "--out {}: expected another folder than that of {}, which it would write into",
            folder.display(),
            source.display()
        );
    }
    Ok(())
}

/// What a new run begins with; the recipe comes last, for with it the run can be resumed.
fn prepare(folder: &Path, recipe: &Recipe, text: &str) -> Result<()> {
    let (_, validation) = training_part(text);
    let write = |out: &mut dyn io::Write| out.write_all(validation.as_bytes());
    llamaboot_convert::write_atomically::<io::Error>(&folder.join("validation.txt"), write)?;
    recipe.write(folder)
}
