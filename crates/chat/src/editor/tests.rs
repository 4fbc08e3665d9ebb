//! What is typed, what comes of it, and what the terminal shows of it meanwhile.

use super::*;
use crate::KeyDecoder;
use alloc::collections::VecDeque;
use alloc::string::ToString;
use alloc::{format, vec};
use proptest::prelude::*;

/// A terminal that remembers what stands on each of its lines.
struct Terminal {
    keys: VecDeque<Key>,
    lines: Vec<Vec<char>>,
    column: usize,
    written: usize,
}

impl Terminal {
    fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        let keys = keys.into_iter().collect();
        Self { keys, lines: vec![vec![]], column: 0, written: 0 }
    }

    fn line(&self, index: usize) -> String {
        self.lines[index].iter().collect::<String>().trim_end().to_string()
    }
}

impl Console for Terminal {
    fn write(&mut self, text: &str) {
        self.written += text.len();
        for c in text.chars() {
            match c {
                '\u{8}' => self.column = self.column.checked_sub(1).expect("inside the line"),
                '\n' => {
                    self.lines.push(vec![]);
                    self.column = 0;
                }
                c => {
                    let line = self.lines.last_mut().unwrap();
                    line.resize(line.len().max(self.column + 1), ' ');
                    line[self.column] = c;
                    self.column += 1;
                }
            }
        }
    }

    fn progress(&mut self, _: &str, _: bool) {}

    fn key_within(&mut self, _: Option<u64>) -> Option<Key> {
        Some(self.keys.pop_front().unwrap_or(Key::Enter))
    }

    fn put_back(&mut self, key: Key) {
        self.keys.push_front(key);
    }

    fn interrupted(&mut self) -> bool {
        false
    }
}

fn nothing(_: &str) -> Completions {
    (0, vec![])
}

fn keys(bytes: &[u8]) -> Vec<Key> {
    let mut decoder = KeyDecoder::default();
    bytes.iter().filter_map(|&b| decoder.push(b)).collect()
}

fn type_in(keys: impl IntoIterator<Item = Key>) -> (Input, Terminal) {
    type_with(keys, &mut History::default(), &mut nothing)
}

fn type_with(
    keys: impl IntoIterator<Item = Key>,
    history: &mut History,
    complete: &mut dyn FnMut(&str) -> Completions,
) -> (Input, Terminal) {
    let mut terminal = Terminal::new(keys);
    let input = read_input(&mut terminal, history, "", complete);
    (input, terminal)
}

/// What comes of typing these bytes, and what stands on the first line behind the prompt.
fn typed(bytes: &[u8]) -> (Input, String) {
    let (input, terminal) = type_in(keys(bytes));
    (input, terminal.line(0)[4..].to_string())
}

fn text(text: &str) -> Input {
    Input::Line(text.to_string(), 0)
}

fn block(text: &str) -> Input {
    Input::Block(text.to_string(), 0)
}

#[test]
fn edits_in_the_middle_show_what_is_there() {
    assert_eq!(typed(b"helo\x1b[Dl\r"), (text("hello"), "hello".to_string()));
    assert_eq!(typed(b"xhello\x01\x1b[3~\x05!\r"), (text("hello!"), "hello!".to_string()));
    assert_eq!(typed("étë\x7fé\r".as_bytes()), (text("été"), "été".to_string()));
}

#[test]
fn words_and_line_ends_are_cut_and_put_back() {
    assert_eq!(typed(b"one two three\x17four\r").0, text("one two four"));
    assert_eq!(typed(b"one two\x1bb\x0bx\r").0, text("one x"));
    assert_eq!(typed(b"one two\x1bb\x15x\r").0, text("xtwo"));
    assert_eq!(typed(b"one two\x1bb\x0b\x01\x19 \r").0, text("two one "));
    assert_eq!(typed(b"one two\x01\x1bf!\r").0, text("one! two"));
    assert_eq!(typed(b"ab\x02\x02\x06c\r").0, text("acb"));
}

#[test]
fn interrupt_and_end_of_input() {
    assert_eq!(typed(b"abc\x03").0, Input::Cancelled);
    assert_eq!(type_in(keys(b"\x04")).0, Input::EndOfInput);
    assert_eq!(typed(b"a\x04\r").0, text("a"));
}

