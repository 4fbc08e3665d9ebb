//! Dot products of rows of floats: matrices of F32, F16 and BF16, and attention's keys and values.
//! Each row has its own 16 lanes; several rows and tokens go side by side.

use super::features;
use super::floats::{Lanes, reduce, zero_lanes};
use super::registers::*;
use super::{load_first, store_first};
use crate::activations::Activations;
use crate::dispatch::Cached;
use crate::matmul::{Output, streams};
use bytemuck::cast_slice;
use core::ops::Range;
use llamaboot_checkpoint::{DType, Tensor};

/// How numbers are stored, and how eight of them become f32.
pub(crate) trait Source {
    const BYTES: usize;

    /// # Safety
    /// Eight numbers lie at `at`.
    unsafe fn load(at: *const u8) -> Floats;
}

struct F32;
pub(crate) struct F16;
pub(crate) struct BF16;

impl Source for F32 {
    const BYTES: usize = 4;

    #[inline]
    #[features]
    unsafe fn load(at: *const u8) -> Floats {
        // SAFETY: the caller's promise.
        unsafe { load(at.cast()) }
    }
}

impl Source for F16 {
    const BYTES: usize = 2;

    #[inline]
    #[features]
    unsafe fn load(at: *const u8) -> Floats {
        // SAFETY: the caller's promise.
        unsafe { load_f16(at) }
    }
}

impl Source for BF16 {
    const BYTES: usize = 2;

    #[inline]
    #[features]
    unsafe fn load(at: *const u8) -> Floats {
        // SAFETY: the caller's promise.
        unsafe { load_bf16(at) }
    }
}

/// Up to eight numbers, zeros behind them.
#[inline]
#[features]
fn first<S: Source>(bytes: &[u8]) -> Floats {
    if bytes.len() == 8 * S::BYTES {
        // SAFETY: eight numbers lie there.
        return unsafe { S::load(bytes.as_ptr()) };
    }
    let mut copy = [0; 32];
    copy[..bytes.len()].copy_from_slice(bytes);
    // SAFETY: the copy holds eight numbers of any kind.
    unsafe { S::load(copy.as_ptr()) }
}

/// Numbers as f32.
#[features]
pub(crate) fn widen<S: Source>(bytes: &[u8], out: &mut [f32]) {
    for (out, bytes) in out.chunks_mut(8).zip(bytes.chunks(8 * S::BYTES)) {
        store_first(out, first::<S>(bytes));
    }
}

/// `R` rows, each as long as `x`'s, times `T` tokens.
#[inline]
#[features]
fn tile<S: Source, const R: usize, const T: usize>(
    rows: [&[u8]; R],
    x: [&[f32]; T],
) -> [[Lanes; R]; T] {
    let cols = x[0].len();
    assert!(x.iter().all(|x| x.len() == cols));
    assert!(rows.iter().all(|row| row.len() == cols * S::BYTES));
    let mut lanes = [[zero_lanes(); R]; T];
    let whole = cols / 16 * 16;
    for i in (0..whole).step_by(16) {
        // SAFETY: i + 16 is at most `cols`, which every row and every token has (asserted).
        unsafe {
            let mut low = [zero(); R];
            for (low, row) in low.iter_mut().zip(rows) {
                *low = S::load(row.as_ptr().add(i * S::BYTES));
            }
            for (lanes, x) in lanes.iter_mut().zip(x) {
                let x = load(x.as_ptr().add(i));
                let sums = fma_each(low, x, lanes.map(|lanes| lanes.0));
                lanes.iter_mut().zip(sums).for_each(|(lanes, sum)| lanes.0 = sum);
            }
            let mut high = [zero(); R];
            for (high, row) in high.iter_mut().zip(rows) {
                *high = S::load(row.as_ptr().add((i + 8) * S::BYTES));
            }
            for (lanes, x) in lanes.iter_mut().zip(x) {
                let x = load(x.as_ptr().add(i + 8));
                let sums = fma_each(high, x, lanes.map(|lanes| lanes.1));
                lanes.iter_mut().zip(sums).for_each(|(lanes, sum)| lanes.1 = sum);
            }
        }
    }
    let middle = (whole + 8).min(cols);
    if whole < middle {
        for (lanes, x) in lanes.iter_mut().zip(x) {
            for (lanes, row) in lanes.iter_mut().zip(rows) {
                let row = &row[whole * S::BYTES..middle * S::BYTES];
                lanes.0 = last_step::<S>(row, &x[whole..middle], lanes.0);
            }
        }
    }
    if middle < cols {
        for (lanes, x) in lanes.iter_mut().zip(x) {
            for (lanes, row) in lanes.iter_mut().zip(rows) {
                lanes.1 = last_step::<S>(&row[middle * S::BYTES..], &x[middle..], lanes.1);
            }
        }
    }
    lanes
}

