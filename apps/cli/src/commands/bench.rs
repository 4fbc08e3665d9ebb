//! `bench`: fixed pseudo-random tokens from an empty cache, full logits every step, no
//! speculation; it cannot be flattered by what the model says.

use crate::args::Bench;
use crate::model::Loaded;
use crate::progress::bar;
use anyhow::{Context as _, Result, ensure};
use llamaboot_chat::bytes_text;
use llamaboot_engine::{Logits, Random};
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
    let vocab_size = engine.model().config().vocab_size as u32;
    let mut random = Random::new(1);
    let tokens: Vec<u32> = (0..prompt + new).map(|_| random.next_u32() % vocab_size).collect();

    // Once to warm up, then until a second is full, at most nine times: the medians count.
    let (mut prefills, mut decodes) = (vec![], vec![]);
    let progress = bar((prompt + new) as u64, Some("tokens"));
    let begin = Instant::now();
    while prefills.len() < 10 && (prefills.is_empty() || begin.elapsed().as_secs_f64() < 1.0) {
        progress.set_position(0);
        engine.truncate(0);
        let start = Instant::now();
        engine.prefill(&tokens[..prompt], |_| Some(usize::MAX)).with_context(name)?;
        prefills.push(prompt as f64 / start.elapsed().as_secs_f64());
        progress.inc(prompt as u64);
        let start = Instant::now();
        for token in &tokens[prompt..] {
            engine.forward(std::slice::from_ref(token), Logits::Last).with_context(name)?;
            progress.inc(1);
        }
        decodes.push(new as f64 / start.elapsed().as_secs_f64());
    }
    progress.finish_and_clear();

    let (prefill, decode) = (median(prefills), median(decodes));
    let (threads, isa) = (engine.threads(), engine.kernels().isa());
    let resident = resident_bytes()
        .unwrap_or(loaded.plan(prompt + new, engine.batch(), threads, args.run.kv()).total());
    let bytes_per_token = engine.model().bytes_per_token();
    let mut out = std::io::stdout().lock();
    if args.json {
        let report = json!({
            "prefill_tok_s": prefill, "decode_tok_s": decode, "threads": threads,
            "isa": isa.name(), "resident_bytes": resident, "bytes_per_token": bytes_per_token,
        });
        return Ok(writeln!(out, "{report}")?);
    }
    let (batch, rate) = (engine.batch(), decode * bytes_per_token as f64 / 1e9);
    writeln!(out, "{}: {}, {isa}, {threads} threads", loaded.name(), loaded.format())?;
    writeln!(out, "  load     {load_s:>9.3} s")?;
    writeln!(out, "  prefill  {prefill:>9.1} tokens/s  ({prompt} tokens in batches of {batch})")?;
    writeln!(out, "  decode   {decode:>9.1} tokens/s  ({new} tokens, one by one)")?;
    writeln!(out, "  weights  {rate:>9.2} GB/s while decoding")?;
    writeln!(out, "  resident {:>9}", bytes_text(resident))?;
    Ok(())
}

/// The median, the warm-up left out where there was more.
fn median(mut rates: Vec<f64>) -> f64 {
    if rates.len() > 1 {
        rates.remove(0);
    }
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Resident memory of this process, where the system tells (Linux).
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}
