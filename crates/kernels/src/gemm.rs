//! Products of two f32 matrices, for training: `out (m, n) = a (m, k) · b (k, n)`, or `out +=`.
//!
//! ```text
//! blocks of k    as few as have at most 320 indices, the same number in each (the last fewer)
//! for each block:  s = 0;  s = fma(a[i][p], b[p][j], s) for p in order;  out[i][j] += s
//! ```
//!
//! (the first block stores instead of adding, unless it is `out +=`). With [`Precision::Bf16`] both
//! matrices are first rounded as `bf16.rs` says, blocks have twice as many indices, an even number,
//! and of each two neighbours the second comes first, as in Intel's VDPBF16PS:
//!
//! ```text
//! s = fma(a[i][p + 1], b[p + 1][j], s);  s = fma(a[i][p], b[p][j], s)      for p = 0, 2, 4, …
//! ```
//!
//! That is the whole definition, so the result depends neither on the instruction set nor on the
//! number of threads. One exception is made for speed: AMX, where it multiplies bf16, adds in an
//! order of its own (`avx512/amx.rs`), which depends on no number of threads either.
//!
//! Around it lies the usual order of loops (Goto and van de Geijn, "Anatomy of High-Performance
//! Matrix Multiplication"): a block of `b` is copied into panels of the register tile's width, by
//! all threads together, and stays in the last cache; a block of `a` stays in the second, a panel
//! of `b` in the first. Of `a`, only what does not lie row after row is copied, where it needs no
//! rounding. Threads share the rows of `out`.
//!
//! Blocks are made of *words* of 32 bits: an f32, or two bf16 that are neighbours along k.

mod pack;

use crate::bf16::Bf16Instructions;
use crate::parallel::{SharedMut, for_each_chunk, share};
use crate::{Aligned, Kernels, OutOfMemory, Parallel, SingleThread};
use alloc::vec::Vec;
use core::ops::Range;

/// Words of the longest block of k.
const MAX_DEPTH: usize = 320;
/// Columns of a block of `b`, cut down to whole widths of a tile.
const COLS: usize = 1008;
/// Rows of a block of `a`, cut down to whole heights.
const ROWS: usize = 144;
/// The most elements of a tile.
const MAX_TILE: usize = 32 * 32;

/// What is multiplied; sums are f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// The numbers as they are.
    F32,
    /// Numbers rounded to bf16: faster where [`Kernels::bf16_instructions`] names some.
    Bf16,
}

impl Precision {
    /// Numbers in a word.
    fn per_word(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16 => 2,
        }
    }

    /// Words of so many numbers along k.
    fn words(self, numbers: usize) -> usize {
        numbers.div_ceil(self.per_word())
    }
}

/// A view of a matrix: element `(i, j)` is `data[i * row_stride + j * col_stride]`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T = f32> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, T: Copy> Matrix<'a, T> {
    /// A matrix that lies row after row.
    ///
    /// # Panics
    /// Where `data` is not `rows * cols` long: a bug of the caller.
    #[must_use]
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
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

impl<'a> Matrix<'a> {
    /// Its numbers as words.
    fn words(self) -> Matrix<'a, u32> {
        let Self { data, rows, cols, row_stride, col_stride } = self;
        Matrix { data: bytemuck::cast_slice(data), rows, cols, row_stride, col_stride }
    }
}

/// Of [`Tile::multiply`].
type MultiplyFn = unsafe fn(&TileRows<'_>, &[u32], &mut [f32], usize, bool);

/// How an instruction set multiplies blocks of words.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    /// Height.
    pub(crate) rows: usize,
    /// Width.
    pub(crate) cols: usize,
    /// Words of a row of `a` that an instruction takes. Where they are more than one, they lie side
    /// by side, zeros fill both blocks up to a multiple of them, and `a` has room for whole tiles.
    pub(crate) words: usize,
    /// `out (+)= a · b` for `depth` columns of `a` and a panel `b (depth, cols)`; rows of `out` are
    /// `stride` apart. To be called between the two calls of `around`.
    pub(crate) multiply: MultiplyFn,
    /// Called on a thread before it multiplies, and after.
    pub(crate) around: [unsafe fn(); 2],
}

impl Tile {
    /// A tile of instructions that take a word of a row at a time and need no preparation.
    pub(crate) const fn new(rows: usize, cols: usize, multiply: MultiplyFn) -> Self {
        const fn nothing() {}
        Self { rows, cols, words: 1, multiply, around: [nothing; 2] }
    }
}

/// The rows of `a` that a tile takes: element `(i, p)` is `data[i * row_stride + p * col_stride]`.
pub(crate) struct TileRows<'a> {
    data: &'a [u32],
    row_stride: usize,
    pub(crate) col_stride: usize,
    /// Rows that are there, at least 1; the last stands for those that are not.
    rows: usize,
    pub(crate) depth: usize,
}

impl TileRows<'_> {
    /// Where each of `R` rows begins; from there on, `depth` elements `col_stride` apart can be
    /// read.
    pub(crate) fn starts<const R: usize>(&self) -> [*const u32; R] {
        let last = (self.rows - 1) * self.row_stride + (self.depth - 1) * self.col_stride;
        assert!(last < self.data.len(), "a tile of a matrix");
        core::array::from_fn(|i| self.data[i.min(self.rows - 1) * self.row_stride..].as_ptr())
    }

    /// Where the first of `rows` rows begins, and how far apart they are, of a tile that takes
    /// several words of a row together; from there on, `depth` elements of each can be read.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn side_by_side(&self, rows: usize) -> (*const u32, usize) {
        let last = (rows - 1) * self.row_stride + self.depth;
        assert!(self.col_stride == 1 && last <= self.data.len(), "a tile of a matrix");
        (self.data.as_ptr(), self.row_stride)
    }

    /// The elements of the first row.
    pub(crate) fn first(&self) -> impl Iterator<Item = &u32> {
        self.data.iter().step_by(self.col_stride).take(self.depth)
    }
}

