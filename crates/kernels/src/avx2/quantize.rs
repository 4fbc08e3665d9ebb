//! Blocks of 32 activations into int16.

use crate::activations::{BLOCK, BlockInfo, scales};
use core::arch::x86_64::*;

#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn quantize(x: &[f32], q: &mut [i16]) -> BlockInfo {
    assert_eq!((x.len(), q.len()), (BLOCK, BLOCK));
    let magnitude = _mm256_set1_epi32(i32::MAX);
    // SAFETY: `x` holds 32 values.
    let v = unsafe { [0, 8, 16, 24].map(|i| _mm256_loadu_ps(x.as_ptr().add(i))) };
    let abs = v.map(|v| _mm256_and_si256(_mm256_castps_si256(v), magnitude));
    let max = _mm256_max_epu32(_mm256_max_epu32(abs[0], abs[1]), _mm256_max_epu32(abs[2], abs[3]));
    let max = _mm_max_epu32(_mm256_castsi256_si128(max), _mm256_extracti128_si256::<1>(max));
    let max = _mm_max_epu32(max, _mm_shuffle_epi32::<0b01_00_11_10>(max));
    let max = _mm_max_epu32(max, _mm_shuffle_epi32::<0b10_11_00_01>(max));
    let (scale, inverse) = scales(_mm_cvtsi128_si32(max).cast_unsigned());
    let inverse = _mm256_set1_ps(inverse);
    let ints = v.map(|v| _mm256_cvtps_epi32(_mm256_mul_ps(v, inverse)));
    for (half, pair) in ints.chunks_exact(2).enumerate() {
        // packs works inside 128-bit lanes; the permutation puts the quarters in order.
        let packed =
            _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(pair[0], pair[1]));
        // SAFETY: `q` holds 32 values.
        unsafe { _mm256_storeu_si256(q.as_mut_ptr().add(16 * half).cast(), packed) };
    }
    let sums = [horizontal_sum(ints[0], ints[1]), horizontal_sum(ints[2], ints[3])];
    BlockInfo { scale, sums }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn horizontal_sum(a: __m256i, b: __m256i) -> i32 {
    let eight = _mm256_add_epi32(a, b);
    let four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
    let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
}
