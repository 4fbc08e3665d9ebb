//! Everything that a run follows from, kept as `recipe.json` beside it: what `--resume` reads, and
//! what replays it.

use super::args::{Plan, Train, TrainType};
use crate::corpus::sha256;
use anyhow::{Context as _, Result, bail, ensure};
use llamaboot_convert::write_atomically;
use llamaboot_train::{AdamW, Preset, Schedule, Settings};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// What a run follows from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipe {
    pub(super) name: String,
    pub(super) data: PathBuf,
    pub(super) data_sha256: String,
    /// Of `init` (of a list of a folder's files) and of `tokenizer`, where they are given.
    #[serde(default)]
    pub(super) source_sha256: Vec<String>,
    /// `None` where the run goes on with `init`.
    pub(super) preset: Option<String>,
    pub(super) init: Option<PathBuf>,
    pub(super) tokenizer: Option<PathBuf>,
    /// Tokens of the tokenizer to learn, where none is given.
    pub(super) vocab: Option<usize>,
    /// f32 in recipes from before there was a choice.
    #[serde(default)]
    pub(super) dtype: TrainType,
    pub(super) steps: u64,
    pub(super) seed: u64,
    pub(super) batch: usize,
    pub(super) accumulate: usize,
    pub(super) context: Option<usize>,
    pub(super) lr: f32,
    pub(super) last_lr: f32,
    pub(super) warmup: u64,
    pub(super) dropout: f32,
    pub(super) decay: f32,
    pub(super) beta2: f32,
    pub(super) clip: f32,
    pub(super) average: f32,
    pub(super) every: u64,
    pub(super) save_every: u64,
    pub(super) patience: u64,
}

/// The file in a run's folder.
const FILE: &str = "recipe.json";

impl Recipe {
    /// From the command line; `text` is what `data` holds.
    pub(super) fn new(args: &Train, text: &str) -> Result<Self> {
        let plan: &Plan = &args.plan;
        let data = args.data.clone().context("--data TEXT: what to learn")?;
        let default = if args.init.is_none() { Some(String::from("shakespeare")) } else { None };
        let preset = args.preset.clone().or(default);
        let known = preset.as_deref().map(preset_named).transpose()?;
        let learns = args.init.is_none() && args.tokenizer.is_none();
        let stem = args.init.as_deref().and_then(Path::file_stem);
        let named = preset.clone().or_else(|| stem.map(|stem| stem.to_string_lossy().into_owned()));
        let name = plan.name.clone().or(named).unwrap_or_else(|| String::from("model"));
        let every = plan.every.unwrap_or_else(|| plan.steps.div_ceil(10));
        let save_every = plan.save_every.unwrap_or(every);
        let (init, tokenizer) =
            (absolute(args.init.as_deref())?, absolute(args.tokenizer.as_deref())?);
        let recipe = Self {
            name,
            source_sha256: fingerprints(init.as_deref(), tokenizer.as_deref())?,
            data: match data.exists() {
                true => std::path::absolute(&data)?,
                false => data,
            },
            data_sha256: sha256(text.as_bytes()),
            preset,
            init,
            tokenizer,
            vocab: plan_vocab(args, known).filter(|_| learns),
            dtype: plan.dtype,
            steps: plan.steps,
            seed: plan.seed,
            batch: plan.batch,
            accumulate: plan.accumulate,
            context: plan.context,
            lr: plan.lr.unwrap_or(if args.init.is_some() { 3e-4 } else { 1e-3 }),
            last_lr: plan.last_lr,
            warmup: plan.warmup.min(plan.steps),
            dropout: plan.dropout,
            decay: plan.decay,
            beta2: plan.beta2,
            clip: plan.clip,
            average: plan.average,
            every,
            save_every,
            patience: plan.patience,
        };
        recipe.checked()
    }

