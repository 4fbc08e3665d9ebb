//! Matrices times a batch of tokens, `out[t][r] = Σ_c w[r][c] * x[t][c]`, split over threads by
//! rows, or by panels of eight. A batch gives exactly what its tokens give one by one.

use crate::parallel::{SharedMut, share, take_turns};
use crate::{Activations, Aligned, Kernels, OutOfMemory, Parallel, scalar};
use alloc::vec::Vec;
use core::ops::Range;
use llamaboot_checkpoint::{DType, PANEL_ROWS, Tensor};

/// What each thread has to itself, reserved at load.
#[derive(Debug)]
pub struct Workspace {
    threads: Vec<ThreadSpace>,
}

#[derive(Debug)]
struct ThreadSpace {
    /// One row as f32.
    row: Aligned<f32>,
    panels: [UnpackedPanel; 2],
    /// Rows times tokens done so far.
    rows_done: u64,
}

impl Workspace {
    /// Room for `threads` threads and matrices of at most `max_cols` columns.
    ///
    /// # Errors
    /// Where there is not enough memory.
    pub fn new(threads: usize, max_cols: usize) -> Result<Self, OutOfMemory> {
        let space = |_| {
            let panels = [UnpackedPanel::new(max_cols)?, UnpackedPanel::new(max_cols)?];
            Ok(ThreadSpace { row: Aligned::zeros(max_cols)?, panels, rows_done: 0 })
        };
        Ok(Self { threads: (0..threads).map(space).collect::<Result<_, _>>()? })
    }

    /// Bytes that [`Workspace::new`] reserves.
    #[must_use]
    pub fn bytes(threads: usize, max_cols: usize) -> usize {
        threads * (4 * max_cols + 2 * UnpackedPanel::bytes(max_cols) + size_of::<ThreadSpace>())
    }

    /// Rows of matrices that each thread has multiplied with a token so far.
    pub fn rows_done(&self) -> impl Iterator<Item = u64> {
        self.threads.iter().map(|space| space.rows_done)
    }
}

/// Eight rows unpacked for a batch of tokens.
#[derive(Debug)]
pub(crate) struct UnpackedPanel {
    /// `(pair of columns, row, 2)`.
    pub(crate) q: Aligned<i16>,
    /// `(span, row)`.
    pub(crate) scale: Aligned<f32>,
    /// `(span, row)`; not written where the format has no minima.
    pub(crate) min: Aligned<f32>,
}

impl UnpackedPanel {
    fn new(max_cols: usize) -> Result<Self, OutOfMemory> {
        let spans = PANEL_ROWS * max_cols / 16;
        Ok(Self {
            q: Aligned::zeros(PANEL_ROWS * max_cols)?,
            scale: Aligned::zeros(spans)?,
            min: Aligned::zeros(spans)?,
        })
    }

    fn bytes(max_cols: usize) -> usize {
        PANEL_ROWS * max_cols * 2 + 2 * 4 * (PANEL_ROWS * max_cols / 16)
    }

    /// # Panics
    /// Where there is no room for `cols` columns with `spans` scales for 32 of them.
    pub(crate) fn check(&self, cols: usize, spans: usize) {
        let scales = cols / 32 * spans * PANEL_ROWS;
        assert!(self.q.len() >= cols * PANEL_ROWS, "columns of a panel");
        assert!(self.scale.len() >= scales && self.min.len() >= scales, "scales of a panel");
    }
}

/// Where a thread puts its results: `(tokens, rows of the tensor)`, of which it owns some rows.
pub(crate) struct Output<'a> {
    out: &'a SharedMut<'a, f32>,
    stride: usize,
    own: Range<usize>,
}

impl Output<'_> {
    /// The results of one token for `len` rows from `first` on.
    pub(crate) fn rows(&mut self, token: usize, first: usize, len: usize) -> &mut [f32] {
        assert!(first >= self.own.start && first + len <= self.own.end, "another turn's rows");
        let start = token * self.stride + first;
        // SAFETY: the rows belong to this turn (see `matmul`), and the borrow of `self` keeps it
        // from holding two slices.
        unsafe { self.out.slice(start..start + len) }
    }
}

