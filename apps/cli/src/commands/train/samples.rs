//! What the model says so far: a text by the engine, from the weights as they are. All of them are
//! kept in `samples.txt`, each behind a line `=== step 200`.

use crate::model::HostClock;
use anyhow::Result;
use llamaboot_chat::{Ending, Generator, Settings, Sink, base_prompt};
use llamaboot_checkpoint::{Checkpoint, Header, Regions};
use llamaboot_convert::{Format, Model, Target, WeightType};
use llamaboot_engine::{Engine, KvType, MemoryPlan, Sampler};
use llamaboot_kernels::{Kernels, Parallel};
use llamaboot_tokenizer::{StreamDecoder, Tokenizer};
use std::io;
use std::path::{Path, PathBuf};

/// Tokens of a sample.
const TOKENS: usize = 160;

/// A sample, with the step it was taken at.
pub(super) struct Sample {
    pub(super) step: u64,
    pub(super) text: String,
}

/// All samples of a run.
pub(super) struct Samples {
    path: PathBuf,
    pub(super) all: Vec<Sample>,
}

/// What a line before a sample begins with.
const MARK: &str = "=== step ";

impl Samples {
    /// The samples of a run that has done `steps` steps, without those that come again.
    pub(super) fn open(folder: &Path, steps: u64) -> Self {
        let path = folder.join("samples.txt");
        let mut all = Vec::new();
        if steps > 0 {
            // Nothing follows from samples: a run goes on without those of before.
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for part in text.split(MARK).skip(1) {
                let (step, text) = part.split_once('\n').unwrap_or((part, ""));
                if let Some(step) = step.parse().ok().filter(|&step| step < steps) {
                    all.push(Sample { step, text: text.trim_end_matches('\n').to_string() });
                }
            }
        }
        Self { path, all }
    }

    /// Adds one, and writes them all.
    pub(super) fn push(&mut self, sample: Sample) -> Result<()> {
        self.all.push(sample);
        let lines =
            self.all.iter().map(|Sample { step, text }| format!("{MARK}{step}\n{text}\n\n"));
        let text: String = lines.collect();
        let write = |out: &mut dyn io::Write| out.write_all(text.as_bytes());
        llamaboot_convert::write_atomically::<io::Error>(&self.path, write)?;
        Ok(())
    }
}

/// A text from nothing, at the temperature for texts; the same weights and seed give the same.
pub(super) fn sample(
    model: &Model,
    tokenizer: &Tokenizer,
    (kernels, threads): (Kernels, &dyn Parallel),
    seed: u64,
) -> Result<String> {
    let mut bytes = Vec::new();
    let target = Target::new(Format::Gguf, Some(WeightType::F32))?;
    llamaboot_convert::write(model, target, &mut bytes)?;
    let regions = Regions::whole(&bytes);
    let header = Header::parse(&regions)?;
    let checkpoint = Checkpoint::attach(&header, &regions)?;
    let engine_model = llamaboot_engine::Model::new(&checkpoint);
    let prompt = base_prompt(tokenizer, "");
    if prompt.is_empty() {
        return Ok(String::new());
    }
    let context = model.config.seq_len.min(prompt.len() + TOKENS);
    let (len, count) = (bytes.len() as u64, threads.threads());
    let plan = MemoryPlan::new(&header, len, context, MemoryPlan::BATCH, count, KvType::F32);
    let mut engine = Engine::new(&engine_model, &plan, kernels, threads)?;
    let settings = Settings::default();
    let mut sampler = Sampler::new(model.config.vocab_size, settings.drawn(false), seed)?;
    let mut decoder = StreamDecoder::new(prompt.first().copied());
    let mut text = Text(String::new());
    let max_tokens = context.saturating_sub(prompt.len());
    let mut generator = Generator {
        engine: &mut engine,
        sampler: &mut sampler,
        tokenizer,
        clock: &HostClock::new(),
        ending: Ending::Text,
        speculation: None,
        grammar: None,
        full_is_end: true,
    };
    generator.generate(&prompt, &mut decoder, max_tokens, &mut text)?;
    Ok(text.0)
}

/// Keeps what is said.
struct Text(String);

impl Sink for Text {
    fn text(&mut self, text: &str) {
        self.0 += text;
    }

    fn go_on(&mut self) -> bool {
        true
    }
}
