//! Whole runs of a tiny model: the same losses bit for bit on any kernels and threads and after
//! any interruption, and a stop where the loss goes astray.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use llamaboot_kernels::{Isa, Kernels, Parallel, Park, Pool, Precision, SingleThread};
use llamaboot_train::{
    AdamW, Compute, Corpus, Error, Parameters, Schedule, Settings, Trainer, Windows,
    initial_weights,
};
use std::sync::atomic::AtomicU32;
use support::batch;

const CONTEXT: usize = 12;
const VOCAB: usize = 17;

/// So many threads.
fn threads(count: usize) -> &'static dyn Parallel {
    let pool: &'static Pool<Yield> = Box::leak(Box::new(Pool::new(count, Yield)));
    for _ in 1..count {
        std::thread::spawn(|| pool.work());
    }
    pool
}

/// Waits by giving way.
struct Yield;

impl Park for Yield {
    fn sleep(&self, _: &AtomicU32, _: u32) {
        std::thread::yield_now();
    }

    fn wake(&self) {}

    fn give_way(&self) {
        std::thread::yield_now();
    }
}

fn parameters() -> Parameters {
    Parameters::new(support::config(24, 40, VOCAB, CONTEXT), true)
}

fn settings() -> Settings {
    let schedule = Schedule { peak: 1e-2, last: 0.1, warmup: 3, steps: 40 };
    let average = 0.9;
    Settings {
        windows: 3,
        accumulate: 2,
        dropout: 0.2,
        average,
        ..Settings::plain(CONTEXT, schedule)
    }
}

fn corpus() -> Corpus {
    let openings = vec![vec![1; CONTEXT + 1], vec![2; CONTEXT + 1], vec![3; 4]];
    Corpus { train: batch(1, 400, VOCAB).inputs, openings, validation: batch(1, 30, 11).inputs }
}

fn trainer<'a>(kernels: Kernels, threads: &'a dyn Parallel, settings: Settings) -> Trainer<'a> {
    trainer_in(Precision::F32, kernels, threads, settings)
}

fn trainer_in<'a>(
    precision: Precision,
    kernels: Kernels,
    threads: &'a dyn Parallel,
    settings: Settings,
) -> Trainer<'a> {
    let mut compute = Compute::new(kernels, threads, CONTEXT).unwrap();
    compute.precision = precision;
    let weights = initial_weights(&parameters(), 7);
    Trainer::new(parameters(), weights, &corpus(), settings, compute).unwrap()
}

/// The losses of some steps, and of a validation behind them.
fn losses(trainer: &mut Trainer<'_>, steps: usize) -> Vec<u64> {
    let mut losses: Vec<u64> =
        (0..steps).map(|_| trainer.step(&corpus()).unwrap().loss.to_bits()).collect();
    losses.push(trainer.validate(&corpus()).unwrap().unwrap().to_bits());
    losses
}

#[test]
fn kernels_and_threads_change_no_bit() {
    for precision in [Precision::F32, Precision::Bf16] {
        let losses =
            |kernels, threads| losses(&mut trainer_in(precision, kernels, threads, settings()), 8);
        let expected = losses(Kernels::scalar(), &SingleThread);
        for count in [2, 3] {
            assert_eq!(
                losses(Kernels::scalar(), threads(count)),
                expected,
                "{count} threads, {precision:?}"
            );
        }
        for kernels in Isa::ALL.into_iter().filter_map(|isa| Kernels::new(isa).ok()) {
            let expected = match kernels.adds_in_order(precision) {
                true => expected.clone(),
                false => losses(kernels, &SingleThread),
            };
            assert_eq!(losses(kernels, threads(2)), expected, "{kernels:?}, {precision:?}");
        }
    }
}

#[test]
fn a_resumed_run_goes_on_bit_for_bit() {
    let mut whole = trainer(Kernels::best(), &SingleThread, settings());
    let first = losses(&mut whole, 5);
    let mut state = Vec::new();
    let save = |piece: &[u8]| -> Result<(), ()> {
        state.extend_from_slice(piece);
        Ok(())
    };
    {
        let mut save = save;
        whole.save(&mut save).unwrap();
    }
    let expected = losses(&mut whole, 6);
    let mut resumed = trainer(Kernels::best(), threads(2), settings());
    resumed.resume(&state).unwrap();
    assert_eq!(resumed.steps_done(), 5);
    assert_eq!(losses(&mut resumed, 6), expected);
    assert_ne!(losses(&mut trainer(Kernels::best(), &SingleThread, settings()), 6), expected);
    assert_ne!(first, expected);
}

/// Whatever is damaged, nothing of the trainer changes.
#[test]
fn a_damaged_state_is_refused() {
    let mut state = Vec::new();
    let mut begun = trainer(Kernels::best(), &SingleThread, settings());
    begun.step(&corpus()).unwrap();
    begun
        .save(&mut |piece| -> Result<(), ()> {
            state.extend_from_slice(piece);
            Ok(())
        })
        .unwrap();
    let mut fresh = trainer(Kernels::best(), &SingleThread, settings());
    for at in (0..state.len()).step_by(97).chain([0, 9, 32, state.len() - 1]) {
        let mut damaged = state.clone();
        damaged[at] ^= 0x10;
        assert!(matches!(fresh.resume(&damaged), Err(Error::State { .. })), "byte {at}");
        assert!(matches!(fresh.resume(&state[..at]), Err(Error::State { .. })), "cut at {at}");
    }
    assert_eq!((fresh.steps_done(), fresh.weights()), (0, &initial_weights(&parameters(), 7)[..]));
    let plain = Settings { average: 0.0, ..settings() };
    let mut other = trainer(Kernels::best(), &SingleThread, plain);
    assert!(other.resume(&state).unwrap_err().to_string().contains("mean of weights"));
}

