//! From prompt tokens to streamed text, until the model ends, the user stops, or room runs out.

use crate::pace::Pace;
use crate::{Clock, GrammarState};
use alloc::{string::String, vec::Vec};
use llamaboot_engine::{Engine, EngineError, Logits, Sampler, Speculation};
use llamaboot_kernels::max;
use llamaboot_tokenizer::{Special, StreamDecoder, Tokenizer};

/// Where text goes, and who may stop it.
pub trait Sink {
    /// Takes in the next piece of text: whole characters.
    fn text(&mut self, text: &str);

    /// `done` of the `of` tokens of a prompt are computed, and more are to be.
    fn reading(&mut self, _done: usize, _of: usize) {}

    /// Asked between tokens and between batches of a prompt; `false` stops.
    fn go_on(&mut self) -> bool;
}

/// Why generating ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The model ended its text.
    End,
    /// The user stopped it.
    Interrupted,
    /// As many tokens as were asked for.
    MaxTokens,
    /// The context has no room for another token.
    ContextFull,
}

/// What was generated, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generated {
    /// Tokens generated.
    pub tokens: usize,
    /// Microseconds they took, the prompt not counted.
    pub micros: u64,
    /// Tokens of the prompt computed.
    pub prompt_tokens: usize,
    /// Microseconds the prompt took.
    pub prompt_micros: u64,
    /// Why it ended.
    pub stop: Stop,
    /// A token that was generated but not computed: the next call must begin with it.
    pub pending: Option<u32>,
}

impl Generated {
    /// Generated tokens a second.
    #[must_use]
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 * 1e6 / (self.micros.max(1)) as f64
    }
}

/// Which tokens end a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Those that end a continued text; llama2.c stops at BOS alone.
    Text,
    /// Those that end an answer.
    Turn,
}

/// The parts that work together while text is made.
pub struct Generator<'p, 'a> {
    /// Model and cache.
    pub engine: &'p mut Engine<'a>,
    /// Settings and random state.
    pub sampler: &'p mut Sampler,
    /// The model's tokenizer.
    pub tokenizer: &'p Tokenizer,
    /// For tokens a second.
    pub clock: &'p dyn Clock,
    /// What ends the text.
    pub ending: Ending,
    /// Drafts from earlier text; `None` computes token by token. The text is the same.
    pub speculation: Option<&'p mut Speculation>,
    /// What the text must obey, and how far it has come.
    pub grammar: Option<GrammarState>,
    /// Whether a full context is the end: then, as where `max_tokens` are reached, the shortest
    /// text that makes the whole obey its grammar is added.
    pub full_is_end: bool,
}

/// Where the next token is drawn from: a row of the engine's logits.
struct Row {
    index: usize,
    /// Tokens known to be right that the engine holds, up to this row.
    held: usize,
    /// What was computed behind the token of row 0, right or not.
    draft: Vec<u32>,
    /// Microseconds that computing row 0 and the draft took.
    micros: u64,
}

impl Row {
    /// The last row that the engine has computed, nothing behind it.
    fn last(engine: &Engine<'_>) -> Self {
        Self { index: engine.rows() - 1, held: engine.held().len(), draft: Vec::new(), micros: 0 }
    }
}

impl Generator<'_, '_> {
    /// Computes `prompt` behind what the engine holds, then generates up to `max_tokens` tokens,
    /// which `decoder` turns into text.
    ///
    /// # Errors
    /// An empty prompt, one that does not fit the context, or a token past the vocabulary: the
    /// engine then holds what it held before. Logits that are not finite.
    pub fn generate(
        &mut self,
        prompt: &[u32],
        decoder: &mut StreamDecoder,
        max_tokens: usize,
        sink: &mut dyn Sink,
    ) -> Result<Generated, EngineError> {
        let start = self.clock.micros();
        let prompt_tokens = self.prefill(prompt, sink)?;
        prompt[..prompt_tokens].iter().for_each(|&token| self.sampler.accept(token));
        let prompt_micros = self.clock.micros() - start;
        let mut out = Generated {
            tokens: 0,
            micros: 0,
            prompt_tokens,
            prompt_micros,
            stop: Stop::Interrupted,
            pending: None,
        };
        if prompt_tokens == prompt.len() {
            out.stop = self.decode(decoder, max_tokens, sink, &mut out)?;
        }
        let mut rest = String::new();
        let out_of_room = match out.stop {
            Stop::MaxTokens => true,
            Stop::ContextFull => self.full_is_end,
            // Nothing that the grammar allows was left to draw.
            Stop::End => true,
            Stop::Interrupted => false,
        };
        if let Some(grammar) = self.grammar.as_ref().filter(|_| out_of_room) {
            decoder.push_bytes(&grammar.completion().unwrap_or_default(), &mut rest);
            out.stop = Stop::End;
        }
        // A character that a full context cut in two goes on in the next stretch.
        if out.stop != Stop::ContextFull || self.full_is_end {
            decoder.finish(&mut rest);
        }
        if !rest.is_empty() {
            sink.text(&rest);
        }
        out.micros = self.clock.micros() - start - prompt_micros;
        Ok(out)
    }

