//! What a shell provides: somewhere to write, keys to read, a clock.

use crate::{Layout, Theme};
use alloc::collections::VecDeque;

/// A key, from whatever keyboard or terminal it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A character to insert; a line end where a paste holds one.
    Char(char),
    /// Ends the line.
    Enter,
    /// Deletes to the left.
    Backspace,
    /// Deletes to the right.
    Delete,
    /// One character left.
    Left,
    /// One character right.
    Right,
    /// Up, in menus and in the history.
    Up,
    /// Down, in menus and in the history.
    Down,
    /// To the start of the line.
    Home,
    /// To the end of the line.
    End,
    /// A page back in what was shown.
    PageUp,
    /// A page forward.
    PageDown,
    /// Completes.
    Tab,
    /// Ctrl with a letter, lower case; Ctrl-C and Ctrl-D have names of their own.
    Ctrl(char),
    /// Alt with a letter, lower case.
    Alt(char),
    /// F1 is 1.
    Function(u8),
    /// Esc.
    Escape,
    /// Ctrl-C.
    Interrupt,
    /// The input is over (Ctrl-D, or the end of a pipe).
    EndOfInput,
}

/// What a piece of text is, for consoles that can show it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Style {
    /// What the model writes.
    #[default]
    Text,
    /// The prompt's `>>> `.
    Prompt,
    /// What the user types.
    Input,
    /// What the program says.
    Note,
    /// What went wrong.
    Error,
    /// A token by its probability: 0 is a wild guess, [`Style::SURE`] is certain.
    Likely(u8),
}

impl Style {
    /// The highest level of [`Style::Likely`].
    pub const SURE: u8 = 4;
}

/// What the status line says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Status<'s> {
    /// The model's name.
    pub model: &'s str,
    /// Tokens of the conversation.
    pub used: usize,
    /// Tokens there is room for.
    pub context: usize,
    /// Speed of this or the last answer.
    pub tokens_per_second: Option<f64>,
    /// The keyboard's layout.
    pub keyboard: &'s str,
    /// What takes its time, in place of the speed.
    pub doing: Option<&'s str>,
}

/// A screen with a keyboard, a serial line, or both at once.
///
/// Only the first five methods are needed; consoles without colours, status line or keyboard of
/// their own leave the others as they are.
pub trait Console {
    /// Writes text where the last write ended; `\n` starts a new line and `\u{8}` steps one
    /// character back.
    fn write(&mut self, text: &str);

    /// Shows a line that the next call replaces, where that is possible; append-only lines show
    /// only the one that is `last`.
    fn progress(&mut self, line: &str, last: bool);

    /// Waits for a key, without spinning; at most `micros` microseconds where that is given.
    fn key_within(&mut self, micros: Option<u64>) -> Option<Key>;

    /// Gives back a key that was read, but is for whoever reads next.
    fn put_back(&mut self, key: Key);

    /// Whether Esc or Ctrl-C was pressed since this was last asked. Other keys pressed meanwhile
    /// are kept for [`Console::read_key`].
    fn interrupted(&mut self) -> bool;

    /// Waits for a key.
    fn read_key(&mut self) -> Key {
        self.key_within(None).unwrap_or(Key::EndOfInput)
    }

    /// What is written from here on is of this kind.
    fn style(&mut self, _: Style) {}

    /// Shows the state of the conversation.
    fn status(&mut self, _: &Status<'_>) {}

    /// Takes another layout for the keyboard.
    fn set_keyboard(&mut self, _: Layout) {}

    /// Takes other colours.
    fn set_theme(&mut self, _: Theme) {}

    /// Breaks lines between words, or wherever they are full.
    fn set_wordwrap(&mut self, _: bool) {}

    /// Columns and rows that can be seen at once.
    fn size(&self) -> (usize, usize) {
        (80, 25)
    }

    /// Whether somebody is there to be asked, and not a script.
    fn is_interactive(&self) -> bool {
        true
    }

    /// Clears what can be seen; whether that is possible here.
    fn clear(&mut self) -> bool {
        false
    }

    /// Forgets everything shown, what has scrolled away included, and every key that waits.
    fn wipe(&mut self) {}
}

/// Writes in a style and goes back to the model's.
pub(crate) fn write_styled(console: &mut dyn Console, style: Style, text: &str) {
    console.style(style);
    console.write(text);
    console.style(Style::Text);
}

/// Keys that wait at most; more are dropped.
const MAX_KEYS: usize = 64 * 1024;

/// Lets a key wait. Where there is no room, Ctrl-C makes it, and Esc takes the last one's place.
pub fn queue_key(keys: &mut VecDeque<Key>, key: Key) {
    if keys.len() >= MAX_KEYS {
        match key {
            Key::Interrupt => keys.clear(),
            Key::Escape => drop(keys.pop_back()),
            _ => return,
        }
    }
    keys.push_back(key);
}

/// Takes Esc and Ctrl-C out of keys that wait; whether one of them was there. Ctrl-C also takes
/// what was typed before it: a long paste must not go on.
pub fn interruption(keys: &mut VecDeque<Key>) -> bool {
    if let Some(last) = keys.iter().rposition(|key| *key == Key::Interrupt) {
        keys.drain(..=last);
        return true;
    }
    let before = keys.len();
    keys.retain(|key| *key != Key::Escape);
    keys.len() < before
}

/// Time since some fixed moment.
pub trait Clock {
    /// Microseconds.
    fn micros(&self) -> u64;
}
