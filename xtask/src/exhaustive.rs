//! `cargo xtask exhaustive`: `exp` and `sqrt` tried on every f32, and `exp` timed.
//!
//! There are only 2^32 inputs, so "correctly rounded" need not be argued; it can be checked:
//! ```text
//! y = std's f64 exp(x), off by less than 1 ulp
//! if f32(y · (1 − 2^-50)) = f32(y · (1 + 2^-50)), that is the rounding of the true e^x
//! else e^x at 160 bits (dashu-float) is compared with the midpoint between the two f32s
//! ```
//! The margin is at least 4 ulps of f64 and conversion is monotonic, so the first case is certain
//! as long as the f64 `exp` errs by less than 3 ulps. Neither oracle shares code or constants with
//! `llamaboot_math`.
//!
//! A control with a known flaw, the cubic that most libms use, runs beside the others. Its errors
//! (some 170,000) show that the check can see one.

use std::hint::black_box;
use std::num::NonZero;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};
use dashu_float::{FBig, round::mode::HalfEven};
use indicatif::{ProgressBar, ProgressStyle};
use llamaboot_math::exp;

/// Sets `outputs[i]` to e^`inputs[i]`; the slices have equal lengths.
pub(crate) type ExpSlice = fn(&[f32], &mut [f32]);

/// Inputs handed to an implementation at a time: large enough to time, small enough for cache.
const BLOCK_LEN: u32 = 1 << 14;

/// Blocks in the space of all bit patterns: 2^32 / [`BLOCK_LEN`].
const BLOCKS: u32 = 1 << 18;

/// What one thread has found, then what all have.
#[derive(Clone, Default)]
struct Tally {
    checked: u64,
    /// Inputs that only arbitrary precision could decide.
    hard: u64,
    /// One per implementation.
    errors: Vec<Errors>,
}

#[derive(Clone, Default)]
struct Errors {
    misrounded: u64,
    /// (input, found, expected)
    first: Option<(f32, f32, f32)>,
}

/// Checks and times `llamaboot_math::exp` and each of `implementations` (name, function), and
/// checks `llamaboot_math::sqrt`. An error names a misrounded input.
pub(crate) fn run(implementations: &[(&str, ExpSlice)]) -> Result<()> {
    let mut candidates: Vec<(&str, ExpSlice)> = vec![("llamaboot_math", math_exp)];
    candidates.extend_from_slice(implementations);
    for &(name, function) in &candidates {
        print_speed(name, function);
    }
    check_exp(&candidates)?;
    check_sqrt()
}

fn check_exp(candidates: &[(&str, ExpSlice)]) -> Result<()> {
    let mut columns = candidates.to_vec();
    columns.push(("control: cubic", cubic_exp));
    let total = scan("exp", BLOCKS, columns.len(), |block, tally| {
        let inputs = block_inputs(block);
        let expected: Vec<f32> = inputs.iter().map(|&x| exp_oracle(x, &mut tally.hard)).collect();
        let mut found = vec![0.0; inputs.len()];
        for (column, &(_, function)) in columns.iter().enumerate() {
            function(&inputs, &mut found);
            tally.errors[column].compare(&inputs, &found, &expected);
        }
        tally.checked += inputs.len() as u64;
    });
    for ((name, _), errors) in columns.iter().zip(&total.errors) {
        report("exp", name, &total, errors);
    }
    let (control, results) = total.errors.split_last().expect("the control is always there");
    for ((name, _), errors) in candidates.iter().zip(results) {
        errors.ensure_none("exp", name)?;
    }
    ensure!(control.misrounded > 0, "the check saw none of the control's errors: it is broken");
    Ok(())
}