/// Cuts a thread's share into `P` streams that are walked side by side, so that memory is read at
/// `P` places at once: several streams are faster than one. Yields the places of each step, and
/// what is left over when the share is no multiple of `P`.
pub(crate) fn streams<const P: usize>(
    units: Range<usize>,
) -> (impl Iterator<Item = [usize; P]>, Range<usize>) {
    let len = units.len() / P;
    let start = units.start;
    let steps = (0..len).map(move |i| core::array::from_fn(|stream| start + stream * len + i));
    (steps, start + P * len..units.end)
}

/// How the units of a matrix are shared out: a long stretch for each thread, a shorter one, and two
/// short ones, whoever takes them. So memory is read in long stretches, and a thread that is slower
/// (a small core of a CPU that has two kinds, a core that is also used by others) does less.
struct Stretches {
    threads: usize,
    /// Whoever is free takes the next one; otherwise there is one for each thread, always the same.
    in_turns: bool,
}

impl Stretches {
    /// For products of `work` multiplications: little work is not worth many turns.
    fn new(threads: usize, work: usize) -> Self {
        const WORTH: usize = 1 << 18;
        let in_turns = threads > 1 && work >= WORTH;
        Self { threads, in_turns }
    }

    /// How many a matrix has.
    fn count(&self) -> usize {
        if self.in_turns { 4 * self.threads } else { self.threads }
    }

    /// Stretch `number` of `units`. Where there are few for so many threads, only the first
    /// stretches have any, an equal share each.
    fn of(&self, units: usize, number: usize) -> Range<usize> {
        /// For each thread, so that the shortest stretch has two.
        const UNITS: usize = 16;
        let start = |number: usize| {
            if number == self.count() {
                return units;
            }
            if !self.in_turns || units < UNITS * self.threads {
                let number = number.min(self.threads);
                return share(units, number, self.threads).start;
            }
            // In eighths of a thread's equal share: 4 for each, then 2, then 1 and 1.
            let eighths = match number / self.threads {
                0 => 4 * number,
                1 => 4 * self.threads + 2 * (number - self.threads),
                _ => 6 * self.threads + (number - 2 * self.threads),
            };
            let at = units * eighths / (8 * self.threads);
            // Batches walk pairs of panels.
            at - at % 2
        };
        start(number)..start(number + 1)
    }
}

