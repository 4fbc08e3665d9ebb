//! Quantised matrices rearranged in place for vector kernels: eight rows side by side, at the
//! file's own bits, so that memory is read once, in order, and lane r of a register is row r.
//!
//! ```text
//! panel   8 rows × cols = [block]                     as many weights as a block of the file has
//! block   head, then for every 32 columns: low plane, high plane
//! head    each f16 of the 8 rows side by side, then each byte of the 8 rows side by side
//! weight  q = (low | high << low bits) - offset;  weight 8k + 2n + e of row r, in pair n of the
//!         four of quad k, lies
//!         in a plane of 8 bits: in byte (4k + n)·16 + 2r + e, signed
//!         in a plane of B bits: in byte (t / 8 · 16 + 2r + e)·2 + n / 2, from bit t mod 8 on,
//!         where t = 2B·k + B·(n mod 2)
//! ```
//! So 16 bytes of eight bits are a pair of weights of eight rows. Of fewer bits, a register of 16
//! u16 gives, by one shift and one mask, pair number n as i16; and as 32 bytes it gives pairs n
//! and n + 2, four columns of each row. A panel has exactly the bytes of its eight rows. Rows
//! behind the last whole panel stay as they are. llama2.c's int8 groups keep their scales apart, as
//! `(panel, group, row)` f32.

use crate::dtype::{MAX_HEAD, NO_MIN, f32_at, scales_of};
use crate::{Block32, DType, Header, Tensor};
use alloc::vec::Vec;

/// Rows of a panel.
pub const PANEL_ROWS: usize = 8;

/// Panels of one [`PackJob`]: enough to be worth a thread's while, few enough to share out evenly.
const JOB_PANELS: usize = 64;

/// How a blocked format's weights are cut into bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Planes {
    low: usize,
    high: usize,
    offset: i8,
}

fn planes(dtype: DType) -> Planes {
    let (low, high, offset) = match dtype {
        DType::Q2K => (2, 0, 0),
        DType::Q3K => (2, 1, 4),
        DType::Q4_0 => (4, 0, 8),
        DType::Q4_1 | DType::Q4K => (4, 0, 0),
        DType::Q5_0 => (4, 1, 16),
        DType::Q5_1 | DType::Q5K => (4, 1, 0),
        DType::Q6K => (4, 2, 32),
        DType::Q8_0 | DType::I8Groups(_) | DType::F32 | DType::F16 | DType::BF16 => (8, 0, 0),
    };
    Planes { low, high, offset }
}

/// How many rows of a matrix [`Header::pack`] rearranges.
#[must_use]
pub fn packable_rows(dtype: DType, rows: usize) -> usize {
    if dtype.is_blocked() { rows / PANEL_ROWS * PANEL_ROWS } else { 0 }
}

/// 32-weight blocks in a block of the file.
fn parts(dtype: DType) -> usize {
    if let DType::I8Groups(_) = dtype { 1 } else { dtype.block_len() / 32 }
}

/// Bytes of a panel's block.
fn block_len(dtype: DType) -> usize {
    let bytes = if let DType::I8Groups(_) = dtype { 32 } else { dtype.block_bytes() };
    PANEL_ROWS * bytes
}

/// Number of the byte and the bit in it where a plane of `bits` holds weight `i` of 32.
fn place(bits: usize, i: usize, row: usize) -> (usize, usize) {
    let (quad, n, e) = (i / 8, i / 2 % 4, i % 2);
    if bits == 8 {
        return ((4 * quad + n) * 16 + 2 * row + e, 0);
    }
    let t = 2 * bits * quad + bits * (n % 2);
    ((t / 8 * 16 + 2 * row + e) * 2 + n / 2, t % 8)
}

/// Puts one row's 32 values into a plane, `4 / BITS` quads into two neighbouring u16.
fn put<const BITS: usize>(plane: &mut [u8], row: usize, values: &[u8; 32]) {
    for (values, words) in values.chunks_exact(32 / BITS).zip(plane.as_chunks_mut::<32>().0) {
        let mut two = [0_u16; 2];
        for (k, quad) in values.as_chunks::<8>().0.iter().enumerate() {
            for (i, &value) in quad.iter().enumerate() {
                let (at, bit) = place(BITS, 8 * k + i, 0);
                two[at / 2] |= u16::from(value & mask(BITS)) << (at % 2 * 8 + bit);
            }
        }
        for (e, word) in two.into_iter().enumerate() {
            words[4 * row + 2 * e..][..2].copy_from_slice(&word.to_le_bytes());
        }
    }
}

