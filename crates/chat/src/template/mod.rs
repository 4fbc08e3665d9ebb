//! How a conversation becomes tokens.
//!
//! ```text
//! first   BOS, system text, the user's turn, head of the answer
//!         (the model answers)
//! closing the token that ends an answer
//! next    the user's turn, head of the answer
//! ```
//! Control tokens are put in by their ids; what a user types is always plain text, also where it
//! looks like a control token. Text between two control tokens is encoded in one piece, because
//! tokens reach across the border between a template's words and the user's.

mod formats;
mod recognize;

use alloc::{format, string::String, vec::Vec};
use formats::{ALPACA, ALPACA_SYSTEM, FORMATS, Format, MARKERS, MISTRAL, MISTRAL_V3};
use formats::{SystemTurn, Trim};
use llamaboot_checkpoint::gguf::Gguf;
use llamaboot_tokenizer::{Special, Tokenizer};
use recognize::recognize;

/// A conversation format, with the control tokens of one vocabulary.
#[derive(Debug, Clone)]
pub struct Template {
    format: Format,
    bos: Option<u32>,
    /// The system text of a conversation that has none.
    system: Option<String>,
    /// What goes before every system text.
    preamble: String,
    system_turn: (Vec<Piece>, Vec<Piece>),
    user_turn: (Vec<Piece>, Vec<Piece>),
    /// The token that ends an answer.
    end: Option<u32>,
    between: Vec<Piece>,
}

/// A part of what a template writes.
#[derive(Debug, Clone)]
enum Piece {
    Token(u32),
    Text(String),
}

impl Template {
    /// What [`Template::named`] knows.
    pub const NAMES: [&'static str; 10] = [
        "chatml", "llama2", "llama3", "zephyr", "mistral", "gemma", "phi3", "alpaca", "plain",
        "none",
    ];

    /// The template of a model: `Ok(None)` for base models, which have none.
    ///
    /// # Errors
    /// One line where the model has a template that is not known, or not the tokens for it.
    pub fn of(gguf: &Gguf<'_>, tokenizer: &Tokenizer) -> Result<Option<Self>, &'static str> {
        let Ok(Some(source)) = gguf.text("tokenizer.chat_template") else {
            return Ok(None);
        };
        let found = recognize(source).ok_or(
            "this model's chat template is not a known one; it continues your text instead",
        )?;
        let template = Self::new(found.format, tokenizer).map_err(
            |_| "this model lacks tokens of its chat template; it continues your text instead",
        )?;
        let bos = template.bos.or(tokenizer.bos().filter(|_| found.bos));
        Ok(Some(Self { bos, system: found.system, preamble: found.preamble, ..template }))
    }

    /// The template of this name: one of [`Template::NAMES`], `Ok(None)` for `none`.
    ///
    /// # Errors
    /// One line: an unknown name, or a control token that the vocabulary lacks.
    pub fn named(name: &str, tokenizer: &Tokenizer) -> Result<Option<Self>, String> {
        if name == "none" {
            return Ok(None);
        }
        let format =
            FORMATS.iter().find(|format| format.name == name).copied().ok_or_else(|| {
                format!("expected a template out of {}, found {name:?}", Self::NAMES.join(", "))
            })?;
        let has_inst = tokenizer.control_id("[INST]").is_some();
        let format = if name == MISTRAL.name && has_inst { MISTRAL_V3 } else { format };
        let template = Self::new(format, tokenizer)
            .map_err(|token| format!("template {name} needs {token}, which this model lacks"))?;
        let system = (name == ALPACA.name).then(|| String::from(ALPACA_SYSTEM));
        Ok(Some(Self { system, ..template }))
    }

    /// `Err` with what the vocabulary lacks.
    fn new(format: Format, tokenizer: &Tokenizer) -> Result<Self, &'static str> {
        if let Some(&lacking) = format.needs.iter().find(|t| tokenizer.control_id(t).is_none()) {
            return Err(lacking);
        }
        let pieces = |text| pieces(text, tokenizer);
        let system_turn = match format.system {
            SystemTurn::Own(head, tail) => (pieces(head)?, pieces(tail)?),
            SystemTurn::Merged(..) => Default::default(),
        };
        let end = match pieces(format.end)?.first() {
            Some(&Piece::Token(id)) => Some(id),
            _ => None,
        };
        Ok(Self {
            format,
            bos: tokenizer.bos().filter(|_| format.bos || tokenizer.adds_bos()),
            system: None,
            preamble: String::new(),
            system_turn,
            user_turn: (pieces(format.user.0)?, pieces(format.user.1)?),
            end,
            between: pieces(format.between)?,
        })
    }

