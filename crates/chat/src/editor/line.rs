//! The characters of a line, a cursor between them, and what was cut out last.

use alloc::{string::String, vec::Vec};

/// A line being edited.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    chars: Vec<char>,
    at: usize,
    killed: Vec<char>,
}

impl From<&str> for Line {
    /// The cursor stands at the end.
    fn from(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        Self { at: chars.len(), chars, killed: Vec::new() }
    }
}

impl Line {
    pub(super) fn chars(&self) -> &[char] {
        &self.chars
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn len(&self) -> usize {
        self.chars.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chars.is_empty()
    }

    pub(super) fn text(&self) -> String {
        self.chars.iter().collect()
    }

    /// What stands before the cursor.
    pub(super) fn before(&self) -> String {
        self.chars[..self.at].iter().collect()
    }

    pub(super) fn insert(&mut self, c: char) {
        self.chars.insert(self.at, c);
        self.at += 1;
    }

    /// Puts `text` in place of what stands between `start` and the cursor.
    pub(super) fn replace(&mut self, start: usize, text: &str) {
        let start = start.min(self.at);
        self.chars.splice(start..self.at, text.chars());
        self.at = start + text.chars().count();
    }

    pub(super) fn backspace(&mut self) {
        if self.at > 0 {
            self.at -= 1;
            self.chars.remove(self.at);
        }
    }

    pub(super) fn delete(&mut self) {
        if self.at < self.chars.len() {
            self.chars.remove(self.at);
        }
    }

    pub(super) fn left(&mut self) {
        self.at = self.at.saturating_sub(1);
    }

    pub(super) fn right(&mut self) {
        self.at = (self.at + 1).min(self.chars.len());
    }

    pub(super) fn home(&mut self) {
        self.at = 0;
    }

    pub(super) fn end(&mut self) {
        self.at = self.chars.len();
    }

    pub(super) fn word_left(&mut self) {
        self.at = self.word_start(char::is_alphanumeric);
    }

    pub(super) fn word_right(&mut self) {
        let rest = &self.chars[self.at..];
        let gap = rest.iter().take_while(|c| !c.is_alphanumeric()).count();
        let word = rest[gap..].iter().take_while(|c| c.is_alphanumeric()).count();
        self.at += gap + word;
    }

    pub(super) fn kill_to_end(&mut self) {
        self.killed = self.chars.split_off(self.at);
    }

    pub(super) fn kill_to_start(&mut self) {
        self.killed = self.chars.drain(..self.at).collect();
        self.at = 0;
    }

    /// Cuts back to the last blank, as a shell does.
    pub(super) fn kill_word(&mut self) {
        let start = self.word_start(|c| !c.is_whitespace());
        self.killed = self.chars.drain(start..self.at).collect();
        self.at = start;
    }

    /// Puts in what was cut out last, where the line stays within `room` characters.
    pub(super) fn yank(&mut self, room: usize) {
        if self.chars.len() + self.killed.len() <= room {
            self.chars.splice(self.at..self.at, self.killed.iter().copied());
            self.at += self.killed.len();
        }
    }

    /// Where the word at or before the cursor begins.
    fn word_start(&self, in_word: impl Fn(char) -> bool) -> usize {
        let before = self.chars[..self.at].iter().rev();
        let gap = before.clone().take_while(|c| !in_word(**c)).count();
        self.at - gap - before.skip(gap).take_while(|c| in_word(**c)).count()
    }
}