fn put_bytes(plane: &mut [u8], row: usize, values: &[u8; 32]) {
    for (pair, eight) in values.as_chunks::<2>().0.iter().zip(plane.as_chunks_mut::<16>().0) {
        eight[2 * row..2 * row + 2].copy_from_slice(pair);
    }
}

/// The lowest `bits` bits.
fn mask(bits: usize) -> u8 {
    u8::MAX >> (8 - bits)
}

/// A stretch of panels to rearrange; several may be done at the same time.
pub struct PackJob<'p> {
    dtype: DType,
    cols: usize,
    weights: &'p mut [u8],
    scales: &'p mut [u8],
}

impl<'p> PackJob<'p> {
    /// The whole panels of a matrix of `cols` columns, whose dtype [is
    /// blocked](DType::is_blocked).
    #[must_use]
    pub fn new(dtype: DType, cols: usize, weights: &'p mut [u8], scales: &'p mut [u8]) -> Self {
        Self { dtype, cols, weights, scales }
    }

    /// Bytes of room that [`PackJob::run`] needs: a panel's.
    #[must_use]
    pub fn space(&self) -> usize {
        PANEL_ROWS * (self.dtype.row_bytes(self.cols) + self.dtype.row_scale_bytes(self.cols))
    }

    /// Does it; to be called once. Allocates nothing: cores that run without firmware cannot.
    ///
    /// # Panics
    /// With less room than [`PackJob::space`] says.
    pub fn run(&mut self, space: &mut [u8]) {
        let panel_len = PANEL_ROWS * self.dtype.row_bytes(self.cols);
        let scales_len = PANEL_ROWS * self.dtype.row_scale_bytes(self.cols);
        let (rows, rest) = space.split_at_mut(panel_len);
        let row_scales = &mut rest[..scales_len];
        let mut scales = self.scales.chunks_exact_mut(scales_len.max(1));
        for panel in self.weights.chunks_exact_mut(panel_len) {
            rows.copy_from_slice(panel);
            let scales = scales.next().unwrap_or_default();
            row_scales.copy_from_slice(scales);
            pack(self.dtype, (rows, row_scales), panel, scales);
        }
    }
}

/// Rearranges eight rows (weights, group scales) into a panel and its scales.
fn pack(dtype: DType, (rows, row_scales): (&[u8], &[u8]), panel: &mut [u8], scales: &mut [u8]) {
    for (r, row) in row_scales.chunks_exact((row_scales.len() / PANEL_ROWS).max(1)).enumerate() {
        for (group, scale) in row.chunks_exact(4).enumerate() {
            scales[(group * PANEL_ROWS + r) * 4..][..4].copy_from_slice(scale);
        }
    }
    let (file_block, n_parts) = (block_len(dtype) / PANEL_ROWS, parts(dtype));
    let head_ranges = dtype.head();
    let head_len = head_ranges.halves.len() + head_ranges.bytes.len();
    let Planes { low, high, offset } = planes(dtype);
    for (r, row) in rows.chunks_exact(rows.len() / PANEL_ROWS).enumerate() {
        let row_scales = &row_scales[r * row_scales.len() / PANEL_ROWS..];
        for (index, block) in panel.chunks_exact_mut(block_len(dtype)).enumerate() {
            let (head, weights) = block.split_at_mut(PANEL_ROWS * head_len);
            let file = &row[index * file_block..][..file_block];
            put_head(dtype, file, head, r);
            for (part, plane) in weights.chunks_exact_mut(32 * (low + high)).enumerate() {
                let q = Block32::read(dtype, row, row_scales, index * n_parts + part).q;
                let (low_plane, high_plane) = plane.split_at_mut(32 * low);
                let values = q.map(|q| (q + offset).cast_unsigned());
                match low {
                    8 => put_bytes(low_plane, r, &values),
                    4 => put::<4>(low_plane, r, &values),
                    _ => put::<2>(low_plane, r, &values),
                }
                match high {
                    2 => put::<2>(high_plane, r, &values.map(|v| v >> low)),
                    1 => put::<1>(high_plane, r, &values.map(|v| v >> low)),
                    _ => {}
                }
            }
        }
    }
}