/// A model that can learn a text by heart does.
#[test]
fn the_loss_falls_to_nothing_on_a_text_that_repeats() {
    let schedule = Schedule { peak: 1e-2, last: 0.1, warmup: 10, steps: 150 };
    let settings = Settings { windows: 4, ..Settings::plain(CONTEXT, schedule) };
    let text = Corpus { openings: Vec::new(), ..corpus() };
    let mut trainer = trainer(Kernels::best(), &SingleThread, settings);
    let first = trainer.step(&text).unwrap().loss;
    assert!((first - (VOCAB as f64).ln()).abs() < 0.2, "{first}: not that of a guess");
    let last = (1..150).map(|_| trainer.step(&text).unwrap().loss).last().unwrap();
    assert!(last < 0.05 * first, "{last} after {first}");
}

#[test]
fn a_spike_or_a_nan_stops_before_the_weights_change() {
    let mut trainer = trainer(Kernels::best(), &SingleThread, settings());
    losses(&mut trainer, 3);
    let before = trainer.weights().to_vec();
    let weights = initial_weights(&parameters(), 7).iter().map(|w| w * 1e4).collect();
    let compute = Compute::new(Kernels::best(), &SingleThread, CONTEXT).unwrap();
    let mut wild = Trainer::new(parameters(), weights, &corpus(), settings(), compute).unwrap();
    let mut state = Vec::new();
    trainer
        .save(&mut |piece| -> Result<(), ()> {
            state.extend_from_slice(piece);
            Ok(())
        })
        .unwrap();
    let weights_at = 33..33 + 4 * before.len();
    for bad in [f32::NAN, 1e9] {
        // The state is whole, but for a weight that firmware or a person might have ruined.
        let mut ruined = state.clone();
        ruined[weights_at.start..][..4].copy_from_slice(&bad.to_le_bytes());
        let end = ruined.len() - 4;
        let sum = crc32fast::hash(&ruined[..end]).to_le_bytes();
        ruined[end..].copy_from_slice(&sum);
        wild.resume(&ruined).unwrap();
        let error = loop {
            match wild.step(&corpus()) {
                Ok(_) => assert!(wild.steps_done() < 200, "{bad} goes unseen"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Diverged { .. }), "{error}");
    }
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let refused = |corpus: &Corpus, settings: Settings| {
        let compute = Compute::new(Kernels::best(), &SingleThread, CONTEXT).unwrap();
        let weights = initial_weights(&parameters(), 1);
        let trainer = Trainer::new(parameters(), weights, corpus, settings, compute);
        trainer.err().unwrap().to_string()
    };
    let short = Corpus { train: vec![1; 36], ..Corpus::default() };
    assert_eq!(
        refused(&short, settings()),
        "training text for one batch: expected at least 37 tokens, found 36"
    );
    let foreign = Corpus { train: vec![17; 400], ..Corpus::default() };
    assert_eq!(refused(&foreign, settings()), "token 17: expected one of the model's 17");
    let long = Settings { context: 13, ..settings() };
    assert_eq!(refused(&corpus(), long), "--context: expected 2 to 12, found 13");
    let wild = Settings { adamw: AdamW { beta2: f32::NAN, ..AdamW::default() }, ..settings() };
    assert_eq!(refused(&corpus(), wild), "--beta2: expected 0 to 0.9999, found NaN");
}

/// An epoch reads each place of the text about once, and no two epochs are cut alike.
#[test]
fn windows_cover_the_text() {
    let corpus = Corpus { train: (0..1000).collect(), ..Corpus::default() };
    let mut windows = Windows::new(1000, 10, 3).unwrap();
    let epoch = windows.per_epoch();
    let mut starts = Vec::new();
    for number in 0..3 {
        let batch = windows.batch(&corpus, (number * epoch) as u64, epoch);
        let mut seen = batch.inputs.clone();
        seen.sort_unstable();
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "a token twice in an epoch");
        assert!(seen.len() >= 970, "{} of 1000", seen.len());
        assert!(
            batch.inputs.iter().zip(&batch.targets).all(|(input, target)| input + 1 == *target)
        );
        starts.push(batch.inputs[..10].to_vec());
    }
    assert!(starts[0] != starts[1] && starts[1] != starts[2], "the same order");
    let again = windows.batch(&corpus, 5, 2);
    assert_eq!(again, Windows::new(1000, 10, 3).unwrap().batch(&corpus, 5, 2));
}

#[test]
fn the_rate_rises_and_falls() {
    let schedule = Schedule { peak: 1.0, last: 0.2, warmup: 4, steps: 24 };
    assert_eq!(schedule.rate(0), 0.25);
    assert_eq!(schedule.rate(4), 1.0);
    assert!((schedule.rate(14) - 0.6).abs() < 1e-6, "half way down");
    assert!((schedule.rate(24) - 0.2).abs() < 1e-6);
}
