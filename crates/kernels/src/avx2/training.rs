//! Exponentials in f32, and SwiGLU of them: see [`crate::training`].

use super::floats::{Lanes, reduce, zero};
use super::{load_first, store_first};
use crate::training::Training;
use core::arch::x86_64::*;
use llamaboot_math::exp_near as constants;

pub(crate) const TRAINING: Training = Training { exponentials, swiglu, swiglu_backward };

/// Eight exponentials, with the operations and order that `llamaboot_math::exp_near` states.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn exp_near_8(x: __m256) -> __m256 {
    let set = |x: f32| _mm256_set1_ps(x);
    // With the constants as first operands a NaN in `x` stays one.
    let x = _mm256_max_ps(set(constants::INPUT_MIN), x);
    let x = _mm256_min_ps(set(constants::INPUT_MAX), x);
    let shift = set(constants::ROUNDING_SHIFT);
    let t = _mm256_fmadd_ps(x, set(constants::LOG2_E), shift);
    let k = _mm256_sub_ps(t, shift);
    let r = _mm256_fnmadd_ps(k, set(constants::LN2_HI), x);
    let r = _mm256_fnmadd_ps(k, set(constants::LN2_LO), r);
    let mut p = set(constants::C[0]);
    for c in &constants::C[1..] {
        p = _mm256_fmadd_ps(p, r, set(*c));
    }
    let y = _mm256_add_ps(_mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r), set(1.0));
    let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(t));
    let scale = _mm256_add_epi32(exponent, _mm256_set1_epi32(127 << 23));
    _mm256_mul_ps(y, _mm256_castsi256_ps(scale))
}

#[target_feature(enable = "avx2,fma,f16c")]
fn exponentials(x: &mut [f32]) -> (f32, f32) {
    let max = crate::max(x);
    let maxes = _mm256_set1_ps(max);
    let mut sums = zero();
    let (pairs, rest) = x.as_chunks_mut::<16>();
    for pair in pairs {
        let [low, high] = [0, 8].map(|at| {
            let y = exp_near_8(_mm256_sub_ps(load_first(&pair[at..]), maxes));
            store_first(&mut pair[at..], y);
            y
        });
        sums = Lanes(_mm256_add_ps(sums.0, low), _mm256_add_ps(sums.1, high));
    }
    let (low, high) = rest.split_at_mut(rest.len().min(8));
    let [low, high] = [low, high].map(|x| {
        store_first(x, exp_near_8(_mm256_sub_ps(load_first(x), maxes)));
        load_first(x)
    });
    (max, reduce(Lanes(_mm256_add_ps(sums.0, low), _mm256_add_ps(sums.1, high))))
}

#[target_feature(enable = "avx2,fma,f16c")]
fn swiglu(out: &mut [f32], gate: &[f32], up: &[f32]) {
    for ((out, gate), up) in out.chunks_mut(8).zip(gate.chunks(8)).zip(up.chunks(8)) {
        let gate = load_first(gate);
        let silu = _mm256_div_ps(gate, one_and_exp_of_minus(gate));
        store_first(out, _mm256_mul_ps(silu, load_first(up)));
    }
}

/// `1 + e^−x`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn one_and_exp_of_minus(x: __m256) -> __m256 {
    _mm256_add_ps(_mm256_set1_ps(1.0), exp_near_8(_mm256_xor_ps(x, _mm256_set1_ps(-0.0))))
}

#[target_feature(enable = "avx2,fma,f16c")]
fn swiglu_backward(d_up: &mut [f32], d_gate: &mut [f32], gate: &[f32], up: &[f32]) {
    let one = _mm256_set1_ps(1.0);
    let gradients = d_up.chunks_mut(8).zip(d_gate.chunks_mut(8));
    for ((d_up, d_gate), (gate, up)) in gradients.zip(gate.chunks(8).zip(up.chunks(8))) {
        let (d, gate, up) = (load_first(d_up), load_first(gate), load_first(up));
        let sigmoid = _mm256_div_ps(one, one_and_exp_of_minus(gate));
        let slope = _mm256_mul_ps(gate, _mm256_sub_ps(one, sigmoid));
        let by_gate = _mm256_mul_ps(_mm256_mul_ps(d, up), sigmoid);
        store_first(d_gate, _mm256_mul_ps(by_gate, _mm256_add_ps(one, slope)));
        store_first(d_up, _mm256_mul_ps(_mm256_mul_ps(d, gate), sigmoid));
    }
}
