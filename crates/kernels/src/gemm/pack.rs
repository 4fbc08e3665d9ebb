//! Laying blocks of both matrices out as words, so that a tile reads them in order.
//!
//! A panel is `(words of depth, height)`: the words of `height` rows that belong together lie side
//! by side. Words of f32 are copied; those of bf16 are rounded on the way.

use super::{MAX_DEPTH, Matrix, Precision, blocks};
use crate::{Kernels, bf16};
use core::ops::Range;

/// Columns that are laid out together.
const COLUMNS: usize = 16;
const _: () = assert!(COLUMNS.is_multiple_of(2), "both numbers of a word");
/// Side of the squares that [`crate::dispatch::Table::transpose`] turns.
const SQUARE: usize = 8;

impl Kernels {
    /// The columns `inner` of some rows as a tile can take them: as they lie where that is row
    /// after row and needs no rounding, or copied: into rows again, or into panels of the tile's
    /// height.
    pub(super) fn block_of_rows<'r>(
        self,
        precision: Precision,
        a: Matrix<'r>,
        inner: &Range<usize>,
        room: &'r mut [u32],
    ) -> Matrix<'r, u32> {
        let (cols, height) = (precision.words(inner.len()), self.tile(precision).rows);
        if self.tile(precision).words > 1 {
            return self.rows_of_words(a, inner, room);
        }
        if a.col_stride == 1 {
            if precision == Precision::F32 {
                let words = a.words();
                return Matrix { data: &words.data[inner.start..], cols, ..words };
            }
            let room = &mut room[..a.rows * cols];
            for (row, words) in room.chunks_exact_mut(cols).enumerate() {
                self.round_row(&a.data[row * a.row_stride..][inner.clone()], words);
            }
            return Matrix::new(room, a.rows, cols);
        }
        let room = &mut room[..a.rows.next_multiple_of(height) * cols];
        // Few columns of all panels after another: a cache line holds those of several panels.
        let mut words = 0;
        for inner in blocks(inner.clone(), COLUMNS) {
            let some = words * height..(words + precision.words(inner.len())) * height;
            let panels = room.chunks_exact_mut(height * cols).zip(blocks(0..a.rows, height));
            for (panel, rows) in panels {
                self.pack_panel(precision, a, rows, &inner, height, &mut panel[some.clone()]);
            }
            words = some.end / height;
        }
        // Panels of one row are rows again.
        let row_stride = if height == 1 { cols } else { 1 };
        Matrix { data: room, rows: a.rows, cols, row_stride, col_stride: height }
    }

    /// [`Kernels::block_of_rows`] of bf16 for a tile that takes several words of a row together:
    /// rows of as many words as it takes, and room for those that the last tile lacks.
    fn rows_of_words<'r>(
        self,
        a: Matrix<'_>,
        inner: &Range<usize>,
        room: &'r mut [u32],
    ) -> Matrix<'r, u32> {
        let (tile, used) = (self.tile(Precision::Bf16), inner.len().div_ceil(2));
        let cols = used.next_multiple_of(tile.words);
        let room = &mut room[..a.rows.next_multiple_of(tile.rows) * cols];
        if a.col_stride == 1 {
            for (row, words) in room.chunks_exact_mut(cols).take(a.rows).enumerate() {
                let (words, behind) = words.split_at_mut(used);
                self.round_row(&a.data[row * a.row_stride..][inner.clone()], words);
                behind.fill(0);
            }
        } else {
            // Small panels, transposed; in this order, lines of `a` are read side by side.
            let mut panel = [0; COLUMNS * COLUMNS];
            let panel = &mut panel[..tile.words * COLUMNS];
            for (number, inner) in blocks(inner.clone(), 2 * tile.words).enumerate() {
                let strips = room.chunks_mut(COLUMNS * cols).zip(blocks(0..a.rows, COLUMNS));
                for (words, rows) in strips {
                    self.pack_panel(Precision::Bf16, a, rows, &inner, COLUMNS, panel);
                    let panel = Matrix::new(&*panel, tile.words, COLUMNS);
                    let words = &mut words[number * tile.words..];
                    self.pack_across(panel, 0..tile.words, &(0..COLUMNS), cols, words);
                }
            }
        }
        Matrix { data: room, rows: a.rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// Lays the columns `inner` of up to `height` rows out in a panel, with zeros below the last
    /// row and behind the last column.
    pub(super) fn pack_panel(
        self,
        precision: Precision,
        x: Matrix<'_>,
        rows: Range<usize>,
        inner: &Range<usize>,
        height: usize,
        panel: &mut [u32],
    ) {
        let words = precision.words(inner.len()) * height;
        if rows.len() < height {
            panel.fill(0);
        }
        let (panel, behind) = panel.split_at_mut(words);
        behind.fill(0);
        match (precision, x.row_stride) {
            (Precision::F32, 1) => match height {
                6 => pack_along::<6>(x.words(), &rows, inner, panel),
                8 => pack_along::<8>(x.words(), &rows, inner, panel),
                16 => pack_along::<16>(x.words(), &rows, inner, panel),
                48 => pack_along::<48>(x.words(), &rows, inner, panel),
                _ => pack_along::<1>(x.words(), &rows, inner, panel),
            },
            (Precision::F32, _) => self.pack_across(x.words(), rows, inner, height, panel),
            (Precision::Bf16, 1) => self.round_along(x, &rows, inner, height, panel),
            (Precision::Bf16, _) => self.round_across(x, rows, inner, height, panel),
        }
    }

    /// One panel from rows whose words are `col_stride` apart, and themselves further.
    fn pack_across(
        self,
        x: Matrix<'_, u32>,
        rows: Range<usize>,
        inner: &Range<usize>,
        height: usize,
        panel: &mut [u32],
    ) {
        let squares = if x.col_stride == 1 { inner.len() / SQUARE * SQUARE } else { 0 };
        let whole = if squares > 0 { rows.len() / SQUARE * SQUARE } else { 0 };
        for r in (0..whole).step_by(SQUARE) {
            let from = &x.data[(rows.start + r) * x.row_stride + inner.start..];
            for c in (0..squares).step_by(SQUARE) {
                let place = &mut panel[c * height + r..];
                // SAFETY: `Kernels` exists only for a CPU that has the table's features.
                unsafe { (self.table.transpose)(&from[c..], x.row_stride, place, height) };
            }
        }
        for (r, row) in rows.enumerate() {
            let done = if r < whole { squares } else { 0 };
            for p in done..inner.len() {
                let word = row * x.row_stride + (inner.start + p) * x.col_stride;
                panel[p * height + r] = x.data[word];
            }
        }
    }

    /// One panel of bf16 from rows that lie one after the other.
    fn round_across(
        self,
        x: Matrix<'_>,
        rows: Range<usize>,
        inner: &Range<usize>,
        height: usize,
        panel: &mut [u32],
    ) {
        let cols = inner.len().div_ceil(2);
        let mut room = [0; SQUARE * MAX_DEPTH];
        for (number, rows) in blocks(rows, SQUARE).enumerate() {
            let room = &mut room[..rows.len() * cols];
            for (row, words) in rows.clone().zip(room.chunks_exact_mut(cols)) {
                let start = row * x.row_stride + inner.start;
                self.round_row(&x.data[start..start + inner.len()], words);
            }
            let rounded = Matrix::new(&*room, rows.len(), cols);
            let panel = &mut panel[number * SQUARE..];
            self.pack_across(rounded, 0..rows.len(), &(0..cols), height, panel);
        }
    }

    /// One panel of bf16 from columns whose elements are side by side.
    fn round_along(
        self,
        x: Matrix<'_>,
        rows: &Range<usize>,
        inner: &Range<usize>,
        height: usize,
        panel: &mut [u32],
    ) {
        let (pairs, start) = (inner.len() / 2, inner.start * x.col_stride + rows.start);
        let (whole, last) = panel.split_at_mut(pairs * height);
        if pairs > 0 {
            let (x, stride) = (&x.data[start..], x.col_stride);
            // SAFETY: `Kernels` exists only for a CPU that has the table's features.
            unsafe { (self.table.bf16.columns)(x, stride, rows.len(), whole, height) };
        }
        if inner.len() > 2 * pairs {
            let column = &x.data[start + 2 * pairs * x.col_stride..][..rows.len()];
            last.iter_mut().zip(column).for_each(|(word, &x)| *word = bf16::round(x));
        }
    }

    /// `x` in bf16, two to a word.
    fn round_row(self, x: &[f32], words: &mut [u32]) {
        // SAFETY: the CPU has the table's features; there are words for all.
        unsafe { (self.table.bf16.neighbours)(x, words) }
    }
}

/// One panel of `H` rows from columns whose words are side by side.
fn pack_along<const H: usize>(
    x: Matrix<'_, u32>,
    rows: &Range<usize>,
    inner: &Range<usize>,
    panel: &mut [u32],
) {
    let columns = inner.clone().map(|p| &x.data[p * x.col_stride + rows.start..]);
    let places = panel.as_chunks_mut::<H>().0.iter_mut();
    // Copies of a length that the compiler knows are not calls.
    if rows.len() == H {
        for (out, column) in places.zip(columns) {
            out.iter_mut().zip(&column[..H]).for_each(|(out, &x)| *out = x);
        }
    } else {
        for (out, column) in places.zip(columns) {
            out[..rows.len()].copy_from_slice(&column[..rows.len()]);
        }
    }
}