#[test]
fn several_lines_are_one_input() {
    let (input, terminal) = type_in(keys(b"\"\"\"\rA poem\rabout rain\"\"\"\r"));
    assert_eq!(input, block("A poem\nabout rain"));
    assert_eq!(terminal.line(1), "... A poem");
    assert_eq!(type_in(keys(b"one \\\rtwo\r")).0, text("one \ntwo"));
    assert_eq!(type_in(keys(b"\"\"\"all at once\"\"\"\r")).0, block("all at once"));
    assert_eq!(type_in(keys(b"\"\"\"never closed\x03")).0, Input::Cancelled);
    assert_eq!(type_in(keys(b"\x1b[200~a\nb\x1b[201~\r")).0, text("a\nb"));
}

#[test]
fn up_and_down_go_through_the_history_and_back() {
    let mut history = History::default();
    ["first", "second", "second", " ", "third"].into_iter().for_each(|line| history.push(line));
    let mut typed = |bytes: &[u8]| type_with(keys(bytes), &mut history, &mut nothing).0;
    assert_eq!(typed(b"\x1b[A\r"), text("third"));
    assert_eq!(typed(b"dra\x1b[A\x1b[A\x1b[B\x1b[Bft\r"), text("draft"));
    assert_eq!(typed(b"\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A!\r"), text("first!"));
}

#[test]
fn ctrl_r_searches_backwards() {
    let mut history = History::default();
    ["rain in Spain", "sun", "rain in Rome"].into_iter().for_each(|line| history.push(line));
    let mut typed = |bytes: &[u8]| {
        let (input, terminal) = type_with(keys(bytes), &mut history, &mut nothing);
        (input, terminal.line(0))
    };
    assert_eq!(typed(b"\x12rain\r"), (text("rain in Rome"), ">>> rain in Rome".to_string()));
    assert_eq!(typed(b"\x12rain\x12\r").0, text("rain in Spain"));
    assert_eq!(typed(b"\x12sun\x05!\r").0, text("sun!"));
    let mut escaped = keys(b"kept\x12sun");
    escaped.extend([Key::Escape, Key::Enter]);
    let (input, terminal) = type_with(escaped, &mut history, &mut nothing);
    assert_eq!((input, terminal.line(0)), (text("kept"), ">>> kept".to_string()));
}

#[test]
fn tab_completes_and_then_goes_round() {
    let mut complete = |before: &str| {
        let words = ["reboot", "regen", "read"].into_iter().filter(|w| w.starts_with(before));
        (0, words.map(String::from).collect())
    };
    let mut typed = |bytes: &[u8]| type_with(keys(bytes), &mut History::default(), &mut complete).0;
    assert_eq!(typed(b"reb\t\r"), text("reboot "));
    assert_eq!(typed(b"r\tg\t\r"), text("regen "));
    assert_eq!(typed(b"re\t\t\r"), text("regen"));
    assert_eq!(typed(b"x\t\r"), text("x"));
}

/// A megabyte pasted into one line: the line is cut, the rest is counted, and it is quick.
#[test]
fn a_paste_that_is_too_long_is_cut() {
    let (input, terminal) = type_in(keys(&vec![b'x'; 1 << 20]));
    let Input::Line(line, left_out) = input else { panic!("a line") };
    assert_eq!((line.len(), left_out), (MAX_CHARS, (1 << 20) - MAX_CHARS));
    assert!(terminal.written < 2 * MAX_CHARS);
}

/// A fenced text that is too long can still be closed.
#[test]
fn a_fence_closes_whatever_stands_in_it() {
    let lines = "x".repeat(1000) + "\r";
    let typed = format!("\"\"\"{}\"\"\"\r", lines.repeat(70));
    let (input, _) = type_in(keys(typed.as_bytes()));
    let Input::Block(text, left_out) = input else { panic!("a block") };
    assert!(text.chars().count() <= MAX_CHARS && left_out > 4000, "{left_out}");
}

proptest! {
    /// Whatever is typed, the terminal shows the line that is returned.
    #[test]
    fn the_terminal_shows_the_line(choices in prop::collection::vec(0..16_u8, 0..60)) {
        let keys = choices.into_iter().zip(('a'..='z').cycle()).map(|(choice, c)| match choice {
            0 => Key::Backspace,
            1 => Key::Delete,
            2 => Key::Left,
            3 => Key::Right,
            4 => Key::Home,
            5 => Key::End,
            6 => Key::Alt('b'),
            7 => Key::Ctrl('w'),
            8 => Key::Ctrl('k'),
            9 => Key::Ctrl('y'),
            10 => Key::Char(' '),
            _ => Key::Char(c),
        });
        let (input, terminal) = type_in(keys);
        let Input::Line(line, 0) = input else { panic!("{input:?}") };
        let shown = format!(">>> {line}");
        prop_assert_eq!(shown.trim_end(), terminal.line(0));
    }
}
