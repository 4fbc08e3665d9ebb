//! Time from the time-stamp counter, calibrated once against the firmware's `stall`, whose own
//! clock ticks too coarsely (10 ms) for tokens a second.

use core::arch::x86_64::_rdtsc;
use core::time::Duration;
use llamaboot_chat::Clock;
use uefi::boot;

/// A calibrated time-stamp counter.
#[derive(Clone, Copy)]
pub(crate) struct Tsc {
    ticks_per_ms: u64,
}

impl Tsc {
    /// Takes 10 ms.
    pub(crate) fn calibrate() -> Self {
        const SPAN_MS: u64 = 10;
        let start = now();
        boot::stall(Duration::from_millis(SPAN_MS));
        Self { ticks_per_ms: ((now() - start) / SPAN_MS).max(1) }
    }

    /// The counter's value in `micros` microseconds.
    pub(crate) fn deadline(self, micros: u64) -> u64 {
        now() + self.ticks_per_ms * micros / 1000
    }
}

impl Clock for Tsc {
    fn micros(&self) -> u64 {
        (u128::from(now()) * 1000 / u128::from(self.ticks_per_ms)) as u64
    }
}

fn now() -> u64 {
    // SAFETY: every x86-64 CPU has RDTSC, and firmware runs us in ring 0, where it is allowed.
    unsafe { _rdtsc() }
}
