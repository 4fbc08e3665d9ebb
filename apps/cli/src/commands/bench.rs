//! `bench`: fixed pseudo-random tokens from an empty cache, full logits every step, no
//! speculation; it cannot be flattered by what the model says.

use crate::args::Bench;
use crate::model::{HostClock, Loaded};
use crate::progress::bar;
use anyhow::{Context as _, Result, ensure};
use llamaboot_chat::{bench, bytes_text};
use serde_json::json;
use std::io::Write as _;
use std::time::Instant;

pub(crate) fn run(args: &Bench) -> Result<()> {
    let start = Instant::now();
    let loaded = Loaded::open(&args.file)?;
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

/// Resident memory of this process, where the system tells (Linux).
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}
