//! The plain kernels: the definition of every result, and what runs where there is no AVX2.
//! They hold no `unsafe`; the functions are `unsafe fn` only in the table's type.

use crate::activations::{Activations, BLOCK, BlockInfo, scales};
use crate::dispatch::{RowGroup, Table};
use half::{bf16, f16};
use llamaboot_checkpoint::Block32;
use llamaboot_math::{exp, fma};

pub(crate) static TABLE: Table = Table {
    dot,
    sum,
    dots,
    weighted_sum,
    exp_minus,
    swiglu,
    quantize,
    widen_f16,
    widen_bf16,
    block_rows,
};

/// Lanes of a reduction.
const LANES: usize = 16;

/// `lane j + lane j + half`, halving until one is left.
fn reduce(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for j in 0..half {
            lanes[j] += lanes[j + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Goes on with a dot product in `lanes`; `a` and `b` start at a multiple of 16.
fn dot_into(lanes: &mut [f32; LANES], a: &[f32], b: &[f32]) {
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane = fma(a, b, *lane);
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    dot_into(&mut lanes, a, b);
    reduce(lanes)
}

fn sum(x: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    for chunk in x.chunks(LANES) {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += x;
        }
    }
    reduce(lanes)
}

fn dots(q: &[f32], keys: &[f32], divisor: f32, out: &mut [f32]) {
    for (key, out) in keys.chunks_exact(q.len()).zip(out) {
        *out = dot(q, key) / divisor;
    }
}

fn weighted_sum(weights: &[f32], values: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for (&weight, value) in weights.iter().zip(values.chunks_exact(out.len())) {
        for (out, &value) in out.iter_mut().zip(value) {
            *out = fma(weight, value, *out);
        }
    }
}

fn exp_minus(x: &mut [f32], max: f32) {
    for x in x {
        *x = exp(*x - max);
    }
}

fn swiglu(gate: &mut [f32], up: &[f32]) {
    for (gate, &up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + exp(-*gate)) * up;
    }
}

/// 1.5 · 2^23: adding and taking it away rounds |x| < 2^22 to an integer, ties to even.
const ROUNDING_SHIFT: f32 = 12_582_912.0;

fn quantize(x: &[f32], q: &mut [i16]) -> BlockInfo {
    let greatest = x.iter().map(|x| x.abs().to_bits()).max().unwrap_or(0);
    let (scale, inverse) = scales(greatest);
    let mut sums = [0_i32; 2];
    for (i, (&x, q)) in x.iter().zip(q).enumerate() {
        *q = (x * inverse + ROUNDING_SHIFT - ROUNDING_SHIFT) as i16;
        sums[i / 16] += i32::from(*q);
    }
    BlockInfo { scale, sums: sums.map(|sum| sum as f32) }
}

fn widen_f16(bytes: &[u8], out: &mut [f32]) {
    for (bytes, out) in bytes.chunks_exact(2).zip(out) {
        *out = f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
    }
}

fn widen_bf16(bytes: &[u8], out: &mut [f32]) {
    for (bytes, out) in bytes.chunks_exact(2).zip(out) {
        *out = bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
    }
}

/// Rows of blocks against every token of `x`.
fn block_rows(group: &mut RowGroup<'_>, x: &Activations) {
    let RowGroup { tensor, rows, out, .. } = group;
    let (dtype, blocks) = (tensor.dtype, tensor.cols / BLOCK);
    for (i, row) in rows.clone().enumerate() {
        for token in 0..x.tokens {
            out.set(token, i, 0.0);
        }
        for index in 0..blocks {
            let block = tensor.block(row, index);
            for token in 0..x.tokens {
                let q = &x.row_q(token)[index * BLOCK..][..BLOCK];
                let info = &x.row_infos(token)[index];
                let acc = out.get(token, i);
                out.set(
                    token,
                    i,
                    block_step(&block, dtype.scale_span(), dtype.has_min(), q, info, acc),
                );
            }
        }
    }
}

/// One block of one row: see the crate's head for the shape.
fn block_step(
    block: &Block32,
    span: usize,
    has_min: bool,
    q: &[i16],
    info: &BlockInfo,
    mut acc: f32,
) -> f32 {
    let product = |i: usize| i32::from(block.q[i]) * i32::from(q[i]);
    let halves = [(0..16).map(product).sum::<i32>(), (16..32).map(product).sum::<i32>()];
    if span == BLOCK {
        acc = fma((halves[0] + halves[1]) as f32, block.scale[0] * info.scale, acc);
        if has_min {
            acc = fma(info.sums[0] + info.sums[1], block.min[0] * info.scale, acc);
        }
    } else {
        for (h, &half) in halves.iter().enumerate() {
            acc = fma(half as f32, block.scale[h] * info.scale, acc);
            if has_min {
                acc = fma(info.sums[h], block.min[h] * info.scale, acc);
            }
        }
    }
    acc
}
