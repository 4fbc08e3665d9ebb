//! The loading line: bar, share, speed, time left.
//!
//! ```text
//! SmolLM2-135M-Instruct.Q4_1.gguf  [########------------]  41 %  212 MB/s  1 s left
//! ```

use crate::text::{self, Language};
use crate::{Clock, Console};
use alloc::{format, string::String};

/// Shows how far loading has come, at most about ten times a second.
pub struct Progress<'a> {
    name: &'a str,
    total: u64,
    unit: Unit,
    language: Language,
    clock: &'a dyn Clock,
    start_us: u64,
    shown_us: u64,
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Bytes,
    Tokens,
}

/// Cells of the bar.
const BAR: u64 = 20;

impl<'a> Progress<'a> {
    /// A bar for `total` bytes of `name`.
    #[must_use]
    pub fn new(name: &'a str, total: u64, language: Language, clock: &'a dyn Clock) -> Self {
        Self::of(name, total, Unit::Bytes, language, clock)
    }

    /// A bar for `total` tokens.
    #[must_use]
    pub fn counting(name: &'a str, total: u64, language: Language, clock: &'a dyn Clock) -> Self {
        Self::of(name, total, Unit::Tokens, language, clock)
    }

    fn of(name: &'a str, total: u64, unit: Unit, language: Language, clock: &'a dyn Clock) -> Self {
        let start_us = clock.micros();
        Self { name, total, unit, language, clock, start_us, shown_us: start_us }
    }

    /// Shows that `done` bytes are there.
    pub fn show(&mut self, console: &mut dyn Console, done: u64) {
        let now = self.clock.micros();
        let last = done >= self.total;
        if last || now - self.shown_us >= 100_000 {
            self.shown_us = now;
            console.progress(&self.line(done, now - self.start_us), last);
        }
    }

    /// Shows how far it has come, for the last time.
    pub fn end(&mut self, console: &mut dyn Console, done: u64) {
        if self.total > 0 {
            console.progress(&self.line(done, self.clock.micros() - self.start_us), true);
        }
    }

    fn line(&self, done: u64, micros: u64) -> String {
        let share = |whole: u64| (done * whole).checked_div(self.total).unwrap_or(whole);
        let filled = share(BAR) as usize;
        let bar = format!("{}{}", "#".repeat(filled), "-".repeat(BAR as usize - filled));
        let (percent, micros) = (share(100), micros.max(1));
        let rate = done as f64 / micros as f64;
        let left_s = if rate > 0.0 { (self.total - done) as f64 / rate / 1e6 } else { 0.0 };
        let (all, rate) = match self.unit {
            Unit::Bytes => (bytes_text(self.total), format!("{rate:.0} MB/s")),
            Unit::Tokens => {
                (format!("{} tokens", self.total), format!("{:.1} tokens/s", rate * 1e6))
            }
        };
        let end = if done >= self.total {
            let took = format!("{:.1}", micros as f64 / 1e6);
            text::PROGRESS_DONE.fill(self.language, &[&all, &took])
        } else {
            text::PROGRESS_LEFT.fill(self.language, &[&format!("{left_s:.0}")])
        };
        format!("{}  [{bar}] {percent:>3} %  {rate}  {end}", self.name)
    }
}

/// How much of a whole is used, in so many cells; anything at all fills one.
pub(crate) fn gauge(used: usize, whole: usize, cells: usize) -> String {
    let filled = (used * cells).div_ceil(whole.max(1)).min(cells);
    format!("{}{}", "█".repeat(filled), "░".repeat(cells - filled))
}

/// A size for people: `98.4 MB`, `1.06 MB`, `512 bytes`.
#[must_use]
pub fn bytes_text(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "bytes");
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    let digits = match value {
        _ if unit == "bytes" => 0,
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Still;

    impl Clock for Still {
        fn micros(&self) -> u64 {
            0
        }
    }

    #[test]
    fn sizes_read_well() {
        let sizes = [0, 999, 1_056_540, 98_362_432, 242_272, 1_200_000_000];
        let texts = ["0 bytes", "999 bytes", "1.06 MB", "98.4 MB", "242 kB", "1.20 GB"];
        assert_eq!(sizes.map(bytes_text), texts);
    }

    #[test]
    fn the_line_tells_share_speed_and_time() {
        let progress = Progress::new("a.gguf", 100_000_000, Language::En, &Still);
        let half = progress.line(50_000_000, 250_000);
        assert_eq!(half, "a.gguf  [##########----------]  50 %  200 MB/s  0 s left");
        let french = Progress::new("a.gguf", 100_000_000, Language::Fr, &Still);
        let half = french.line(50_000_000, 250_000);
        assert_eq!(half, "a.gguf  [##########----------]  50 %  200 MB/s  reste 0 s");
        let whole = progress.line(100_000_000, 500_000);
        assert_eq!(whole, "a.gguf  [####################] 100 %  200 MB/s  100 MB in 0.5 s");
        assert_eq!(
            Progress::new("e", 0, Language::En, &Still).line(0, 0),
            "e  [####################] 100 %  0 MB/s  0 bytes in 0.0 s"
        );
    }
}
