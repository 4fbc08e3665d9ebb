//! Nothing but reading, at four places at once: how fast memory gives what a token needs.

use super::features;
use super::registers::*;

#[features]
pub(crate) fn read(bytes: &[u8]) -> u64 {
    /// Two cache lines of each stream at a time.
    const STEP: usize = 128;
    let stream = bytes.len() / 4 / STEP * STEP;
    let mut sums = [zero_integers(); 4];
    for at in (0..stream).step_by(STEP) {
        for start in (0..4).map(|s| s * stream + at) {
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: `STEP` bytes lie at `start`, inside one of four streams of the slice.
                let piece = unsafe { load_integers(bytes.as_ptr().add(start + 32 * i).cast()) };
                *sum = add_i64(*sum, piece);
            }
        }
    }
    for piece in bytes[4 * stream..].as_chunks::<32>().0 {
        // SAFETY: the piece has the 32 bytes that are read.
        let piece = unsafe { load_integers(piece.as_ptr().cast()) };
        sums[0] = add_i64(sums[0], piece);
    }
    let sum = add_i64(add_i64(sums[0], sums[1]), add_i64(sums[2], sums[3]));
    let mut words = [0_u64; 4];
    // SAFETY: the array has the 32 bytes that are written.
    unsafe { store_integers(words.as_mut_ptr().cast(), sum) };
    words.into_iter().fold(0, u64::wrapping_add)
}
