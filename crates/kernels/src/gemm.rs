//! Products of two f32 matrices, for training: `out (m, n) = a (m, k) · b (k, n)`, or `out +=`.
//!
//! ```text
//! blocks of k    as few as have at most 320 indices, the same number in each (the last fewer)
//! for each block:  s = 0;  s = fma(a[i][p], b[p][j], s) for p in order;  out[i][j] += s
//! ```
//!
//! (the first block stores instead of adding, unless it is `out +=`). That is the whole definition,
//! so the result depends neither on the instruction set nor on the number of threads. Around it
//! lies the usual order of loops (Goto and van de Geijn, "Anatomy of High-Performance Matrix
//! Multiplication"): a block of `b` is copied into panels of the register tile's width, by all
//! threads together, and stays in the last cache; a block of `a` stays in the second, a panel of
//! `b` in the first. Of `a`, only what does not lie row after row is copied. Threads share the rows
//! of `out`.

use crate::parallel::{SharedMut, for_each_chunk, share};
use crate::{Aligned, Kernels, OutOfMemory, Parallel, SingleThread};
use alloc::vec::Vec;
use core::ops::Range;

/// Longest block of k.
const MAX_DEPTH: usize = 320;
/// Columns of a block of `b`: a multiple of every tile's width, or its last panel would not fit.
const COLS: usize = 1008;
/// Rows of a block of `a`: a multiple of every tile's height.
const ROWS: usize = 144;
const _: () = assert!(COLS.is_multiple_of(16) && COLS.is_multiple_of(48));
const _: () = assert!(ROWS.is_multiple_of(6) && ROWS.is_multiple_of(8));
/// The most elements of a tile.
const MAX_TILE: usize = 8 * 48;

/// A view of a matrix: element `(i, j)` is `data[i * row_stride + j * col_stride]`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A matrix that lies row after row.
    ///
    /// # Panics
    /// Where `data` is not `rows * cols` long: a bug of the caller.
    #[must_use]
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "a matrix of {rows} x {cols}");
        Self { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// Its rows.
    #[must_use]
    pub fn rows(self) -> usize {
        self.rows
    }

    /// Its columns.
    #[must_use]
    pub fn cols(self) -> usize {
        self.cols
    }

    /// The transposed matrix.
    #[must_use]
    pub fn t(self) -> Self {
        let Self { data, rows, cols, row_stride, col_stride } = self;
        Self { data, rows: cols, cols: rows, row_stride: col_stride, col_stride: row_stride }
    }

    /// Some of its rows.
    fn some_rows(self, range: &Range<usize>) -> Self {
        let start = (range.start * self.row_stride).min(self.data.len());
        Self { data: &self.data[start..], rows: range.len(), ..self }
    }
}

/// How an instruction set multiplies.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    /// Height; a multiple of it is [`ROWS`].
    pub(crate) rows: usize,
    /// Width.
    pub(crate) cols: usize,
    /// `out (+)= a · b` for `depth` columns of `a` and a panel `b (depth, cols)`; rows of `out` are
    /// `stride` apart.
    pub(crate) multiply: unsafe fn(&TileRows<'_>, &[f32], &mut [f32], usize, bool),
    /// `out[c * height + r] = x[r * stride + c]` for 8 rows and 8 columns.
    pub(crate) transpose: unsafe fn(&[f32], usize, &mut [f32], usize),
}

/// The rows of `a` that a tile takes: element `(i, p)` is `data[i * row_stride + p * col_stride]`.
pub(crate) struct TileRows<'a> {
    data: &'a [f32],
    row_stride: usize,
    pub(crate) col_stride: usize,
    /// Rows that are there, at least 1; the last stands for those that are not.
    rows: usize,
    pub(crate) depth: usize,
}

impl TileRows<'_> {
    /// Where each of `R` rows begins; from there on, `depth` elements `col_stride` apart can be
    /// read.
    pub(crate) fn starts<const R: usize>(&self) -> [*const f32; R] {
        let last = (self.rows - 1) * self.row_stride + (self.depth - 1) * self.col_stride;
        assert!(last < self.data.len(), "a tile of a matrix");
        core::array::from_fn(|i| self.data[i.min(self.rows - 1) * self.row_stride..].as_ptr())
    }

    /// The elements of the first row.
    pub(crate) fn first(&self) -> impl Iterator<Item = &f32> {
        self.data.iter().step_by(self.col_stride).take(self.depth)
    }
}

