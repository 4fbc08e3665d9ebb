//! Text as logical lines, each broken into rows between words. The cursor lives in the last line;
//! a step back is one cell, whatever row that is in, so nothing depends on where rows broke.
//!
//! ```text
//! line:   The quick brown fox jumps|         starts: 0, 10
//! rows:   The quick·                         the blank at a break hangs behind its row
//!         brown fox
//! ```

use crate::Style;
use alloc::{collections::VecDeque, vec, vec::Vec};

/// A character and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) c: char,
    pub(crate) style: Style,
}

/// Cells kept to scroll back to; the oldest lines go first.
const MAX_CELLS: usize = 1 << 18;

/// One logical line.
#[derive(Debug)]
struct Line {
    cells: Vec<Cell>,
    /// Where each row begins; the first is 0.
    starts: Vec<usize>,
}

impl Line {
    fn new() -> Self {
        Self { cells: Vec::new(), starts: vec![0] }
    }

    /// Breaks again what a change at cell `from` can affect: its row, and the one before, which
    /// may now have room for a shortened word.
    fn wrap(&mut self, from: usize, columns: usize, words: bool) {
        let row = self.starts.partition_point(|&start| start <= from).saturating_sub(2);
        self.starts.truncate(row + 1);
        let mut start = self.starts[row];
        while self.cells.len() - start > columns {
            let rest = &self.cells[start..];
            let full = &rest[..columns];
            let blank = |cell: &Cell| cell.c == ' ';
            start += if !words {
                columns
            } else if blank(&rest[columns]) {
                columns + 1
            } else {
                full.iter().rposition(blank).map_or(columns, |at| at + 1)
            };
            self.starts.push(start);
        }
    }

    /// The cells of a row, at most `columns` of them.
    fn row(&self, row: usize, columns: usize) -> &[Cell] {
        let start = self.starts[row];
        let end = self.starts.get(row + 1).copied().unwrap_or(self.cells.len());
        &self.cells[start..end.min(start + columns)]
    }
}

/// Everything written, and where the cursor is.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: VecDeque<Line>,
    columns: usize,
    words: bool,
    /// Cell of the last line that the next character goes to.
    at: usize,
    cells: usize,
}

impl Lines {
    /// Nothing, in rows of `columns` cells.
    pub(crate) fn new(columns: usize) -> Self {
        Self { lines: VecDeque::from([Line::new()]), columns, words: true, at: 0, cells: 0 }
    }

    /// Writes text: `\n` begins a line, `\u{8}` steps back, other control characters are nothing.
    pub(crate) fn write(&mut self, text: &str, style: Style) {
        let mut changed = self.at;
        for c in text.chars() {
            match c {
                '\n' => {
                    self.rewrap(changed);
                    self.new_line();
                    changed = 0;
                }
                '\u{8}' => self.at = self.at.saturating_sub(1),
                '\t' => self.put(Cell { c: ' ', style }, &mut changed),
                c if c.is_control() => {}
                c => self.put(Cell { c, style }, &mut changed),
            }
        }
        self.rewrap(changed);
    }

    /// Puts `text` in place of the last line.
    pub(crate) fn replace_line(&mut self, text: &str, style: Style) {
        let line = self.last();
        let len = core::mem::take(&mut line.cells).len();
        self.cells -= len;
        self.at = 0;
        self.rewrap(0);
        self.write(text, style);
    }

    /// Breaks between words, or wherever a row is full.
    pub(crate) fn set_words(&mut self, words: bool) {
        self.words = words;
        for line in &mut self.lines {
            line.wrap(0, self.columns, words);
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self { words: self.words, ..Self::new(self.columns) };
    }

    /// All rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.lines.iter().map(|line| line.starts.len()).sum()
    }

    /// Column of the cursor, and how many rows above the last one it is.
    pub(crate) fn cursor(&self) -> (usize, usize) {
        let Some(line) = self.lines.back() else { return (0, 0) };
        let row = line.starts.partition_point(|&start| start <= self.at).saturating_sub(1);
        let column = (self.at - line.starts[row]).min(self.columns - 1);
        (column, line.starts.len() - 1 - row)
    }

    /// Calls `show(i, cells)` for the `count` rows that end `skip` rows above the last one, `i`
    /// counting from the lowest.
    pub(crate) fn rows_from_below(
        &self,
        skip: usize,
        count: usize,
        mut show: impl FnMut(usize, &[Cell]),
    ) {
        let rows = self.lines.iter().rev().flat_map(|line| {
            (0..line.starts.len()).rev().map(move |row| line.row(row, self.columns))
        });
        for (i, cells) in rows.skip(skip).take(count).enumerate() {
            show(i, cells);
        }
    }

