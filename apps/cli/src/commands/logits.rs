//! `logits`: what the booted prompt's `/logits` prints, or every logit as JSON.

use crate::args::Logits;
use crate::model::Loaded;
use anyhow::{Context as _, Result};
use llamaboot_engine::{Logits as Want, logit_report};
use serde_json::json;
use std::io::Write as _;

pub(crate) fn run(args: &Logits) -> Result<()> {
    let loaded = Loaded::open(&args.file)?;
    let name = || loaded.path.display().to_string();
    let mut engine = loaded.engine(&args.run, args.tokens.len())?;
    let mut out = std::io::stdout().lock();
    if !args.json {
        let report = logit_report(&mut engine, &args.tokens).with_context(name)?;
        return Ok(out.write_all(report.as_bytes())?);
    }
    let vocab_size = engine.model().config().vocab_size;
    let batch = engine.batch();
    for (at, tokens) in (0..).step_by(batch).zip(args.tokens.chunks(batch)) {
        let all = engine.forward(tokens, Want::All).with_context(name)?;
        for (pos, (token, logits)) in (at..).zip(tokens.iter().zip(all.chunks(vocab_size))) {
            writeln!(out, "{}", json!({"pos": pos, "token": token, "logits": logits}))?;
        }
    }
    Ok(())
}
