//! One input of the user: keys become a line, echoed as typed, with history, search, completion,
//! and several lines where `"""` opens or a `\` ends one.
//!
//! ```text
//! >>> """          the first line opens
//! ... a poem       and this one goes on
//! ... about rain""" until it closes
//! ```
//! Nothing is drawn but what a key changes, with text, blanks and steps back alone ([`Echo`]), so
//! the same code serves a screen and an append-only serial line.

mod echo;
mod history;
mod line;

pub use history::History;

use crate::console::{Console, Key, Style, write_styled};
use alloc::{string::String, vec::Vec};
use echo::Echo;
use line::Line;

/// How an input came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A line, and how many characters were left out because it was too long.
    Line(String, usize),
    /// A text between fences, likewise: never a command.
    Block(String, usize),
    /// Ctrl-C: the line is thrown away.
    Cancelled,
    /// The input is over.
    EndOfInput,
}

/// Characters beyond this are not taken in; a prompt that long fits no context.
pub(crate) const MAX_CHARS: usize = 64 * 1024;

/// What is written before an input, and before its further lines.
const PROMPT: &str = ">>> ";
const CONTINUED: &str = "... ";
/// Opens and closes a text of several lines.
const FENCE: &str = "\"\"\"";

/// What can stand in place of the last word of a line: where that begins, in characters, and the
/// texts.
pub(crate) type Completions = (usize, Vec<String>);

/// Reads an input that begins as `draft`. `complete` is given the line up to the cursor.
pub fn read_input(
    console: &mut dyn Console,
    history: &mut History,
    draft: &str,
    complete: &mut dyn FnMut(&str) -> Completions,
) -> Input {
    let (mut text, mut left_out, mut fenced) = (String::new(), 0, false);
    let (mut prompt, mut draft) = (PROMPT, draft);
    loop {
        let room = MAX_CHARS.saturating_sub(text.chars().count());
        // There is always room to close.
        let line_room = room.max(FENCE.len());
        let (line, lost) =
            match Reader::new(history, prompt, draft, line_room, complete).run(console) {
                Input::Line(line, lost) => (line, lost),
                Input::EndOfInput if prompt == CONTINUED => break,
                other => return other,
            };
        left_out += lost;
        let opening = line.trim_start().strip_prefix(FENCE).filter(|_| prompt == PROMPT);
        fenced |= opening.is_some();
        let line = opening.unwrap_or(&line);
        if line.chars().count() <= room || line.trim_end().ends_with(FENCE) {
            text.push_str(line);
        } else {
            left_out += line.chars().count();
        }
        let end =
            if fenced { text.trim_end().strip_suffix(FENCE) } else { text.strip_suffix('\\') };
        let end = end.map(str::len);
        match end {
            Some(end) if fenced => {
                text.truncate(end);
                break;
            }
            Some(end) => text.truncate(end),
            None if fenced => {}
            None => break,
        }
        if room > 0 {
            text.push('\n');
        }
        (prompt, draft) = (CONTINUED, "");
    }
    if fenced {
        text = text.trim_matches('\n').into();
    }
    history.push(&text);
    if fenced { Input::Block(text, left_out) } else { Input::Line(text, left_out) }
}

/// One line being read.
struct Reader<'r> {
    history: &'r mut History,
    prompt: &'static str,
    line: Line,
    echo: Echo,
    room: usize,
    left_out: usize,
    /// Where in the history we are, and what stood here before.
    recalled: Option<(usize, Line)>,
    search: Option<Search>,
    cycle: Option<Cycle>,
    complete: &'r mut dyn FnMut(&str) -> Completions,
}

/// Ctrl-R: what is looked for, and where in the history it was found.
struct Search {
    wanted: String,
    found: Option<usize>,
    before: Line,
}

/// Completions that Tab goes through.
struct Cycle {
    start: usize,
    texts: Vec<String>,
    next: usize,
}

impl<'r> Reader<'r> {
    fn new(
        history: &'r mut History,
        prompt: &'static str,
        draft: &str,
        room: usize,
        complete: &'r mut dyn FnMut(&str) -> Completions,
    ) -> Self {
        let (line, echo) = (Line::from(draft), Echo::default());
        Self {
            history,
            prompt,
            line,
            echo,
            room,
            left_out: 0,
            recalled: None,
            search: None,
            cycle: None,
            complete,
        }
    }

    fn run(&mut self, console: &mut dyn Console) -> Input {
        write_styled(console, Style::Prompt, self.prompt);
        console.style(Style::Input);
        self.show(console);
        let input = loop {
            let key = console.read_key();
            if let Some(input) = self.key(console, key) {
                break input;
            }
        };
        console.style(Style::Text);
        console.write("\n");
        input
    }

    fn show(&mut self, console: &mut dyn Console) {
        match &self.search {
            None => self.echo.show(console, self.line.chars(), self.line.at()),
            Some(search) => {
                let found = search.found.map_or("", |index| self.history.get(index));
                let shown: Vec<char> =
                    alloc::format!("[{}] {found}", search.wanted).chars().collect();
                self.echo.show(console, &shown, shown.len());
            }
        }
    }

