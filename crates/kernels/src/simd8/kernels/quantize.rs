//! Blocks of 32 activations into int16.

use super::features;
use super::registers::*;
use crate::activations::{BLOCK, BlockInfo, scales};

#[features]
pub(crate) fn quantize(x: &[f32], q: &mut [i16]) -> BlockInfo {
    assert_eq!((x.len(), q.len()), (BLOCK, BLOCK));
    let magnitude = splat_i32(i32::MAX);
    // SAFETY: `x` holds 32 values.
    let v = unsafe { [0, 8, 16, 24].map(|i| load(x.as_ptr().add(i))) };
    let abs = v.map(|v| and(bits(v), magnitude));
    let max = max_u32(max_u32(abs[0], abs[1]), max_u32(abs[2], abs[3]));
    let (scale, inverse) = scales(greatest_u32(max));
    let inverse = splat(inverse);
    let ints = v.map(|v| round(mul(v, inverse)));
    for (half, pair) in ints.chunks_exact(2).enumerate() {
        let packed = pack_i16(pair[0], pair[1]);
        // SAFETY: `q` holds 32 values.
        unsafe { store_integers(q.as_mut_ptr().add(16 * half).cast(), packed) };
    }
    let sums = [sum_i32(add_i32(ints[0], ints[1])), sum_i32(add_i32(ints[2], ints[3]))];
    BlockInfo { scale, sums }
}
