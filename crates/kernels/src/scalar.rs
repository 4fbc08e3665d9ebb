//! The plain kernels: the definition of every result, and what runs where there are no others.
//! They hold no `unsafe`; the functions are `unsafe fn` only in the table's type.

use crate::activations::{Activations, BLOCK, BlockInfo, scales};
use crate::adamw::AdamWStep;
use crate::bf16::{Bf16, columns, neighbours, unpack};
use crate::dispatch::{Cached, Table};
use crate::gemm::{Tile, TileRows};
use crate::matmul::{Output, UnpackedPanel};
use crate::ops::max;
use crate::training::Training;
use core::ops::Range;
use half::{bf16, f16};
use llamaboot_checkpoint::{Block32, DType, PANEL_ROWS, Tensor};
use llamaboot_math::exp_near::{ROUNDING_SHIFT, exp_near};
use llamaboot_math::{exp, fma, sqrt};

pub(crate) static TABLE: Table = Table {
    dot,
    sum,
    dots,
    weighted_sum,
    exp_minus,
    swiglu,
    quantize,
    split: None,
    widen_f16,
    widen_bf16,
    narrow_f16,
    read,
    float_rows,
    panels,
    adamw,
    tile: Tile::new(1, 1, multiply),
    transpose,
    bf16: Bf16 { tile: Tile::new(1, 1, multiply_bf16), neighbours, columns, instructions: None },
    training: Training { exponentials, swiglu: swiglu_near, swiglu_backward },
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

/// See [`Table::transpose`].
fn transpose(x: &[u32], stride: usize, out: &mut [u32], height: usize) {
    for r in 0..8 {
        for c in 0..8 {
            out[c * height + r] = x[r * stride + c];
        }
    }
}

/// A tile of one element; see [`Tile::multiply`].
fn multiply(a: &TileRows<'_>, b: &[u32], out: &mut [f32], _stride: usize, add: bool) {
    let step = |sum, (&a, &b)| fma(f32::from_bits(a), f32::from_bits(b), sum);
    let sum = a.first().zip(b).fold(0.0, step);
    out[0] = if add { out[0] + sum } else { sum };
}

/// [`multiply`], of bf16.
fn multiply_bf16(a: &TileRows<'_>, b: &[u32], out: &mut [f32], _stride: usize, add: bool) {
    let step = |sum, (&a, &b)| {
        let ([a_low, a_high], [b_low, b_high]) = (unpack(a), unpack(b));
        fma(a_low, b_low, fma(a_high, b_high, sum))
    };
    let sum = a.first().zip(b).fold(0.0, step);
    out[0] = if add { out[0] + sum } else { sum };
}

fn adamw(
    step: &AdamWStep,
    weights: &mut [f32],
    gradients: &[f32],
    means: &mut [f32],
    squares: &mut [f32],
) {
    let moments = means.iter_mut().zip(squares);
    for ((w, g), (m, v)) in weights.iter_mut().zip(gradients).zip(moments) {
        let g = g * step.scale;
        *m = *m * step.beta1 + g * (1.0 - step.beta1);
        *v = *v * step.beta2 + g * g * (1.0 - step.beta2);
        *w = *w * step.kept - step.step * (*m / (sqrt(*v) / step.root + step.epsilon));
    }
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

/// Element `i` of a cache.
fn cached(cache: Cached<'_>, i: usize) -> f32 {
    match cache {
        Cached::F32(x) => x[i],
        Cached::F16(x) => f16::from_bits(x[i]).to_f32(),
    }
}

fn dots(q: &[f32], keys: Cached<'_>, divisor: f32, out: &mut [f32], _: Cached<'_>) {
    for (t, out) in out.iter_mut().enumerate() {
        let mut lanes = [0.0; LANES];
        for (i, &x) in q.iter().enumerate() {
            let lane = &mut lanes[i % LANES];
            *lane = fma(x, cached(keys, t * q.len() + i), *lane);
        }
        *out = reduce(lanes) / divisor;
    }
}

fn weighted_sum(weights: &[f32], values: Cached<'_>, out: &mut [f32], _: Cached<'_>) {
    let width = out.len();
    for (t, &weight) in weights.iter().enumerate() {
        for (i, out) in out.iter_mut().enumerate() {
            *out = fma(weight, cached(values, t * width + i), *out);
        }
    }
}

fn exp_minus(x: &mut [f32], max: f32) {
    for x in x {
        *x = exp(*x - max);
    }
}

fn swiglu(out: &mut [f32], gate: &[f32], up: &[f32]) {
    for (out, (&gate, &up)) in out.iter_mut().zip(gate.iter().zip(up)) {
        *out = gate / (1.0 + exp(-gate)) * up;
    }
}

fn exponentials(x: &mut [f32]) -> (f32, f32) {
    let max = max(x);
    x.iter_mut().for_each(|x| *x = exp_near(*x - max));
    (max, sum(x))
}

fn swiglu_near(out: &mut [f32], gate: &[f32], up: &[f32]) {
    for (out, (&gate, &up)) in out.iter_mut().zip(gate.iter().zip(up)) {
        *out = gate / (1.0 + exp_near(-gate)) * up;
    }
}

fn swiglu_backward(d_up: &mut [f32], d_gate: &mut [f32], gate: &[f32], up: &[f32]) {
    let inputs = gate.iter().zip(up);
    for ((d_up, d_gate), (&gate, &up)) in d_up.iter_mut().zip(d_gate).zip(inputs) {
        let (sigmoid, d) = (1.0 / (1.0 + exp_near(-gate)), *d_up);
        *d_gate = d * up * sigmoid * (1.0 + gate * (1.0 - sigmoid));
        *d_up = d * gate * sigmoid;
    }
}

fn quantize(x: &[f32], q: &mut [i16]) -> BlockInfo {
    let greatest = x.iter().map(|x| x.abs().to_bits()).max().unwrap_or(0);
    let (scale, inverse) = scales(greatest);
    let mut sums = [0_i32; 2];
    for (i, (&x, q)) in x.iter().zip(q).enumerate() {
        *q = (x * inverse + ROUNDING_SHIFT - ROUNDING_SHIFT) as i16;
        sums[i / 16] += i32::from(*q);
    }
    BlockInfo { scale, sums }
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

fn narrow_f16(x: &[f32], out: &mut [u16]) {
    for (x, out) in x.iter().zip(out) {
        *out = f16::from_f32(*x).to_bits();
    }
}

fn read(bytes: &[u8]) -> u64 {
    let words = bytes.as_chunks::<32>().0.iter().flat_map(|piece| piece.as_chunks::<8>().0);
    words.fold(0, |sum, &word| sum.wrapping_add(u64::from_le_bytes(word)))
}

fn float_rows(w: &Tensor<'_>, rows: Range<usize>, x: &Activations, out: &mut Output<'_>) {
    let weight: fn(&[u8], usize) -> f32 = match w.dtype {
        DType::F32 => |row, i| f32::from_le_bytes(bytes_at(row, i)),
        DType::F16 => |row, i| f16::from_le_bytes(bytes_at(row, i)).to_f32(),
        _ => |row, i| bf16::from_le_bytes(bytes_at(row, i)).to_f32(),
    };
    for row in rows {
        let bytes = w.row(row);
        for token in 0..x.tokens {
            let mut lanes = [0.0; LANES];
            for (i, &x) in x.row(token).iter().enumerate() {
                let lane = &mut lanes[i % LANES];
                *lane = fma(weight(bytes, i), x, *lane);
            }
            out.rows(token, row, 1)[0] = reduce(lanes);
        }
    }
}

/// Number `i` of a row of `N`-byte numbers.
fn bytes_at<const N: usize>(row: &[u8], i: usize) -> [u8; N] {
    row.as_chunks().0[i]
}

fn panels(
    w: &Tensor<'_>,
    panels: Range<usize>,
    x: &Activations,
    out: &mut Output<'_>,
    _: &mut [UnpackedPanel; 2],
) {
    block_rows(w, panels.start * PANEL_ROWS..panels.end * PANEL_ROWS, x, out);
}

/// Rows of blocks against every token of `x`, wherever they lie.
pub(crate) fn block_rows(
    w: &Tensor<'_>,
    rows: Range<usize>,
    x: &Activations,
    out: &mut Output<'_>,
) {
    let (span, has_min) = (w.dtype.scale_span(), w.dtype.has_min());
    for row in rows {
        for token in 0..x.tokens {
            out.rows(token, row, 1)[0] = 0.0;
        }
        for index in 0..w.cols / BLOCK {
            let block = w.block(row, index);
            for token in 0..x.tokens {
                let q = &x.row_q(token)[index * BLOCK..][..BLOCK];
                let info = &x.row_infos(token)[index];
                let acc = &mut out.rows(token, row, 1)[0];
                *acc = block_step(&block, span, has_min, q, info, *acc);
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
            let sum = (info.sums[0] + info.sums[1]) as f32;
            acc = fma(sum, block.min[0] * info.scale, acc);
        }
    } else {
        for (h, &half) in halves.iter().enumerate() {
            acc = fma(half as f32, block.scale[h] * info.scale, acc);
            if has_min {
                acc = fma(info.sums[h] as f32, block.min[h] * info.scale, acc);
            }
        }
    }
    acc
}
