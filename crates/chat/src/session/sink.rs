//! Where generated text goes: through the search for stop texts, onto the console.

use crate::generate::Sink;
use crate::text::{self, Language};
use crate::{Clock, Console, Status, Style};
use alloc::{borrow::Cow, string::String};

/// How often the status line is renewed while text comes.
const STATUS_US: u64 = 250_000;
/// How long a prompt is read without a word.
const READING_US: u64 = 500_000;

/// A console that takes an answer.
pub(super) struct ConsoleSink<'c> {
    console: &'c mut dyn Console,
    clock: &'c dyn Clock,
    stops: &'c [String],
    status: Status<'c>,
    begun_us: u64,
    start_us: u64,
    status_us: u64,
    pieces: usize,
    language: Language,
    /// Blanks before the first word are not shown: some formats have one there.
    trimmed: bool,
    /// What was said, blanks included.
    pub(super) answer: String,
    /// Text that may be the beginning of a stop text.
    held: String,
    /// A stop text has come.
    pub(super) stopped: bool,
}

impl<'c> ConsoleSink<'c> {
    pub(super) fn new(
        console: &'c mut dyn Console,
        clock: &'c dyn Clock,
        stops: &'c [String],
        status: Status<'c>,
        trimmed: bool,
        language: Language,
    ) -> Self {
        let now = clock.micros();
        console.style(Style::Text);
        Self {
            console,
            clock,
            stops,
            status,
            begun_us: now,
            start_us: now,
            status_us: now,
            pieces: 0,
            language,
            trimmed,
            answer: String::new(),
            held: String::new(),
            stopped: false,
        }
    }

    fn show(&mut self, text: &str) {
        let begins = self.trimmed && self.answer.trim_start().is_empty();
        let shown = if begins { text.trim_start() } else { text };
        self.console.write(&without_controls(shown));
        self.answer.push_str(text);
    }

    /// Shows what was held back.
    pub(super) fn finish(&mut self) {
        let held = core::mem::take(&mut self.held);
        if !self.stopped && !held.is_empty() {
            self.show(&held);
        }
    }
}

impl Sink for ConsoleSink<'_> {
    fn text(&mut self, text: &str) {
        self.pieces += 1;
        if self.stops.is_empty() {
            return self.show(text);
        }
        self.held.push_str(text);
        let found = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min();
        self.stopped = found.is_some();
        let shown = found.unwrap_or_else(|| safe(&self.held, self.stops));
        let rest = self.held.split_off(shown);
        let ready = core::mem::replace(&mut self.held, rest);
        self.show(&ready);
    }

    fn reading(&mut self, done: usize, of: usize) {
        let now = self.clock.micros();
        if done == 0 {
            self.begun_us = now;
        }
        if now - self.begun_us >= READING_US {
            self.status_us = now;
            let doing = text::READING.fill(self.language, &[&done, &of]);
            self.console.status(&Status { doing: Some(&doing), ..self.status });
        }
    }

    fn go_on(&mut self) -> bool {
        let now = self.clock.micros();
        if self.pieces == 0 {
            self.start_us = now;
        }
        if self.pieces > 0 && now - self.status_us >= STATUS_US {
            self.status_us = now;
            let rate = self.pieces as f64 * 1e6 / (now - self.start_us).max(1) as f64;
            let tokens_per_second = (self.pieces > 1).then_some(rate);
            let used = self.status.used + self.pieces;
            self.console.status(&Status { used, tokens_per_second, ..self.status });
        }
        !self.stopped && !self.console.interrupted()
    }
}

/// How many bytes of `text` cannot be the beginning of a stop text.
fn safe(text: &str, stops: &[String]) -> usize {
    let begins = |at: usize| stops.iter().any(|stop| stop.starts_with(&text[at..]));
    text.char_indices().map(|(at, _)| at).find(|&at| begins(at)).unwrap_or(text.len())
}

/// Text as a terminal should get it: what a model writes must not move the cursor or set colours.
#[must_use]
pub fn without_controls(text: &str) -> Cow<'_, str> {
    let unfit = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.contains(unfit) { text.replace(unfit, "").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;

    struct Still;

    impl Clock for Still {
        fn micros(&self) -> u64 {
            0
        }
    }

    #[derive(Default)]
    struct Page(String);

    impl Console for Page {
        fn write(&mut self, text: &str) {
            self.0.push_str(text);
        }

        fn progress(&mut self, _: &str, _: bool) {}

        fn key_within(&mut self, _: Option<u64>) -> Option<Key> {
            None
        }

        fn put_back(&mut self, _: Key) {}

        fn interrupted(&mut self) -> bool {
            false
        }
    }

    fn shown(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let stops: alloc::vec::Vec<String> = stops.iter().map(|&stop| stop.into()).collect();
        let status = Status {
            model: "",
            used: 0,
            context: 1,
            tokens_per_second: None,
            keyboard: "",
            doing: None,
        };
        let mut page = Page::default();
        let mut sink = ConsoleSink::new(&mut page, &Still, &stops, status, false, Language::En);
        for piece in pieces {
            sink.text(piece);
            if !sink.go_on() {
                break;
            }
        }
        sink.finish();
        let (answer, stopped) = (sink.answer.clone(), sink.stopped);
        assert_eq!(page.0, answer);
        (answer, stopped)
    }

    #[test]
    fn a_stop_text_ends_the_answer_wherever_pieces_break() {
        assert_eq!(shown(&["User:"], &["Hi", ".\nUs", "er", ": no"]), ("Hi.\n".into(), true));
        assert_eq!(shown(&["User:"], &["Hi. Use", "d Us"]), ("Hi. Used Us".into(), false));
        assert_eq!(shown(&["bc", "abcd"], &["xab", "cd"]), ("x".into(), true));
        assert_eq!(shown(&["é!"], &["l'é", "té!é", "!"]), ("l'ét".into(), true));
        assert_eq!(shown(&[], &["a", "b"]), ("ab".into(), false));
    }

    #[test]
    fn control_characters_go() {
        assert_eq!(without_controls("a\x1b[2Jb\tc\n\u{7}"), "a[2Jb\tc\n");
    }
}