    fn prefill(&mut self, prompt: &[u32], sink: &mut dyn Sink) -> Result<usize, EngineError> {
        let mut pace = Pace::new(self.clock, self.engine.batch());
        self.engine.prefill(prompt, |done| {
            let limit = pace.next_batch();
            sink.reading(done, prompt.len());
            sink.go_on().then_some(limit)
        })
    }

    /// Tokens of a draft are in the engine before they are known to be right; those that are not
    /// are taken back before this returns.
    fn decode(
        &mut self,
        decoder: &mut StreamDecoder,
        max_tokens: usize,
        sink: &mut dyn Sink,
        out: &mut Generated,
    ) -> Result<Stop, EngineError> {
        let mut row = Row::last(self.engine);
        let stop = self.decode_rows(decoder, max_tokens, sink, out, &mut row);
        self.note(&row);
        self.engine.truncate(row.held);
        stop
    }

    fn decode_rows(
        &mut self,
        decoder: &mut StreamDecoder,
        max_tokens: usize,
        sink: &mut dyn Sink,
        out: &mut Generated,
        row: &mut Row,
    ) -> Result<Stop, EngineError> {
        let mut text = String::new();
        while out.tokens < max_tokens {
            let logits = self.engine.logits(row.index);
            if !max(logits).is_finite() {
                return Err(EngineError::NotFinite { position: row.held - 1 });
            }
            let token = self.sampler.sample(self.engine.kernels(), logits);
            let Some(token) = self.obeying(token, row.index) else { return Ok(Stop::End) };
            self.sampler.accept(token);
            out.tokens += 1;
            out.pending = Some(token);
            if self.ends(token) {
                return Ok(Stop::End);
            }
            text.clear();
            decoder.push(self.tokenizer, token, &mut text);
            if !text.is_empty() {
                sink.text(&text);
            }
            if !sink.go_on() {
                return Ok(Stop::Interrupted);
            }
            if row.held == self.engine.context() {
                return Ok(Stop::ContextFull);
            }
            if out.tokens < max_tokens {
                self.next_row(token, max_tokens - out.tokens, row)?;
                out.pending = None;
            }
        }
        Ok(Stop::MaxTokens)
    }

    /// Goes on to the logits behind `token`: those of the draft where it begins so, else computes
    /// it, with a new draft behind it. `left` tokens may still follow.
    fn next_row(&mut self, token: u32, left: usize, row: &mut Row) -> Result<(), EngineError> {
        row.held += 1;
        if row.draft.get(row.index) == Some(&token) {
            row.index += 1;
            return Ok(());
        }
        self.note(row);
        self.engine.truncate(row.held - 1);
        let room = (self.engine.context() - row.held).min(self.engine.batch() - 1).min(left - 1);
        row.index = 0;
        row.draft.clear();
        if let Some(speculation) = &mut self.speculation {
            row.draft.extend_from_slice(speculation.draft(self.engine.held(), token, room));
        }
        let start = self.clock.micros();
        let tokens: Vec<u32> = core::iter::once(token).chain(row.draft.iter().copied()).collect();
        self.engine.forward(&tokens, Logits::All)?;
        row.micros = self.clock.micros() - start;
        Ok(())
    }

    /// The token, where the grammar allows it, else another that it does allow; `None` where the
    /// text must end here.
    fn obeying(&mut self, token: u32, row: usize) -> Option<u32> {
        let Some(grammar) = &mut self.grammar else { return Some(token) };
        if grammar.must_end() {
            return None;
        }
        let (tokenizer, ending) = (self.tokenizer, self.ending);
        let allows = |grammar: &GrammarState, token: u32| {
            if is_end(tokenizer, ending, token) {
                return grammar.may_end();
            }
            let bytes = tokenizer.decode_piece(None, token);
            !bytes.is_empty() && grammar.allows(bytes)
        };
        let token = if allows(grammar, token) {
            token
        } else {
            let (kernels, logits) = (self.engine.kernels(), self.engine.logits(row));
            self.sampler.sample_where(kernels, logits, &|token| allows(grammar, token))?
        };
        if !is_end(tokenizer, ending, token) {
            grammar.accept(tokenizer.decode_piece(None, token));
        }
        Some(token)
    }

    /// What a batch took, and how much of its draft was right.
    fn note(&mut self, row: &Row) {
        if let Some(speculation) = &mut self.speculation {
            speculation.note(row.draft.len(), row.index, row.micros);
        }
    }

    fn ends(&self, token: u32) -> bool {
        is_end(self.tokenizer, self.ending, token)
    }
}

fn is_end(tokenizer: &Tokenizer, ending: Ending, token: u32) -> bool {
    match ending {
        Ending::Text => tokenizer.is_text_end(token),
        Ending::Turn => tokenizer.is_end(token),
    }
}

/// The tokens of a text that a base model continues: BOS where the model wants one, and at least
/// one token in any case.
#[must_use]
pub fn base_prompt(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    let mut prompt: Vec<u32> =
        tokenizer.bos().filter(|_| tokenizer.adds_bos()).into_iter().collect();
    prompt.extend(tokenizer.encode(text, Special::Plain));
    if prompt.is_empty() {
        prompt.push(tokenizer.bos().or(tokenizer.eos()).unwrap_or(0));
    }
    prompt
}
