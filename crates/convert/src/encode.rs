//! Rows of f32 as bytes of a file: plain floats, ggml's `Q8_0` and `Q4_0`, llama2.c's int8 groups.
//!
//! ```text
//! Q8_0   d = max |x| / 127                    q = round(x * (1 / d)), halves away from zero
//! Q4_0   d = (x of the greatest |x|) / -8     q = floor(x * (1 / d) + 8.5), at most 15
//! int8   s = max |x| / 127                    q = round(x / s), halves to even
//! ```
//!
//! Roundings are the references', bit for bit: `quantize_row_*_ref` of ggml-quants.c and
//! gguf-py's quants.py (`d` is stored as f16 but divides as f32; Q4_0's product and sum are fused),
//! and `quantize_q80` of llama2.c's export.py.

use crate::target::WeightType;
use half::f16;

/// Weights in a block of `Q8_0` and `Q4_0`.
pub(crate) const BLOCK: usize = 32;

/// A weight, or the scale of a block, that is finite as f32 but not as f16.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TooLarge(pub(crate) f32);

/// Appends a row, which is a multiple of [`BLOCK`] for the types made of blocks.
pub(crate) fn encode(kind: WeightType, row: &[f32], out: &mut Vec<u8>) -> Result<(), TooLarge> {
    match kind {
        WeightType::F32 => out.extend(row.iter().flat_map(|x| x.to_le_bytes())),
        WeightType::F16 => row.iter().try_for_each(|&x| push_half(x, out))?,
        WeightType::Q8_0 => row.chunks_exact(BLOCK).try_for_each(|block| q8_0(block, out))?,
        WeightType::Q4_0 => row.chunks_exact(BLOCK).try_for_each(|block| q4_0(block, out))?,
    }
    Ok(())
}

fn push_half(x: f32, out: &mut Vec<u8>) -> Result<(), TooLarge> {
    let half = f16::from_f32(x);
    if half.is_infinite() && x.is_finite() {
        return Err(TooLarge(x));
    }
    out.extend(half.to_le_bytes());
    Ok(())
}

fn q8_0(block: &[f32], out: &mut Vec<u8>) -> Result<(), TooLarge> {
    let scale = greatest(block).abs() / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    push_half(scale, out)?;
    out.extend(block.iter().map(|&x| ((x * inverse).round() as i8).cast_unsigned()));
    Ok(())
}

fn q4_0(block: &[f32], out: &mut Vec<u8>) -> Result<(), TooLarge> {
    let scale = greatest(block) / -8.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    push_half(scale, out)?;
    // The product of two f32 is exact in f64: a fused multiply-add.
    let q = |x: f32| ((f64::from(x) * f64::from(inverse) + 8.5) as f32 as u8).min(15);
    let (low, high) = block.split_at(BLOCK / 2);
    out.extend(low.iter().zip(high).map(|(&low, &high)| q(low) | q(high) << 4));
    Ok(())
}

/// The first of the values that are greatest without their sign.
fn greatest(block: &[f32]) -> f32 {
    block.iter().fold(0.0, |max: f32, &x| if x.abs() > max.abs() { x } else { max })
}

/// Weights of int8 groups: all of `q`, then all scales.
pub(crate) fn int8_groups(weights: &[f32], group: usize) -> (Vec<u8>, Vec<u8>) {
    let mut q = Vec::with_capacity(weights.len());
    let mut scales = Vec::with_capacity(weights.len() / group * 4);
    for weights in weights.chunks_exact(group) {
        let scale = greatest(weights).abs() / 127.0;
        scales.extend(scale.to_le_bytes());
        // A group of zeros has no quotient; its weights are zero.
        q.extend(weights.iter().map(|x| {
            let q = if scale == 0.0 { 0.0 } else { (x / scale).round_ties_even() };
            (q as i8).cast_unsigned()
        }));
    }
    (q, scales)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// gguf-py's bytes of the same values (tools/oracle/huggingface.py), with ties, zeros, blocks
    /// of one sign, and scales that f16 rounds to subnormal numbers or to zero.
    #[test]
    fn blocks_are_ggufs_bit_for_bit() {
        let recorded = include_bytes!("../tests/data/quantized.bin");
        let (weights, rest) = recorded.split_at(64 * 32 * 4);
        let (q8_0, q4_0) = rest.split_at(64 * 34);
        let weights: Vec<f32> =
            weights.as_chunks().0.iter().map(|&raw| f32::from_le_bytes(raw)).collect();
        for (kind, expected) in [(WeightType::Q8_0, q8_0), (WeightType::Q4_0, q4_0)] {
            let len = kind.dtype().block_bytes();
            for (i, (block, expected)) in
                weights.chunks_exact(32).zip(expected.chunks_exact(len)).enumerate()
            {
                let mut got = Vec::new();
                encode(kind, block, &mut got).expect("scales fit f16");
                assert_eq!(got, expected, "{kind:?} block {i}: {block:?}");
            }
        }
    }

    /// What f16 cannot hold is refused, not written as infinity.
    #[test]
    fn too_large_weights_are_refused() {
        let mut row = vec![0.0; 32];
        row[3] = 1e7;
        assert_eq!(encode(WeightType::F16, &row, &mut Vec::new()), Err(TooLarge(1e7)));
        row[3] = 1e8;
        assert!(encode(WeightType::Q8_0, &row, &mut Vec::new()).is_err());
        assert!(encode(WeightType::Q4_0, &row, &mut Vec::new()).is_err());
        assert!(encode(WeightType::F32, &row, &mut Vec::new()).is_ok());
    }
}
