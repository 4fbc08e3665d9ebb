//! The loop: validate, show, save, step.

use super::log::{Log, Row};
use super::recipe::Recipe;
use super::report;
use super::samples::{Sample, Samples, sample};
use super::start::Start;
use super::states;
use crate::corpus::sha256;
use crate::progress::bar;
use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use llamaboot_chat::without_controls;
use llamaboot_convert::{Format, Model, Target};
use llamaboot_kernels::{Kernels, Parallel};
use llamaboot_train::{Corpus, Trainer};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Of a sample so much is shown.
const SAMPLE_LINES: usize = 5;
const SAMPLE_CHARS: usize = 300;

/// What shells know an interrupted program by.
const INTERRUPTED_CODE: i32 = 130;

/// Becomes true at the first Ctrl-C; a second one ends the process at once, as it always does.
fn interrupts() -> Result<&'static AtomicBool> {
    static INTERRUPTED: AtomicBool = AtomicBool::new(false);
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED_CODE);
        }
        eprintln!("llamaboot: stops behind this step; Ctrl-C again stops at once");
    })?;
    Ok(&INTERRUPTED)
}

/// A run's surroundings.
pub(super) struct Run<'a> {
    pub(super) folder: &'a Path,
    pub(super) recipe: &'a Recipe,
    pub(super) corpus: &'a Corpus,
    pub(super) kernels: Kernels,
    pub(super) threads: &'a dyn Parallel,
    pub(super) json: bool,
}

