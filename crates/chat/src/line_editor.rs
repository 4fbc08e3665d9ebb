//! One line of input, echoed as typed. Nothing is redrawn but what an edit in mid-line moves, so
//! the same code serves a screen and an append-only serial line.

use crate::{Console, Key};
use alloc::{string::String, vec::Vec};

/// How a line came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineEnd {
    /// Enter.
    Line(String),
    /// Ctrl-C: the line is thrown away.
    Cancelled,
    /// The input is over.
    EndOfInput,
}

/// Characters beyond this are not taken in; a prompt that long fits no context.
const MAX_CHARS: usize = 64 * 1024;

/// Reads a line; the prompt has been written already.
pub fn read_line(console: &mut dyn Console) -> LineEnd {
    let mut line: Vec<char> = Vec::new();
    let mut at = 0;
    loop {
        match console.read_key() {
            Key::Interrupt => {
                console.write("\n");
                return LineEnd::Cancelled;
            }
            Key::EndOfInput if line.is_empty() => {
                console.write("\n");
                return LineEnd::EndOfInput;
            }
            // An input that ends in mid-line ends that line first.
            Key::Enter | Key::EndOfInput => {
                console.write("\n");
                return LineEnd::Line(line.into_iter().collect());
            }
            Key::Char(c) if line.len() < MAX_CHARS && !c.is_control() => {
                line.insert(at, c);
                at += 1;
                console.write(c.encode_utf8(&mut [0; 4]));
                write_tail(console, &line[at..], 0);
            }
            Key::Backspace if at > 0 => {
                at -= 1;
                line.remove(at);
                console.write("\u{8}");
                write_tail(console, &line[at..], 1);
            }
            Key::Delete if at < line.len() => {
                line.remove(at);
                write_tail(console, &line[at..], 1);
            }
            Key::Left if at > 0 => {
                at -= 1;
                console.write("\u{8}");
            }
            Key::Right if at < line.len() => {
                console.write(line[at].encode_utf8(&mut [0; 4]));
                at += 1;
            }
            Key::Home => back(console, core::mem::take(&mut at)),
            Key::End => {
                console.write(&line[at..].iter().collect::<String>());
                at = line.len();
            }
            _ => {}
        }
    }
}

/// Writes what stands behind the cursor, `blanks` blanks over what stood there before, and goes
/// back to where it began.
fn write_tail(console: &mut dyn Console, tail: &[char], blanks: usize) {
    if tail.is_empty() && blanks == 0 {
        return;
    }
    let text: String = tail.iter().copied().chain(core::iter::repeat_n(' ', blanks)).collect();
    console.write(&text);
    back(console, tail.len() + blanks);
}

fn back(console: &mut dyn Console, chars: usize) {
    console.write(&"\u{8}".repeat(chars));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyDecoder;
    use alloc::collections::VecDeque;
    use alloc::string::ToString;
    use proptest::prelude::*;

    /// A one-line terminal that remembers what is on it.
    #[derive(Default)]
    struct Terminal {
        keys: VecDeque<Key>,
        cells: Vec<char>,
        column: usize,
    }

    impl Console for Terminal {
        fn write(&mut self, text: &str) {
            for c in text.chars() {
                match c {
                    '\u{8}' => self.column = self.column.checked_sub(1).expect("inside the line"),
                    '\n' => {}
                    c => {
                        self.cells.resize(self.cells.len().max(self.column + 1), ' ');
                        self.cells[self.column] = c;
                        self.column += 1;
                    }
                }
            }
        }

        fn progress(&mut self, _: &str, _: bool) {}

        fn read_key(&mut self) -> Key {
            self.keys.pop_front().unwrap_or(Key::Enter)
        }

        fn interrupted(&mut self) -> bool {
            false
        }
    }

    fn type_in(keys: impl IntoIterator<Item = Key>) -> (LineEnd, String) {
        let mut terminal = Terminal { keys: keys.into_iter().collect(), ..Terminal::default() };
        let end = read_line(&mut terminal);
        (end, terminal.cells.iter().collect::<String>().trim_end().to_string())
    }

    fn type_bytes(bytes: &[u8]) -> (LineEnd, String) {
        let mut decoder = KeyDecoder::default();
        type_in(bytes.iter().filter_map(|&b| decoder.push(b)).collect::<Vec<_>>())
    }

    fn line(text: &str) -> LineEnd {
        LineEnd::Line(text.to_string())
    }

    #[test]
    fn edits_in_the_middle_show_what_is_there() {
        assert_eq!(type_bytes(b"helo\x1b[Dl\r"), (line("hello"), "hello".to_string()));
        assert_eq!(type_bytes(b"xhello\x01\x1b[3~\x05!\r"), (line("hello!"), "hello!".to_string()));
        assert_eq!(type_bytes("étë\x7fé\r".as_bytes()), (line("été"), "été".to_string()));
    }

    #[test]
    fn interrupt_and_end_of_input() {
        assert_eq!(type_bytes(b"abc\x03").0, LineEnd::Cancelled);
        assert_eq!(type_bytes(b"\x04").0, LineEnd::EndOfInput);
        assert_eq!(type_bytes(b"a\x04\r").0, line("a"));
    }

    proptest! {
        /// Whatever is typed, the terminal shows the line that is returned.
        #[test]
        fn the_terminal_shows_the_line(choices in prop::collection::vec(0..9_u8, 0..60)) {
            let keys = choices.into_iter().zip(('a'..='z').cycle()).map(|(choice, c)| match choice {
                0 => Key::Backspace,
                1 => Key::Delete,
                2 => Key::Left,
                3 => Key::Right,
                4 => Key::Home,
                5 => Key::End,
                _ => Key::Char(c),
            });
            let (end, shown) = type_in(keys.collect::<Vec<_>>());
            prop_assert_eq!(end, line(&shown));
        }
    }
}
