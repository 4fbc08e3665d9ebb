//! Every kernel gives the scalar kernel's bits, whatever the shape, the batch and the threads;
//! and the scalar kernel is right, measured against plain f64 arithmetic.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use llamaboot_checkpoint::{Block32, DType, PackJob, Tensor, packable_rows};
use llamaboot_kernels::{
    Activations, Cached, Kernels, Parallel, Park, Pool, SingleThread, Workspace,
};
use proptest::prelude::*;
use std::sync::atomic::AtomicU32;
use support::{Numbers, others, scalar};

const DTYPES: [DType; 17] = [
    DType::F32,
    DType::F16,
    DType::BF16,
    DType::Q4_0,
    DType::Q4_1,
    DType::Q5_0,
    DType::Q5_1,
    DType::Q8_0,
    DType::Q2K,
    DType::Q3K,
    DType::Q4K,
    DType::Q5K,
    DType::Q6K,
    DType::I8Groups(4),
    DType::I8Groups(32),
    DType::I8Groups(64),
    DType::I8Groups(96),
];

/// Random weights of a dtype: any bytes, with sane scales.
fn random_weights(
    dtype: DType,
    rows: usize,
    cols: usize,
    numbers: &mut Numbers,
) -> (Vec<u8>, Vec<u8>) {
    let mut data: Vec<u8> =
        (0..rows * dtype.row_bytes(cols)).map(|_| (numbers.bits() >> 20) as u8).collect();
    let halves: &[usize] = match dtype {
        DType::F32 => {
            data = numbers.floats(rows * cols).iter().flat_map(|x| x.to_le_bytes()).collect();
            &[]
        }
        DType::F16 | DType::Q4_0 | DType::Q5_0 | DType::Q8_0 => &[0],
        DType::Q4_1 | DType::Q5_1 | DType::Q4K | DType::Q5K => &[0, 2],
        DType::Q2K => &[80, 82],
        DType::Q3K => &[108],
        DType::Q6K => &[208],
        DType::BF16 | DType::I8Groups(_) => &[],
    };
    for block in data.chunks_exact_mut(dtype.block_bytes()) {
        for &at in halves {
            let half = half::f16::from_f32(numbers.float() / 16.0);
            block[at..at + 2].copy_from_slice(&half.to_le_bytes());
        }
        if dtype == DType::BF16 {
            block.copy_from_slice(&half::bf16::from_f32(numbers.float()).to_le_bytes());
        }
    }
    let scales = (0..rows * dtype.row_scale_bytes(cols) / 4)
        .flat_map(|_| (numbers.float() / 64.0).to_le_bytes())
        .collect();
    (data, scales)
}

fn product(k: Kernels, threads: &dyn Parallel, w: &Tensor<'_>, x: &[f32]) -> Vec<u32> {
    let tokens = x.len() / w.cols;
    let mut space = Workspace::new(threads.threads(), w.cols).unwrap();
    let mut activations = Activations::new(tokens, w.cols).unwrap();
    // Of any length, which blocks of 32 make longer.
    let piece = 1 + (x.len() / 4 + 7 * w.rows) % 70;
    let write = |start: usize, out: &mut [f32]| out.copy_from_slice(&x[start..][..out.len()]);
    activations.load((k, threads), (tokens, w.cols), piece, w.dtype.is_blocked(), write);
    let mut out = vec![0.0; tokens * w.rows];
    k.matmul(threads, &mut space, &activations, [(w, &mut out[..])]);
    out.into_iter().map(f32::to_bits).collect()
}

/// The same of each token alone.
fn one_by_one(k: Kernels, w: &Tensor<'_>, x: &[f32]) -> Vec<u32> {
    x.chunks(w.cols).flat_map(|x| product(k, &SingleThread, w, x)).collect()
}