    fn last(&mut self) -> &mut Line {
        if self.lines.is_empty() {
            self.lines.push_back(Line::new());
        }
        let last = self.lines.len() - 1;
        &mut self.lines[last]
    }

    fn put(&mut self, cell: Cell, changed: &mut usize) {
        let at = self.at;
        *changed = (*changed).min(at);
        let line = self.last();
        if at < line.cells.len() {
            line.cells[at] = cell;
        } else {
            line.cells.push(cell);
            self.cells += 1;
        }
        self.at += 1;
    }

    fn rewrap(&mut self, changed: usize) {
        let (columns, words) = (self.columns, self.words);
        self.last().wrap(changed, columns, words);
    }

    fn new_line(&mut self) {
        self.lines.push_back(Line::new());
        self.at = 0;
        // An empty line is something to keep, too.
        while self.cells + self.lines.len() > MAX_CELLS && self.lines.len() > 1 {
            let gone = self.lines.pop_front().map_or(0, |line| line.cells.len());
            self.cells -= gone;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use proptest::prelude::*;

    fn rows(lines: &Lines) -> Vec<String> {
        let mut out = Vec::new();
        lines.rows_from_below(0, usize::MAX, |_, cells| {
            out.push(cells.iter().map(|cell| cell.c).collect::<String>());
        });
        out.reverse();
        out
    }

    fn written(columns: usize, text: &str) -> Lines {
        let mut lines = Lines::new(columns);
        lines.write(text, Style::Text);
        lines
    }

    #[test]
    fn rows_break_between_words() {
        let lines = written(10, "The quick brown fox\n\njumps");
        assert_eq!(rows(&lines), ["The quick ", "brown fox", "", "jumps"]);
        assert_eq!(rows(&written(9, "The quick brown")), ["The quick", "brown"]);
        assert_eq!(rows(&written(4, "abcdefghij k")), ["abcd", "efgh", "ij k"]);
        let mut hard = Lines::new(4);
        hard.set_words(false);
        hard.write("ab cdefg", Style::Text);
        assert_eq!(rows(&hard), ["ab c", "defg"]);
    }

    #[test]
    fn the_cursor_steps_back_over_a_break() {
        let mut lines = written(10, "The quick brown");
        assert_eq!(lines.cursor(), (5, 0));
        lines.write("\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}", Style::Text);
        assert_eq!(lines.cursor(), (9, 1));
        lines.write("\u{8}!", Style::Text);
        assert_eq!(rows(&lines), ["The quic! ", "brown"]);
        assert_eq!(lines.cursor(), (9, 1));
    }

    #[test]
    fn old_lines_go() {
        let mut lines = Lines::new(80);
        for _ in 0..20_000 {
            lines.write("forty characters of text, more or less.\n", Style::Text);
        }
        assert!(lines.cells <= MAX_CELLS + 80);
        assert!(lines.rows() < 7000);
    }

    /// Rows of a text broken afresh, by the rule in plain words: take words while they fit.
    fn expected(text: &str, columns: usize) -> Vec<String> {
        let mut out = vec![];
        for line in text.split('\n') {
            let mut rest: Vec<char> = line.chars().collect();
            while rest.len() > columns {
                let fits = |at: &usize| rest[*at] == ' ';
                let at = (0..=columns).rev().find(fits).map_or(columns, |at| at + 1);
                let tail = rest.split_off(at);
                rest.truncate(columns);
                out.push(rest.iter().collect());
                rest = tail;
            }
            out.push(rest.iter().collect::<String>().to_string());
        }
        out
    }

    proptest! {
        /// However a text came to be (in pieces, with steps back and corrections), its rows are
        /// those of the text that stands there.
        #[test]
        fn rows_depend_on_the_text_alone(
            pieces in prop::collection::vec("([ab ]{0,9}|\u{8}{1,7}[ab ]{0,3}|\n)", 0..40),
            columns in 3..12_usize,
        ) {
            let mut lines = Lines::new(columns);
            let mut text: Vec<char> = vec![];
            let (mut start, mut at) = (0, 0);
            for piece in pieces {
                lines.write(&piece, Style::Text);
                for c in piece.chars() {
                    match c {
                        '\u{8}' => at = at.max(start + 1) - 1,
                        '\n' => {
                            text.push(c);
                            start = text.len();
                            at = start;
                        }
                        c => {
                            if at < text.len() { text[at] = c } else { text.push(c) }
                            at += 1;
                        }
                    }
                }
            }
            let text: String = text.into_iter().collect();
            prop_assert_eq!(rows(&lines), expected(&text, columns));
        }
    }
}