/// Room to lay out blocks of both matrices.
#[derive(Debug)]
pub struct GemmSpace {
    /// Of the products that follow.
    pub precision: Precision,
    /// One for each thread.
    a: Vec<Aligned<u32>>,
    /// Shared by all.
    b: Aligned<u32>,
}

impl GemmSpace {
    /// Room for products of any size on so many threads, of f32 at first.
    ///
    /// # Errors
    /// Where there is not enough memory.
    pub fn new(threads: usize) -> Result<Self, OutOfMemory> {
        let a = (0..threads).map(|_| Aligned::zeros(ROWS * MAX_DEPTH)).collect::<Result<_, _>>()?;
        Ok(Self { precision: Precision::F32, a, b: Aligned::zeros(COLS * MAX_DEPTH)? })
    }
}

impl Kernels {
    /// The instructions that products of bf16 have here. Where there are none, they are no faster
    /// than products of f32.
    #[must_use]
    pub fn bf16_instructions(self) -> Option<Bf16Instructions> {
        self.table.bf16.instructions
    }

    /// Whether sums are added in this module's order, and so have the same bits as elsewhere; AMX's
    /// are not.
    #[must_use]
    pub fn adds_in_order(self, precision: Precision) -> bool {
        let instructions = self.table.bf16.instructions;
        precision == Precision::F32 || instructions != Some(Bf16Instructions::AmxBf16)
    }

    fn tile(self, precision: Precision) -> Tile {
        match precision {
            Precision::F32 => self.table.tile,
            Precision::Bf16 => self.table.bf16.tile,
        }
    }

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
        let precision = space.precision;
        let tile = self.tile(precision);
        let (height, width, per_word) = (tile.rows, tile.cols, precision.per_word());
        let whole = |most: usize, side: usize| most / side * side;
        let count_of_blocks = k.div_ceil(MAX_DEPTH * per_word).max(1);
        let depth = k.div_ceil(count_of_blocks).max(1).next_multiple_of(per_word);
        let (out, rooms) = (SharedMut::new(out), SharedMut::new(&mut space.a));
        for cols in blocks(0..n, whole(COLS, width)) {
            for (number, inner) in blocks(0..k, depth).enumerate() {
                let panel = width * precision.words(inner.len()).next_multiple_of(tile.words);
                let panels = &mut space.b[..cols.len().div_ceil(width) * panel];
                for_each_chunk(threads, panels, panel, |number, room| {
                    let start = cols.start + number * width;
                    let rows = start..(start + width).min(cols.end);
                    self.pack_panel(precision, b.t(), rows, &inner, width, room);
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
                    for rows in blocks(0..own.len(), whole(ROWS, height)) {
                        let a = self.block_of_rows(precision, a.some_rows(&rows), &inner, room);
                        let out = &mut out[rows.start * n..rows.end * n];
                        let add = add || number > 0;
                        // SAFETY: `Kernels` exists only for a CPU that has the table's features.
                        unsafe { multiply_block(tile, a, panels, out, n, &cols, add) };
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
}

/// The columns `cols` of `out`: `a` is `(rows of out, depth)`, `b` panels of those columns.
///
/// # Safety
/// The CPU has the tile's features.
unsafe fn multiply_block(
    tile: Tile,
    a: Matrix<'_, u32>,
    b: &[u32],
    out: &mut [f32],
    n: usize,
    cols: &Range<usize>,
    add: bool,
) {
    let Tile { rows: height, cols: width, multiply, around: [before, after], .. } = tile;
    let mut edge = [0.0; MAX_TILE];
    // SAFETY: the caller's promise.
    unsafe { before() };
    for (b, tile_cols) in b.chunks_exact(width * a.cols).zip(blocks(cols.clone(), width)) {
        for tile_rows in blocks(0..a.rows, height) {
            let a = a.tile(&tile_rows, height);
            let from = tile_rows.start * n + tile_cols.start;
            if (tile_rows.len(), tile_cols.len()) == (height, width) {
                // SAFETY: the caller's promise; `before` was called on this thread.
                unsafe { multiply(&a, b, &mut out[from..], n, add) };
                continue;
            }
            let tile = &mut edge[..height * width];
            let place = |row: usize| row * n + tile_cols.start..row * n + tile_cols.end;
            if add {
                for (row, tile) in tile_rows.clone().zip(tile.chunks_exact_mut(width)) {
                    tile[..tile_cols.len()].copy_from_slice(&out[place(row)]);
                }
            }
            // SAFETY: as above.
            unsafe { multiply(&a, b, tile, width, add) };
            for (row, tile) in tile_rows.zip(tile.chunks_exact(width)) {
                out[place(row)].copy_from_slice(&tile[..tile_cols.len()]);
            }
        }
    }
    // SAFETY: the caller's promise.
    unsafe { after() };
}

impl<'a> Matrix<'a, u32> {
    /// The rows of a tile of this height. Where columns are not side by side, the matrix is one of
    /// `block_of_rows`: panels of that height.
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

/// Cuts a range into blocks of `len`, the last one maybe shorter.
fn blocks(range: Range<usize>, len: usize) -> impl Iterator<Item = Range<usize>> {
    range.clone().step_by(len).map(move |start| start..(start + len).min(range.end))
}
