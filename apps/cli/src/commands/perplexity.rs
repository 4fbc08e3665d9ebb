//! `perplexity`: the mean surprise over a text, in consecutive windows, each from a fresh cache.
//!
//! ```text
//! nats = −ln p(token | those before it in its window), for every token but a window's first
//! ```

use crate::args::Perplexity;
use crate::model::{Loaded, read_text};
use crate::progress::bar;
use anyhow::{Context as _, Result, ensure};
use llamaboot_engine::{Engine, EngineError, Logits};
use llamaboot_tokenizer::{Special, StreamDecoder, Tokenizer};
use serde_json::json;
use std::io::Write as _;

pub(crate) fn run(args: &Perplexity) -> Result<()> {
    let loaded = Loaded::open(&args.model)?;
    let name = || loaded.path.display().to_string();
    let tokenizer = loaded.tokenizer()?;
    let text = read_text(&args.file)?;
    let tokens = tokenizer.encode(&text, Special::Plain);
    let context = loaded.header.config.seq_len;
    let window = args.window.map_or(context, |n| n as usize);
    ensure!(
        window <= context,
        "--window {window}: the context of {} has {context} positions",
        name()
    );
    ensure!(tokens.len() >= 2, "{}: expected at least 2 tokens of text", args.file.display());
    ensure!(window >= 2, "{}: a context of {context} leaves nothing to predict", name());
    let mut engine = loaded.engine(&args.run, window)?;
    let progress = bar(tokens.len() as u64, Some("tokens"));
    let mut total = Total::default();
    for window in tokens.chunks(window) {
        total.add_window(&mut engine, &tokenizer, window).with_context(name)?;
        progress.inc(window.len() as u64);
    }
    progress.finish_and_clear();
    let per_token = total.nats / total.tokens as f64;
    let per_char = total.nats / total.chars.max(1) as f64;
    let mut out = std::io::stdout().lock();
    if args.json {
        let tokens = total.tokens;
        let report =
            json!({"tokens": tokens, "nats_per_token": per_token, "nats_per_char": per_char});
        return Ok(writeln!(out, "{report}")?);
    }
    writeln!(out, "{} tokens in windows of {window}", total.tokens)?;
    writeln!(out, "  nats per token      {per_token:.5}  (perplexity {:.3})", per_token.exp())?;
    writeln!(out, "  nats per character  {per_char:.5}")?;
    Ok(())
}

#[derive(Default)]
struct Total {
    nats: f64,
    tokens: usize,
    chars: usize,
}

impl Total {
    fn add_window(
        &mut self,
        engine: &mut Engine<'_>,
        tokenizer: &Tokenizer,
        window: &[u32],
    ) -> Result<(), EngineError> {
        let vocab_size = engine.model().config().vocab_size;
        let (inputs, targets) = (&window[..window.len() - 1], &window[1..]);
        let batch = engine.batch();
        engine.truncate(0);
        for (inputs, targets) in inputs.chunks(batch).zip(targets.chunks(batch)) {
            let logits = engine.forward(inputs, Logits::All)?;
            for (logits, &target) in logits.chunks(vocab_size).zip(targets) {
                self.nats += surprise(logits, target as usize);
            }
        }
        self.tokens += targets.len();
        let mut decoder = StreamDecoder::new(window.first().copied());
        let mut text = String::new();
        targets.iter().for_each(|&token| decoder.push(tokenizer, token, &mut text));
        decoder.finish(&mut text);
        self.chars += text.chars().count();
        Ok(())
    }
}

/// `−ln softmax(logits)[target]`, in f64.
fn surprise(logits: &[f32], target: usize) -> f64 {
    let max = f64::from(llamaboot_kernels::max(logits));
    let sum: f64 = logits.iter().map(|&x| (f64::from(x) - max).exp()).sum();
    sum.ln() + max - f64::from(logits[target])
}
