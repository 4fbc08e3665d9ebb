//! Matrix times a batch of tokens, `out[t][r] = Σ_c w[r][c] * x[t][c]`, split over threads by
//! groups of eight rows. A batch gives exactly what its tokens give one by one.

use crate::dispatch::{Panel, RowGroup};
use crate::parallel::{SharedMut, share};
use crate::{Activations, Kernels, OutOfMemory, Parallel, zeros};
use alloc::vec::Vec;
use core::ops::Range;
use llamaboot_checkpoint::{DType, Tensor};

/// Rows of a group: the lanes of an AVX2 vector.
pub(crate) const GROUP: usize = 8;

/// Scratch memory for each thread, reserved at load.
#[derive(Debug)]
pub struct Workspace {
    threads: Vec<ThreadSpace>,
}

#[derive(Debug)]
struct ThreadSpace {
    /// One row as f32.
    row: Vec<f32>,
    panel: Panel,
}

impl Workspace {
    /// Room for `threads` threads and matrices of at most `max_cols` columns.
    ///
    /// # Errors
    /// Where there is not enough memory.
    pub fn new(threads: usize, max_cols: usize) -> Result<Self, OutOfMemory> {
        let space = |_| {
            let scales = GROUP * max_cols / 16;
            let panel =
                Panel { q: zeros(GROUP * max_cols)?, scale: zeros(scales)?, min: zeros(scales)? };
            Ok(ThreadSpace { row: zeros(max_cols)?, panel })
        };
        Ok(Self { threads: (0..threads).map(space).collect::<Result<_, _>>()? })
    }

    /// Bytes that [`Workspace::new`] reserves.
    #[must_use]
    pub fn bytes(threads: usize, max_cols: usize) -> usize {
        threads * max_cols * (4 + GROUP + 2 * GROUP * 4 / 16)
    }
}

/// Where a group of rows puts its results: `(tokens, rows of the tensor)`.
pub(crate) struct GroupOut<'a> {
    out: &'a SharedMut<'a, f32>,
    stride: usize,
    first_row: usize,
    len: usize,
}

impl GroupOut<'_> {
    /// The results of one token for this group's rows.
    pub(crate) fn token(&mut self, token: usize) -> &mut [f32] {
        let start = token * self.stride + self.first_row;
        // SAFETY: rows of a group belong to one thread (see `matmul`), and the borrow of `self`
        // keeps this thread from holding two.
        unsafe { self.out.slice(start..start + self.len) }
    }

    pub(crate) fn set(&mut self, token: usize, i: usize, value: f32) {
        self.token(token)[i] = value;
    }

    pub(crate) fn get(&mut self, token: usize, i: usize) -> f32 {
        self.token(token)[i]
    }
}

impl Kernels {
    /// `out = w · x` for every token of `x`; `out` is `(tokens, w.rows)`.
    ///
    /// # Panics
    /// Where shapes do not fit: bugs of the caller, since shapes are checked at load.
    pub fn matmul(
        self,
        threads: &dyn Parallel,
        space: &mut Workspace,
        w: &Tensor<'_>,
        x: &Activations,
        out: &mut [f32],
    ) {
        assert_eq!((x.cols, out.len()), (w.cols, x.tokens * w.rows), "shapes of a product");
        assert!(space.threads.len() >= threads.threads(), "a workspace for fewer threads");
        let n_groups = w.rows.div_ceil(GROUP);
        let out = SharedMut::new(out);
        let spaces = SharedMut::new(&mut space.threads);
        threads.run(&|index| {
            // SAFETY: each index has a space of its own.
            let space = &mut unsafe { spaces.slice(index..index + 1) }[0];
            for group in share(n_groups, index, threads.threads()) {
                let rows = group * GROUP..(group * GROUP + GROUP).min(w.rows);
                let out =
                    GroupOut { out: &out, stride: w.rows, first_row: rows.start, len: rows.len() };
                self.row_group(w, rows, x, out, space);
            }
        });
    }

    fn row_group(
        self,
        w: &Tensor<'_>,
        rows: Range<usize>,
        x: &Activations,
        mut out: GroupOut<'_>,
        space: &mut ThreadSpace,
    ) {
        if w.dtype.is_blocked() {
            let mut group = RowGroup { tensor: w, rows, out, panel: &mut space.panel };
            // SAFETY: `Kernels` exists only for a CPU that has the table's features.
            unsafe { (self.table.block_rows)(&mut group, x) };
            return;
        }
        for (i, row) in rows.enumerate() {
            let row = self.float_row(w, row, &mut space.row);
            for token in 0..x.tokens {
                out.set(token, i, self.dot(row, x.row(token)));
            }
        }
    }

    /// A row of floats: the file's own bytes where they are aligned f32, else widened.
    fn float_row<'b>(self, w: &Tensor<'b>, row: usize, buffer: &'b mut [f32]) -> &'b [f32] {
        if w.dtype == DType::F32
            && cfg!(target_endian = "little")
            && let Ok(row) = bytemuck::try_cast_slice(w.row(row))
        {
            return row;
        }
        let buffer = &mut buffer[..w.cols];
        self.dequantize_row(w, row, buffer);
        buffer
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
