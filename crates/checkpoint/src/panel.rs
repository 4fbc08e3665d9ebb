//! Quantised matrices rearranged in place for vector kernels: eight rows side by side, at the
//! file's own bits, so that memory is read once, in order, and lane r of a register is row r.
//!
//! ```text
//! panel   8 rows × cols = [block of 32 columns]
//! block   f16 scale[8]  f16 min[8] (Q4_1)  weights
//! weights weight 16·half + 2k + e of row r is number i = ((2k + half)·8 + r)·2 + e
//!         Q8_0  byte i
//!         Q4_x  a nibble: of byte 32·(k / 2) + i mod 32, the low one for even k, else the high one
//! ```
//! A panel has exactly the bytes of its eight rows, so a matrix is rearranged where it lies.

use crate::{Block32, DType, Header};
use alloc::vec;

/// Rows of a panel.
pub const PANEL_ROWS: usize = 8;

/// Bytes in front of a block's weights.
fn head(dtype: DType) -> usize {
    if dtype == DType::Q4_1 { 32 } else { 16 }
}

/// Whether a matrix of this format and height can be rearranged.
#[must_use]
pub fn is_packable(dtype: DType, rows: usize) -> bool {
    matches!(dtype, DType::Q8_0 | DType::Q4_0 | DType::Q4_1) && rows.is_multiple_of(PANEL_ROWS)
}

/// Byte of a weight among a block's weights, and how far its bits are shifted in it.
fn place(dtype: DType, row: usize, weight: usize) -> (usize, u32) {
    let (half, k, e) = (weight / 16, weight % 16 / 2, weight % 2);
    let i = ((2 * k + half) * PANEL_ROWS + row) * 2 + e;
    if dtype == DType::Q8_0 { (i, 0) } else { (32 * (k / 2) + i % 32, 4 * (k as u32 % 2)) }
}

/// Rearranges eight rows, which lie one after another in `rows`, into a panel.
fn pack(dtype: DType, rows: &mut [u8], copy: &mut [u8]) {
    let (size, head) = (dtype.block_bytes(), head(dtype));
    let row_len = rows.len() / PANEL_ROWS;
    copy.copy_from_slice(rows);
    for (index, panel) in rows.chunks_exact_mut(PANEL_ROWS * size).enumerate() {
        let (scales, weights) = panel.split_at_mut(head);
        for row in 0..PANEL_ROWS {
            let block = &copy[row * row_len + index * size..][..size];
            let (block_head, q) = block.split_at(head / PANEL_ROWS);
            for (part, half) in block_head.chunks_exact(2).enumerate() {
                scales[(part * PANEL_ROWS + row) * 2..][..2].copy_from_slice(half);
            }
            if dtype == DType::Q8_0 {
                pack_bytes(row, q, weights);
            } else {
                pack_nibbles(row, q, weights);
            }
        }
    }
}

/// The weights of one row's Q8_0 block: pairs of bytes, each to its place.
fn pack_bytes(row: usize, q: &[u8], weights: &mut [u8]) {
    for (i, out) in weights.chunks_exact_mut(2 * PANEL_ROWS).enumerate() {
        let (k, half) = (i / 2, i % 2);
        out[2 * row..2 * row + 2].copy_from_slice(&q[16 * half + 2 * k..][..2]);
    }
}

/// The weights of one row's Q4 block: in the file a byte holds weights n and n + 16, which are the
/// same pair of the two halves; in the panel it holds pairs k and k + 1 of one half.
fn pack_nibbles(row: usize, q: &[u8], weights: &mut [u8]) {
    for (out, q) in weights.chunks_exact_mut(32).zip(q.chunks_exact(4)) {
        for e in 0..2 {
            let (even, odd) = (q[e], q[2 + e]);
            out[2 * row + e] = (even & 15) | (odd << 4);
            out[16 + 2 * row + e] = (even >> 4) | (odd & 0xf0);
        }
    }
}

/// Rearranges a whole matrix of `cols` columns, which [`is_packable`], into panels.
///
/// # Panics
/// Where `data` is not a whole number of panels: a bug of the caller.
pub fn pack_matrix(dtype: DType, cols: usize, data: &mut [u8]) {
    let mut copy = vec![0; PANEL_ROWS * dtype.row_bytes(cols)];
    assert!(data.len().is_multiple_of(copy.len()), "a matrix of whole panels");
    for rows in data.chunks_exact_mut(copy.len()) {
        pack(dtype, rows, &mut copy);
    }
}

/// Block `index` of row `row` (0 to 7) of a panel.
pub(crate) fn read(dtype: DType, panel: &[u8], row: usize, index: usize) -> Block32 {
    let len = PANEL_ROWS * dtype.block_bytes();
    let (scales, weights) = panel[index * len..][..len].split_at(head(dtype));
    // The file's own block, put together again, is read as it would have been.
    let mut block = [0; 34];
    let mut at = 0;
    for part in scales.chunks_exact(2 * PANEL_ROWS) {
        block[at..at + 2].copy_from_slice(&part[2 * row..2 * row + 2]);
        at += 2;
    }
    for weight in 0..32 {
        let (byte, shift) = place(dtype, row, weight);
        match dtype {
            DType::Q8_0 => block[at + weight] = weights[byte],
            _ => block[at + weight % 16] |= (weights[byte] >> shift & 15) << (weight / 16 * 4),
        }
    }
    Block32::read(dtype, &block, &[], 0)
}

impl Header<'_> {
    /// Rearranges every matrix that can be, in `pieces` of the file that begin at the offsets
    /// given, and notes that in `tensors`. To be called once, before
    /// [`Checkpoint::attach`](crate::Checkpoint::attach).
    pub fn pack<'p>(&mut self, pieces: impl IntoIterator<Item = (u64, &'p mut [u8])>) {
        for (start, bytes) in pieces {
            for tensor in &mut self.tensors {
                let from = tensor.offset.checked_sub(start).map(|from| from as usize);
                let range = from.map(|from| from..from + tensor.len as usize);
                let packable = is_packable(tensor.dtype, tensor.rows) && !tensor.packed;
                let Some(data) = range.filter(|_| packable).and_then(|range| bytes.get_mut(range))
                else {
                    continue;
                };
                pack_matrix(tensor.dtype, tensor.cols, data);
                tensor.packed = true;
            }
        }
    }
}
