//! Random numbers from counters: each is a hash of what it is for, so that none depends on how many
//! were drawn before, on which thread, or in which run.

/// The SplitMix64 finalizer (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators").
pub(crate) fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A hash of several numbers.
pub(crate) fn hash(parts: &[u64]) -> u64 {
    parts
        .iter()
        .fold(0, |hash, &part| mix(hash.wrapping_add(GOLDEN) ^ mix(part.wrapping_add(GOLDEN))))
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of numbers (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream for a purpose.
    pub(crate) fn new(parts: &[u64]) -> Self {
        Self(hash(parts))
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// Uniform in `0..n`, with a bias below n / 2^64.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// Uniform in (0, 1].
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Two independent numbers from the standard normal distribution (Box and Muller).
    pub(crate) fn normal_pair(&mut self) -> [f32; 2] {
        let radius = llamaboot_math::sqrt((-2.0 * llamaboot_math::ln(self.uniform())) as f32);
        let (sin, cos) = llamaboot_math::sin_cos(core::f64::consts::TAU * self.uniform());
        [radius * cos as f32, radius * sin as f32]
    }
}
