//! Panels of eight rows (see `checkpoint/src/panel.rs`) against int16 activations.
//!
//! ```text
//! for each span of 16 or 32 columns that shares a scale:
//!   for each pair p of columns:  s += pmaddwd(pair p of 8 rows as i16, (x[2p], x[2p+1]))
//!   acc = fma(f32(s - offset * Σ x), scale * dx, acc);  with minima: acc = fma(Σ x, min * dx, acc)
//! ```
//! One token reads four streams of packed panels. For more tokens two panels are unpacked once, to
//! i16 and f32, and used for all of them, `TOKENS` at a time. What differs between formats is a
//! [`Format`]; the AVX-512 kernels use the same ones.

use super::features;
use super::formats::{self, Format, GroupScales, for_format};
use super::registers::*;
use super::store_first;
use crate::activations::{Activations, BLOCK, BlockInfo};
use crate::matmul::{Output, UnpackedPanel, streams};
use core::ops::Range;
use llamaboot_checkpoint::{DType, PANEL_ROWS, Tensor};

/// Words that hold the fields of `BITS` bits of quad `quad` (pairs `4 * quad ..`): pairs 0 and 1 of
/// it from bits 0 and `BITS` on, 2 and 3 from bits 8 and `8 + BITS`.
///
/// # Safety
/// A plane of that many bits of eight rows lies there; `quad` is below 4.
#[inline]
#[features]
unsafe fn words<const BITS: usize>(plane: *const u8, quad: usize) -> Integers {
    let in_words = 16 / BITS / 4;
    // SAFETY: the caller's promise.
    let words = unsafe { load_integers(plane.add(quad / in_words * 32).cast()) };
    if in_words == 1 {
        return words;
    }
    shift_right_u16(words, quad % in_words * 2 * BITS)
}

/// The four fields that [`words`] says, moved to bit `to`.
#[inline]
#[features]
fn fields(words: Integers, bits: usize, to: usize) -> [Integers; 4] {
    let mask = splat_i16((((1 << bits) - 1) << to) as i16);
    core::array::from_fn(|n| {
        // All of this is constant where it is inlined, and so are the shifts.
        let from = n / 2 * 8 + n % 2 * bits;
        let moved = if from > to {
            shift_right_u16(words, from - to)
        } else {
            shift_left_u16(words, to - from)
        };
        and(moved, mask)
    })
}

/// Pairs `4 * quad ..` of eight rows as i16, the offset not yet taken away.
///
/// # Safety
/// The planes of 32 columns of eight rows lie at `planes`; `quad` is below 4.
#[inline]
#[features]
unsafe fn quad<F: Format>(planes: *const u8, quad: usize) -> [Integers; 4] {
    // SAFETY: the caller's promise.
    unsafe {
        if F::LOW == 8 {
            return core::array::from_fn(|n| load_i8(planes.add(64 * quad + 16 * n)));
        }
        let low = if F::LOW == 4 { words::<4>(planes, quad) } else { words::<2>(planes, quad) };
        let mut weights = fields(low, F::LOW, 0);
        if F::HIGH > 0 {
            let plane = planes.add(32 * F::LOW);
            let high = if F::HIGH == 2 { words::<2>(plane, quad) } else { words::<1>(plane, quad) };
            for (weight, high) in weights.iter_mut().zip(fields(high, F::HIGH, F::LOW)) {
                *weight = or(*weight, high);
            }
        }
        weights
    }
}

/// Panels of a group of streams, ready to be read.
pub(crate) struct Panels<'a, const P: usize> {
    pub(crate) data: [&'a [u8]; P],
    pub(crate) scales: [GroupScales; P],
}

impl<'a, const P: usize> Panels<'a, P> {
    /// # Panics
    /// Where a panel is not as long as `F` says.
    pub(crate) fn new<F: Format>(w: &Tensor<'a>, numbers: [usize; P]) -> Self {
        let data = numbers.map(|panel| w.panel(panel));
        let len = w.cols / (32 * F::PARTS) * block_len::<F>();
        assert!(data.iter().all(|data| data.len() == len), "a panel of another length");
        let blocks = if let DType::I8Groups(group) = w.dtype { group as usize / 32 } else { 1 };
        let scales = numbers.map(|panel| {
            let scales = w.panel_scales(panel);
            assert!(F::HEAD > 0 || scales.len() == w.cols / (32 * blocks) * 32, "scales");
            GroupScales::new(scales, blocks)
        });
        Self { data, scales }
    }
}

