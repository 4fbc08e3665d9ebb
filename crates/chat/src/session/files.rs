//! What goes to the stick and comes from it: the chats, text files, grammars.

use super::{Session, on_one_line};
use crate::chats::{self, MAX_NAME, PLACES, SavedChat};
use crate::console::write_styled;
use crate::conversation::Turn;
use crate::grammar::MAX_GRAMMAR_BYTES;
use crate::pace::Pace;
use crate::storage::{Storage, StorageError};
use crate::text::{self, Text};
use crate::{Console, Grammar, Progress, Style};
use alloc::{format, string::String, string::ToString, vec::Vec};
use llamaboot_tokenizer::Special;

/// Longest text file that `/read` takes.
const MAX_READ: u64 = 1 << 20;
/// Characters of a question that a line shows of it.
const SHOWN: usize = 40;

/// Names of the kept chats, for Tab.
pub(super) fn chat_names(storage: &mut dyn Storage) -> Vec<String> {
    let listed = chats::list(storage).unwrap_or_default();
    listed.into_iter().map(|chat| chat.name).collect()
}

impl Session<'_> {
    /// Keeps the conversation as the last chat. A fault is told once, and the chat goes on.
    pub(super) fn keep(&mut self, console: &mut dyn Console, storage: &mut dyn Storage) {
        if self.chat.incognito {
            return;
        }
        let saved = chats::save(storage, "", &self.saved());
        if let Ok(Some(gone @ 1..)) = saved
            && !core::mem::replace(&mut self.chat.told_long, true)
        {
            self.tell(console, Style::Note, text::OLD_TURNS_LEFT_OUT, &[&gone]);
        }
        let fault = saved.err().filter(|fault| *fault != StorageError::NoPlace);
        if let Some(fault) = fault.as_ref().filter(|_| fault != self.save_fault) {
            let fault = fault.line(self.language());
            self.tell(console, Style::Error, text::NOT_SAVED, &[&fault]);
        }
        self.save_fault = fault;
    }

    fn saved(&self) -> SavedChat {
        SavedChat {
            model: self.info.name.clone(),
            model_bytes: self.info.bytes,
            template: self.template_name().into(),
            turns: self.chat.turns.clone(),
        }
    }

    /// `/save NAME`.
    pub(super) fn save(&mut self, storage: &mut dyn Storage, name: &str) -> Result<String, String> {
        if self.chat.incognito {
            return Err(self.line_of(text::INCOGNITO_SAVES_NOT));
        }
        if name.len() > MAX_NAME || name.chars().any(char::is_whitespace) {
            let values: [&dyn core::fmt::Display; 2] = [&MAX_NAME, &format!("{name:?}")];
            return Err(text::BAD_NAME.fill(self.language(), &values));
        }
        if self.chat.turns.is_empty() {
            return Err(self.line_of(text::NO_TURN));
        }
        let saved = chats::save(storage, name, &self.saved());
        match saved.map_err(|fault| self.filled_fault(text::NOT_SAVED, &fault))? {
            None => Err(text::CHATS_FULL.fill(self.language(), &[&PLACES])),
            Some(0) => Ok(self.line(text::SAVED, &[&name])),
            Some(gone) => {
                Ok(self.line(text::SAVED, &[&name])
                    + &self.line(text::OLD_TURNS_LEFT_OUT, &[&gone]))
            }
        }
    }

    /// `/load NAME`.
    pub(super) fn load(
        &mut self,
        console: &mut dyn Console,
        storage: &mut dyn Storage,
        name: &str,
    ) -> Result<String, String> {
        let loaded = chats::load(storage, name);
        let loaded = loaded.map_err(|fault| self.filled_fault(text::NO_STORAGE, &fault))?;
        let Some(saved) = loaded else {
            return Err(text::NO_CHAT.fill(self.language(), &[&name]));
        };
        let (turns, model) = (self.turns_text(saved.turns.len()), saved.model.clone());
        let said = self.line(text::LOADED, &[&name, &turns, &model]);
        self.go_on_with(console, saved);
        self.keep(console, storage);
        Ok(said)
    }

    /// `/chats`.
    pub(super) fn chats(&mut self, storage: &mut dyn Storage) -> Result<String, String> {
        let listed = chats::list(storage);
        let listed = listed.map_err(|fault| self.filled_fault(text::NO_STORAGE, &fault))?;
        if listed.is_empty() {
            return Ok(self.line(text::NO_CHATS, &[]));
        }
        let width = listed.iter().map(|chat| chat.name.chars().count()).max().unwrap_or(0);
        let lines = listed.iter().map(|chat| {
            let turns = self.turns_text(chat.turns);
            format!("  {:width$}  {turns:14}  {}\n", chat.name, chat.model)
        });
        Ok(lines.collect())
    }

    /// `/delete NAME`.
    pub(super) fn delete(
        &mut self,
        storage: &mut dyn Storage,
        name: &str,
    ) -> Result<String, String> {
        let deleted = chats::delete(storage, name);
        if deleted.map_err(|fault| self.filled_fault(text::NO_STORAGE, &fault))? {
            return Ok(self.line(text::DELETED, &[&name]));
        }
        Err(text::NO_CHAT.fill(self.language(), &[&name]))
    }

    /// `/incognito`: on, or off again; what was said meanwhile is forgotten then.
    pub(super) fn toggle_incognito(&mut self, console: &mut dyn Console) -> String {
        self.chat.incognito = !self.chat.incognito;
        if self.chat.incognito {
            return self.line(text::INCOGNITO_ON, &[]);
        }
        self.forget();
        self.chat.history.clear();
        console.wipe();
        self.line(text::INCOGNITO_OFF, &[])
    }

    /// `/read FILE`.
    pub(super) fn read_file(
        &mut self,
        storage: &mut dyn Storage,
        path: &str,
    ) -> Result<String, String> {
        let text = self.text_file(storage, path, MAX_READ)?;
        let text = text.trim_end();
        if text.is_empty() {
            return Err(text::READ_EMPTY.fill(self.language(), &[&path]));
        }
        let before = &self.chat.read;
        let all = if before.is_empty() { text.into() } else { format!("{before}\n\n{text}") };
        let tokens = self.tokenizer.encode(&all, Special::Plain).len();
        // A quarter is for the question and its answer, as in `make_room`.
        let context = self.engine.context();
        if tokens > context - context / 4 {
            let values: [&dyn core::fmt::Display; 3] = [&path, &tokens, &context];
            return Err(text::READ_TOO_LONG.fill(self.language(), &values));
        }
        let said = if before.is_empty() { text::READ } else { text::READ_MORE };
        self.chat.read = all;
        Ok(self.line(said, &[&path, &tokens]))
    }

    /// The grammar in a file.
    pub(super) fn grammar_file(
        &self,
        storage: &mut dyn Storage,
        path: &str,
    ) -> Result<Grammar, String> {
        let source = self.text_file(storage, path, MAX_GRAMMAR_BYTES as u64)?;
        Grammar::parse(&source).map_err(|error| format!("{path}: {error}"))
    }

    fn text_file(
        &self,
        storage: &mut dyn Storage,
        path: &str,
        limit: u64,
    ) -> Result<String, String> {
        let bytes = storage
            .read(path, limit)
            .map_err(|fault| format!("{path}: {}", fault.line(self.language())))?;
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            text::NOT_TEXT.fill(self.language(), &[&path, &at])
        })
    }

    /// Offers to go on with the last chat, where there is one: see [`Session::resumes`].
    pub(super) fn offer_last_chat(&mut self, console: &mut dyn Console, storage: &mut dyn Storage) {
        if !console.is_interactive() {
            return;
        }
        let Ok(Some(saved)) = chats::load(storage, "") else { return };
        let Some(last) = saved.turns.last() else { return };
        let turns = self.turns_text(saved.turns.len());
        let values: [&dyn core::fmt::Display; 3] = [&turns, &saved.model, &quoted(last.question())];
        self.tell(console, Style::Note, text::RESUME, &values);
        self.chat.last_chat = Some(saved);
    }

    /// Whether a line that is no command answers that offer, in either language.
    pub(super) fn resumes(&mut self, console: &mut dyn Console, line: &str) -> bool {
        let Some(saved) = self.chat.last_chat.take() else { return false };
        match line.trim().to_lowercase().as_str() {
            "y" | "yes" | "o" | "oui" => self.go_on_with(console, saved),
            "n" | "no" | "non" => {}
            // No question either, but to a base model.
            "" if self.template.is_some() => self.chat.last_chat = Some(saved),
            _ => return false,
        }
        true
    }

    /// Takes a kept chat over, shows its last turn, and computes it again: with the same model and
    /// tokens, keys and values come out the same to the last bit, so they need not be kept. A file
    /// that was read still goes with the next question.
    fn go_on_with(&mut self, console: &mut dyn Console, saved: SavedChat) {
        let read = core::mem::take(&mut self.chat.read);
        self.forget();
        self.chat.read = read;
        self.chat.turns = saved.turns;
        self.chat.tokens_of = (saved.model, saved.model_bytes, saved.template);
        let vocab_size = self.engine.model().config().vocab_size as u32;
        let known = |turn: &Turn| turn.reply.iter().all(|&token| token < vocab_size);
        if !self.chat.turns.iter().all(known) {
            self.chat.tokens_of = Default::default();
        }
        self.encode_turns();
        if let Some(turn) = self.chat.turns.last() {
            let question = turn.question();
            let before = if question == turn.user.trim() { "" } else { "… " };
            write_styled(console, Style::Input, &format!("> {before}{question}\n"));
            let answer = super::without_controls(&turn.answer).trim_end().to_string();
            console.write(&format!("{answer}\n"));
        }
        self.compute_again(console);
    }

    /// Computes the conversation, so that the next turn costs only its own tokens. Esc leaves the
    /// rest to that turn.
    fn compute_again(&mut self, console: &mut dyn Console) {
        if self.template.is_none() {
            // Its next text starts afresh.
            return;
        }
        if self.make_room(usize::MAX) > 0 {
            self.tell(console, Style::Note, text::TURNS_DROPPED, &[]);
            self.chat.told_full = true;
        }
        let wanted = self.wanted();
        let kept = self.hold_common(&wanted);
        let label = text::RECOMPUTING.get(self.language());
        let mut progress =
            Progress::counting(label, (wanted.len() - kept) as u64, self.language(), self.clock);
        let mut pace = Pace::new(self.clock, self.engine.batch());
        // Whatever goes wrong here, the next turn says.
        let computed = self.engine.prefill(&wanted[kept..], |done| {
            progress.show(console, done as u64);
            (!console.interrupted()).then(|| pace.next_batch())
        });
        progress.end(console, computed.unwrap_or(0) as u64);
    }

    pub(super) fn turns_text(&self, turns: usize) -> String {
        match turns {
            1 => self.line_of(text::ONE_TURN),
            turns => text::TURNS.fill(self.language(), &[&turns]),
        }
    }

    fn filled_fault(&self, text: Text, fault: &StorageError) -> String {
        text.fill(self.language(), &[&fault.line(self.language())])
    }
}

/// The beginning of a text, on one line.
fn quoted(text: &str) -> String {
    let mut chars = on_one_line(text);
    let shown: String = chars.by_ref().take(SHOWN).collect();
    if chars.next().is_some() { format!("\"{shown}…\"") } else { format!("\"{shown}\"") }
}
