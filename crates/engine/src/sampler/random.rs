//! Chance: llama2.c's generator, and the draw that its number decides.
//!
//! ```text
//! draw(p, coin) = the first i with  p[0] + … + p[i] > coin
//! ```

/// llama2.c's generator, xorshift* (<https://en.wikipedia.org/wiki/Xorshift#xorshift*>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Random(u64);

impl Random {
    /// A generator for a seed; 0, which xorshift cannot leave, counts as 1.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// A number in [0, 1) of 24 bits.
    pub fn next_f32(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 / 16_777_216.0
    }
}

/// The first index at which the running sum exceeds `coin`; the last where rounding prevents it.
pub(super) fn draw(probabilities: impl ExactSizeIterator<Item = f32>, coin: f32) -> usize {
    let last = probabilities.len() - 1;
    let mut sum = 0.0;
    for (i, p) in probabilities.enumerate() {
        sum += p;
        if coin < sum {
            return i;
        }
    }
    last
}
