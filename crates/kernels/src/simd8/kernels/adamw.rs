//! AdamW's step, eight weights at a time; see [`crate::adamw`].

use super::features;
use super::registers::*;
use super::{load_first, store_first};
use crate::adamw::AdamWStep;

/// See [`crate::Kernels::adamw`]; lengths are equal.
#[features]
pub(crate) fn adamw(
    step: &AdamWStep,
    weights: &mut [f32],
    gradients: &[f32],
    means: &mut [f32],
    squares: &mut [f32],
) {
    let all = |x| splat(x);
    let (beta1, beta2) = (all(step.beta1), all(step.beta2));
    let (rest1, rest2) = (all(1.0 - step.beta1), all(1.0 - step.beta2));
    let moments = means.chunks_mut(8).zip(squares.chunks_mut(8));
    for ((w, g), (m, v)) in weights.chunks_mut(8).zip(gradients.chunks(8)).zip(moments) {
        let gradient = mul(load_first(g), all(step.scale));
        let mean = add(mul(load_first(m), beta1), mul(gradient, rest1));
        let square = add(mul(load_first(v), beta2), mul(mul(gradient, gradient), rest2));
        let divisor = div(sqrt(square), all(step.root));
        let divisor = add(divisor, all(step.epsilon));
        let change = mul(all(step.step), div(mean, divisor));
        let weight = sub(mul(load_first(w), all(step.kept)), change);
        store_first(w, weight);
        store_first(m, mean);
        store_first(v, square);
    }
}
