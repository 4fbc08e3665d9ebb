//! A session with one model: prompt, line, command or answer, and again.
//!
//! ```text
//! read_input ─┬─ commands::parse ─▶ obey     (this file, files.rs, inspect.rs)
//!             └─ text            ─▶ answer   (answer.rs) ─▶ kept on the stick (files.rs)
//! ```
//! What outlives a change of the model (turns, settings, history) is the [`Chat`], which a shell
//! takes out of one session and gives to the next.

mod answer;
mod files;
mod inspect;
mod sink;

pub use sink::without_controls;

use crate::chats::SavedChat;
use crate::commands::{self, Verb, help};
use crate::console::write_styled;
use crate::conversation::{Manner, Turn, tokens};
use crate::editor::{History, Input, MAX_CHARS, read_input};
use crate::settings::{self, Choice, Format};
use crate::storage::{Storage, StorageError};
use crate::text::{self, Language, Text};
use crate::{Clock, Console, Grammar, Settings, Status, Style, Template, bytes_text};
use alloc::{format, string::String, string::ToString, vec::Vec};
use core::fmt::Display;
use llamaboot_engine::{Engine, EngineError, Sampler, Speculation};
use llamaboot_tokenizer::{Special, Tokenizer};

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// `exit`, `quit`, `/bye` or the end of the input.
    Leave,
    /// `/poweroff`.
    PowerOff,
    /// `/reboot`.
    Reboot,
    /// `/firmware`: restart into the firmware's settings.
    Firmware,
    /// `/boot`: start the installed system.
    Installed,
    /// `/models`: go on with another model.
    Models,
}

/// What `/show` says about the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// The file's name.
    pub name: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// Format and dtype, for people.
    pub format: String,
    /// Bytes reserved: weights, cache and scratch.
    pub memory: u64,
    /// Positions of context that there is memory for.
    pub longest: usize,
}

/// What stays when the model changes.
#[derive(Debug, Default)]
pub struct Chat {
    /// What `/set` changes.
    pub settings: Settings,
    /// Whether nothing may be written, and everything must be wiped at the end.
    pub incognito: bool,
    history: History,
    turns: Vec<Turn>,
    /// Text of files, to be put before the next question.
    read: String,
    /// Whose tokens the answers hold: a model's file, its length, a template's name.
    tokens_of: (String, u64, String),
    /// Whether the last chat was offered already.
    offered: bool,
    /// It, until the first question.
    last_chat: Option<SavedChat>,
    /// Whether it was told already that old turns are left out.
    told_full: bool,
    /// Whether it was told already that the stick keeps no more than the latest turns.
    told_long: bool,
}

impl Chat {
    /// A chat that has not begun.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }
}

/// Sums for `/stats`.
#[derive(Debug, Default)]
struct Totals {
    answers: usize,
    tokens: usize,
    micros: u64,
    prompt_tokens: usize,
    prompt_micros: u64,
    kept_tokens: usize,
}

/// One conversation with one model.
pub struct Session<'a> {
    engine: Engine<'a>,
    tokenizer: &'a Tokenizer,
    /// The model's own.
    own_template: Option<Template>,
    template: Option<Template>,
    sampler: Sampler,
    chat: Chat,
    clock: &'a dyn Clock,
    info: ModelInfo,
    grammar: Option<Grammar>,
    speculation: Speculation,
    totals: Totals,
    tokens_per_second: Option<f64>,
    /// What the next line begins as.
    draft: String,
    /// What went wrong when the chat was last kept: told once.
    save_fault: Option<StorageError>,
    begun_us: u64,
    begun: bool,
}

/// What a command did: text to show, or the end.
enum Outcome {
    Say(String),
    Quiet,
    Exit(Exit),
}

impl<'a> Session<'a> {
    /// A session that takes `chat` over and goes on with it. `template` is the model's own, `None`
    /// for base models, which continue the text they are given.
    ///
    /// # Errors
    /// Where there is not enough memory; the chat stays where it was.
    pub fn new(
        engine: Engine<'a>,
        tokenizer: &'a Tokenizer,
        template: Option<Template>,
        chat: &mut Chat,
        clock: &'a dyn Clock,
        info: ModelInfo,
    ) -> Result<Self, EngineError> {
        let vocab_size = engine.model().config().vocab_size;
        let mut sampler = Sampler::new(vocab_size, chat.settings.drawn(template.is_some()), 1)?;
        let mut chat = core::mem::take(chat);
        sampler.set_dry_breakers(dry_breakers(tokenizer));
        chat.settings.kv = engine.kv();
        Ok(Self {
            engine,
            tokenizer,
            template: template.clone(),
            own_template: template,
            sampler,
            chat,
            clock,
            info,
            grammar: None,
            speculation: Speculation::default(),
            totals: Totals::default(),
            tokens_per_second: None,
            draft: String::new(),
            save_fault: None,
            begun_us: clock.micros(),
            begun: false,
        })
    }