impl Run<'_> {
    /// Trains to the end.
    pub(super) fn train(&self, mut trainer: Trainer<'_>, mut start: Start) -> Result<()> {
        let (steps, begun) = (self.recipe.steps, trainer.steps_done());
        if begun == steps {
            let model = self.model_path(&start.model)?;
            eprintln!(
                "llamaboot: all {steps} steps were done already; train --init {} --data {} --out \
                 FOLDER goes on from what they made",
                model.display(),
                self.recipe.data.display()
            );
        }
        let mut log = Log::open(self.folder, begun)?;
        let mut samples = Samples::open(self.folder, begun);
        let settings = trainer.settings();
        let tokens = (settings.windows * settings.accumulate * settings.context) as f64;
        let progress = bar(steps, Some("steps"));
        progress.set_position(begun);
        progress.reset_eta();
        let interrupted = interrupts()?;
        // Seconds that validation and what goes with it take.
        let mut aside_s = 0.0;
        loop {
            let step = trainer.steps_done();
            if interrupted.load(Ordering::Relaxed) && step < steps {
                progress.finish_and_clear();
                log.flush()?;
                states::save(&trainer, self.folder, &self.recipe.name)?;
                report::write(self.folder, self.recipe, &log.rows, &samples.all)?;
                let folder = self.folder.display();
                eprintln!(
                    "llamaboot: stopped at step {step} of {steps}; train --resume {folder} goes on"
                );
                std::process::exit(INTERRUPTED_CODE);
            }
            let due = |every: u64| step.is_multiple_of(every) || step == steps;
            let paused = Instant::now();
            let val_loss =
                if due(self.recipe.every) { trainer.validate(self.corpus)? } else { None };
            if due(self.recipe.every) {
                let better = match (val_loss, log.best()) {
                    (Some(loss), Some((best, _))) => loss < best,
                    (Some(loss), None) => !loss.is_nan(),
                    (None, _) => true,
                };
                start.model.weights.copy_from_slice(trainer.weights());
                if better {
                    self.export(&start)?;
                }
                let seed = self.recipe.seed;
                let text =
                    sample(&start.model, &start.tokenizer, (self.kernels, self.threads), seed)?;
                samples.push(Sample { step, text })?;
                aside_s = paused.elapsed().as_secs_f64();
            }
            if due(self.recipe.save_every) && step > begun {
                log.flush()?;
                states::save(&trainer, self.folder, &self.recipe.name)?;
            }
            let patience = self.recipe.patience as usize;
            let tired = log.best().is_some_and(|(best, behind)| {
                patience > 0 && behind + 1 >= patience && val_loss.is_some_and(|l| l >= best)
            });
            let row = if step == steps || tired {
                let last = log.rows.last().copied();
                Row { step, val_loss, ..last.context("a run without a step")? }
            } else {
                self.step(&mut trainer, val_loss)?
            };
            log.push(row)?;
            if due(self.recipe.every) {
                report::write(self.folder, self.recipe, &log.rows, &samples.all)?;
            }
            let stops = (steps - step).div_ceil(self.recipe.every.max(1)) as f64;
            let left_s = (steps - step) as f64 * tokens / row.tok_s + stops * aside_s;
            self.show(&row, left_s / 60.0, &progress, samples.all.last())?;
            if step == steps || tired {
                break;
            }
        }
        log.flush()?;
        progress.finish_and_clear();
        self.conclude(&log, &self.model_path(&start.model)?)
    }

    /// One step, timed.
    fn step(&self, trainer: &mut Trainer<'_>, val_loss: Option<f64>) -> Result<Row> {
        let (step, start) = (trainer.steps_done(), Instant::now());
        let done = trainer.step(self.corpus).with_context(|| {
            let newest = states::newest(self.folder, &self.recipe.name).ok().flatten();
            match newest {
                Some(path) => format!("the last checkpoint is {}", path.display()),
                None => String::from("there is no checkpoint yet"),
            }
        })?;
        Ok(Row {
            step,
            train_loss: done.loss,
            val_loss,
            rate: done.rate,
            gradient_norm: done.gradient_norm,
            tok_s: done.tokens as f64 / start.elapsed().as_secs_f64(),
        })
    }

    fn show(
        &self,
        row: &Row,
        left_min: f64,
        progress: &ProgressBar,
        sample: Option<&Sample>,
    ) -> Result<()> {
        progress.set_position(row.step);
        progress.set_message(format!("loss {:.3}, {:.0} tokens/s", row.train_loss, row.tok_s));
        if self.json {
            let mut out = std::io::stdout().lock();
            return Ok(writeln!(out, "{}", row.json()).and_then(|()| out.flush())?);
        }
        let Some(sample) = sample.filter(|sample| sample.step == row.step) else { return Ok(()) };
        let val_loss = row.val_loss.map_or(String::from("–"), |loss| format!("{loss:.4}"));
        let line = format!(
            "step {:>6}  training {:.4}  validation {val_loss}  {:.0} tokens/s  {left_min:.0} min \
             left",
            row.step, row.train_loss, row.tok_s
        );
        // All of it is in samples.txt.
        let shown: String = without_controls(&sample.text).chars().take(SAMPLE_CHARS).collect();
        let lines = shown.lines().filter(|line| !line.trim().is_empty()).take(SAMPLE_LINES);
        let shown: String = lines.map(|line| format!("    {line}\n")).collect();
        progress.suspend(|| writeln!(std::io::stdout(), "{line}\n{shown}"))?;
        Ok(())
    }

    /// Where the model goes: llama2.c's format where that can hold it, else a GGUF.
    fn model_path(&self, model: &Model) -> Result<PathBuf> {
        let bin = Target::new(Format::Llama2c, None)?.can_hold(model);
        let extension = if bin { "bin" } else { "gguf" };
        Ok(self.folder.join(format!("{}.{extension}", self.recipe.name)))
    }

    fn export(&self, start: &Start) -> Result<()> {
        let path = self.model_path(&start.model)?;
        let target = Target::new(Format::of_output(&path)?, None)?;
        llamaboot_convert::save(&start.model, &path, target, &mut |_| ())?;
        Ok(())
    }

    fn conclude(&self, log: &Log, model: &Path) -> Result<()> {
        let best = log.best().map_or(String::new(), |(loss, _)| format!(", validation {loss:.4}"));
        let bytes = std::fs::read(model).with_context(|| model.display().to_string())?;
        eprintln!(
            "{}{best}, sha256 {}\n{}\nNow: llamaboot generate {0} -p \"…\", llamaboot convert {0} \
             {} --type q8_0, llamaboot image --model {0}",
            model.display(),
            sha256(&bytes),
            self.folder.join("report.html").display(),
            model.with_extension("q8_0.gguf").display(),
        );
        Ok(())
    }
}