/// Room to lay out blocks of both matrices.
#[derive(Debug)]
pub struct GemmSpace {
    /// One for each thread.
    a: Vec<Aligned<f32>>,
    /// Shared by all.
    b: Aligned<f32>,
}

impl GemmSpace {
    /// Room for products of any size on so many threads.
    ///
    /// # Errors
    /// Where there is not enough memory.
    pub fn new(threads: usize) -> Result<Self, OutOfMemory> {
        let a = (0..threads).map(|_| Aligned::zeros(ROWS * MAX_DEPTH));
        Ok(Self { a: a.collect::<Result<_, _>>()?, b: Aligned::zeros(COLS * MAX_DEPTH)? })
    }
}

impl Kernels {
    /// `out = a · b`, or `out += a · b`, with the rows of `out` split over the threads.
    ///
    /// # Panics
    /// Where the shapes do not fit, or the space is for fewer threads: bugs of the caller.
    pub fn gemm(
        self,
        threads: &dyn Parallel,
        space: &mut GemmSpace,
        out: &mut [f32],
        a: Matrix<'_>,
        b: Matrix<'_>,
        add: bool,
    ) {
        let (m, n, k, count) = (a.rows, b.cols, a.cols, threads.threads());
        assert_eq!((out.len(), b.rows), (m * n, k), "the shapes of a product");
        assert!(space.a.len() >= count, "room for each thread");
        let Tile { rows: height, cols: width, .. } = self.table.tile;
        let depth = k.div_ceil(k.div_ceil(MAX_DEPTH).max(1)).max(1);
        let (out, rooms) = (SharedMut::new(out), SharedMut::new(&mut space.a));
        for cols in blocks(0..n, COLS) {
            for (number, inner) in blocks(0..k, depth).enumerate() {
                let panel = width * inner.len();
                let panels = &mut space.b[..cols.len().div_ceil(width) * panel];
                for_each_chunk(threads, panels, panel, |number, room| {
                    let start = cols.start + number * width;
                    let rows = start..(start + width).min(cols.end);
                    self.pack_panel(b.t(), rows, &inner, width, room);
                });
                let panels = &*panels;
                threads.run(&|index| {
                    let own = share(m.div_ceil(height), index, count);
                    let own = (own.start * height).min(m)..(own.end * height).min(m);
                    // SAFETY: each index has a room of its own, and rows of its own.
                    let (room, out) = unsafe {
                        let room = &mut rooms.slice(index..index + 1)[0];
                        (room, out.slice(own.start * n..own.end * n))
                    };
                    let a = a.some_rows(&own);
                    for rows in blocks(0..own.len(), ROWS) {
                        let a = self.block_of_rows(a.some_rows(&rows), &inner, room);
                        let out = &mut out[rows.start * n..rows.end * n];
                        self.multiply_block(a, panels, out, n, &cols, add || number > 0);
                    }
                });
            }
        }
    }

    /// [`Kernels::gemm`] on the calling thread.
    ///
    /// # Panics
    /// Where the shapes do not fit: a bug of the caller.
    pub fn gemm_single(
        self,
        space: &mut GemmSpace,
        out: &mut [f32],
        a: Matrix<'_>,
        b: Matrix<'_>,
        add: bool,
    ) {
        self.gemm(&SingleThread, space, out, a, b, add);
    }

