//! Which kernels to compare, and random numbers to compare them on.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_kernels::{Bf16Instructions, Isa, Kernels};
use std::sync::Once;

/// The oracle.
pub(crate) fn scalar() -> Kernels {
    Kernels::new(Isa::Scalar).unwrap()
}

/// The instruction sets to compare with scalar on this machine.
pub(crate) fn others() -> Vec<Kernels> {
    let found: Vec<_> = Isa::ALL.into_iter().filter_map(|isa| Kernels::new(isa).ok()).collect();
    let bf16 = Kernels::best().bf16_instructions();
    if cfg!(target_arch = "x86_64") && bf16 != Some(Bf16Instructions::AmxBf16) {
        let hint = "cargo xtask emulate has AVX-512, its BF16 and AMX";
        let isas = found.iter().map(|kernels| kernels.isa().name());
        let names: Vec<_> = isas.chain(bf16.map(Bf16Instructions::name)).collect();
        let has = format!("this CPU has only {}", names.join(", "));
        // Once for all cases of all properties.
        static TOLD: Once = Once::new();
        TOLD.call_once(|| llamaboot_test_support::skipped(&format!("{has}; {hint}")));
    }
    found.into_iter().filter(|k| k.isa() != Isa::Scalar).collect()
}

/// Numbers like activations and weights: xorshift, mostly within ±4, some zeros, some tiny.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn float(&mut self) -> f32 {
        let bits = self.bits();
        let value = (bits >> 40) as f32 / (1 << 21) as f32 - 4.0;
        match bits % 31 {
            0 => 0.0,
            1 => -0.0,
            2 => value * 1e-30,
            3 => value * 100.0,
            _ => value,
        }
    }

    pub(crate) fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.float()).collect()
    }
}