/// One fused step for up to 8 lanes. The others get `0 * 0 + lane`, which changes none: a lane that
/// began as +0 is never -0.
#[inline]
#[features]
fn last_step<S: Source>(row: &[u8], x: &[f32], acc: Floats) -> Floats {
    fma(first::<S>(row), load_first(x), acc)
}

#[features]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let [[lanes]] = tile::<F32, 1, 1>([cast_slice(a)], [b]);
    reduce(lanes)
}

/// [`reduce`] of four rows at once: the same additions, side by side.
#[inline]
#[features]
fn reduce_4(rows: [Lanes; 4]) -> Four {
    sums_of_8(rows.map(|lanes| add(lanes.0, lanes.1)))
}

#[features]
pub(crate) fn float_rows(
    w: &Tensor<'_>,
    rows: Range<usize>,
    x: &Activations,
    out: &mut Output<'_>,
) {
    match w.dtype {
        DType::F32 => matrix::<F32>(w, rows, x, out),
        DType::F16 => matrix::<F16>(w, rows, x, out),
        _ => matrix::<BF16>(w, rows, x, out),
    }
}

/// One token reads four streams of rows; more tokens share what is read of two.
#[features]
fn matrix<S: Source>(w: &Tensor<'_>, rows: Range<usize>, x: &Activations, out: &mut Output<'_>) {
    if x.tokens == 1 {
        let (steps, rest) = streams::<4>(rows);
        for rows in steps {
            let [a, b, c, d] = rows;
            let [lanes] = tile::<S, 4, 1>([w.row(a), w.row(b), w.row(c), w.row(d)], [x.row(0)]);
            let mut sums = [0.0; 4];
            // SAFETY: the array holds the four numbers that are written.
            unsafe { store_4(sums.as_mut_ptr(), reduce_4(lanes)) };
            for (row, sum) in rows.into_iter().zip(sums) {
                out.rows(0, row, 1)[0] = sum;
            }
        }
        return rest.for_each(|row| tokens::<S, 1>(w, [row], x, out));
    }
    let (steps, rest) = streams::<2>(rows);
    for rows in steps {
        tokens::<S, 2>(w, rows, x, out);
    }
    for row in rest {
        tokens::<S, 1>(w, [row], x, out);
    }
}

/// `R` rows against all tokens, three at a time, then one by one.
#[features]
fn tokens<S: Source, const R: usize>(
    w: &Tensor<'_>,
    rows: [usize; R],
    x: &Activations,
    out: &mut Output<'_>,
) {
    let bytes = rows.map(|row| w.row(row));
    let mut token = 0;
    while token + 3 <= x.tokens {
        let three = [x.row(token), x.row(token + 1), x.row(token + 2)];
        let [a, b, c] = tile::<S, R, 3>(bytes, three);
        // A single row comes as its own neighbour.
        let two = |lanes: [Lanes; R]| [lanes[0], lanes[R - 1]];
        let ([a, b], [c, _]) = (both_sums(two(a), two(b)), both_sums(two(c), two(c)));
        for (t, sums) in [a, b, c].into_iter().enumerate() {
            for (row, sum) in rows.into_iter().zip(sums) {
                out.rows(token + t, row, 1)[0] = sum;
            }
        }
        token += 3;
    }
    for token in token..x.tokens {
        let [lanes] = tile::<S, R, 1>(bytes, [x.row(token)]);
        for (row, lanes) in rows.into_iter().zip(lanes) {
            out.rows(token, row, 1)[0] = reduce(lanes);
        }
    }
}