/// Bytes of a panel's block.
pub(crate) const fn block_len<F: Format>() -> usize {
    F::HEAD + F::PARTS * part_len::<F>()
}

/// Bytes of the planes of 32 columns.
pub(crate) const fn part_len<F: Format>() -> usize {
    32 * (F::LOW + F::HIGH)
}

/// How a span ends, the same for every instruction set, which names its instructions.
macro_rules! define_span_step {
    (
        $features:meta, $integers:ty, $floats:ty, $set:ident, $convert:ident, $mul:ident,
        $fmadd:ident
    ) => {
        /// Ends a span: `acc += sum` as the crate's head defines it. `x_sum` is Σ x of the span.
        #[inline]
        #[$features]
        pub(crate) fn span_step(
            has_min: bool,
            (scale, min): ($floats, $floats),
            sum: $integers,
            dx: f32,
            x_sum: i32,
            acc: $floats,
        ) -> $floats {
            let dx = $set(dx);
            let acc = $fmadd($convert(sum), $mul(scale, dx), acc);
            if has_min { $fmadd($set(x_sum as f32), $mul(min, dx), acc) } else { acc }
        }
    };
}
#[allow(unused_imports, reason = "AVX-512 takes that of AVX2")]
pub(crate) use define_span_step;

define_span_step!(features, Integers, Floats, splat, convert, mul, fma);

/// Σ x of a span.
#[inline]
pub(crate) fn x_sum(spans: usize, info: &BlockInfo, span: usize) -> i32 {
    if spans == 1 { info.sums[0] + info.sums[1] } else { info.sums[span] }
}

/// `P` panels times one token, straight from the packed weights: what generating text does.
#[features]
fn single<F: Format, const P: usize>(
    w: &Tensor<'_>,
    numbers: [usize; P],
    x: &Activations,
    out: &mut Output<'_>,
) {
    let panels = Panels::new::<F>(w, numbers);
    let (q, infos) = (x.row_q(0), x.row_infos(0));
    let blocks = infos.len();
    assert!(q.len() == w.cols && q.len() == blocks * BLOCK, "rows of blocks");
    assert!(blocks.is_multiple_of(F::PARTS), "whole blocks");
    let mut acc = [zero(); P];
    let mut sums = [zero_sums(); P];
    // One loop over quads: a nested one is unrolled until registers run out.
    for step in 0..4 * blocks {
        let (block, quad_number) = (step / 4, step % 4);
        let (index, k) = (block / F::PARTS, block % F::PARTS);
        // SAFETY: `Panels` has checked that every block is there.
        let heads = panels.data.map(|data| unsafe { data.as_ptr().add(index * block_len::<F>()) });
        // SAFETY: four pairs of int16, inside the row (asserted).
        let pairs: [Integers; 4] = unsafe {
            let at = q.as_ptr().add(8 * step).cast::<i32>();
            core::array::from_fn(|n| splat_i32(at.add(n).read_unaligned()))
        };
        for (sum, head) in sums.iter_mut().zip(heads) {
            // SAFETY: the planes of this block, behind its head.
            let weights =
                unsafe { quad::<F>(head.add(F::HEAD + k * part_len::<F>()), quad_number) };
            for (weights, pair) in weights.into_iter().zip(pairs) {
                *sum = add_products(*sum, weights, pair);
            }
        }
        let quads = 4 / F::SPANS;
        if quad_number % quads < quads - 1 {
            continue;
        }
        let (info, span) = (&infos[block], quad_number / quads);
        let x_sum = x_sum(F::SPANS, info, span);
        for (panel, (acc, sum)) in acc.iter_mut().zip(&mut sums).enumerate() {
            // SAFETY: a whole head lies there, and all groups' scales (see `Panels`).
            let scale = unsafe { F::scale(heads[panel], k, span, panels.scales[panel].at(block)) };
            let offset = splat_i32(F::OFFSET * x_sum);
            let sum_of_rows = totals(*sum);
            let exact = if F::OFFSET == 0 { sum_of_rows } else { sub_i32(sum_of_rows, offset) };
            *acc = span_step(F::MIN, scale, exact, info.scale, x_sum, *acc);
            *sum = zero_sums();
        }
    }
    for (panel, acc) in numbers.into_iter().zip(acc) {
        store_first(out.rows(0, panel * PANEL_ROWS, PANEL_ROWS), acc);
    }
}

