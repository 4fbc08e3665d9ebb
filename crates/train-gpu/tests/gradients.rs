//! Losses and gradients on a GPU beside those of the CPU's passes, which `crates/train/tests` hold
//! against differences of an f64 forward pass and against PyTorch. Without a GPU these tests fail;
//! `cargo xtask setup --gpu` installs one in software.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../train/tests/support/mod.rs"]
mod support;

use llamaboot_checkpoint::Config;
use llamaboot_kernels::{Kernels, SingleThread};
use llamaboot_train::{
    Backend, Compute, Corpus, Dropout, Network, Parameters, Schedule, Settings, Trainer,
    initial_weights,
};
use llamaboot_train_gpu::Gpu;
use std::sync::OnceLock;
use support::{batch, config, weights};

const CONTEXT: usize = 12;
const WINDOWS: usize = 3;
const VOCAB: usize = 29;

/// The one GPU of this process.
fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| match Gpu::open() {
        Ok(gpu) => gpu,
        Err(error) => panic!("{error}; `cargo xtask setup --gpu` installs one in software"),
    })
}

fn parameters(n_kv_heads: usize, tied: bool) -> Parameters {
    let config = Config { n_kv_heads, ..config(24, 40, VOCAB, CONTEXT) };
    Parameters::new(config, tied)
}

fn compute() -> Compute<'static> {
    Compute::new(Kernels::best(), &SingleThread, CONTEXT).unwrap()
}

/// Both add up sums of at most some hundred f32 products, in another order and with other
/// exponentials, which moves a gradient by some 1e-6 of the tensor's greatest (llvmpipe: at most
/// 1e-5, mostly from the half that is there before). 1e-4 leaves room for other GPUs; a wrong term
/// is far above it.
fn check(n_kv_heads: usize, tied: bool) {
    let parameters = parameters(n_kv_heads, tied);
    let (weights, batch) = (weights(&parameters, 0.4), batch(WINDOWS, CONTEXT, VOCAB));
    let scale = 1.0 / (WINDOWS * CONTEXT) as f32;
    let compute = &mut compute();
    // Gradients are added to what is there.
    let mut expected = vec![0.5; weights.len()];
    let mut found = expected.clone();
    let mut cpu = Network::new(parameters.clone(), WINDOWS, CONTEXT).unwrap();
    let mut gpu = gpu().network(parameters.clone());
    let none = Dropout::NONE;
    let cpu_loss = cpu.gradients(compute, &weights, &batch, scale, &mut expected, none).unwrap();
    let gpu_loss = gpu.gradients(compute, &weights, &batch, scale, &mut found, none).unwrap();
    let forward = gpu.loss(compute, &weights, &batch).unwrap();
    for loss in [gpu_loss, forward] {
        assert!((loss / cpu_loss - 1.0).abs() < 1e-5, "a loss of {loss}, the CPU has {cpu_loss}");
    }
    for (role, range) in parameters.layout().iter() {
        let pairs = || range.clone().map(|i| (i, found[i] - 0.5, expected[i] - 0.5));
        let greatest = pairs().map(|(_, _, expected)| expected.abs()).fold(0.0, f32::max);
        assert!(greatest > 1e-4, "{role}: nothing to compare");
        for (i, found, expected) in pairs() {
            let error = (found - expected).abs();
            assert!(error < 1e-4 * greatest + 1e-7, "{role} [{i}]: {found}, CPU {expected}");
        }
    }
}

#[test]
fn gradients_are_the_cpus() {
    check(4, false);
    check(2, true);
    check(1, false);
}

/// Steps, dropout's masks, validation with its last, shorter window: a run on a GPU goes the way
/// of the CPU's.
#[test]
fn a_run_goes_the_cpus_way() {
    let parameters = parameters(2, true);
    let train = batch(1, 400, VOCAB).inputs;
    let corpus = Corpus { train, validation: batch(1, 31, VOCAB).inputs, ..Corpus::default() };
    let schedule = Schedule { peak: 1e-2, last: 0.1, warmup: 3, steps: 10 };
    let settings = Settings {
        windows: WINDOWS,
        accumulate: 2,
        dropout: 0.2,
        ..Settings::plain(CONTEXT, schedule)
    };
    let start = initial_weights(&parameters, 7);
    let on_cpu =
        Trainer::new(parameters.clone(), start.clone(), &corpus, settings, compute()).unwrap();
    let on_gpu = Trainer::on(parameters, start, &corpus, settings, compute(), |parameters| {
        Ok(Box::new(gpu().network(parameters)))
    });
    let mut losses = [on_cpu, on_gpu.unwrap()].map(|mut trainer| {
        let steps = (0..10).map(|_| trainer.step(&corpus).unwrap().loss);
        let mut losses: Vec<f64> = steps.collect();
        losses.push(trainer.validate(&corpus).unwrap().unwrap());
        losses.into_iter()
    });
    let [cpu, gpu] = &mut losses;
    for (step, (cpu, gpu)) in cpu.zip(gpu).enumerate() {
        assert!((gpu / cpu - 1.0).abs() < 1e-4, "step {step}: {gpu}, the CPU has {cpu}");
    }
}
