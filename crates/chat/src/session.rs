//! A session with one model: prompt, line, command or answer, and again.
//!
//! The engine holds the conversation; tokens that the next turn must begin with, because they
//! close the last one, are `pending`. A turn costs only its own new tokens.

use crate::bench::bench;
use crate::commands::{Command, help};
use crate::generate::{Ending, Generated, Generator, Sink, Stop, base_prompt};
use crate::line_editor::{LineEnd, read_line};
use crate::{Clock, Console, Settings, Template, bytes_text};
use alloc::{borrow::Cow, format, string::String, string::ToString, vec::Vec};
use llamaboot_engine::{Engine, EngineError, Sampler, Speculation, logit_report};
use llamaboot_tokenizer::{StreamDecoder, Tokenizer};

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// `exit`, `quit`, `/bye` or the end of the input.
    Leave,
    /// `/poweroff`.
    PowerOff,
    /// `/reboot`.
    Reboot,
}

/// What `/show` says about the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// The file's name.
    pub name: String,
    /// Format and dtype, for people.
    pub format: String,
    /// Bytes reserved: weights, cache and scratch.
    pub memory: u64,
}

/// One conversation with one model.
pub struct Session<'a> {
    engine: Engine<'a>,
    tokenizer: &'a Tokenizer,
    template: Option<Template>,
    sampler: Sampler,
    /// What `/set` changes.
    pub settings: Settings,
    clock: &'a dyn Clock,
    info: ModelInfo,
    pending: Vec<u32>,
}

struct ConsoleSink<'c> {
    console: &'c mut dyn Console,
    at_line_start: bool,
}

impl Sink for ConsoleSink<'_> {
    fn text(&mut self, text: &str) {
        self.console.write(&without_controls(text));
        self.at_line_start = text.ends_with('\n');
    }

    fn go_on(&mut self) -> bool {
        !self.console.interrupted()
    }
}

/// Text as a terminal should get it: what a model writes must not move the cursor or set colours.
#[must_use]
pub fn without_controls(text: &str) -> Cow<'_, str> {
    let unfit = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.contains(unfit) { text.replace(unfit, "").into() } else { text.into() }
}

impl<'a> Session<'a> {
    /// A session that has not begun. `template` is `None` for base models, which continue the
    /// text they are given.
    ///
    /// # Errors
    /// Where there is not enough memory.
    pub fn new(
        engine: Engine<'a>,
        tokenizer: &'a Tokenizer,
        template: Option<Template>,
        settings: Settings,
        clock: &'a dyn Clock,
        info: ModelInfo,
    ) -> Result<Self, EngineError> {
        let vocab_size = engine.model().config().vocab_size;
        let sampler = Sampler::new(vocab_size, settings.sampling.clone(), 1)?;
        let pending = Vec::new();
        Ok(Self { engine, tokenizer, template, sampler, settings, clock, info, pending })
    }

    /// Prompts until the user leaves.
    pub fn run(&mut self, console: &mut dyn Console) -> Exit {
        self.greet(console);
        loop {
            console.write("\n>>> ");
            let line = match read_line(console) {
                LineEnd::Line(line) => line,
                LineEnd::Cancelled => continue,
                LineEnd::EndOfInput => return Exit::Leave,
            };
            match Command::parse(&line) {
                None => self.answer(console, &line),
                Some(Err(message)) => console.write(&format!("{message}\n")),
                Some(Ok(Command::Leave)) => return Exit::Leave,
                Some(Ok(Command::PowerOff)) => return Exit::PowerOff,
                Some(Ok(Command::Reboot)) => return Exit::Reboot,
                Some(Ok(command)) => {
                    let text = self.obey(console, command).unwrap_or_else(|message| message + "\n");
                    console.write(&text);
                }
            }
        }
    }

    fn greet(&self, console: &mut dyn Console) {
        let manner = if self.template.is_some() { "chat" } else { "continues your text" };
        let (threads, isa) = (self.engine.threads(), self.engine.kernels().isa());
        console.write(&format!(
            "{}: {}, {manner}, {}, context {}, {isa}, {threads} {}. /help lists the commands.\n",
            self.info.name,
            self.info.format,
            bytes_text(self.info.memory),
            self.engine.context(),
            if threads == 1 { "core" } else { "cores" },
        ));
    }

    fn obey(&mut self, console: &mut dyn Console, command: Command<'_>) -> Result<String, String> {
        match command {
            Command::Help => Ok(help()),
            Command::Show => Ok(self.show()),
            Command::Clear => {
                self.forget();
                Ok(String::from("the conversation is forgotten\n"))
            }
            Command::Set { name, value } => {
                self.settings.set(name, value)?;
                self.engine.set_kernels(self.settings.kernels());
                if self.settings.kv != self.engine.kv() {
                    self.set_aside();
                    self.info.memory -= self.engine.kv_bytes();
                    let set = self.engine.set_kv(self.settings.kv);
                    self.info.memory += self.engine.kv_bytes();
                    self.settings.kv = self.engine.kv();
                    set.map_err(|e| e.to_string())?;
                }
                Ok(format!("{name} is {value}\n"))
            }
            Command::Logits { tokens } => self.logits(tokens),
            Command::Bench { tokens } => self.bench(console, tokens),
            Command::Leave | Command::PowerOff | Command::Reboot => Ok(String::new()),
        }
    }

