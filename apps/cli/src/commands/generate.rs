//! `generate`: the prompt and its continuation, as llama2.c's `run` prints them.

use crate::args::Generate;
use crate::model::{HostClock, Loaded};
use anyhow::{Context as _, Result};
use llamaboot_chat::{Ending, Generated, Generator, Settings, Sink, base_prompt, without_controls};
use llamaboot_engine::{Engine, Sampler, Sampling, Speculation};
use llamaboot_tokenizer::{StreamDecoder, Tokenizer};
use std::io::{IsTerminal as _, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

/// llama2.c's defaults.
const DEFAULT: Sampling = Sampling { temperature: 1.0, ..Sampling::DEFAULT };

pub(crate) fn run(args: &Generate) -> Result<()> {
    args.sampling.check_drawing();
    let loaded = Loaded::open(&args.file)?;
    let tokenizer = loaded.tokenizer()?;
    let context = loaded.header.config.seq_len;
    let steps =
        if args.steps == 0 { loaded.longest_context(&args.run)? } else { args.steps.min(context) };
    let mut prompt = base_prompt(&tokenizer, &args.prompt);
    // llama2.c does not count BOS: each step takes one token in and prints the next.
    let begins = usize::from(prompt.first().copied() == tokenizer.bos());
    if prompt.len() > steps + begins {
        let all = prompt.len() - begins;
        eprintln!(
            "llamaboot: the prompt has {all} tokens; only the first {steps} are taken (-n, or the \
             model's context)"
        );
    }
    prompt.truncate(steps + begins);
    let max_tokens = steps + begins - prompt.len();
    let mut engine = loaded.engine(&args.run, steps)?;
    let mut sink = Stdout { error: None, plain: !std::io::stdout().is_terminal() };
    let mut decoder = show_prompt(&tokenizer, &prompt, &mut sink);
    let mut settings = Settings { sampling: DEFAULT, ..Settings::default() };
    args.sampling.apply(&mut settings);
    let seed = settings.seed.unwrap_or_else(clock_seed);
    let vocab_size = engine.model().config().vocab_size;
    let mut sampler = Sampler::new(vocab_size, settings.drawn(false), seed)?;
    let mut speculation = Speculation::default();
    let generated = if max_tokens == 0 {
        None
    } else {
        let mut generator = Generator {
            engine: &mut engine,
            sampler: &mut sampler,
            tokenizer: &tokenizer,
            clock: &HostClock::new(),
            ending: Ending::Text,
            speculation: settings.speculation.then_some(&mut speculation),
            grammar: None,
            full_is_end: true,
        };
        let generated = generator.generate(&prompt, &mut decoder, max_tokens, &mut sink);
        Some(generated.with_context(|| loaded.path.display().to_string())?)
    };
    sink.text("\n");
    if let Some(error) = sink.error {
        return Err(error.into());
    }
    if let Some(generated) = generated {
        report(&generated, speculation.counts(), &engine);
    }
    Ok(())
}

/// A seed from the clock, where none is given.
fn clock_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |t| t.as_nanos() as u64)
}

/// Prints the prompt's text; the decoder goes on from it.
fn show_prompt(tokenizer: &Tokenizer, prompt: &[u32], sink: &mut Stdout) -> StreamDecoder {
    let (first, rest) = match prompt.split_first() {
        Some((&first, rest)) if tokenizer.bos() == Some(first) => (Some(first), rest),
        _ => (None, prompt),
    };
    let mut decoder = StreamDecoder::new(first);
    let mut text = String::new();
    rest.iter().for_each(|&token| decoder.push(tokenizer, token, &mut text));
    sink.text(&text);
    decoder
}

fn report(generated: &Generated, (drafted, right): (usize, usize), engine: &Engine<'_>) {
    let (tokens, rate) = (generated.tokens, generated.tokens_per_second());
    let (isa, threads) = (engine.kernels().isa(), engine.threads());
    let guesses = if drafted > 0 {
        format!("; {right} of {drafted} guessed tokens were right")
    } else {
        String::new()
    };
    eprintln!("{tokens} tokens, {rate:.1} tokens/s ({isa}, {threads} threads{guesses})");
}

struct Stdout {
    error: Option<std::io::Error>,
    /// A file or a pipe gets every byte; a terminal no control characters.
    plain: bool,
}

impl Sink for Stdout {
    fn text(&mut self, text: &str) {
        let shown = if self.plain { text.into() } else { without_controls(text) };
        let mut out = std::io::stdout().lock();
        if self.error.is_none() {
            self.error = out.write_all(shown.as_bytes()).and_then(|()| out.flush()).err();
        }
    }

    fn go_on(&mut self) -> bool {
        self.error.is_none()
    }
}
