//! The inputs of a matrix product, for a batch of tokens: as f32, and as blocks of 32 int16 with
//! one scale for matrices whose weights are blocks too.
//!
//! ```text
//! greatest = max |x| of the block;  scale = greatest / 32767;  q = round(x * (32767 / greatest))
//! ```
//! 15 bits keep SmolLM2's logits within 0.004 of f32 activations; 8 bits are off by 1.1 and spoil
//! its answers. Sums of 32 products of an i8 and an i16 are exact in i32.

use crate::parallel::SharedMut;
use crate::{Aligned, Kernels, OutOfMemory, Parallel, zeros};
use alloc::vec::Vec;

/// Values in a block.
pub(crate) const BLOCK: usize = 32;

/// One block's scale and the sums of its halves.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct BlockInfo {
    /// `x ≈ scale * q`.
    pub(crate) scale: f32,
    /// Σ q of each half; exact in f32, too.
    pub(crate) sums: [i32; 2],
}

/// 16 int16 as bytes, each `256 h + l`: `l`, unsigned, of columns 0 4 1 5 2 6 3 7 8 12 9 13 10 14
/// 11 15, which is how a panel's planes have them (see `checkpoint/src/panel.rs`), then `h`.
pub(crate) type Split = [u8; 32];

/// A batch of input rows with room for `max_tokens` rows of at most `max_cols` values.
#[derive(Debug)]
pub struct Activations {
    max_cols: usize,
    pub(crate) tokens: usize,
    pub(crate) cols: usize,
    /// `(tokens, cols)`.
    x: Aligned<f32>,
    /// `(tokens, cols)`.
    q: Aligned<i16>,
    /// `(cols / 16)`, of a single token, for kernels that take bytes.
    split: Vec<Split>,
    /// `(tokens, cols / 32)`.
    infos: Vec<BlockInfo>,
}

impl Activations {
    /// Reserves room for the largest batch.
    ///
    /// # Errors
    /// Where there is not enough memory.
    pub fn new(max_tokens: usize, max_cols: usize) -> Result<Self, OutOfMemory> {
        let len = max_tokens * max_cols;
        let (x, q, infos) = (Aligned::zeros(len)?, Aligned::zeros(len)?, zeros(len / BLOCK)?);
        let split = zeros(max_cols / 16)?;
        Ok(Self { max_cols, tokens: 0, cols: 0, x, q, split, infos })
    }

    /// Bytes that [`Activations::new`] reserves.
    #[must_use]
    pub fn bytes(max_tokens: usize, max_cols: usize) -> usize {
        let split = max_cols / 16 * size_of::<Split>();
        max_tokens * max_cols * (4 + 2)
            + split
            + max_tokens * max_cols / BLOCK * size_of::<BlockInfo>()
    }

    /// Takes in `tokens` rows of `cols` values each. `write(start, out)` writes them, values
    /// `start ..` of all rows one after another: a multiple of `piece` values (the least that is
    /// whole blocks, where there are blocks), at the end what is left; every thread has each n-th.
    /// `blocks`: also as int16 blocks, which a product with
    /// [blocked](llamaboot_checkpoint::DType::is_blocked) weights needs, in rows of whole blocks.
    ///
    /// # Panics
    /// Where there is no room for them: a bug of the caller.
    pub fn load(
        &mut self,
        (kernels, threads): (Kernels, &dyn Parallel),
        (tokens, cols): (usize, usize),
        piece: usize,
        blocks: bool,
        write: impl Fn(usize, &mut [f32]) + Sync,
    ) {
        let len = tokens * cols;
        assert!(cols <= self.max_cols && len <= self.x.len(), "more activations than reserved");
        assert!(!blocks || cols.is_multiple_of(BLOCK), "rows of blocks");
        (self.tokens, self.cols) = (tokens, cols);
        let piece = if blocks { whole_blocks(piece) } else { piece };
        let (x, q) = (SharedMut::new(&mut self.x[..len]), SharedMut::new(&mut self.q));
        let infos = SharedMut::new(&mut self.infos);
        let one = |number: usize| {
            let values = number * piece..(number * piece + piece).min(len);
            // SAFETY: each number is taken once, and pieces do not overlap.
            let x = unsafe { x.slice(values.clone()) };
            write(values.start, x);
            if blocks {
                // SAFETY: as above.
                let q = unsafe { q.slice(values.clone()) };
                // SAFETY: as above; pieces are whole blocks.
                let infos = unsafe { infos.slice(values.start / BLOCK..values.end / BLOCK) };
                let rows = x.chunks_exact(BLOCK).zip(q.chunks_exact_mut(BLOCK));
                rows.zip(infos).for_each(|((x, q), info)| *info = kernels.quantize(x, q));
            }
        };
        match len.div_ceil(piece) {
            1 => one(0),
            pieces => threads.run(&|index| {
                (index..pieces).step_by(threads.threads()).for_each(one);
            }),
        }
        if blocks && tokens == 1 {
            kernels.split(&self.q[..cols], &mut self.split[..cols / 16]);
        }
    }

    pub(crate) fn row(&self, token: usize) -> &[f32] {
        &self.x[token * self.cols..(token + 1) * self.cols]
    }

    pub(crate) fn row_q(&self, token: usize) -> &[i16] {
        &self.q[token * self.cols..(token + 1) * self.cols]
    }

    /// Of a single token, where the kernels take bytes.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn split(&self) -> &[Split] {
        &self.split[..self.cols / 16]
    }

    pub(crate) fn row_infos(&self, token: usize) -> &[BlockInfo] {
        let blocks = self.cols / BLOCK;
        &self.infos[token * blocks..(token + 1) * blocks]
    }
}

/// The least multiple of `piece` that is whole blocks.
fn whole_blocks(piece: usize) -> usize {
    let twos = piece.trailing_zeros().min(BLOCK.trailing_zeros());
    piece * (BLOCK >> twos)
}

/// Scale and reciprocal for a block whose greatest magnitude has these bits: `(scale, 1 / scale)`.
/// Blocks of zeros, or too small for the reciprocal, become zeros; a block with an infinity or a
/// NaN becomes NaN, so that the fault stays visible.
pub(crate) fn scales(greatest_bits: u32) -> (f32, f32) {
    /// 2^-100: far below any activation, far above where 32767 / greatest overflows.
    const TINY: u32 = (127 - 100) << 23;
    if greatest_bits >= f32::INFINITY.to_bits() {
        (f32::NAN, 0.0)
    } else if greatest_bits < TINY {
        (0.0, 0.0)
    } else {
        let greatest = f32::from_bits(greatest_bits);
        (greatest / 32767.0, 32767.0 / greatest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_least_common_multiple_with_a_block() {
        for piece in 1..300 {
            let least = (1..).map(|times| times * piece).find(|n| n % BLOCK == 0);
            assert_eq!(Some(whole_blocks(piece)), least, "{piece}");
        }
    }
}