/// All f32s from +0 to infinity; std's square root is the CPU's, and correctly rounded.
fn check_sqrt() -> Result<()> {
    let last_block = f32::INFINITY.to_bits() / BLOCK_LEN;
    let total = scan("sqrt", last_block + 1, 1, |block, tally| {
        let mut inputs = block_inputs(block);
        inputs.retain(|x| !x.is_nan());
        let expected: Vec<f32> = inputs.iter().map(|x| x.sqrt()).collect();
        let found: Vec<f32> = inputs.iter().map(|&x| llamaboot_math::sqrt(x)).collect();
        tally.errors[0].compare(&inputs, &found, &expected);
        tally.checked += inputs.len() as u64;
    });
    report("sqrt", "llamaboot_math", &total, &total.errors[0]);
    total.errors[0].ensure_none("sqrt", "llamaboot_math")
}

/// Runs `check` on the numbers 0..`blocks` across all cores.
fn scan(
    name: &'static str,
    blocks: u32,
    columns: usize,
    check: impl Fn(u32, &mut Tally) + Sync,
) -> Tally {
    // Drawn on stderr, and only where that is a terminal.
    let bar = ProgressBar::new(u64::from(blocks)).with_message(name);
    let style = ProgressStyle::with_template("{msg:5} {wide_bar} {percent:>3}% {eta}");
    bar.set_style(style.expect("the template is constant and valid"));
    let next_block = AtomicU32::new(0);
    let empty = Tally { errors: vec![Errors::default(); columns], ..Tally::default() };
    let work = || {
        let mut tally = empty.clone();
        loop {
            let block = next_block.fetch_add(1, Ordering::Relaxed);
            if block >= blocks {
                return tally;
            }
            check(block, &mut tally);
            bar.inc(1);
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let total = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("a worker that panics ends the process"))
            .fold(empty.clone(), Tally::merge)
    });
    bar.finish_and_clear();
    total
}

fn block_inputs(block: u32) -> Vec<f32> {
    let first = block * BLOCK_LEN;
    (first..=first + (BLOCK_LEN - 1)).map(f32::from_bits).collect()
}

impl Tally {
    fn merge(mut self, other: Self) -> Self {
        self.checked += other.checked;
        self.hard += other.hard;
        for (errors, more) in self.errors.iter_mut().zip(other.errors) {
            errors.misrounded += more.misrounded;
            errors.first = errors.first.or(more.first);
        }
        self
    }
}

impl Errors {
    fn compare(&mut self, inputs: &[f32], found: &[f32], expected: &[f32]) {
        for ((&x, &found), &expected) in inputs.iter().zip(found).zip(expected) {
            let same = found.to_bits() == expected.to_bits();
            if !(same || found.is_nan() && expected.is_nan()) {
                self.misrounded += 1;
                self.first.get_or_insert((x, found, expected));
            }
        }
    }

    fn ensure_none(&self, function: &str, name: &str) -> Result<()> {
        if let Some((x, found, expected)) = self.first {
            let bits = x.to_bits();
            anyhow::bail!(
                "{name}: {} inputs misrounded; {function}({x:e}), bits {bits:#010x}, \
                 is {expected:e}, found {found:e}",
                self.misrounded
            );
        }
        Ok(())
    }
}

fn report(function: &str, name: &str, total: &Tally, errors: &Errors) {
    println!(
        "{function:<4} {name:<16} {:>10} inputs {:>8} misrounded {:>4} hard cases",
        total.checked, errors.misrounded, total.hard
    );
}

/// e^x correctly rounded; counts in `hard` the inputs for which f64 did not suffice.
fn exp_oracle(x: f32, hard: &mut u64) -> f32 {
    /// 2^-50, which is 4 to 8 ulps of any normal f64.
    const MARGIN: f64 = 4.0 * f64::EPSILON;
    if x.is_nan() {
        return x;
    }
    let y = f64::from(x).exp();
    let low = (y * (1.0 - MARGIN)) as f32;
    let high = (y * (1.0 + MARGIN)) as f32;
    if low == high {
        return low;
    }
    *hard += 1;
    rounded_by_big_arithmetic(x, low, high)
}