    /// The chat, for the next session.
    #[must_use]
    pub fn into_chat(self) -> Chat {
        self.chat
    }

    /// What `/set` changes, for menus that a shell shows meanwhile.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.chat.settings
    }

    /// What the session reserves, in bytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.info.memory
    }

    /// Prompts until the user leaves. It may be called again, where what the user asked for could
    /// not be done.
    pub fn run(&mut self, console: &mut dyn Console, storage: &mut dyn Storage) -> Exit {
        if !self.begun {
            self.begin(console, storage);
        }
        loop {
            self.show_status(console);
            console.write("\n");
            let draft = core::mem::take(&mut self.draft);
            let mut names = |verb, begun: &str| completions(verb, begun, storage);
            let mut complete = |line: &str| commands::complete(line, &mut names);
            let input = read_input(console, &mut self.chat.history, &draft, &mut complete);
            let (line, left_out, block) = match input {
                Input::Line(line, left_out) => (line, left_out, false),
                Input::Block(text, left_out) => (text, left_out, true),
                Input::Cancelled => continue,
                Input::EndOfInput => return Exit::Leave,
            };
            if left_out > 0 {
                self.tell(console, Style::Error, text::CUT, &[&left_out, &MAX_CHARS]);
            }
            // What stands between fences is text, whatever it begins with.
            match commands::parse(&line, self.language()).filter(|_| !block) {
                None if !block && self.resumes(console, &line) => {}
                None => {
                    self.chat.last_chat = None;
                    self.answer(console, storage, &line);
                }
                Some(Err(message)) => write_styled(console, Style::Error, &format!("{message}\n")),
                Some(Ok((verb, rest))) => match self.obey(console, storage, verb, rest) {
                    Ok(Outcome::Say(text)) => write_styled(console, Style::Note, &text),
                    Ok(Outcome::Quiet) => {}
                    Ok(Outcome::Exit(exit)) => return exit,
                    Err(message) => write_styled(console, Style::Error, &format!("{message}\n")),
                },
            }
        }
    }

    /// The language of the interface.
    #[must_use]
    pub fn language(&self) -> Language {
        self.chat.settings.language
    }

    /// A text in the user's language, with its values, as a line.
    fn line(&self, text: Text, values: &[&dyn Display]) -> String {
        text.fill(self.language(), values) + "\n"
    }

    fn tell(&self, console: &mut dyn Console, style: Style, text: Text, values: &[&dyn Display]) {
        write_styled(console, style, &self.line(text, values));
    }

    /// Puts the settings into force, greets, and offers the last chat.
    fn begin(&mut self, console: &mut dyn Console, storage: &mut dyn Storage) {
        self.begun = true;
        let Settings { keyboard, theme, wordwrap, .. } = self.chat.settings;
        console.set_keyboard(keyboard);
        console.set_theme(theme);
        console.set_wordwrap(wordwrap);
        for name in ["template", "format"] {
            if let Err(message) = self.take_over(console, storage, name) {
                write_styled(console, Style::Error, &format!("{message}\n"));
            }
        }
        self.encode_turns();
        let (threads, isa) = (self.engine.threads(), self.engine.kernels().isa());
        let language = self.language();
        let chats = if self.template.is_some() { text::CHATS } else { text::CONTINUES };
        let cores = if threads == 1 { text::CORE } else { text::CORES };
        let greeting: [&dyn Display; 8] = [
            &self.info.name,
            &self.info.format,
            &chats.get(language),
            &bytes_text(self.info.memory),
            &self.engine.context(),
            &isa,
            &threads,
            &cores.get(language),
        ];
        self.tell(console, Style::Note, text::GREETING, &greeting);
        if !core::mem::replace(&mut self.chat.offered, true) {
            self.offer_last_chat(console, storage);
        }
    }

    fn obey(
        &mut self,
        console: &mut dyn Console,
        storage: &mut dyn Storage,
        verb: Verb,
        rest: &str,
    ) -> Result<Outcome, String> {
        Ok(match verb {
            Verb::Leave => Outcome::Exit(Exit::Leave),
            Verb::PowerOff => Outcome::Exit(Exit::PowerOff),
            Verb::Reboot => Outcome::Exit(Exit::Reboot),
            Verb::Firmware => Outcome::Exit(Exit::Firmware),
            Verb::Boot => Outcome::Exit(Exit::Installed),
            Verb::Models => Outcome::Exit(Exit::Models),
            Verb::Regen => {
                let turn = self.chat.turns.pop().ok_or_else(|| self.line_of(text::NO_TURN))?;
                if !self.ask(console, storage, turn.user.clone()) {
                    self.chat.turns.push(turn);
                }
                Outcome::Quiet
            }
            Verb::Edit => {
                let turn = self.chat.turns.pop().ok_or_else(|| self.line_of(text::NO_TURN))?;
                self.draft = turn.user;
                Outcome::Quiet
            }
            Verb::Bench => Outcome::Say(self.bench(console, rest)?),
            Verb::Why => {
                self.why(console)?;
                Outcome::Quiet
            }
            Verb::Help => Outcome::Say(help(self.language())),
            Verb::Show => Outcome::Say(self.show(rest)?),
            Verb::Set if rest.is_empty() => {
                let list = settings::help(self.language());
                Outcome::Say(self.line(text::SETTINGS, &[]) + &list)
            }
            Verb::Set => Outcome::Say(self.set(console, storage, rest)?),
            Verb::System if rest.is_empty() => Outcome::Say(self.show_system()),
            Verb::System => Outcome::Say(self.set(console, storage, &format!("system {rest}"))?),
            Verb::Undo => {
                self.chat.turns.pop().ok_or_else(|| self.line_of(text::NO_TURN))?;
                self.keep(console, storage);
                Outcome::Say(self.line(text::UNDONE, &[]))
            }
            Verb::Clear => {
                self.forget();
                self.keep(console, storage);
                Outcome::Say(self.line(text::FORGOTTEN, &[]))
            }
            Verb::Save => Outcome::Say(self.save(storage, rest)?),
            Verb::Load => Outcome::Say(self.load(console, storage, rest)?),
            Verb::Chats => Outcome::Say(self.chats(storage)?),
            Verb::Delete => Outcome::Say(self.delete(storage, rest)?),
            Verb::Incognito => Outcome::Say(self.toggle_incognito(console)),
            Verb::Read => Outcome::Say(self.read_file(storage, rest)?),
            Verb::Context => Outcome::Say(self.show_context()),
            Verb::Stats => Outcome::Say(self.stats()),
            Verb::Logits => Outcome::Say(self.logits(rest)?),
            Verb::Qr => Outcome::Say(self.qr(console, rest)?),
        })
    }

    /// A text without values and without a line end: for errors.
    fn line_of(&self, text: Text) -> String {
        text.get(self.language()).to_string()
    }

    /// `/set NAME VALUE`.
    fn set(
        &mut self,
        console: &mut dyn Console,
        storage: &mut dyn Storage,
        rest: &str,
    ) -> Result<String, String> {
        let Some((name, value)) = rest.split_once(char::is_whitespace) else {
            return Err(settings::needs(rest, self.language()));
        };
        let before = self.chat.settings.clone();
        self.chat.settings.set(name, value.trim())?;
        if let Err(message) = self.take_over(console, storage, name) {
            self.chat.settings = before;
            return Err(message);
        }
        let value = match name {
            "context" => format!("{}", self.engine.context()),
            _ => self.chat.settings.get(name).unwrap_or_default(),
        };
        Ok(self.line(text::IS_NOW, &[&name, &value]))
    }

    /// Does what a changed setting asks for.
    fn take_over(
        &mut self,
        console: &mut dyn Console,
        storage: &mut dyn Storage,
        name: &str,
    ) -> Result<(), String> {
        match name {
            "isa" => self.engine.set_kernels(self.chat.settings.kernels()),
            "kv" | "context" => self.set_cache()?,
            "keyboard" => console.set_keyboard(self.chat.settings.keyboard),
            "theme" => console.set_theme(self.chat.settings.theme),
            "wordwrap" => console.set_wordwrap(self.chat.settings.wordwrap),
            "template" => {
                self.template = match &self.chat.settings.template {
                    Choice::Auto => self.own_template.clone(),
                    Choice::None => None,
                    Choice::Some(name) => Template::named(name, self.tokenizer)?,
                };
                self.encode_turns();
            }
            "system" => self.encode_turns(),
            "format" => {
                self.grammar = match &self.chat.settings.format {
                    Format::Text => None,
                    Format::Json => Some(Grammar::json()),
                    Format::Grammar(file) => Some(self.grammar_file(storage, file)?),
                };
            }
            _ => {}
        }
        Ok(())
    }

    /// Keeps keys and values as the settings say; where memory lacks, as before.
    fn set_cache(&mut self) -> Result<(), String> {
        let Settings { context, kv, .. } = self.chat.settings;
        let context = context.unwrap_or(self.info.longest).min(self.info.longest);
        self.info.memory -= self.engine.kv_bytes();
        let set = self.engine.set_cache(context, kv);
        self.info.memory += self.engine.kv_bytes();
        set.map_err(|e| e.to_string())
    }

    /// The system prompt in force.
    fn system(&self) -> Option<&str> {
        match &self.chat.settings.system {
            Choice::Auto => self.template.as_ref().and_then(Template::default_system),
            Choice::None => None,
            Choice::Some(text) => Some(text),
        }
    }

    /// How turns become tokens.
    fn manner(&self) -> Manner<'_> {
        let (template, system) = (self.template.as_ref(), self.system());
        Manner { tokenizer: self.tokenizer, template, system }
    }

    /// The template's name; empty without one.
    fn template_name(&self) -> &'static str {
        self.template.as_ref().map_or("", Template::name)
    }

    /// Makes the tokens of all questions anew, for another template or system prompt, and those of
    /// the answers, where they are of another model or template.
    fn encode_turns(&mut self) {
        let tokens_of = (self.info.name.clone(), self.info.bytes, self.template_name().into());
        let same = self.chat.tokens_of == tokens_of;
        let mut turns = core::mem::take(&mut self.chat.turns);
        let manner = self.manner();
        for (i, turn) in turns.iter_mut().enumerate() {
            turn.prompt = manner.prompt(i == 0, &turn.user);
            if !same {
                turn.reply = manner.reply(&turn.answer);
            }
        }
        self.chat.turns = turns;
        self.chat.tokens_of = tokens_of;
    }

    fn forget(&mut self) {
        self.engine.truncate(0);
        self.sampler.forget();
        self.chat.turns.clear();
        (self.chat.told_full, self.chat.told_long) = (false, false);
        self.chat.read.clear();
        self.chat.last_chat = None;
    }

    /// Turns that the model is told: all of them, or a base model's last text alone.
    fn told_turns(&self) -> &[Turn] {
        let turns = &self.chat.turns;
        let first = if self.template.is_some() { 0 } else { turns.len().saturating_sub(1) };
        &turns[first..]
    }

    /// Positions that what the model is told takes: a last token without room takes none.
    fn used(&self) -> usize {
        tokens(self.told_turns()).count().min(self.engine.context())
    }

    fn show_status(&self, console: &mut dyn Console) {
        console.status(&Status {
            model: &self.info.name,
            used: self.used(),
            context: self.engine.context(),
            tokens_per_second: self.tokens_per_second,
            keyboard: self.chat.settings.keyboard.name(),
            doing: None,
        });
    }
}

/// A text's characters, line ends as blanks.
fn on_one_line(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|c| if c.is_control() { ' ' } else { c })
}

/// What may stand behind a command.
fn completions(verb: Verb, begun: &str, storage: &mut dyn Storage) -> Vec<String> {
    match verb {
        Verb::Load | Verb::Save | Verb::Delete => files::chat_names(storage),
        Verb::Read => {
            let folder = begun.rfind('/').map_or("", |at| &begun[..at]);
            let path = |name: String| {
                if folder.is_empty() { name } else { format!("{folder}/{name}") }
            };
            storage.list(folder).into_iter().map(path).collect()
        }
        _ => Vec::new(),
    }
}

/// Tokens at which a repeated phrase ends for DRY, as llama.cpp has them: line end, colon, quote,
/// star.
fn dry_breakers(tokenizer: &Tokenizer) -> Vec<u32> {
    let single = |text: &&str| tokenizer.encode(text, Special::Plain).last().copied();
    ["\n", ":", "\"", "*"].iter().filter_map(single).collect()
}