/// [`reduce_4`] of two rows for each of two tokens.
#[features]
fn both_sums([a, b]: [Lanes; 2], [c, d]: [Lanes; 2]) -> [[f32; 2]; 2] {
    let mut sums = [[0.0; 2]; 2];
    // SAFETY: the array holds the four numbers that are written.
    unsafe { store_4(sums.as_mut_ptr().cast(), reduce_4([a, b, c, d])) };
    sums
}

#[features]
pub(crate) fn dots(q: &[f32], keys: Cached<'_>, divisor: f32, out: &mut [f32], next: Cached<'_>) {
    match keys {
        Cached::F32(keys) => scores::<F32>(q, cast_slice(keys), divisor, out, next.bytes()),
        Cached::F16(keys) => scores::<F16>(q, cast_slice(keys), divisor, out, next.bytes()),
    }
}

/// Asks for the `len` bytes at `at` of what will be read next, as far as there are any: keys and
/// values take turns, and the hardware's prefetcher loses either at every turn.
#[inline]
#[features]
fn prefetch(next: &[u8], at: usize, len: usize) {
    for line in (at..(at + len).min(next.len())).step_by(64) {
        fetch(next[line..].as_ptr());
    }
}

#[features]
fn scores<S: Source>(q: &[f32], keys: &[u8], divisor: f32, out: &mut [f32], next: &[u8]) {
    let len = q.len() * S::BYTES;
    let mut fours = keys.chunks_exact(4 * len);
    let (whole, rest) = out.as_chunks_mut::<4>();
    for (index, (out, keys)) in whole.iter_mut().zip(&mut fours).enumerate() {
        prefetch(next, index * 4 * len, 4 * len);
        let (ab, cd) = keys.split_at(2 * len);
        let ((a, b), (c, d)) = (ab.split_at(len), cd.split_at(len));
        let [lanes] = tile::<S, 4, 1>([a, b, c, d], [q]);
        let scores = div_4(reduce_4(lanes), splat_4(divisor));
        // SAFETY: the chunk holds the four numbers that are written.
        unsafe { store_4(out.as_mut_ptr(), scores) };
    }
    for (out, key) in rest.iter_mut().zip(fours.remainder().chunks_exact(len)) {
        let [[lanes]] = tile::<S, 1, 1>([key], [q]);
        *out = reduce(lanes) / divisor;
    }
}

#[features]
pub(crate) fn weighted_sum(weights: &[f32], values: Cached<'_>, out: &mut [f32], next: Cached<'_>) {
    match values {
        Cached::F32(values) => mix::<F32>(weights, cast_slice(values), out, next.bytes()),
        Cached::F16(values) => mix::<F16>(weights, cast_slice(values), out, next.bytes()),
    }
}

/// Columns are taken 64 at a time, then 8, so that the running sums stay in registers.
#[features]
fn mix<S: Source>(weights: &[f32], values: &[u8], out: &mut [f32], next: &[u8]) {
    let width = out.len();
    assert_eq!(values.len(), weights.len() * width * S::BYTES);
    let (wide, narrow) = out.as_chunks_mut::<64>();
    for (index, out) in wide.iter_mut().enumerate() {
        let mut acc: [Floats; 8] = core::array::from_fn(|j| load_first(&out[8 * j..8 * j + 8]));
        for (t, &weight) in weights.iter().enumerate() {
            prefetch(next, (t * width + 64 * index) * S::BYTES, 64 * S::BYTES);
            let row = core::array::from_fn(|j| {
                let at = (t * width + 64 * index + 8 * j) * S::BYTES;
                // SAFETY: row t of `values` has `width` numbers (asserted), these among them.
                unsafe { S::load(values.as_ptr().add(at)) }
            });
            acc = fma_each(row, splat(weight), acc);
        }
        for (out, acc) in out.chunks_exact_mut(8).zip(acc) {
            store_first(out, acc);
        }
    }
    for (index, out) in narrow.chunks_mut(8).enumerate() {
        let column = wide.len() * 64 + 8 * index;
        let mut acc = load_first(out);
        for (&weight, row) in weights.iter().zip(values.chunks_exact(width * S::BYTES)) {
            let value = &row[column * S::BYTES..(column + out.len()) * S::BYTES];
            acc = fma(splat(weight), first::<S>(value), acc);
        }
        store_first(out, acc);
    }
}