/// Unpacks a panel, once for all tokens of a batch: the same form for every format.
#[features]
pub(crate) fn unpack<F: Format>(w: &Tensor<'_>, panel: usize, to: &mut UnpackedPanel) {
    let panels = Panels::new::<F>(w, [panel]);
    let blocks = w.cols / BLOCK;
    to.check(w.cols, F::SPANS);
    let offset = splat_i16(F::OFFSET as i16);
    for block in 0..blocks {
        let (index, k) = (block / F::PARTS, block % F::PARTS);
        // SAFETY: `Panels` has checked that every block is there, `check` that `to` has room.
        unsafe {
            let head = panels.data[0].as_ptr().add(index * block_len::<F>());
            let planes = head.add(F::HEAD + k * part_len::<F>());
            for number in 0..4 {
                let at = to.q.as_mut_ptr().add(block * PANEL_ROWS * BLOCK + 64 * number);
                for (n, weights) in quad::<F>(planes, number).into_iter().enumerate() {
                    let weights = sub_i16(weights, offset);
                    store_integers(at.add(16 * n).cast(), weights);
                }
            }
            for span in 0..F::SPANS {
                let (scale, min) = F::scale(head, k, span, panels.scales[0].at(block));
                let at = (block * F::SPANS + span) * PANEL_ROWS;
                store(to.scale.as_mut_ptr().add(at), scale);
                if F::MIN {
                    store(to.min.as_mut_ptr().add(at), min);
                }
            }
        }
    }
}

/// Two unpacked panels times `T` tokens from `first` on.
#[features]
fn tile<const SPANS: usize, const MIN: bool, const T: usize>(
    panels: [&UnpackedPanel; 2],
    x: &Activations,
    first: usize,
) -> [[Floats; T]; 2] {
    let q: [&[i16]; T] = core::array::from_fn(|t| x.row_q(first + t));
    let infos: [&[BlockInfo]; T] = core::array::from_fn(|t| x.row_infos(first + t));
    let blocks = infos[0].len();
    assert!(q.iter().all(|q| q.len() == blocks * BLOCK), "rows of blocks");
    assert!(infos.iter().all(|infos| infos.len() == blocks), "rows of blocks");
    panels.iter().for_each(|panel| panel.check(blocks * BLOCK, SPANS));
    // Pointers from here on: with checks inside the loops it took 9 % more instructions.
    let w = panels.map(|panel| panel.q.as_ptr().cast::<Integers>());
    let scales = panels.map(|panel| (panel.scale.as_ptr(), panel.min.as_ptr()));
    let (pairs, infos) = (q.map(|q| q.as_ptr().cast::<i32>()), infos.map(<[_]>::as_ptr));
    let mut acc = [[zero(); T]; 2];
    for span in 0..blocks * SPANS {
        let mut sums = [[zero_sums(); T]; 2];
        for p in span * 16 / SPANS..(span + 1) * 16 / SPANS {
            // SAFETY: 16 pairs a block, of eight rows each, lie in every panel (checked).
            let w = w.map(|w| unsafe { load_integers(w.add(p)) });
            for (t, pairs) in pairs.iter().enumerate() {
                // SAFETY: 16 pairs a block lie in every row (asserted).
                let x = splat_i32(unsafe { pairs.add(p).read_unaligned() });
                for (sums, w) in sums.iter_mut().zip(w) {
                    sums[t] = add_products(sums[t], w, x);
                }
            }
        }
        for ((acc, sums), (scale, min)) in acc.iter_mut().zip(sums).zip(scales) {
            // SAFETY: a scale and a minimum for each row and span lie in every panel (checked).
            let scale = unsafe { load(scale.add(span * PANEL_ROWS)) };
            // SAFETY: as above; read without use where there are none.
            let min = unsafe { load(min.add(span * PANEL_ROWS)) };
            for ((acc, sum), infos) in acc.iter_mut().zip(sums).zip(infos) {
                // SAFETY: every token has as many blocks (asserted).
                let info = unsafe { &*infos.add(span / SPANS) };
                let x_sum = x_sum(SPANS, info, span % SPANS);
                *acc = span_step(MIN, (scale, min), totals(sum), info.scale, x_sum, *acc);
            }
        }
    }
    acc
}

