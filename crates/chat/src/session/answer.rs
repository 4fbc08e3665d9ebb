//! From a question to its answer: room is made in the context, what the engine does not hold yet
//! is computed, and text streams until the model ends, the user stops it, or room runs out; then
//! more old turns go and the answer goes on.

use super::Session;
use super::sink::ConsoleSink;
use crate::console::write_styled;
use crate::conversation::{Turn, tokens};
use crate::generate::{Ending, Generated, Generator, Stop};
use crate::storage::Storage;
use crate::{Console, GrammarState, Status, Style, Template, text};
use alloc::{format, string::String, vec::Vec};
use llamaboot_engine::EngineError;
use llamaboot_tokenizer::{Special, StreamDecoder};

/// How an answer came out.
struct Answered {
    /// Of all its stretches together.
    generated: Generated,
    /// Tokens of the prompt that the engine held already.
    kept: usize,
    /// A stop text ended it.
    stopped: bool,
    /// Turns that were left out to make room.
    gone: usize,
    at_line_start: bool,
}

impl Session<'_> {
    /// Answers a line.
    pub(super) fn answer(
        &mut self,
        console: &mut dyn Console,
        storage: &mut dyn Storage,
        line: &str,
    ) {
        let read = &self.chat.read;
        let user = if read.is_empty() { line.into() } else { format!("{read}\n\n{line}") };
        let asks = self.template.is_none() || !user.trim().is_empty();
        if asks && self.ask(console, storage, user) {
            self.chat.read.clear();
        }
    }

    /// Answers a question and keeps both. Where that cannot be, the conversation is as before, and
    /// this says so by `false`.
    pub(super) fn ask(
        &mut self,
        console: &mut dyn Console,
        storage: &mut dyn Storage,
        user: String,
    ) -> bool {
        let before = self.chat.turns.clone();
        let prompt = self.manner().prompt(before.is_empty(), &user);
        let turn = Turn { user, prompt, ..Turn::default() };
        self.chat.turns.push(turn);
        match self.respond(console) {
            Ok(answered) => {
                self.count(&answered);
                write_styled(console, Style::Note, &self.ending(&answered));
                self.chat.told_full |= answered.gone > 0;
                self.keep(console, storage);
                true
            }
            Err(error) => {
                self.chat.turns = before;
                // A base model's next text starts afresh by itself.
                if self.template.is_some() || !self.chat.read.is_empty() {
                    self.tell(console, Style::Error, text::CLEAR_HELPS, &[&error]);
                } else {
                    write_styled(console, Style::Error, &format!("{error}\n"));
                }
                false
            }
        }
    }

    /// Generates the answer of the last turn.
    fn respond(&mut self, console: &mut dyn Console) -> Result<Answered, EngineError> {
        let mut settings = self.chat.settings.clone();
        settings.stop.extend(self.template.as_ref().and_then(Template::stop).map(String::from));
        self.sampler.sampling = settings.drawn(self.template.is_some());
        self.sampler.set_seed(settings.seed.unwrap_or_else(|| self.clock.micros()));
        let most = settings.max_tokens.unwrap_or(usize::MAX);
        let mut gone = self.make_room(most);
        let (name, context) = (self.info.name.clone(), self.engine.context());
        let status = Status {
            model: &name,
            used: self.used(),
            context,
            tokens_per_second: None,
            keyboard: settings.keyboard.name(),
            doing: None,
        };
        let chats = self.template.is_some();
        let mut sink =
            ConsoleSink::new(console, self.clock, &settings.stop, status, chats, settings.language);
        let mut grammar = self.grammar.as_ref().map(GrammarState::new);
        let mut decoder = StreamDecoder::new(tokens(&self.chat.turns).last());
        let (mut generated, kept) = self.stretch(&mut sink, &mut decoder, most, &mut grammar)?;
        while generated.stop == Stop::ContextFull && self.can_shorten() {
            gone += self.make_room(most - generated.tokens);
            let left = most - generated.tokens;
            let (more, _) = self.stretch(&mut sink, &mut decoder, left, &mut grammar)?;
            generated = Generated {
                tokens: generated.tokens + more.tokens,
                micros: generated.micros + more.micros + more.prompt_micros,
                stop: more.stop,
                ..generated
            };
        }
        sink.finish();
        let (answer, stopped) = (core::mem::take(&mut sink.answer), sink.stopped);
        let at_line_start = answer.trim_start().is_empty() || answer.ends_with('\n');
        let (reply, closing) = (self.manner().reply(&answer), self.manner().closing());
        if let Some(turn) = self.chat.turns.last_mut() {
            turn.answer = answer;
            if stopped {
                // The stop text was not said.
                turn.reply = reply;
            } else {
                turn.reply.extend(closing);
            }
        }
        Ok(Answered { generated, kept, stopped, gone, at_line_start })
    }

    /// Computes what the engine does not hold of the conversation, and generates behind it, into
    /// the last turn's reply. Also returns how many tokens it held.
    fn stretch(
        &mut self,
        sink: &mut ConsoleSink<'_>,
        decoder: &mut StreamDecoder,
        most: usize,
        grammar: &mut Option<GrammarState>,
    ) -> Result<(Generated, usize), EngineError> {
        let wanted = self.wanted();
        let kept = self.hold_common(&wanted);
        self.sampler.forget();
        wanted[..kept].iter().for_each(|&token| self.sampler.accept(token));
        let ending = if self.template.is_some() { Ending::Turn } else { Ending::Text };
        let full_is_end = !self.can_shorten();
        let speculation = self.chat.settings.speculation.then_some(&mut self.speculation);
        let mut generator = Generator {
            engine: &mut self.engine,
            sampler: &mut self.sampler,
            tokenizer: self.tokenizer,
            clock: self.clock,
            ending,
            speculation,
            grammar: grammar.take(),
            full_is_end,
        };
        let generated = generator.generate(&wanted[kept..], decoder, most, sink)?;
        *grammar = generator.grammar.take();
        let made = self.engine.held().get(wanted.len()..).unwrap_or_default();
        let pending = generated.pending.filter(|&token| !self.tokenizer.is_end(token));
        let ended = generated.stop == Stop::End;
        let completion = grammar.as_ref().filter(|_| ended).and_then(GrammarState::completion);
        let completion = String::from_utf8(completion.unwrap_or_default()).unwrap_or_default();
        let completion = self.tokenizer.encode(&completion, Special::Plain);
        if let Some(turn) = self.chat.turns.last_mut() {
            turn.reply.extend(made.iter().copied().chain(pending).chain(completion));
        }
        Ok((generated, kept))
    }

    /// The tokens that the engine is to hold.
    pub(super) fn wanted(&self) -> Vec<u32> {
        tokens(self.told_turns()).collect()
    }

    /// Lets the engine hold as much of `wanted` as it does already, the last token left out: its
    /// logits are what comes next. Returns how much that is.
    pub(super) fn hold_common(&mut self, wanted: &[u32]) -> usize {
        let same = self.engine.held().iter().zip(wanted).take_while(|(a, b)| a == b).count();
        let kept = same.min(wanted.len().saturating_sub(1));
        self.engine.truncate(kept);
        kept
    }

    /// Leaves out old turns, so that an answer of up to `most` tokens has a quarter of the
    /// context, or all it may take. Returns how many went.
    pub(super) fn make_room(&mut self, most: usize) -> usize {
        let context = self.engine.context();
        let mut turns = core::mem::take(&mut self.chat.turns);
        let room = most.min(context / 4).max(1);
        let chats = self.template.is_some();
        let gone = if chats { self.manner().shorten(&mut turns, context, room) } else { 0 };
        self.chat.turns = turns;
        gone
    }

    fn can_shorten(&self) -> bool {
        self.template.is_some() && self.chat.turns.len() > 1
    }

    fn count(&mut self, answered: &Answered) {
        let Generated { tokens, micros, prompt_tokens, prompt_micros, .. } = answered.generated;
        self.totals.answers += 1;
        self.totals.tokens += tokens;
        self.totals.micros += micros;
        self.totals.prompt_tokens += prompt_tokens;
        self.totals.prompt_micros += prompt_micros;
        self.totals.kept_tokens += answered.kept;
        self.tokens_per_second = (tokens > 0).then(|| answered.generated.tokens_per_second());
    }

    /// The lines behind an answer: how it was stopped, and its speed.
    fn ending(&self, answered: &Answered) -> String {
        let generated = &answered.generated;
        let mut out = String::from(if answered.at_line_start { "" } else { "\n" });
        match generated.stop {
            Stop::Interrupted if !answered.stopped => out += &self.line(text::STOPPED, &[]),
            Stop::ContextFull => out += &self.line(text::FULL, &[]),
            _ => {}
        }
        if answered.gone > 0 && !self.chat.told_full {
            out += &self.line(text::TURNS_DROPPED, &[]);
        }
        if self.chat.settings.verbose {
            let seconds = format!("{:.2}", generated.prompt_micros as f64 / 1e6);
            let values: [&dyn core::fmt::Display; 3] =
                [&generated.prompt_tokens, &seconds, &answered.kept];
            out += &self.line(text::VERBOSE, &values);
        }
        let rate = format!("{:.1}", generated.tokens_per_second());
        out += &match generated.tokens {
            1 => self.line(text::SPEED_ONE, &[&rate]),
            tokens => self.line(text::SPEED, &[&tokens, &rate]),
        };
        out
    }
}
