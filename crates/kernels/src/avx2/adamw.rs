//! AdamW's step, eight weights at a time; see [`crate::adamw`].

use crate::adamw::AdamWStep;
use crate::avx2::{load_first, store_first};
use core::arch::x86_64::*;

/// See [`crate::Kernels::adamw`]; lengths are equal.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn adamw(
    step: &AdamWStep,
    weights: &mut [f32],
    gradients: &[f32],
    means: &mut [f32],
    squares: &mut [f32],
) {
    let all = |x| _mm256_set1_ps(x);
    let (beta1, beta2) = (all(step.beta1), all(step.beta2));
    let (rest1, rest2) = (all(1.0 - step.beta1), all(1.0 - step.beta2));
    let moments = means.chunks_mut(8).zip(squares.chunks_mut(8));
    for ((w, g), (m, v)) in weights.chunks_mut(8).zip(gradients.chunks(8)).zip(moments) {
        let gradient = _mm256_mul_ps(load_first(g), all(step.scale));
        let mean =
            _mm256_add_ps(_mm256_mul_ps(load_first(m), beta1), _mm256_mul_ps(gradient, rest1));
        let square = _mm256_add_ps(
            _mm256_mul_ps(load_first(v), beta2),
            _mm256_mul_ps(_mm256_mul_ps(gradient, gradient), rest2),
        );
        let divisor = _mm256_div_ps(_mm256_sqrt_ps(square), all(step.root));
        let divisor = _mm256_add_ps(divisor, all(step.epsilon));
        let change = _mm256_mul_ps(all(step.step), _mm256_div_ps(mean, divisor));
        let weight = _mm256_sub_ps(_mm256_mul_ps(load_first(w), all(step.kept)), change);
        store_first(w, weight);
        store_first(m, mean);
        store_first(v, square);
    }
}