    /// The columns `inner` of some rows as a tile can take them: as they lie where that is row
    /// after row, or copied into panels of the tile's height, each `(inner, height)`.
    fn block_of_rows<'r>(
        self,
        a: Matrix<'r>,
        inner: &Range<usize>,
        room: &'r mut [f32],
    ) -> Matrix<'r> {
        if a.col_stride == 1 {
            return Matrix { data: &a.data[inner.start..], cols: inner.len(), ..a };
        }
        let (cols, height) = (inner.len(), self.table.tile.rows);
        let room = &mut room[..a.rows.next_multiple_of(height) * cols];
        for (panel, rows) in room.chunks_exact_mut(height * cols).zip(blocks(0..a.rows, height)) {
            self.pack_panel(a, rows, inner, height, panel);
        }
        // Panels of one row are rows again.
        let row_stride = if height == 1 { cols } else { 1 };
        Matrix { data: room, rows: a.rows, cols, row_stride, col_stride: height }
    }

    /// The columns `cols` of `out`: `a` is `(rows of out, depth)`, `b` panels of those columns.
    fn multiply_block(
        self,
        a: Matrix<'_>,
        b: &[f32],
        out: &mut [f32],
        n: usize,
        cols: &Range<usize>,
        add: bool,
    ) {
        let Tile { rows: height, cols: width, multiply, .. } = self.table.tile;
        for (b, tile_cols) in b.chunks_exact(width * a.cols).zip(blocks(cols.clone(), width)) {
            for tile_rows in blocks(0..a.rows, height) {
                let a = a.tile(&tile_rows, height);
                let from = tile_rows.start * n + tile_cols.start;
                if (tile_rows.len(), tile_cols.len()) == (height, width) {
                    // SAFETY: `Kernels` exists only for a CPU that has the table's features.
                    unsafe { multiply(&a, b, &mut out[from..], n, add) };
                    continue;
                }
                let mut tile = [0.0; MAX_TILE];
                let tile = &mut tile[..height * width];
                // SAFETY: as above.
                unsafe { multiply(&a, b, tile, width, false) };
                for (row, tile) in tile_rows.zip(tile.chunks_exact(width)) {
                    let out = &mut out[row * n + tile_cols.start..][..tile_cols.len()];
                    for (out, &s) in out.iter_mut().zip(tile) {
                        *out = if add { *out + s } else { s };
                    }
                }
            }
        }
    }
}

impl<'a> Matrix<'a> {
    /// The rows of a tile of this height. Where columns are not side by side, the matrix is one of
    /// [`Kernels::block_of_rows`]: panels of that height.
    fn tile(self, rows: &Range<usize>, height: usize) -> TileRows<'a> {
        let Self { data, row_stride, col_stride, cols: depth, .. } = self;
        let panel = if col_stride == 1 { row_stride } else { depth };
        debug_assert!(col_stride == 1 || rows.start.is_multiple_of(height));
        TileRows {
            data: &data[rows.start * panel..],
            row_stride,
            col_stride,
            rows: rows.len(),
            depth,
        }
    }
}

impl Kernels {
    /// Lays up to `height` rows out in a panel `(inner, height)`, with zeros below the last row.
    fn pack_panel(
        self,
        x: Matrix<'_>,
        rows: Range<usize>,
        inner: &Range<usize>,
        height: usize,
        panel: &mut [f32],
    ) {
        if rows.len() < height {
            panel.fill(0.0);
        }
        match height {
            _ if x.row_stride != 1 => self.pack_across(x, rows, inner, height, panel),
            6 => pack_along::<6>(x, &rows, inner, panel),
            8 => pack_along::<8>(x, &rows, inner, panel),
            16 => pack_along::<16>(x, &rows, inner, panel),
            48 => pack_along::<48>(x, &rows, inner, panel),
            _ => pack_along::<1>(x, &rows, inner, panel),
        }
    }

    /// One panel from rows whose elements are `col_stride` apart, and themselves further.
    fn pack_across(
        self,
        x: Matrix<'_>,
        rows: Range<usize>,
        inner: &Range<usize>,
        height: usize,
        panel: &mut [f32],
    ) {
        let squares = if x.col_stride == 1 { inner.len() / 8 * 8 } else { 0 };
        let whole = if squares > 0 { rows.len() / 8 * 8 } else { 0 };
        for r in (0..whole).step_by(8) {
            let from = &x.data[(rows.start + r) * x.row_stride + inner.start..];
            for c in (0..squares).step_by(8) {
                let place = &mut panel[c * height + r..];
                // SAFETY: `Kernels` exists only for a CPU that has the table's features.
                unsafe { (self.table.tile.transpose)(&from[c..], x.row_stride, place, height) };
            }
        }
        for (r, row) in rows.enumerate() {
            let done = if r < whole { squares } else { 0 };
            for p in done..inner.len() {
                let element = row * x.row_stride + (inner.start + p) * x.col_stride;
                panel[p * height + r] = x.data[element];
            }
        }
    }
}

/// Cuts a range into blocks of `len`, the last one maybe shorter.
fn blocks(range: Range<usize>, len: usize) -> impl Iterator<Item = Range<usize>> {
    range.clone().step_by(len).map(move |start| start..(start + len).min(range.end))
}

/// One panel of `H` rows from columns whose elements are side by side.
fn pack_along<const H: usize>(
    x: Matrix<'_>,
    rows: &Range<usize>,
    inner: &Range<usize>,
    panel: &mut [f32],
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