    /// The name that [`Template::named`] knows it by.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.format.name
    }

    /// The system text that the model's own template puts first when a conversation has none.
    #[must_use]
    pub fn default_system(&self) -> Option<&str> {
        self.system.as_deref()
    }

    /// A text at which an answer ends, beside the token that ends it.
    #[must_use]
    pub fn stop(&self) -> Option<&'static str> {
        self.format.stop
    }

    /// The beginning of a conversation, up to the head of the first answer. `None` writes no
    /// system text, not the default one either.
    #[must_use]
    pub fn first(&self, tokenizer: &Tokenizer, system: Option<&str>, user: &str) -> Vec<u32> {
        let mut out = Writer::new(tokenizer, true);
        out.ids.extend(self.bos);
        let own = matches!(self.format.system, SystemTurn::Own(..));
        if own && (system.is_some() || !self.preamble.is_empty()) {
            let system = system.unwrap_or_default();
            out.pieces(&self.system_turn.0);
            out.text.push_str(&self.preamble);
            out.text.push_str(if self.format.trim == Trim::Each { system.trim() } else { system });
            out.pieces(&self.system_turn.1);
        }
        self.user(out, &self.content(system, user))
    }

    /// A later turn of the user, up to the head of its answer. It goes behind
    /// [`Template::closing`].
    #[must_use]
    pub fn next(&self, tokenizer: &Tokenizer, user: &str) -> Vec<u32> {
        let mut out = Writer::new(tokenizer, self.end.is_some());
        out.pieces(&self.between);
        self.user(out, &self.content(None, user))
    }

    /// What follows an answer: the token that ends it, where the format has one.
    #[must_use]
    pub fn closing(&self) -> Vec<u32> {
        self.end.into_iter().collect()
    }

    fn user(&self, mut out: Writer<'_>, content: &str) -> Vec<u32> {
        out.pieces(&self.user_turn.0);
        out.text.push_str(content);
        out.pieces(&self.user_turn.1);
        out.finish()
    }

    /// What stands in a turn of the user.
    fn content(&self, system: Option<&str>, user: &str) -> String {
        let trim = self.format.trim;
        let user = if matches!(trim, Trim::Each | Trim::User) { user.trim() } else { user };
        let content = match (self.format.system, system) {
            (SystemTurn::Merged(head, tail), Some(system)) => {
                format!("{head}{system}{tail}{user}")
            }
            _ => String::from(user),
        };
        if trim == Trim::Together { String::from(content.trim()) } else { content }
    }
}

/// Takes a format's text apart into control tokens and text. `Err` with what the vocabulary lacks.
fn pieces(text: &str, tokenizer: &Tokenizer) -> Result<Vec<Piece>, &'static str> {
    let (mut out, mut rest) = (Vec::new(), text);
    let named = MARKERS.iter().filter_map(|&name| Some((name, Some(tokenizer.control_id(name)?))));
    let ends = [("{bos}", tokenizer.bos()), ("{eos}", tokenizer.eos())];
    let markers: Vec<_> = named.chain(ends).collect();
    let next = |text: &str| {
        let found = markers.iter().filter_map(|&(name, id)| Some((text.find(name)?, name, id)));
        found.min_by_key(|&(at, ..)| at)
    };
    while let Some((at, name, id)) = next(rest) {
        if at > 0 {
            out.push(Piece::Text(String::from(&rest[..at])));
        }
        match id {
            Some(id) => out.push(Piece::Token(id)),
            None if name == "{bos}" => {}
            None => return Err("a token that ends a text"),
        }
        rest = &rest[at + name.len()..];
    }
    if !rest.is_empty() {
        out.push(Piece::Text(String::from(rest)));
    }
    Ok(out)
}

/// Tokens as they are written, with the text that follows the last control token.
struct Writer<'t> {
    tokenizer: &'t Tokenizer,
    ids: Vec<u32>,
    text: String,
    /// Whether `text` follows a control token or begins the conversation.
    starts: bool,
}

impl<'t> Writer<'t> {
    fn new(tokenizer: &'t Tokenizer, starts: bool) -> Self {
        Self { tokenizer, ids: Vec::new(), text: String::new(), starts }
    }

    fn pieces(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            match piece {
                Piece::Text(text) => self.text.push_str(text),
                Piece::Token(id) => {
                    self.flush();
                    self.ids.push(*id);
                    self.starts = true;
                }
            }
        }
    }

    fn flush(&mut self) {
        self.ids.extend(if self.starts {
            self.tokenizer.encode(&self.text, Special::Plain)
        } else {
            self.tokenizer.encode_continuation(&self.text)
        });
        self.text.clear();
    }

    fn finish(mut self) -> Vec<u32> {
        self.flush();
        self.ids
    }
}
