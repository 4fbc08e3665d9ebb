//! The gradient of every parameter against central differences of a plain f64 forward pass, which
//! is written here from the formulas and shares no code with the crate.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use llamaboot_checkpoint::{Config, Role};
use llamaboot_kernels::{Kernels, Precision, SingleThread};
use llamaboot_train::{Backend, Batch, Compute, Dropout, Network, Parameters};
use support::{batch, config, weights};

/// `w · x` for a matrix `(rows, x.len())`.
fn times(w: &[f64], x: &[f64]) -> Vec<f64> {
    w.chunks(x.len()).map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
}

fn rmsnorm(x: &[f64], weight: &[f64]) -> Vec<f64> {
    let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
    x.iter().zip(weight).map(|(x, w)| x / (mean + 1e-5).sqrt() * w).collect()
}

fn turn(x: &mut [f64], head_dim: usize, position: usize) {
    for head in x.chunks_mut(head_dim) {
        for (i, pair) in head.chunks_mut(2).enumerate() {
            let angle = position as f64 / 10_000_f64.powf(2.0 * i as f64 / head_dim as f64);
            let (sin, cos) = angle.sin_cos();
            (pair[0], pair[1]) = (pair[0] * cos - pair[1] * sin, pair[0] * sin + pair[1] * cos);
        }
    }
}

/// The mean loss, in f64 throughout.
fn reference_loss(parameters: &Parameters, weights: &[f64], batch: &Batch) -> f64 {
    let c = parameters.config();
    let layout = parameters.layout();
    let get = |role| &weights[layout.range(role).unwrap()];
    let embedding = get(Role::TokenEmbedding);
    let output = layout.range(Role::Output).map_or(embedding, |range| &weights[range]);
    let mut loss = 0.0;
    for (inputs, targets) in
        batch.inputs.chunks(batch.context).zip(batch.targets.chunks(batch.context))
    {
        let mut stream: Vec<Vec<f64>> = inputs
            .iter()
            .map(|&token| embedding[token as usize * c.dim..][..c.dim].to_vec())
            .collect();
        for l in 0..c.n_layers {
            let (mut keys, mut values) = (Vec::new(), Vec::new());
            for (position, x) in stream.iter_mut().enumerate() {
                let normed = rmsnorm(x, get(Role::AttnNorm(l)));
                let mut q = times(get(Role::Wq(l)), &normed);
                let mut k = times(get(Role::Wk(l)), &normed);
                turn(&mut q, c.head_dim, position);
                turn(&mut k, c.head_dim, position);
                keys.push(k);
                values.push(times(get(Role::Wv(l)), &normed));
                let mut attended = Vec::new();
                for (h, q) in q.chunks(c.head_dim).enumerate() {
                    let at = h / (c.n_heads / c.n_kv_heads) * c.head_dim;
                    let scores: Vec<f64> = keys
                        .iter()
                        .map(|k| {
                            let dot: f64 = q.iter().zip(&k[at..]).map(|(a, b)| a * b).sum();
                            (dot / (c.head_dim as f64).sqrt()).exp()
                        })
                        .collect();
                    let sum: f64 = scores.iter().sum();
                    for i in 0..c.head_dim {
                        let weighted = scores.iter().zip(&values).map(|(s, v)| s / sum * v[at + i]);
                        attended.push(weighted.sum());
                    }
                }
                let branch = times(get(Role::Wo(l)), &attended);
                x.iter_mut().zip(branch).for_each(|(x, b)| *x += b);
                let normed = rmsnorm(x, get(Role::FfnNorm(l)));
                let gate = times(get(Role::W1(l)), &normed);
                let up = times(get(Role::W3(l)), &normed);
                let hidden: Vec<f64> =
                    gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
                let branch = times(get(Role::W2(l)), &hidden);
                x.iter_mut().zip(branch).for_each(|(x, b)| *x += b);
            }
        }
        for (x, &target) in stream.iter().zip(targets) {
            let logits = times(output, &rmsnorm(x, get(Role::OutputNorm)));
            let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
            loss += sum.ln() - logits[target as usize];
        }
    }
    loss / batch.inputs.len() as f64
}