/// Weights and scales with all rows that can be in panels.
fn packed(w: &Tensor<'_>) -> (Vec<u8>, Vec<u8>) {
    let (mut data, mut scales) = (w.data.to_vec(), w.scales.to_vec());
    let rows = packable_rows(w.dtype, w.rows);
    if rows > 0 {
        let (weights, scales) = (
            &mut data[..rows * w.dtype.row_bytes(w.cols)],
            &mut scales[..rows * w.dtype.row_scale_bytes(w.cols)],
        );
        let mut job = PackJob::new(w.dtype, w.cols, weights, scales);
        let mut space = vec![0; job.space()];
        job.run(&mut space);
    }
    (data, scales)
}

/// As long as so many blocks, or longer where a block is short.
fn cols(dtype: DType, blocks: usize) -> usize {
    match dtype.block_len() {
        1 => blocks * 23,
        4 => blocks * 12,
        len => blocks * len,
    }
}

struct Spin;

impl Park for Spin {
    fn sleep(&self, _: &AtomicU32, _: u32) {
        std::thread::yield_now();
    }

    fn wake(&self) {}

    fn give_way(&self) {
        std::thread::yield_now();
    }
}

proptest! {
    #[test]
    fn products_agree(
        dtype in prop::sample::select(DTYPES.to_vec()),
        rows in 1..600_usize,
        blocks in 1..5_usize,
        tokens in 1..20_usize,
        seed in 1..u64::MAX,
    ) {
        let cols = cols(dtype, blocks);
        let mut numbers = Numbers(seed);
        let (data, scales) = random_weights(dtype, rows, cols, &mut numbers);
        let w = Tensor { dtype, rows, cols, data: &data, scales: &scales, packed_rows: 0 };
        let x = numbers.floats(tokens * cols);
        let expected = product(scalar(), &SingleThread, &w, &x);
        prop_assert_eq!(&expected, &one_by_one(scalar(), &w, &x), "a batch differs from single tokens");
        for k in others() {
            prop_assert_eq!(&expected, &product(k, &SingleThread, &w, &x), "{}", k.isa());
        }
        let (data, scales) = packed(&w);
        let w = Tensor { data: &data, scales: &scales, packed_rows: packable_rows(dtype, rows), ..w };
        for k in others().into_iter().chain([scalar()]) {
            prop_assert_eq!(&expected, &product(k, &SingleThread, &w, &x), "packed, {}", k.isa());
            prop_assert_eq!(&expected, &one_by_one(k, &w, &x), "packed, single tokens, {}", k.isa());
        }
    }

    #[test]
    fn threads_change_nothing(
        dtype in prop::sample::select(DTYPES.to_vec()),
        // The larger products are shared out by turns.
        rows in 1..600_usize,
        blocks in 1..5_usize,
        tokens in 1..20_usize,
        seed in 1..u64::MAX,
    ) {
        let mut numbers = Numbers(seed);
        let cols = cols(dtype, blocks);
        let (data, scales) = random_weights(dtype, rows, cols, &mut numbers);
        let w = Tensor { dtype, rows, cols, data: &data, scales: &scales, packed_rows: 0 };
        let x = numbers.floats(tokens * cols);
        let (packed, packed_scales) = packed(&w);
        let packed_rows = packable_rows(dtype, rows);
        for w in [w, Tensor { data: &packed, scales: &packed_scales, packed_rows, ..w }] {
            let pool = Pool::new(3, Spin);
            let threaded = std::thread::scope(|scope| {
                (1..3).for_each(|_| { scope.spawn(|| pool.work()); });
                let out = product(Kernels::best(), &pool, &w, &x);
                pool.stop();
                out
            });
            prop_assert_eq!(&product(scalar(), &SingleThread, &w, &x), &threaded);
        }
    }

    #[test]
    fn reading_agrees(len in 0..3000_usize, seed in 1..u64::MAX) {
        let mut numbers = Numbers(seed);
        let data: Vec<u8> = (0..4 * len).map(|_| numbers.bits() as u8).collect();
        let w = Tensor { dtype: DType::F32, rows: 1, cols: len, data: &data, scales: &[], packed_rows: 0 };
        let words = data.chunks_exact(32).flat_map(|piece| piece.chunks_exact(8));
        let sum = words.fold(0_u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(word.try_into().unwrap())));
        for k in others().into_iter().chain([scalar()]) {
            prop_assert_eq!(k.read(&SingleThread, &[&w]), sum, "{}", k.isa());
        }
    }

    #[test]
    fn vectors_agree(len in 1..200_usize, seed in 1..u64::MAX) {
        let mut numbers = Numbers(seed);
        let (a, b) = (numbers.floats(len), numbers.floats(len));
        let run = |k: Kernels| {
            let mut out = vec![k.dot(&a, &b)];
            let mut x = a.clone();
            k.rmsnorm(&mut x, &a, &b, 1e-5);
            out.extend(&x);
            let normed = x.clone();
            k.swiglu(&mut x, &normed, &b);
            out.extend(&x);
            x.copy_from_slice(&a);
            k.softmax(&mut x);
            out.extend(&x);
            out.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        for k in others() {
            prop_assert_eq!(run(scalar()), run(k), "{}", k.isa());
        }
    }

    #[test]
    fn attention_agrees(positions in 1..400_usize, pairs in 1..50_usize, seed in 1..u64::MAX) {
        let mut numbers = Numbers(seed);
        let width = 2 * pairs;
        let q = numbers.floats(width);
        let (keys, values) = (numbers.floats(width * positions), numbers.floats(width * positions));
        let mut halves = [vec![0; keys.len()], vec![0; keys.len()]];
        scalar().narrow_f16(&keys, &mut halves[0]);
        scalar().narrow_f16(&values, &mut halves[1]);
        let run = |k: Kernels| {
            let (mut out, mut out_f16) = (vec![0.0; width], vec![0.0; width]);
            k.attend(&mut out, &q, Cached::F32(&keys), Cached::F32(&values), 2.5);
            k.attend(&mut out_f16, &q, Cached::F16(&halves[0]), Cached::F16(&halves[1]), 2.5);
            let mut narrowed = vec![0; keys.len()];
            k.narrow_f16(&keys, &mut narrowed);
            assert_eq!(narrowed, halves[0], "{}", k.isa());
            out.into_iter().chain(out_f16).map(f32::to_bits).collect::<Vec<_>>()
        };
        for k in others() {
            prop_assert_eq!(run(scalar()), run(k), "{}", k.isa());
        }
    }
}