    fn key(&mut self, console: &mut dyn Console, key: Key) -> Option<Input> {
        if self.search.is_some() && self.search_key(console, key) {
            return None;
        }
        if key != Key::Tab {
            self.cycle = None;
        }
        match key {
            Key::Interrupt => return Some(Input::Cancelled),
            Key::EndOfInput if self.line.is_empty() => return Some(Input::EndOfInput),
            // An input that ends in mid-line ends that line first.
            Key::Enter | Key::EndOfInput => {
                self.line.end();
                self.show(console);
                return Some(Input::Line(self.line.text(), self.left_out));
            }
            Key::Char(c) if c == '\n' || !c.is_control() => {
                if self.line.len() < self.room {
                    self.line.insert(c);
                } else {
                    self.left_out += 1;
                    return None;
                }
                if self.line.at() == self.line.len() {
                    self.echo.append(console, c);
                    return None;
                }
            }
            Key::Backspace => self.line.backspace(),
            Key::Delete => self.line.delete(),
            Key::Left | Key::Ctrl('b') => self.line.left(),
            Key::Right | Key::Ctrl('f') => self.line.right(),
            Key::Home | Key::Ctrl('a') => self.line.home(),
            Key::End | Key::Ctrl('e') => self.line.end(),
            Key::Alt('b') => self.line.word_left(),
            Key::Alt('f') => self.line.word_right(),
            Key::Ctrl('k') => self.line.kill_to_end(),
            Key::Ctrl('u') => self.line.kill_to_start(),
            Key::Ctrl('w') => self.line.kill_word(),
            Key::Ctrl('y') => self.line.yank(self.room),
            Key::Up | Key::Ctrl('p') => self.recall(-1),
            Key::Down | Key::Ctrl('n') => self.recall(1),
            Key::Ctrl('r') => {
                let before = self.line.clone();
                self.search = Some(Search { wanted: String::new(), found: None, before });
            }
            Key::Ctrl('l') if console.clear() => {
                self.echo = Echo::default();
                write_styled(console, Style::Prompt, self.prompt);
                console.style(Style::Input);
            }
            Key::Tab => self.tab(),
            _ => return None,
        }
        self.show(console);
        None
    }

    /// Goes `by` inputs on in the history; behind the latest stands what was being typed.
    fn recall(&mut self, by: isize) {
        let len = self.history.len();
        let from = self.recalled.as_ref().map_or(len, |(index, _)| *index);
        let Some(to) = from.checked_add_signed(by).filter(|&to| to <= len && to != from) else {
            return;
        };
        let draft = self.recalled.take().map_or_else(|| self.line.clone(), |(_, draft)| draft);
        if to == len {
            self.line = draft;
        } else {
            self.line = Line::from(self.history.get(to));
            self.recalled = Some((to, draft));
        }
    }

    /// Whether the search has used the key up; otherwise it has ended with what it found.
    fn search_key(&mut self, console: &mut dyn Console, key: Key) -> bool {
        let Some(search) = &mut self.search else { return false };
        match key {
            Key::Char(c) if !c.is_control() => {
                search.wanted.push(c);
                search.found = self.history.find(&search.wanted, self.history.len());
            }
            Key::Backspace => {
                search.wanted.pop();
                search.found = self.history.find(&search.wanted, self.history.len());
            }
            Key::Ctrl('r') => {
                let before = search.found.unwrap_or(self.history.len());
                search.found = self.history.find(&search.wanted, before).or(search.found);
            }
            Key::Escape | Key::Interrupt => {
                self.line = core::mem::take(&mut search.before);
                self.search = None;
            }
            _ => {
                if let Some(index) = search.found {
                    self.line = Line::from(self.history.get(index));
                }
                self.search = None;
                self.show(console);
                return false;
            }
        }
        self.show(console);
        true
    }

    /// First as far as all completions agree, then one after the other.
    fn tab(&mut self) {
        if let Some(cycle) = &mut self.cycle {
            self.line.replace(cycle.start, &cycle.texts[cycle.next]);
            cycle.next = (cycle.next + 1) % cycle.texts.len();
            return;
        }
        let (start, texts) = (self.complete)(&self.line.before());
        let typed = self.line.at() - start.min(self.line.at());
        match texts.as_slice() {
            [] => {}
            [only] => self.line.replace(start, &alloc::format!("{only} ")),
            [first, others @ ..] => {
                let agreed =
                    others.iter().fold(first.as_str(), |agreed, text| common(agreed, text));
                if agreed.chars().count() > typed {
                    self.line.replace(start, agreed);
                } else {
                    self.line.replace(start, first);
                    self.cycle = Some(Cycle { start, texts, next: 1 });
                }
            }
        }
    }
}

/// The beginning that two texts share.
fn common<'t>(a: &'t str, b: &str) -> &'t str {
    let end = a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y).map(|((at, _), _)| at);
    &a[..end.unwrap_or(a.len().min(b.len()))]
}

#[cfg(test)]
mod tests;
