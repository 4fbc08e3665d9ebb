//! Vectors of f32: sums, exp and what is built of it, and narrowing.

use super::exp::exp_8;
use super::features;
use super::registers::*;
use super::{load_first, store_first};

/// The 16 lanes of a reduction.
#[derive(Clone, Copy)]
pub(super) struct Lanes(pub(super) Floats, pub(super) Floats);

#[features]
pub(super) fn zero_lanes() -> Lanes {
    Lanes(zero(), zero())
}

/// `lane j + lane j + half` for halves 8, 4, 2, 1.
#[features]
pub(super) fn reduce(lanes: Lanes) -> f32 {
    sum_of_8(add(lanes.0, lanes.1))
}

#[features]
pub(crate) fn sum(x: &[f32]) -> f32 {
    let whole = x.len() / 16 * 16;
    let mut lanes = zero_lanes();
    for i in (0..whole).step_by(16) {
        // SAFETY: i + 16 is at most the slice's length.
        let (low, high) = unsafe { (load(x.as_ptr().add(i)), load(x.as_ptr().add(i + 8))) };
        lanes = Lanes(add(lanes.0, low), add(lanes.1, high));
    }
    let (low, high) = x[whole..].split_at((x.len() - whole).min(8));
    // Zeros added to the lanes past the end change none: a sum that is -0 cannot arise from +0.
    reduce(Lanes(add(lanes.0, load_first(low)), add(lanes.1, load_first(high))))
}

#[features]
pub(crate) fn exp_minus(x: &mut [f32], max: f32) {
    let max = splat(max);
    for x in x.chunks_mut(8) {
        let exps = exp_8(sub(load_first(x), max));
        store_first(x, exps);
    }
}

#[features]
pub(crate) fn swiglu(out: &mut [f32], gate: &[f32], up: &[f32]) {
    let one = splat(1.0);
    for ((out, gate), up) in out.chunks_mut(8).zip(gate.chunks(8)).zip(up.chunks(8)) {
        let gate = load_first(gate);
        let silu = div(gate, add(one, exp_8(negated(gate))));
        store_first(out, mul(silu, load_first(up)));
    }
}

#[features]
pub(crate) fn narrow_f16(x: &[f32], out: &mut [u16]) {
    for (x, out) in x.chunks(8).zip(out.chunks_mut(8)) {
        let mut halves = [0; 8];
        store_f16(&mut halves, load_first(x));
        out.copy_from_slice(&halves[..x.len()]);
    }
}
