//! `inspect`: what a model file is and what running it takes.

use crate::args::Inspect;
use crate::model::Loaded;
use crate::threads::cores;
use anyhow::Result;
use llamaboot_chat::bytes_text;
use llamaboot_engine::{KvType, MemoryPlan};
use serde_json::{Value, json};
use std::io::Write as _;

pub(crate) fn run(args: &Inspect) -> Result<()> {
    let loaded = Loaded::open(&args.file)?;
    let plan = loaded.plan(usize::MAX, MemoryPlan::BATCH, cores(), KvType::F32);
    let mut out = std::io::stdout().lock();
    let text =
        if args.json { format!("{}\n", as_json(&loaded, &plan)) } else { as_text(&loaded, &plan) };
    Ok(out.write_all(text.as_bytes())?)
}

fn tokenizer_kind(loaded: &Loaded) -> String {
    loaded.tokenizer().map_or_else(|e| format!("none ({e:#})"), |t| t.kind().to_string())
}

fn as_text(loaded: &Loaded, plan: &MemoryPlan) -> String {
    let (header, config) = (&loaded.header, &loaded.header.config);
    let mut text = format!(
        "{}: {}, {} parameters, {}\n\n",
        loaded.name(),
        header.format,
        header.n_params(),
        bytes_text(loaded.bytes.len() as u64)
    );
    let shape = [
        ("dim", config.dim),
        ("hidden_dim", config.hidden_dim),
        ("n_layers", config.n_layers),
        ("n_heads", config.n_heads),
        ("n_kv_heads", config.n_kv_heads),
        ("head_dim", config.head_dim),
        ("vocab_size", config.vocab_size),
        ("seq_len", config.seq_len),
    ];
    for (name, value) in shape {
        text += &format!("  {name:12}{value}\n");
    }
    text += &format!(
        "  {:12}{:e}\n  {:12}{}\n",
        "norm_eps", config.norm_eps, "rope_base", config.rope_base
    );
    text += &format!("  {:12}{}\n\ntensors\n", "tokenizer", tokenizer_kind(loaded));
    for (dtype, count, bytes) in header.dtypes() {
        let dtype = dtype.to_string();
        text += &format!("  {dtype:12}{count:4}  {}\n", bytes_text(bytes));
    }
    text += &format!("\nmemory at a context of {}\n", plan.context);
    let memory = [
        ("weights", plan.weights),
        ("kv_cache", plan.kv_cache),
        ("scratch", plan.scratch),
        ("total", plan.total()),
    ];
    for (name, bytes) in memory {
        text += &format!("  {name:12}{}\n", bytes_text(bytes));
    }
    if let Some(gguf) = &header.gguf {
        text += "\nmetadata\n";
        for (key, value) in gguf.entries() {
            let value: String = value.to_string().chars().take(100).collect();
            text += &format!("  {key} = {value}\n");
        }
    }
    text
}

fn as_json(loaded: &Loaded, plan: &MemoryPlan) -> Value {
    let (header, c) = (&loaded.header, &loaded.header.config);
    let tensors: Vec<Value> = header
        .dtypes()
        .into_iter()
        .map(|(dtype, count, bytes)| {
            json!({"dtype": dtype.to_string(), "count": count, "bytes": bytes})
        })
        .collect();
    json!({
        "file": loaded.name(),
        "format": header.format.to_string(),
        "dtype": header.dtype_name(),
        "parameters": header.n_params(),
        "bytes": loaded.bytes.len(),
        "config": {
            "dim": c.dim, "hidden_dim": c.hidden_dim, "n_layers": c.n_layers, "n_heads": c.n_heads,
            "n_kv_heads": c.n_kv_heads, "head_dim": c.head_dim, "vocab_size": c.vocab_size,
            "seq_len": c.seq_len, "norm_eps": c.norm_eps, "rope_base": c.rope_base,
        },
        "tokenizer": tokenizer_kind(loaded),
        "tensors": tensors,
        "memory": {
            "context": plan.context, "weights": plan.weights, "kv_cache": plan.kv_cache,
            "scratch": plan.scratch, "total": plan.total(),
        },
    })
}
