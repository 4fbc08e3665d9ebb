//! Text on the firmware's console, wrapped between words, with nothing that firmware chokes on:
//! it knows UCS-2 only, and its last column may or may not wrap by itself, so it is never used.

use alloc::vec::Vec;
use uefi::proto::console::text::Output;
use uefi::{CStr16, system};

/// Shown for characters that firmware's text has no code for.
const REPLACEMENT: u16 = b'?' as u16;

/// The console, and where on it we are.
pub(crate) struct TextScreen {
    columns: usize,
    rows: usize,
    column: usize,
    /// Characters of the word at the cursor.
    word: Vec<u16>,
    /// For each soft line break of this line: its width, so that a step back can return there.
    breaks: Vec<usize>,
    out: Vec<u16>,
}

/// Sets the largest text mode that can still be read: firmware's letters are small, and on a
/// high-resolution screen its widest mode is for magnifying glasses.
fn choose_mode(out: &mut Output) {
    const MAX_COLUMNS: usize = 160;
    let fits = out.modes().filter(|mode| mode.columns() <= MAX_COLUMNS);
    if let Some(mode) = fits.max_by_key(|mode| mode.columns() * mode.rows()) {
        // Where it cannot be set, the mode in force serves.
        let _ = out.set_mode(mode);
    }
}

impl TextScreen {
    /// Clears the screen.
    pub(crate) fn open() -> Self {
        let (columns, rows) = system::with_stdout(|out| {
            choose_mode(out);
            let _ = out.clear();
            let _ = out.enable_cursor(true);
            let mode = out.current_mode().ok().flatten();
            mode.map_or((80, 25), |mode| (mode.columns(), mode.rows()))
        });
        let columns = columns.clamp(20, 1000);
        let (word, breaks, out) = (Vec::new(), Vec::new(), Vec::new());
        Self { columns, rows, column: 0, word, breaks, out }
    }

    /// Columns that are used, and rows.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.columns - 1, self.rows)
    }

    /// Writes text.
    pub(crate) fn write(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '\n' => self.hard_break(),
                '\u{8}' => self.step_back(),
                c if c.is_control() => {}
                c => self.put(u16::try_from(u32::from(c)).unwrap_or(REPLACEMENT)),
            }
        }
        self.flush();
    }

    /// Replaces the current line.
    pub(crate) fn progress(&mut self, line: &str, last: bool) {
        let width = self.columns - 1;
        self.out.push(b'\r'.into());
        let text: Vec<u16> = line.encode_utf16().take(width).collect();
        self.out.extend(text.iter().copied().chain(core::iter::repeat(b' '.into())).take(width));
        (self.column, self.word) = (width, Vec::new());
        if last {
            self.hard_break();
        }
        self.flush();
    }

    fn put(&mut self, unit: u16) {
        let space = unit == b' '.into();
        if self.column == self.columns - 1 {
            if space {
                // The break stands for the blank, which counts as a cell of its line.
                self.soft_break(self.column + 1);
                self.word.clear();
                return;
            }
            self.wrap_word();
        }
        self.out.push(unit);
        self.column += 1;
        if space { self.word.clear() } else { self.word.push(unit) }
    }

    /// Moves the word at the cursor to the next line, or breaks it where it fills the line.
    fn wrap_word(&mut self) {
        let len = self.word.len();
        if len >= self.column {
            self.word.clear();
            return self.soft_break(self.column);
        }
        for unit in [8_u16, b' '.into(), 8] {
            self.out.extend(core::iter::repeat_n(unit, len));
        }
        self.soft_break(self.column - len);
        self.out.extend_from_slice(&self.word);
        self.column = len;
    }

    fn soft_break(&mut self, width: usize) {
        self.out.extend([u16::from(b'\r'), u16::from(b'\n')]);
        self.breaks.push(width);
        self.column = 0;
    }

    fn hard_break(&mut self) {
        self.out.extend([u16::from(b'\r'), u16::from(b'\n')]);
        self.breaks.clear();
        self.word.clear();
        self.column = 0;
    }

    fn step_back(&mut self) {
        self.word.pop();
        if self.column > 0 {
            self.out.push(8);
            self.column -= 1;
        } else if let Some(width) = self.breaks.pop() {
            self.flush();
            self.column = width - 1;
            system::with_stdout(|out| {
                let (_, row) = out.cursor_position();
                let _ = out.set_cursor_position(self.column, row.saturating_sub(1));
            });
        }
    }

    fn flush(&mut self) {
        if self.out.is_empty() {
            return;
        }
        self.out.retain(|&unit| unit != 0 && !(0xd800..0xe000).contains(&unit));
        self.out.push(0);
        if let Ok(text) = CStr16::from_u16_with_nul(&self.out) {
            // A console that fails to show a character says so; there is nothing better to do.
            let _ = system::with_stdout(|out| out.output_string_lossy(text));
        }
        self.out.clear();
    }
}
