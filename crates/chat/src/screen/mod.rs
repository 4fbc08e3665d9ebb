//! A screen of cells: text that is wrapped between words, scrolls back, and has a status line.
//!
//! ```text
//! text ─ Lines ─▶ rows ─▶ cells wanted ─ differ from cells shown? ─▶ Painter ─▶ Surface
//! ```
//! Only cells that change are painted. Painting is held back so that it takes about one hundredth
//! of the time: after a paint of `t` the next one comes `99 t` later (a quarter of a second at
//! most), or as soon as somebody waits for a key. A fast model on a slow screen stays fast.

mod font;
mod lines;
mod paint;
mod status;
mod theme;

pub use paint::Surface;
pub use theme::Theme;

use crate::{Clock, Status, Style};
use alloc::{vec, vec::Vec};
use lines::Lines;
use paint::{Glyph, Painter};
use status::status_text;

/// Of the time, one part in this many goes to painting.
const SHARE: u64 = 100;
/// Longest time that a change waits to be painted.
const LONGEST_US: u64 = 250_000;

/// A screen.
pub struct Screen<S> {
    surface: S,
    painter: Painter,
    theme: Theme,
    style: Style,
    lines: Lines,
    /// Rows scrolled back.
    back: usize,
    status: Vec<char>,
    /// `(rows, columns)`, the status line last.
    shown: Vec<Glyph>,
    wanted: Vec<Glyph>,
    next_paint_us: u64,
}

impl<S: Surface> Screen<S> {
    /// An empty screen in the size of letters that suits the surface.
    pub fn new(mut surface: S) -> Self {
        let mut painter = Painter::new(surface.size());
        let theme = Theme::default();
        let (text, ground) = theme.colours(Style::Text);
        painter.fill(&mut surface, ground);
        let shown = vec![Glyph { c: ' ', text, ground }; painter.columns * painter.rows];
        let (lines, wanted) = (Lines::new(painter.columns), shown.clone());
        let (style, status) = (Style::Text, Vec::new());
        Self {
            surface,
            painter,
            theme,
            style,
            lines,
            back: 0,
            status,
            shown,
            wanted,
            next_paint_us: 0,
        }
    }

    /// Columns and rows of text.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.painter.columns, self.painter.rows - 1)
    }

    /// Where it is shown.
    #[must_use]
    pub fn surface(&self) -> &S {
        &self.surface
    }

    /// Writes text, as [`Console::write`](crate::Console::write) says.
    pub fn write(&mut self, text: &str) {
        self.back = 0;
        self.lines.write(text, self.style);
    }

    /// What is written from here on is of this kind.
    pub fn style(&mut self, style: Style) {
        self.style = style;
    }

    /// Puts `line` in place of the last line; a new one follows the `last`.
    pub fn progress(&mut self, line: &str, last: bool) {
        let short: alloc::string::String = line.chars().take(self.painter.columns).collect();
        self.lines.replace_line(&short, Style::Note);
        if last {
            self.lines.write("\n", self.style);
        }
    }

    /// Shows the state of the conversation below the text.
    pub fn status(&mut self, status: &Status<'_>) {
        self.status = status_text(status, self.painter.columns).chars().collect();
    }

    /// Takes other colours.
    pub fn set_theme(&mut self, theme: Theme) {
        if theme != self.theme {
            self.theme = theme;
            let (text, ground) = theme.colours(Style::Text);
            self.painter.fill(&mut self.surface, ground);
            self.shown.fill(Glyph { c: ' ', text, ground });
        }
    }

    /// Breaks lines between words, or wherever they are full.
    pub fn set_wordwrap(&mut self, wordwrap: bool) {
        self.lines.set_words(wordwrap);
    }

    /// Scrolls by half a screen, back or forward.
    pub fn scroll(&mut self, back: bool) {
        let rows = self.painter.rows - 1;
        let most = self.lines.rows().saturating_sub(rows);
        let step = (rows / 2).max(1);
        self.back =
            if back { (self.back + step).min(most) } else { self.back.saturating_sub(step) };
    }

    /// To the end of the text; whether it was scrolled back.
    pub fn scroll_to_end(&mut self) -> bool {
        core::mem::take(&mut self.back) > 0
    }

    /// Forgets all text.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.back = 0;
    }

    /// Paints what has changed, where painting has not taken its share of the time already.
    pub fn refresh(&mut self, clock: &dyn Clock) {
        let start = clock.micros();
        if start >= self.next_paint_us {
            self.paint();
            let end = clock.micros();
            self.next_paint_us = end + ((end - start) * (SHARE - 1)).min(LONGEST_US);
        }
    }

    /// Paints what has changed.
    pub fn paint(&mut self) {
        self.layout();
        let columns = self.painter.columns;
        for row in 0..self.painter.rows {
            let cells = row * columns..(row + 1) * columns;
            let (shown, wanted) = (&mut self.shown[cells.clone()], &self.wanted[cells]);
            let mut column = 0;
            while column < columns {
                let changed = |i: &usize| shown[*i] != wanted[*i];
                let Some(start) = (column..columns).find(changed) else { break };
                let end = (start..columns).find(|i| !changed(i)).unwrap_or(columns);
                self.painter.draw(&mut self.surface, (start, row), &wanted[start..end]);
                shown[start..end].copy_from_slice(&wanted[start..end]);
                column = end;
            }
        }
    }

    /// Fills `wanted`.
    fn layout(&mut self) {
        let (columns, rows) = (self.painter.columns, self.painter.rows - 1);
        let (text, ground) = self.theme.colours(Style::Text);
        self.wanted.fill(Glyph { c: ' ', text, ground });
        // A page that is not full yet begins at the top.
        let all = self.lines.rows();
        let lowest = all.min(rows) - 1;
        let (theme, wanted) = (self.theme, &mut self.wanted);
        self.lines.rows_from_below(self.back, rows, |i, cells| {
            let start = (lowest - i) * columns;
            for (out, cell) in wanted[start..][..columns].iter_mut().zip(cells) {
                let (text, ground) = theme.colours(cell.style);
                *out = Glyph { c: cell.c, text, ground };
            }
        });
        let (column, above) = self.lines.cursor();
        if self.back == 0 && above <= lowest {
            let cell = &mut self.wanted[(lowest - above) * columns + column];
            *cell = Glyph { c: cell.c, text: cell.ground, ground: cell.text };
        }
        let (text, ground) = self.theme.status();
        let status = self.status.iter().copied().chain(core::iter::repeat(' '));
        let status = status.map(|c| Glyph { c, text, ground });
        if !self.status.is_empty() {
            self.wanted[rows * columns..].iter_mut().zip(status).for_each(|(out, g)| *out = g);
        }
    }
}

#[cfg(test)]
mod tests;