    fn show(&self) -> String {
        let ModelInfo { name, format, memory } = &self.info;
        format!(
            "model {name}, {format}, {}\ntokenizer {}\nmemory {}\ncontext {} of {} tokens used\n{}",
            self.template.as_ref().map_or("no chat template", Template::name),
            self.tokenizer.kind(),
            bytes_text(*memory),
            self.engine.held().len(),
            self.engine.context(),
            self.settings.describe()
        )
    }

    fn forget(&mut self) {
        self.engine.truncate(0);
        self.sampler.forget();
        self.pending.clear();
    }

    /// Logits of a fresh sequence. The conversation is then computed again, with its next turn.
    fn logits(&mut self, tokens: &str) -> Result<String, String> {
        let tokens: Vec<u32> =
            tokens.split(',').map(|id| id.trim().parse()).collect::<Result<_, _>>().map_err(
                |_| format!("/logits: expected token ids such as 1,403,407, found {tokens:?}"),
            )?;
        self.set_aside();
        let report = logit_report(&mut self.engine, &tokens).map_err(|e| e.to_string());
        self.engine.truncate(0);
        report
    }

    /// Speed, measured on a fresh sequence, as [`Session::logits`] treats the conversation.
    fn bench(&mut self, console: &mut dyn Console, tokens: usize) -> Result<String, String> {
        self.set_aside();
        let mut go_on = |_| !console.interrupted();
        let report = bench(&mut self.engine, self.clock, (tokens, tokens), &mut go_on);
        self.engine.truncate(0);
        let report = report.map_err(|e| e.to_string())?;
        Ok(report.map_or_else(|| String::from("[stopped]\n"), |report| report.text()))
    }

    /// Frees the engine for a sequence of its own: what it holds comes first in the next turn.
    fn set_aside(&mut self) {
        self.pending.splice(..0, self.engine.held().iter().copied());
        self.engine.truncate(0);
    }

    /// Tokens of the next turn. A base model's line starts afresh.
    fn prompt(&mut self, line: &str) -> Vec<u32> {
        if let Some(template) = &self.template {
            let mut prompt = core::mem::take(&mut self.pending);
            if self.engine.held().is_empty() && prompt.is_empty() {
                return template.first(self.tokenizer, template.default_system(), line);
            }
            prompt.extend(template.next(self.tokenizer, line));
            return prompt;
        }
        self.forget();
        base_prompt(self.tokenizer, line)
    }

    fn answer(&mut self, console: &mut dyn Console, line: &str) {
        if self.template.is_some() && line.trim().is_empty() {
            return;
        }
        self.sampler.sampling = self.settings.sampling.clone();
        self.sampler.set_seed(self.settings.seed.unwrap_or_else(|| self.clock.micros()));
        let closing = self.pending.clone();
        let prompt = self.prompt(line);
        let mut sink = ConsoleSink { console, at_line_start: true };
        let generated = self.generate(&prompt, &mut sink);
        let at_line_start = sink.at_line_start;
        match generated {
            Ok(generated) => {
                self.close_turn(&prompt, &generated);
                console.write(&ending(&generated, at_line_start));
            }
            Err(error) => {
                self.pending = closing;
                let advice = if self.template.is_some() { "; /clear starts afresh" } else { "" };
                console.write(&format!("{error}{advice}\n"));
            }
        }
    }

    fn generate(&mut self, prompt: &[u32], sink: &mut dyn Sink) -> Result<Generated, EngineError> {
        let ending = if self.template.is_some() { Ending::Turn } else { Ending::Text };
        let max_tokens = self.settings.max_tokens.unwrap_or(usize::MAX);
        let mut decoder = StreamDecoder::new(prompt.last().copied());
        let mut generator = Generator {
            engine: &mut self.engine,
            sampler: &mut self.sampler,
            tokenizer: self.tokenizer,
            clock: self.clock,
            ending,
            speculation: self.settings.speculation.then(Speculation::default),
        };
        generator.generate(prompt, &mut decoder, max_tokens, sink)
    }

    /// Notes what the next turn must begin with: the part of the prompt that an interruption left
    /// out, a token not yet computed, and what the template puts behind an answer.
    fn close_turn(&mut self, prompt: &[u32], generated: &Generated) {
        let Some(template) = &self.template else { return };
        self.pending = prompt[generated.prompt_tokens..].to_vec();
        self.pending.extend(generated.pending.filter(|_| generated.stop != Stop::End));
        self.pending.extend(template.closing());
    }
}

/// The lines behind an answer: how it was stopped, where it was, and its speed.
fn ending(generated: &Generated, at_line_start: bool) -> String {
    let newline = if at_line_start { "" } else { "\n" };
    let stop = match generated.stop {
        Stop::Interrupted => "[stopped]\n",
        Stop::ContextFull => "[the context is full; /clear starts afresh]\n",
        Stop::End | Stop::MaxTokens => "",
    };
    let (tokens, rate) = (generated.tokens, generated.tokens_per_second());
    let plural = if tokens == 1 { "" } else { "s" };
    format!("{newline}{stop}[{tokens} token{plural}, {rate:.1} tokens/s]\n")
}