/// Which of two adjacent f32s is nearer to e^x. A tie is impossible: e^x is irrational for x ≠ 0,
/// and x = 0 is not a hard case.
fn rounded_by_big_arithmetic(x: f32, low: f32, high: f32) -> f32 {
    let midpoint = if high.is_infinite() {
        2f64.powi(128) - 2f64.powi(103)
    } else {
        (f64::from(low) + f64::from(high)) / 2.0
    };
    if big(f64::from(x)).exp() > big(midpoint) { high } else { low }
}

/// `value` exactly, with 160 bits for what is computed from it.
fn big(value: f64) -> FBig<HalfEven, 2> {
    FBig::try_from(value).expect("only finite values are hard cases").with_precision(160).value()
}

fn math_exp(inputs: &[f32], outputs: &mut [f32]) {
    for (y, &x) in outputs.iter_mut().zip(inputs) {
        *y = exp(x);
    }
}

fn std_exp(inputs: &[f32], outputs: &mut [f32]) {
    for (y, &x) in outputs.iter_mut().zip(inputs) {
        *y = x.exp();
    }
}

/// The control: one-step reduction and a cubic, as in ARM's optimized routines and glibc.
///
/// 2^(r/32) ≈ 1 + v + c v² + v³/6 with v = r ln 2/32 and |v| ≤ a = ln 2/64. The v⁴/24 left out is
/// replaced by (2√2 − 2) a² v²/24, which makes the worst error least, near 2^-33.
fn cubic_exp(inputs: &[f32], outputs: &mut [f32]) {
    const STEP: f64 = std::f64::consts::LN_2 / 32.0;
    const SQUARE: f64 = 0.5 + (2.0 * std::f64::consts::SQRT_2 - 2.0) * (STEP * STEP / 4.0) / 24.0;
    for (y, &x) in outputs.iter_mut().zip(inputs) {
        let z = f64::from(x.clamp(exp::INPUT_MIN, exp::INPUT_MAX)) * exp::STEPS_PER_LN2;
        let shifted = z + exp::ROUNDING_SHIFT;
        let n = shifted.to_bits();
        let v = (z - (shifted - exp::ROUNDING_SHIFT)) * STEP;
        let bits = exp::TABLE[n as usize % exp::STEPS].wrapping_add(n << exp::TABLE_SHIFT);
        let cubic = 1.0 + v + v * v * (SQUARE + v * (1.0 / 6.0));
        *y = (cubic * f64::from_bits(bits)) as f32;
    }
}

/// Nanoseconds a call over an array in cache, `function` and std's `exp` in turn, so that a change
/// of clock or load meets both; medians of the rounds.
fn print_speed(name: &str, function: ExpSlice) {
    const ROUNDS: usize = 31;
    let inputs = typical_inputs();
    let mut ours = Vec::with_capacity(ROUNDS);
    let mut std = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        ours.push(ns_per_call(function, &inputs));
        std.push(ns_per_call(std_exp, &inputs));
    }
    let ratio = median(ours.iter().zip(&std).map(|(ours, std)| ours / std).collect());
    let (ours, std) = (median(ours), median(std));
    println!("exp  {name:<16} {ours:.2} ns, std's {std:.2} ns a call, ratio {ratio:.2}");
}

/// Uniform in [−20, 5): what softmax and SiLU mostly see. In a fixed pseudo-random order, as
/// sorted inputs would flatter the table look-up.
fn typical_inputs() -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state as f32 / 2f32.powi(32) * 25.0 - 20.0
    };
    (0..4096).map(|_| next()).collect()
}

fn ns_per_call(function: ExpSlice, inputs: &[f32]) -> f64 {
    const REPEATS: usize = 128;
    let mut outputs = vec![0.0; inputs.len()];
    let start = Instant::now();
    for _ in 0..REPEATS {
        function(black_box(inputs), black_box(&mut outputs));
    }
    start.elapsed().as_secs_f64() * 1e9 / (REPEATS * inputs.len()) as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