fn put_head(dtype: DType, file: &[u8], head: &mut [u8], row: usize) {
    let ranges = dtype.head();
    let (halves, bytes) = head.split_at_mut(PANEL_ROWS * ranges.halves.len());
    for (i, half) in file[ranges.halves].chunks_exact(2).enumerate() {
        halves[(i * PANEL_ROWS + row) * 2..][..2].copy_from_slice(half);
    }
    for (i, &byte) in file[ranges.bytes].iter().enumerate() {
        bytes[i * PANEL_ROWS + row] = byte;
    }
}

/// Block `index` of row `row`, which lies in a panel.
pub(crate) fn read(tensor: &Tensor<'_>, row: usize, index: usize) -> Block32 {
    let dtype = tensor.dtype;
    let (panel, r) = (tensor.panel(row / PANEL_ROWS), row % PANEL_ROWS);
    let n_parts = parts(dtype);
    let block = &panel[index / n_parts * block_len(dtype)..][..block_len(dtype)];
    let ranges = dtype.head();
    let (halves, rest) = block.split_at(PANEL_ROWS * ranges.halves.len());
    let (bytes, weights) = rest.split_at(PANEL_ROWS * ranges.bytes.len());
    let Planes { low, high, offset } = planes(dtype);
    let len = 32 * (low + high);
    let (low_plane, high_plane) = weights[index % n_parts * len..][..len].split_at(32 * low);
    let q = core::array::from_fn(|i| {
        let mut value = bits_at(low_plane, low, i, r);
        if high > 0 {
            value |= bits_at(high_plane, high, i, r) << low;
        }
        value.cast_signed() - offset
    });
    if let DType::I8Groups(group) = dtype {
        let at = (index * 32 / group as usize * PANEL_ROWS + r) * 4;
        let scale = f32_at(tensor.panel_scales(row / PANEL_ROWS), at);
        return Block32 { q, scale: [scale; 2], min: NO_MIN };
    }
    let mut head = [0; MAX_HEAD];
    for i in 0..ranges.halves.len() / 2 {
        head[2 * i..2 * i + 2].copy_from_slice(&halves[(i * PANEL_ROWS + r) * 2..][..2]);
    }
    for i in 0..ranges.bytes.len() {
        head[ranges.halves.len() + i] = bytes[i * PANEL_ROWS + r];
    }
    let (scale, min) = scales_of(dtype, &head, index % n_parts);
    Block32 { q, scale, min }
}

/// Value `i` of 32 in a plane.
fn bits_at(plane: &[u8], bits: usize, i: usize, row: usize) -> u8 {
    let (at, bit) = place(bits, i, row);
    plane[at] >> bit & mask(bits)
}

impl Header<'_> {
    /// Plans to rearrange every matrix that can be, in `pieces` of the file that begin at the
    /// offsets given, and notes that in `tensors`; the jobs do it, in any order and on any threads.
    /// To be called once, before [`Checkpoint::attach`](crate::Checkpoint::attach).
    #[must_use]
    pub fn pack<'p>(
        &mut self,
        pieces: impl IntoIterator<Item = (u64, &'p mut [u8])>,
    ) -> Vec<PackJob<'p>> {
        let mut jobs = Vec::new();
        self.tensors.sort_unstable_by_key(|tensor| tensor.offset);
        for (start, bytes) in pieces {
            let (mut at, mut rest) = (start, bytes);
            for tensor in &mut self.tensors {
                let rows = packable_rows(tensor.dtype, tensor.rows);
                let end = tensor.offset + tensor.len;
                if rows == 0 || tensor.packed_rows > 0 || tensor.offset < at {
                    continue;
                }
                if end - at > rest.len() as u64 {
                    break;
                }
                let (before, after) = rest.split_at_mut((end - at) as usize);
                let data = &mut before[(tensor.offset - at) as usize..];
                (at, rest) = (end, after);
                tensor.packed_rows = rows;
                let (dtype, cols) = (tensor.dtype, tensor.cols);
                let (weights, scales) = data.split_at_mut(tensor.rows * dtype.row_bytes(cols));
                let panels = |row_len: usize| JOB_PANELS * PANEL_ROWS * row_len;
                let mut scales = scales[..rows * dtype.row_scale_bytes(cols)]
                    .chunks_mut(panels(dtype.row_scale_bytes(cols)).max(1));
                let weights = weights[..rows * dtype.row_bytes(cols)]
                    .chunks_mut(panels(dtype.row_bytes(cols)));
                jobs.extend(weights.map(|weights| {
                    PackJob::new(dtype, cols, weights, scales.next().unwrap_or_default())
                }));
            }
        }
        jobs
    }
}