fn check(n_kv_heads: usize, tied: bool, windows: usize, context: usize) {
    let config = Config { n_kv_heads, head_dim: 4, ..config(12, 10, 13, 70) };
    let parameters = Parameters::new(config, tied);
    let (weights, batch) = (weights(&parameters, 0.8), batch(windows, context, 13));
    let compute = &mut Compute::new(Kernels::best(), &SingleThread, context).unwrap();
    let mut network = Network::new(parameters.clone(), windows, context).unwrap();
    let mut gradients = vec![0.0; weights.len()];
    let scale = 1.0 / batch.inputs.len() as f32;
    let loss =
        network.gradients(compute, &weights, &batch, scale, &mut gradients, Dropout::NONE).unwrap();
    let loss = loss / batch.inputs.len() as f64;
    let mut exact: Vec<f64> = weights.iter().map(|&w| f64::from(w)).collect();
    let expected = reference_loss(&parameters, &exact, &batch);
    assert!((loss - expected).abs() < 1e-6, "loss {loss}, expected {expected}");
    for (role, range) in parameters.layout().iter() {
        let mut greatest = 0.0_f64;
        for i in range {
            let (weight, step) = (exact[i], 1e-5);
            exact[i] = weight + step;
            let above = reference_loss(&parameters, &exact, &batch);
            exact[i] = weight - step;
            let below = reference_loss(&parameters, &exact, &batch);
            exact[i] = weight;
            let expected = (above - below) / (2.0 * step);
            let found = f64::from(gradients[i]);
            greatest = greatest.max(expected.abs());
            let error = (found - expected).abs();
            assert!(error < 2e-7 + 2e-5 * expected.abs(), "{role} [{i}]: {found}, not {expected}");
        }
        assert!(greatest > 1e-4, "{role}: nothing to compare");
    }
}

/// Inputs of products rounded to 8 bits change gradients by that and what a few layers make of it,
/// but not the loss that validation measures. (That the products themselves are right, to the last
/// bit, is tested with the kernels.)
#[test]
fn gradients_in_bf16_are_near() {
    let (windows, context) = (2, 33);
    let parameters = Parameters::new(config(24, 40, 13, context), true);
    let (weights, batch) = (weights(&parameters, 0.3), batch(windows, context, 13));
    let mut network = Network::new(parameters.clone(), windows, context).unwrap();
    let mut run = |precision| {
        let mut compute = Compute::new(Kernels::best(), &SingleThread, context).unwrap();
        compute.precision = precision;
        let mut gradients = vec![0.0; weights.len()];
        let out = &mut gradients;
        network.gradients(&mut compute, &weights, &batch, 1.0, out, Dropout::NONE).unwrap();
        (gradients, network.loss(&mut compute, &weights, &batch).unwrap())
    };
    let ((exact, loss), (rounded, same_loss)) = (run(Precision::F32), run(Precision::Bf16));
    assert_eq!(loss, same_loss);
    for (role, range) in parameters.layout().iter() {
        let pairs = || exact[range.clone()].iter().zip(&rounded[range.clone()]);
        let size: f64 = pairs().map(|(x, _)| f64::from(*x).powi(2)).sum();
        let error: f64 = pairs().map(|(x, y)| f64::from(x - y).powi(2)).sum();
        let error = (error / size).sqrt();
        assert!(error > 1e-4 && error < 5e-2, "{role}: {error} of its size");
    }
}

#[test]
fn gradients_are_the_slopes_of_the_loss() {
    check(2, true, 2, 7);
    check(4, false, 2, 7);
}

/// More rows of queries than are handled together.
#[test]
fn gradients_of_long_windows_are_the_slopes_of_the_loss() {
    check(1, true, 1, 70);
}
