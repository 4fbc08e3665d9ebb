//! Exponentials in f32, and SwiGLU of them: see [`crate::training`].

use super::features;
use super::floats::{Lanes, reduce, zero_lanes};
use super::registers::*;
use super::{load_first, store_first};
use crate::training::Training;
use llamaboot_math::exp_near as constants;

pub(crate) const TRAINING: Training = Training { exponentials, swiglu, swiglu_backward };

/// Eight exponentials, with the operations and order that `llamaboot_math::exp_near` states.
#[inline]
#[features]
fn exp_near_8(x: Floats) -> Floats {
    let set = |x: f32| splat(x);
    // With the constants as first operands a NaN in `x` stays one.
    let x = max(set(constants::INPUT_MIN), x);
    let x = min(set(constants::INPUT_MAX), x);
    let shift = set(constants::ROUNDING_SHIFT);
    let t = fma(x, set(constants::LOG2_E), shift);
    let k = sub(t, shift);
    let r = fnma(k, set(constants::LN2_HI), x);
    let r = fnma(k, set(constants::LN2_LO), r);
    let mut p = set(constants::C[0]);
    for c in &constants::C[1..] {
        p = fma(p, r, set(*c));
    }
    let y = add(fma(p, mul(r, r), r), set(1.0));
    let exponent = shift_left::<23>(bits(t));
    let scale = add_i32(exponent, splat_i32(127 << 23));
    mul(y, from_bits(scale))
}

#[features]
fn exponentials(x: &mut [f32]) -> (f32, f32) {
    let max = crate::max(x);
    let maxes = splat(max);
    let mut sums = zero_lanes();
    let (pairs, rest) = x.as_chunks_mut::<16>();
    for pair in pairs {
        let [low, high] = [0, 8].map(|at| {
            let y = exp_near_8(sub(load_first(&pair[at..]), maxes));
            store_first(&mut pair[at..], y);
            y
        });
        sums = Lanes(add(sums.0, low), add(sums.1, high));
    }
    let (low, high) = rest.split_at_mut(rest.len().min(8));
    let [low, high] = [low, high].map(|x| {
        store_first(x, exp_near_8(sub(load_first(x), maxes)));
        load_first(x)
    });
    (max, reduce(Lanes(add(sums.0, low), add(sums.1, high))))
}

#[features]
fn swiglu(out: &mut [f32], gate: &[f32], up: &[f32]) {
    for ((out, gate), up) in out.chunks_mut(8).zip(gate.chunks(8)).zip(up.chunks(8)) {
        let gate = load_first(gate);
        let silu = div(gate, one_and_exp_of_minus(gate));
        store_first(out, mul(silu, load_first(up)));
    }
}

/// `1 + e^−x`.
#[inline]
#[features]
fn one_and_exp_of_minus(x: Floats) -> Floats {
    add(splat(1.0), exp_near_8(negated(x)))
}

#[features]
fn swiglu_backward(d_up: &mut [f32], d_gate: &mut [f32], gate: &[f32], up: &[f32]) {
    let one = splat(1.0);
    let gradients = d_up.chunks_mut(8).zip(d_gate.chunks_mut(8));
    for ((d_up, d_gate), (gate, up)) in gradients.zip(gate.chunks(8).zip(up.chunks(8))) {
        let (d, gate, up) = (load_first(d_up), load_first(gate), load_first(up));
        let sigmoid = div(one, one_and_exp_of_minus(gate));
        let slope = mul(gate, sub(one, sigmoid));
        let by_gate = mul(mul(d, up), sigmoid);
        store_first(d_gate, mul(by_gate, add(one, slope)));
        store_first(d_up, mul(mul(d, gate), sigmoid));
    }
}
