//! `bench`: fixed pseudo-random tokens from an empty cache, full logits every step, no
//! speculation; it cannot be flattered by what the model says. With `--train`, whole
//! training steps.

use crate::args::{Bench, ModelFile, TrainShape};
use crate::commands::train::Device;
use crate::model::{HostClock, Loaded, kernels};
use crate::progress::bar;
use crate::threads;
use anyhow::{Context as _, Result, ensure};
use llamaboot_chat::{bench, bytes_text};
use llamaboot_train::{Compute, Corpus, Parameters, Preset, Schedule, Settings, initial_weights};
use serde_json::json;
use std::io::Write as _;
use std::time::Instant;

pub(crate) fn run(args: &Bench) -> Result<()> {
    if let Some(shape) = args.train {
        return train(args, shape);
    }
    let start = Instant::now();
    let model = args.model.clone().context("MODEL: which to measure")?;
    let loaded = Loaded::open(&ModelFile { model, tokenizer: None })?;
    let name = || loaded.path.display().to_string();
    let (prompt, new) = (args.prompt_tokens as usize, args.new_tokens as usize);
    let context = loaded.header.config.seq_len;
    ensure!(
        prompt + new <= context,
        "{}: {prompt} + {new} tokens asked for, its context has {context}",
        name()
    );
    let mut engine = loaded.engine(&args.run, prompt + new)?;
    let load_s = start.elapsed().as_secs_f64();
    let progress = bar((prompt + new) as u64, Some("tokens"));
    let mut go_on = |done: usize| {
        progress.set_position(done as u64);
        true
    };
    let report = bench(&mut engine, &HostClock::new(), (prompt, new), &mut go_on);
    progress.finish_and_clear();
    let report = report.with_context(name)?.context("stopped")?;

    let (threads, isa) = (engine.threads(), engine.kernels().isa());
    let plan = loaded.plan(prompt + new, engine.batch(), threads, args.run.kv());
    let resident = resident_bytes().unwrap_or(plan.total());
    let mut out = std::io::stdout().lock();
    if args.json {
        let report = json!({
            "prefill_tok_s": report.prefill, "decode_tok_s": report.decode, "threads": threads,
            "isa": isa.name(), "resident_bytes": resident,
            "bytes_per_token": report.bytes_per_token, "limit_tok_s": report.limit,
            "load_s": load_s,
        });
        return Ok(writeln!(out, "{report}")?);
    }
    writeln!(out, "{}: {}, {isa}, {threads} threads", loaded.name(), loaded.format())?;
    writeln!(out, "  load     {load_s:>9.3} s")?;
    write!(out, "{}", report.text())?;
    writeln!(out, "  resident {:>9}", bytes_text(resident))?;
    Ok(())
}

/// Whole training steps: forward, loss, backward, clipping, AdamW, on pseudo-random tokens.
fn train(args: &Bench, shape: TrainShape) -> Result<()> {
    let device = Device::open(args.device)?;
    device.check(args.dtype)?;
    let (preset, windows) = Preset::MEASURED[shape as usize];
    let (kernels, threads) = (kernels(args.run.isa)?, threads::start(args.run.threads));
    let parameters = Parameters::new(preset.config(preset.vocab_size), true);
    let weights = initial_weights(&parameters, 1);
    let tokens = windows * preset.seq_len;
    let token = |i: u64| ((i * 2_654_435_761) >> 7) as u32 % preset.vocab_size as u32;
    let train = (0..16 * tokens as u64).map(token).collect();
    let corpus = Corpus { train, ..Corpus::default() };
    let schedule = Schedule { peak: 1e-3, last: 0.1, warmup: 10, steps: 1000 };
    let settings = Settings { windows, ..Settings::plain(preset.seq_len, schedule) };
    let mut compute = Compute::new(kernels, threads, preset.seq_len)?;
    compute.precision = args.dtype.precision();
    let mut trainer = device.trainer(parameters, weights, &corpus, settings, compute)?;
    let progress = bar(args.steps.into(), Some("steps"));
    // The first step touches all memory for the first time.
    trainer.step(&corpus)?;
    let start = Instant::now();
    for _ in 0..args.steps {
        trainer.step(&corpus)?;
        progress.inc(1);
    }
    let tok_s = f64::from(args.steps) * tokens as f64 / start.elapsed().as_secs_f64();
    progress.finish_and_clear();
    let (isa, threads) = (kernels.isa(), threads.threads());
    let resident = resident_bytes().unwrap_or(0);
    let mut out = std::io::stdout().lock();
    if args.json {
        let report = json!({
            "tok_s": tok_s, "isa": isa.name(), "resident_bytes": resident, "threads": threads,
            "dtype": args.dtype.name(),
        });
        return Ok(writeln!(out, "{report}")?);
    }
    let (name, dtype, context) = (preset.name, args.dtype.name(), preset.seq_len);
    let remark = args.dtype.remark(kernels);
    writeln!(out, "training {name}: {windows} x {context} tokens a step, {dtype}{remark}")?;
    let device = device.shown();
    writeln!(out, "  {tok_s:.0} tokens/s  ({device}{isa}, {threads} threads)")?;
    writeln!(out, "  resident {:>9}", bytes_text(resident))?;
    Ok(())
}

/// Resident memory of this process, where the system tells (Linux).
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}