impl Kernels {
    /// `out = w · x` for every token of `x` and every `(w, out)` of `products`, all in one go of
    /// the threads; each `out` is `(tokens, w.rows)`.
    ///
    /// # Panics
    /// Where shapes do not fit: bugs of the caller, since shapes are checked at load.
    pub fn matmul<const N: usize>(
        self,
        threads: &dyn Parallel,
        space: &mut Workspace,
        x: &Activations,
        products: [(&Tensor<'_>, &mut [f32]); N],
    ) {
        assert!(space.threads.len() >= threads.threads(), "a workspace for fewer threads");
        let products = products.map(|(w, out)| {
            assert_eq!((x.cols, out.len()), (w.cols, x.tokens * w.rows), "shapes of a product");
            (w, SharedMut::new(out))
        });
        let spaces = SharedMut::new(&mut space.threads);
        let largest = products.iter().map(|(w, _)| w.rows * w.cols).max().unwrap_or(0);
        // One token waits for memory, which all cores share.
        let work = if x.tokens > 1 { largest * x.tokens } else { 0 };
        let stretches = Stretches::new(threads.threads(), work);
        let turn = |index: usize, number: usize| {
            // SAFETY: each index has a space of its own.
            let space = &mut unsafe { spaces.slice(index..index + 1) }[0];
            let (w, out) = &products[number / stretches.count()];
            // A unit is a panel, or a single row behind the panels.
            let panels = w.packed_rows / PANEL_ROWS;
            let units = stretches.of(panels + w.rows - w.packed_rows, number % stretches.count());
            let row_of = |unit: usize| match unit.checked_sub(panels) {
                Some(single) => w.packed_rows + single,
                None => unit * PANEL_ROWS,
            };
            // Of this turn alone: each number is taken once, stretches of a matrix do not overlap,
            // and each matrix has results of its own.
            let own = row_of(units.start)..row_of(units.end);
            space.rows_done += (own.len() * x.tokens) as u64;
            let split = units.end.min(panels).max(units.start);
            let singles = row_of(split)..own.end;
            let mut out = Output { out, stride: w.rows, own };
            // SAFETY: `Kernels` exists only for a CPU that has the table's features.
            unsafe { (self.table.panels)(w, units.start..split, x, &mut out, &mut space.panels) };
            self.single_rows(w, singles, x, &mut out, &mut space.row);
        };
        if stretches.in_turns {
            take_turns(threads, N * stretches.count(), turn);
        } else {
            threads.run(&|index| (0..N).for_each(|w| turn(index, w * stretches.count() + index)));
        }
    }

    /// Reads all whole 32-byte pieces of the matrices and their scales, split over threads as
    /// products are, and does nothing but add them up: the bound of how fast a token can be.
    /// Returns the sum.
    pub fn read(self, threads: &dyn Parallel, matrices: &[&Tensor<'_>]) -> u64 {
        let total = core::sync::atomic::AtomicU64::new(0);
        for w in matrices {
            threads.run(&|index| {
                for bytes in [w.data, w.scales] {
                    let own = share(bytes.len() / 32, index, threads.threads());
                    // SAFETY: `Kernels` exists only for a CPU that has the table's features.
                    let sum = unsafe { (self.table.read)(&bytes[32 * own.start..32 * own.end]) };
                    total.fetch_add(sum, core::sync::atomic::Ordering::Relaxed);
                }
            });
        }
        total.into_inner()
    }

    /// Rows that lie one after another.
    fn single_rows(
        self,
        w: &Tensor<'_>,
        rows: Range<usize>,
        x: &Activations,
        out: &mut Output<'_>,
        buffer: &mut [f32],
    ) {
        match w.dtype {
            // SAFETY: `Kernels` exists only for a CPU that has the table's features.
            DType::F32 | DType::F16 | DType::BF16 => unsafe {
                (self.table.float_rows)(w, rows, x, out);
            },
            dtype if dtype.is_blocked() => scalar::block_rows(w, rows, x, out),
            _ => {
                let buffer = &mut buffer[..w.cols];
                for row in rows {
                    self.dequantize_row(w, row, buffer);
                    for token in 0..x.tokens {
                        out.rows(token, row, 1)[0] = self.dot(buffer, x.row(token));
                    }
                }
            }
        }
    }

    /// Row `row` of `w` as f32, each weight rounded as the format's definition does.
    ///
    /// # Panics
    /// Where `out` is not as long as a row.
    pub fn dequantize_row(self, w: &Tensor<'_>, row: usize, out: &mut [f32]) {
        assert_eq!(out.len(), w.cols);
        if w.dtype.is_blocked() {
            for (index, out) in out.chunks_exact_mut(32).enumerate() {
                out.copy_from_slice(&w.block(row, index).dequantize());
            }
            return;
        }
        let (bytes, scales) = (w.row(row), w.row_scales(row));
        match w.dtype {
            DType::F32 => widen_f32(bytes, out),
            // SAFETY: the CPU has the table's features; a row of n weights has 2n bytes.
            DType::F16 => unsafe { (self.table.widen_f16)(bytes, out) },
            // SAFETY: as above.
            DType::BF16 => unsafe { (self.table.widen_bf16)(bytes, out) },
            DType::I8Groups(group) => {
                for (i, (out, &q)) in out.iter_mut().zip(bytes).enumerate() {
                    let at = i / group as usize * 4;
                    let scale = [scales[at], scales[at + 1], scales[at + 2], scales[at + 3]];
                    *out = f32::from(q.cast_signed()) * f32::from_le_bytes(scale);
                }
            }
            blocked => unreachable!("{blocked} is made of blocks"),
        }
    }
}

fn widen_f32(bytes: &[u8], out: &mut [f32]) {
    for (bytes, out) in bytes.chunks_exact(4).zip(out) {
        *out = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_cover_every_unit_once() {
        for threads in (1..10).chain([64, 256]) {
            for work in [0, usize::MAX] {
                let stretches = Stretches::new(threads, work);
                for units in (0..200).chain([4000, 4001, 128_256]) {
                    let mut end = 0;
                    for number in 0..stretches.count() {
                        let stretch = stretches.of(units, number);
                        assert!(stretch.start == end && stretch.end >= end, "{threads}, {units}");
                        end = stretch.end;
                    }
                    assert_eq!(end, units, "{threads} threads");
                }
            }
        }
    }
}
