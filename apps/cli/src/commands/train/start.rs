//! Where a run begins: a new model and a tokenizer for it, or a model that is there.

use super::recipe::Recipe;
use crate::args::ModelFile;
use crate::model::{Loaded, weights};
use crate::progress::bar;
use anyhow::{Context as _, Result, ensure};
use llamaboot_convert::{Model, Vocabulary, is_safetensors};
use llamaboot_tokenizer::{Pieces, Tokenizer, TrainOptions, training_part};
use llamaboot_train::{Parameters, initial_weights};
use std::path::Path;

/// The model to train, with its first weights, and its tokenizer.
pub(super) struct Start {
    pub(super) model: Model,
    pub(super) tokenizer: Tokenizer,
}

impl Start {
    /// From a run's recipe; the tokenizer is learned from the training part of `text` where the
    /// recipe says so.
    pub(super) fn new(recipe: &Recipe, text: &str) -> Result<Self> {
        match &recipe.init {
            Some(init) => Self::from_checkpoint(init, recipe.tokenizer.as_deref()),
            None => Self::from_preset(recipe, text),
        }
    }

    fn from_preset(recipe: &Recipe, text: &str) -> Result<Self> {
        let preset = recipe.preset()?.context("recipe.json: neither a preset nor a checkpoint")?;
        let pieces = match (&recipe.tokenizer, recipe.vocab) {
            (Some(path), _) => read_pieces(path)?,
            (None, asked) => {
                let vocab = asked.unwrap_or(preset.vocab_size);
                let progress = bar(vocab as u64, Some("pieces"));
                let mut show = |done, _| progress.set_position(done as u64);
                let (train, _) = training_part(text);
                let options = TrainOptions::default();
                let pieces = llamaboot_tokenizer::train(train, vocab, options, &mut show);
                progress.finish_and_clear();
                pieces.with_context(|| {
                    let data = recipe.data.display();
                    match asked {
                        Some(_) => format!("{data}: --vocab {vocab} (or give --tokenizer FILE)"),
                        None => format!("{data}: the preset wants --tokenizer FILE or --vocab N"),
                    }
                })?
            }
        };
        let config = preset.config(pieces.0.len());
        // The tokenizer as the exported `.bin` has it.
        let vocabulary = Vocabulary::Pieces(pieces);
        let tokenizer = vocabulary.tokenizer()?;
        let mut model = Model::zeroed(config.clone(), true, vocabulary)?;
        model.weights = initial_weights(&Parameters::new(config, true), recipe.seed);
        Ok(Self { model, tokenizer })
    }

    fn from_checkpoint(path: &Path, tokenizer: Option<&Path>) -> Result<Self> {
        let file = ModelFile { model: path.into(), tokenizer: tokenizer.map(Path::to_path_buf) };
        let model = weights(&file)?;
        let tokenizer = if is_safetensors(path) {
            model.vocabulary.tokenizer().with_context(|| path.display().to_string())?
        } else {
            Loaded::open(&file)?.tokenizer()?
        };
        let start = Self { model, tokenizer };
        ensure!(
            start.model.rope_divisors.is_none(),
            "{}: models with Llama 3's rotary divisors cannot be trained yet",
            path.display()
        );
        Ok(start)
    }
}

/// A tokenizer.bin or a tokenizer.model.
fn read_pieces(path: &Path) -> Result<Pieces> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Pieces::from_file(&bytes).with_context(|| path.display().to_string())
}