    /// Refuses what the trainer's own settings do not.
    fn checked(self) -> Result<Self> {
        let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        let name = &self.name;
        ensure!(
            !name.is_empty() && name.chars().all(plain),
            "--name {name:?}: expected letters, digits, - _ ."
        );
        ensure!(self.steps > 0, "--steps 0: expected at least 1");
        ensure!(self.lr > 0.0 && self.lr.is_finite(), "--lr {}: expected more than 0", self.lr);
        let every = self.every.min(self.save_every);
        ensure!(every > 0, "--every and --save-every: expected at least 1");
        Ok(self)
    }

    /// Of a run that was begun.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        ensure!(path.exists(), "{}: no run in it: there is no {FILE}", folder.display());
        let text = crate::model::read_text(&path)?;
        let recipe = serde_json::from_str::<Self>(&text).map_err(anyhow::Error::new);
        recipe.and_then(Self::checked).with_context(|| path.display().to_string())
    }

    /// Keeps it beside the run.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        write_atomically::<io::Error>(&folder.join(FILE), |out| out.write_all(text.as_bytes()))?;
        Ok(())
    }

    /// The text must be the one that the run began with.
    pub(super) fn check(&self, text: &str) -> Result<()> {
        let found = sha256(text.as_bytes());
        ensure!(
            found == self.data_sha256,
            "{}: the run began with a text of sha256 {}, found {found}",
            self.data.display(),
            self.data_sha256
        );
        let found = fingerprints(self.init.as_deref(), self.tokenizer.as_deref())?;
        let sources = [&self.init, &self.tokenizer].into_iter().flatten();
        for (path, (expected, found)) in sources.zip(self.source_sha256.iter().zip(&found)) {
            let path = path.display();
            ensure!(
                found == expected,
                "{path}: the run began with sha256 {expected}, found {found}"
            );
        }
        Ok(())
    }

    /// The shape of a new model.
    pub(super) fn preset(&self) -> Result<Option<Preset>> {
        self.preset.as_deref().map(preset_named).transpose()
    }

    /// For a model with this context.
    pub(super) fn settings(&self, seq_len: usize) -> Settings {
        Settings {
            seed: self.seed,
            windows: self.batch,
            accumulate: self.accumulate,
            context: self.context.unwrap_or(seq_len.min(256)),
            dropout: self.dropout,
            schedule: Schedule {
                peak: self.lr,
                last: self.last_lr,
                warmup: self.warmup,
                steps: self.steps,
            },
            adamw: AdamW {
                beta2: self.beta2,
                decay: self.decay,
                clip: self.clip,
                ..AdamW::default()
            },
            average: self.average,
        }
    }
}

/// A path that means the same from every folder.
fn absolute(path: Option<&Path>) -> Result<Option<PathBuf>> {
    Ok(path.map(std::path::absolute).transpose()?)
}

/// The sha256 of each source that is given.
fn fingerprints(init: Option<&Path>, tokenizer: Option<&Path>) -> Result<Vec<String>> {
    let sources = [init, tokenizer].into_iter().flatten();
    sources.map(|path| if path.is_dir() { of_folder(path) } else { of_file(path) }).collect()
}

fn of_file(path: &Path) -> Result<String> {
    Ok(sha256(&std::fs::read(path).with_context(|| path.display().to_string())?))
}

/// Of a list of a folder's files as `sha256sum` writes it: weights, config.json, vocabulary.
fn of_folder(folder: &Path) -> Result<String> {
    const KINDS: [&str; 5] = ["safetensors", "json", "model", "bin", "jinja"];
    let name = || folder.display().to_string();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(name)? {
        let path = entry.with_context(name)?.path();
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        if KINDS.contains(&kind) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    let mut list = String::new();
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        list += &format!("{}  {name}\n", of_file(&path)?);
    }
    Ok(sha256(list.as_bytes()))
}

/// Tokens of the tokenizer to learn.
fn plan_vocab(args: &Train, preset: Option<Preset>) -> Option<usize> {
    args.vocab.or(preset.map(|preset| preset.vocab_size))
}

fn preset_named(name: &str) -> Result<Preset> {
    let Some(preset) = Preset::named(name) else {
        let names = Preset::ALL.map(|preset| preset.name);
        bail!("--preset {name}: expected one of {}", names.join(", "));
    };
    Ok(preset)
}