/// The greatest and least weights and activations that there are, and as many rows as one, two and
/// four panels have, one after the other and with some left over.
#[test]
fn extremes_agree() {
    for dtype in DTYPES.into_iter().filter(|dtype| dtype.is_blocked()) {
        for (rows, fill) in [(8, 0xff), (16, 0x00), (24, 0x80), (40, 0x7f), (72, 0xff)] {
            let cols = 2 * dtype.block_len().max(96);
            let (mut data, scales) = random_weights(dtype, rows, cols, &mut Numbers(rows as u64));
            let (random, head) = (data.clone(), dtype.block_bytes() / 4);
            data.fill(fill);
            // Scales stay sane; they lie at either end of a block.
            for (block, random) in data
                .chunks_exact_mut(dtype.block_bytes())
                .zip(random.chunks_exact(dtype.block_bytes()))
            {
                let end = block.len() - 4.min(head);
                block[..4.min(head)].copy_from_slice(&random[..4.min(head)]);
                block[end..].copy_from_slice(&random[end..]);
            }
            let x: Vec<f32> = (0..cols)
                .map(|i| [1.0, -1.0, -1.0 / 32767.0, -256.0 / 32767.0, 0.0][i * i % 5])
                .collect();
            let w = Tensor { dtype, rows, cols, data: &data, scales: &scales, packed_rows: 0 };
            let expected = product(scalar(), &SingleThread, &w, &x);
            let (data, scales) = packed(&w);
            let w = Tensor { data: &data, scales: &scales, packed_rows: rows, ..w };
            for k in others() {
                let got = product(k, &SingleThread, &w, &x);
                assert_eq!(expected, got, "{dtype}, {rows} rows of {fill:#x}, {}", k.isa());
            }
        }
    }
}

