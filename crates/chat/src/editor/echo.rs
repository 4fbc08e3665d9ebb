//! What stands on the console behind the prompt, and the fewest characters that change it: text,
//! blanks, and steps back.

use crate::Console;
use alloc::{string::String, vec::Vec};

/// The characters shown, and where among them the cursor is.
#[derive(Debug, Default)]
pub(super) struct Echo {
    cells: Vec<char>,
    at: usize,
}

impl Echo {
    /// Writes one more character at the end.
    pub(super) fn append(&mut self, console: &mut dyn Console, c: char) {
        let c = visible(c);
        self.cells.push(c);
        self.at += 1;
        console.write(c.encode_utf8(&mut [0; 4]));
    }

    /// Makes the console show `wanted`, with the cursor before its character `at`.
    pub(super) fn show(&mut self, console: &mut dyn Console, wanted: &[char], at: usize) {
        let wanted = wanted.iter().map(|&c| visible(c));
        let same = self.cells.iter().zip(wanted.clone()).take_while(|(a, b)| **a == *b).count();
        let mut out = String::new();
        if (self.cells.len(), wanted.len()) != (same, same) {
            self.go(same, &mut out);
            let blanks = self.cells.len().saturating_sub(wanted.len());
            self.cells.truncate(same);
            self.cells.extend(wanted.skip(same));
            out.extend(&self.cells[same..]);
            out.extend(core::iter::repeat_n(' ', blanks));
            out.extend(core::iter::repeat_n('\u{8}', blanks));
            self.at = self.cells.len();
        }
        self.go(at, &mut out);
        if !out.is_empty() {
            console.write(&out);
        }
    }

    /// Moves the cursor: steps back, or the characters passed over once more.
    fn go(&mut self, to: usize, out: &mut String) {
        if to < self.at {
            out.extend(core::iter::repeat_n('\u{8}', self.at - to));
        } else {
            out.extend(&self.cells[self.at..to]);
        }
        self.at = to;
    }
}

/// A line end inside an input takes one cell, as every other character.
fn visible(c: char) -> char {
    if c == '\n' { '↵' } else { c }
}