/// Fetches part `number` of `parts` of what will be read soon.
#[inline]
#[features]
pub(crate) fn fetch_part(bytes: &[u8], number: usize, parts: usize) {
    let lines = bytes.len().div_ceil(64);
    for line in lines * number / parts..lines * (number + 1) / parts {
        fetch_far(bytes[64 * line..].as_ptr());
    }
}

/// How a range of panels is walked, the same for every instruction set: its module has `four`,
/// `one`, `tile`, `TOKENS`, and AVX2's `Floats`, `store_first` and `fetch_part`.
macro_rules! walk_panels {
    ($features:meta) => {
        /// Two unpacked panels against all tokens; an odd last one is its own neighbour. While
        /// whole tiles are computed, the next two are fetched.
        #[$features]
        fn tokens<const SPANS: usize, const MIN: bool>(
            numbers: [usize; 2],
            panels: [&UnpackedPanel; 2],
            x: &Activations,
            out: &mut Output<'_>,
            next: [&[u8]; 2],
        ) {
            let tiles = x.tokens / TOKENS;
            let mut put = |token: usize, acc: [Floats; 2]| {
                for (panel, acc) in numbers.into_iter().zip(acc) {
                    store_first(out.rows(token, panel * PANEL_ROWS, PANEL_ROWS), acc);
                }
            };
            let mut token = 0;
            while token + TOKENS <= x.tokens {
                let [first, second] = tile::<SPANS, MIN, TOKENS>(panels, x, token);
                for (t, acc) in first.into_iter().zip(second).enumerate() {
                    put(token + t, acc.into());
                }
                next.iter().for_each(|next| fetch_part(next, token / TOKENS, tiles));
                token += TOKENS;
            }
            while token + 2 <= x.tokens {
                let [first, second] = tile::<SPANS, MIN, 2>(panels, x, token);
                put(token, [first[0], second[0]]);
                put(token + 1, [first[1], second[1]]);
                token += 2;
            }
            if token < x.tokens {
                let [[first], [second]] = tile::<SPANS, MIN, 1>(panels, x, token);
                put(token, [first, second]);
            }
        }

        #[$features]
        fn matrix<F: Format>(
            w: &Tensor<'_>,
            panels: Range<usize>,
            x: &Activations,
            out: &mut Output<'_>,
            space: &mut [UnpackedPanel; 2],
        ) {
            if x.tokens == 1 {
                let (steps, rest) = streams::<4>(panels);
                steps.for_each(|panels| four::<F>(w, panels, x, out));
                return rest.for_each(|panel| one::<F>(w, panel, x, out));
            }
            let last = panels.end.saturating_sub(1);
            for panel in panels.step_by(2) {
                let numbers = [panel, (panel + 1).min(last)];
                for (number, space) in numbers.into_iter().zip(space.iter_mut()) {
                    unpack::<F>(w, number, space);
                }
                let [first, second] = &*space;
                let next = [panel + 2, panel + 3];
                let next = next.map(|panel| if panel <= last { w.panel(panel) } else { &[] });
                let tokens = match (F::SPANS, F::MIN) {
                    (1, false) => tokens::<1, false>,
                    (1, true) => tokens::<1, true>,
                    (_, false) => tokens::<2, false>,
                    (_, true) => tokens::<2, true>,
                };
                tokens(numbers, [first, second], x, out, next);
            }
        }
    };
}
#[allow(unused_imports, reason = "AVX-512 takes that of AVX2")]
pub(crate) use walk_panels;

/// Four panels times one token.
#[features]
fn four<F: Format>(w: &Tensor<'_>, numbers: [usize; 4], x: &Activations, out: &mut Output<'_>) {
    single::<F, 4>(w, numbers, x, out);
}

/// One panel times one token.
#[features]
fn one<F: Format>(w: &Tensor<'_>, number: usize, x: &Activations, out: &mut Output<'_>) {
    single::<F, 1>(w, [number], x, out);
}

walk_panels!(features);

#[features]
pub(crate) fn panels(
    w: &Tensor<'_>,
    panels: Range<usize>,
    x: &Activations,
    out: &mut Output<'_>,
    space: &mut [UnpackedPanel; 2],
) {
    for_format!(formats, w, matrix(w, panels, x, out, space));
}