/// The definition itself is right: products are within rounding of the same sum in f64.
#[test]
fn scalar_products_are_right() {
    let mut numbers = Numbers(2026);
    for dtype in DTYPES {
        let (rows, cols) = (11, 512 / dtype.block_len() * dtype.block_len());
        let (data, scales) = random_weights(dtype, rows, cols, &mut numbers);
        let w = Tensor { dtype, rows, cols, data: &data, scales: &scales, packed_rows: 0 };
        let x = numbers.floats(cols);
        let mut row = vec![0.0; cols];
        for (r, got) in product(scalar(), &SingleThread, &w, &x).into_iter().enumerate() {
            scalar().dequantize_row(&w, r, &mut row);
            let terms = row.iter().zip(&x).map(|(&w, &x)| f64::from(w) * f64::from(x));
            let (sum, size) = terms.fold((0.0, 0.0), |(s, m), t: f64| (s + t, m + t.abs()));
            // An int16 block rounds each activation by at most 2^-16 of the block's greatest.
            let greatest = x.iter().fold(0.0_f64, |m, x| m.max(f64::from(x.abs())));
            let weights = row.iter().map(|w| f64::from(w.abs())).sum::<f64>();
            let blocked = if dtype.is_blocked() { greatest * weights / 65_534.0 } else { 0.0 };
            let error = (f64::from(f32::from_bits(got)) - sum).abs();
            assert!(error <= blocked + size * 1e-6, "{dtype} row {r}: off by {error}");
        }
    }
}

/// The oracle's own blocks: a group's rows read one by one equal what the definition unpacks.
#[test]
fn dequantized_rows_follow_the_definition() {
    let mut numbers = Numbers(7);
    let dtype = DType::Q5K;
    let (data, scales) = random_weights(dtype, 3, 512, &mut numbers);
    let w = Tensor { dtype, rows: 3, cols: 512, data: &data, scales: &scales, packed_rows: 0 };
    let mut row = vec![0.0; 512];
    scalar().dequantize_row(&w, 2, &mut row);
    let block = Block32::read(dtype, w.row(2), &[], 9);
    for i in 0..32 {
        assert_eq!(row[288 + i], block.scale[i / 16] * f32::from(block.q[i]) + block.min[i / 16]);
    }
}

/// A NaN in the activations stays visible in every result it touches, on every path.
#[test]
fn nan_is_not_hidden() {
    let mut numbers = Numbers(3);
    for dtype in [DType::F32, DType::Q8_0, DType::Q4K] {
        let (data, scales) = random_weights(dtype, 9, 256, &mut numbers);
        let w = Tensor { dtype, rows: 9, cols: 256, data: &data, scales: &scales, packed_rows: 0 };
        let mut x = numbers.floats(256);
        x[100] = f32::NAN;
        for k in others().into_iter().chain([scalar()]) {
            let out = product(k, &SingleThread, &w, &x);
            assert!(
                out.into_iter().all(|bits| f32::from_bits(bits).is_nan()),
                "{dtype} {}",
                k.isa()
            );
        }
    }
}

/// Attention in one pass is the softmax of all scores, and the mean of the values under it.
#[test]
fn attention_is_right() {
    let (width, positions) = (48, 500);
    let mut numbers = Numbers(11);
    let mut tame = |len| numbers.floats(len).iter().map(|x| x.clamp(-4.0, 4.0)).collect::<Vec<_>>();
    let (q, keys, values) = (tame(width), tame(width * positions), tame(width * positions));
    let mut out = vec![0.0; width];
    scalar().attend(&mut out, &q, Cached::F32(&keys), Cached::F32(&values), 40.0);
    let dot = |key: &[f32]| -> f64 {
        key.iter().zip(&q).map(|(&k, &q)| f64::from(k) * f64::from(q)).sum::<f64>() / 40.0
    };
    let weights: Vec<f64> = keys.chunks(width).map(|key| dot(key).exp()).collect();
    let total: f64 = weights.iter().sum();
    for (i, &out) in out.iter().enumerate() {
        let values = values.chunks(width).map(|value| f64::from(value[i]));
        let expected: f64 = values.zip(&weights).map(|(v, w)| v * w / total).sum();
        assert!((f64::from(out) - expected).abs() < 2e-5, "{i}: {out}, expected {expected}");
    }
}
