//! Gradients, and the weights after one step of AdamW with clipping, against PyTorch's in f64
//! (`tools/oracle/train_reference.py` recorded them).

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use llamaboot_checkpoint::Config;
use llamaboot_kernels::{Kernels, SingleThread};
use llamaboot_train::{
    AdamW, Backend, Compute, Corpus, Dropout, Network, Parameters, Schedule, Settings, Trainer,
};
use std::path::Path;
use support::{batch, config, weights};

const CONTEXT: usize = 8;
const WINDOWS: usize = 3;
const VOCAB: usize = 29;

fn parameters(n_kv_heads: usize, tied: bool) -> Parameters {
    let config = Config { n_kv_heads, ..config(16, 24, VOCAB, CONTEXT) };
    Parameters::new(config, tied)
}

fn recorded(name: &str) -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let bytes = std::fs::read(path).unwrap();
    bytes.as_chunks().0.iter().map(|&raw| f32::from_le_bytes(raw)).collect()
}

fn recorded_number(case: &str, name: &str) -> f64 {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(case);
    let text = std::fs::read_to_string(path).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap().parse().unwrap()
}

fn near(found: &[f32], expected: &[f32], absolute: f32, relative: f32) {
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let bound = absolute + relative * expected.abs();
        assert!((found - expected).abs() < bound, "[{at}]: {found}, PyTorch has {expected}");
    }
}

#[test]
fn gradients_are_pytorchs() {
    for (case, n_kv_heads, tied) in [("tied", 2, true), ("untied", 4, false)] {
        let parameters = parameters(n_kv_heads, tied);
        let (weights, batch) = (weights(&parameters, 0.4), batch(WINDOWS, CONTEXT, VOCAB));
        let compute = &mut Compute::new(Kernels::best(), &SingleThread, CONTEXT).unwrap();
        let mut network = Network::new(parameters, WINDOWS, CONTEXT).unwrap();
        let mut gradients = vec![0.0; weights.len()];
        let scale = 1.0 / (WINDOWS * CONTEXT) as f32;
        let loss = network
            .gradients(compute, &weights, &batch, scale, &mut gradients, Dropout::NONE)
            .unwrap();
        let loss = loss / (WINDOWS * CONTEXT) as f64;
        let expected = recorded_number(&format!("{case}.txt"), "loss");
        assert!((loss - expected).abs() < 1e-6, "{case}: {loss}, PyTorch has {expected}");
        near(&gradients, &recorded(&format!("{case}.grad")), 1e-7, 2e-5);
    }
}

#[test]
fn a_step_of_the_trainer_is_pytorchs() {
    let parameters = parameters(2, true);
    let before = weights(&parameters, 0.4);
    let adamw = AdamW { clip: 0.5, ..AdamW::default() };
    let schedule = Schedule { peak: 1e-3, last: 1.0, warmup: 0, steps: 10 };
    let settings = Settings { windows: WINDOWS, adamw, ..Settings::plain(CONTEXT, schedule) };
    let corpus = Corpus { train: vec![0; WINDOWS * CONTEXT + 1], ..Corpus::default() };
    let compute = Compute::new(Kernels::best(), &SingleThread, CONTEXT).unwrap();
    let mut trainer = Trainer::new(parameters, before, &corpus, settings, compute).unwrap();
    let report = trainer.step_on(&[batch(WINDOWS, CONTEXT, VOCAB)]).unwrap();
    let norm = recorded_number("tied.txt", "grad_norm");
    assert!((f64::from(report.gradient_norm) - norm).abs() < 1e-6, "{}", report.gradient_norm);
    let moved = recorded("tied.step");
    // A step moves a weight by about 1e-3, less where its gradient is near ε.
    near(trainer.weights(), &moved, 1e-6, 0.0);
    assert_ne!(weights(trainer.parameters(), 0.4), moved);
}
