//! `cargo xtask bench`: our speed beside llama2.c's and llama.cpp's, in alternation, on models of
//! random weights in known shapes; a table and a chart.
//!
//! Peers are programs that environment variables name: `LLAMA2C_RUN` (llama2.c's `run`, built with
//! `-Ofast -march=native -fopenmp`) and `LLAMA_BENCH` (llama.cpp's `llama-bench`; `llama-quantize`
//! beside it makes the quantised files). What is not there is left out, and said.

use crate::chart;
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::{root, run, setup};

#[derive(Args)]
pub(crate) struct Options {
    /// Shapes to measure: 260K, 15M, 110M, 1.1B, SmolLM2
    #[arg(long, value_delimiter = ',', default_value = "260K,15M,110M,SmolLM2")]
    shapes: Vec<String>,
    /// Alternating runs of each program
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Threads
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<usize>,
    /// Kernels of ours [default: the best this CPU has]
    #[arg(long)]
    isa: Option<String>,
    /// Where bench.md and bench.svg go
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

/// Of the table.
const COLUMNS: [&str; 10] = [
    "model",
    "threads",
    "ours: decode (least to most)",
    "of reading alone",
    "prefill",
    "peer",
    "its decode",
    "ratio",
    "its prefill",
    "ratio",
];

/// A file to measure, and who else can run it.
struct Model {
    name: String,
    path: PathBuf,
    /// A tokenizer for llama2.c; `None` where the file is not llama2.c's.
    llama2c: Option<PathBuf>,
    /// Tokens of the prompt, and those decoded, each from an empty cache. llama2.c has no prompt of
    /// several tokens, so files of its are measured from the first position on.
    tokens: (usize, usize),
}

/// What `run -n 256` computes, as near as a bench with a prompt comes to it.
const LLAMA2C_TOKENS: (usize, usize) = (1, 255);

/// Figures of one program: tokens a second.
#[derive(Clone, Copy)]
struct Speed {
    prefill: f64,
    decode: f64,
}

/// One line of the table.
pub(crate) struct Row {
    /// Model, format and threads.
    pub(crate) name: String,
    /// Whose speed ours is compared with.
    pub(crate) peer: &'static str,
    /// Ours divided by the peer's, of the medians.
    pub(crate) decode: f64,
}

pub(crate) fn bench(options: &Options) -> Result<()> {
    run(Command::new("cargo").current_dir(root()).args(["build", "--release", "-p", "llamaboot"]))?;
    ensure!(options.runs > 0 && !options.threads.contains(&0), "at least one run and one thread");
    std::fs::create_dir_all(&options.out)?;
    let peers = [("llama2.c", "LLAMA2C_RUN"), ("llama.cpp", "LLAMA_BENCH")];
    let peers = peers.map(|(name, variable)| {
        let path = std::env::var_os(variable).map(PathBuf::from);
        if path.is_none() {
            eprintln!("bench: {name} is left out: {variable} names no program");
        }
        (name, path)
    });
    let mut table = format!("| {} |\n|{}\n", COLUMNS.join(" | "), " --- |".repeat(COLUMNS.len()));
    let mut rows = Vec::new();
    for model in models(&options.shapes)? {
        for &threads in &options.threads {
            measure(&model, threads, options, &peers, &mut table, &mut rows)?;
        }
    }
    std::fs::write(options.out.join("bench.md"), &table)?;
    chart::draw(&options.out.join("bench.svg"), &rows)?;
    print!("{table}");
    println!("\nwritten to {}", options.out.display());
    Ok(())
}

fn measure(
    model: &Model,
    threads: usize,
    options: &Options,
    peers: &[(&'static str, Option<PathBuf>); 2],
    table: &mut String,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let (mut ours, mut shares, mut theirs) = (Vec::new(), Vec::new(), [Vec::new(), Vec::new()]);
    for _ in 0..options.runs {
        let (speed, share) = our_speed(model, threads, options.isa.as_deref())?;
        ours.push(speed);
        shares.push(share);
        for ((name, program), theirs) in peers.iter().zip(&mut theirs) {
            let Some(program) = program else { continue };
            if let Some(speed) = peer_speed(name, program, model, threads)? {
                theirs.push(speed);
            }
        }
    }
    let decodes = sorted(&ours, |speed| speed.decode);
    let (decode, prefill) = (middle(&decodes), middle(&sorted(&ours, |speed| speed.prefill)));
    let share = middle(&sorted(&shares, |&share| share));
    let prefill_text = if model.tokens.0 > 1 { format!("{prefill:.0}") } else { "–".into() };
    let mut line = |rest: &str| {
        let (least, most) = (decodes[0], decodes[decodes.len() - 1]);
        let own = format!("{decode:.1} ({least:.1} to {most:.1}) | {:.0} %", 100.0 * share);
        let line = format!("| {} | {threads} | {own} | {prefill_text} | {rest} |", model.name);
        eprintln!("{line}");
        let _ = writeln!(table, "{line}");
    };
    for ((peer, _), theirs) in peers.iter().zip(&theirs) {
        if theirs.is_empty() {
            continue;
        }
        let its_decode = middle(&sorted(theirs, |speed| speed.decode));
        let its_prefill = middle(&sorted(theirs, |speed| speed.prefill));
        let ratio = decode / its_decode;
        let of_prefill = if its_prefill > 0.0 {
            format!("{its_prefill:.0} | {:.2}", prefill / its_prefill)
        } else {
            String::from("– | –")
        };
        line(&format!("{peer} | {its_decode:.1} | {ratio:.2} | {of_prefill}"));
        rows.push(Row { name: format!("{}, {threads}", model.name), peer, decode: ratio });
    }
    if theirs.iter().all(Vec::is_empty) {
        line("– | – | – | – | –");
    }
    Ok(())
}

/// The files of the shapes asked for, made where they are not there yet.
fn models(shapes: &[String]) -> Result<Vec<Model>> {
    let shared = std::env::var_os("LLAMABOOT_DATA")
        .map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let folder = root().join("target/bench/models");
    let mut models = Vec::new();
    for shape in shapes {
        let mut add = |format: &str, path: PathBuf, llama2c: Option<PathBuf>, tokens| {
            if path.exists() {
                models.push(Model { name: format!("{shape} {format}"), path, llama2c, tokens });
            }
        };
        match shape.as_str() {
            "260K" => {
                let stories = shared.join("stories260K");
                let tokenizer = Some(stories.join("tok512.bin"));
                add("F32", stories.join("stories260K.bin"), tokenizer, LLAMA2C_TOKENS);
            }
            "SmolLM2" => add("Q4_1", setup::fetch_model()?, None, (128, 128)),
            "15M" | "110M" | "1.1B" => {
                let tokenizer = shared.join("tokenizers/llama2_tokenizer.bin");
                make(&shared, shape, &folder)?;
                let tokens = if shape == "1.1B" { (128, 32) } else { (128, 128) };
                let bin = folder.join(format!("{shape}.bin"));
                add("F32", bin, Some(tokenizer), LLAMA2C_TOKENS);
                for format in ["F32", "F16", "Q8_0", "Q4_0", "Q4_K_M"] {
                    let path = folder.join(format!("{shape}.{}.gguf", format.to_lowercase()));
                    quantise(&folder.join(format!("{shape}.f32.gguf")), &path, format)?;
                    add(&format!("{format} GGUF"), path, None, tokens);
                }
            }
            other => bail!("--shapes {other}: there are 260K, 15M, 110M, 1.1B and SmolLM2"),
        }
    }
    Ok(models)
}

/// Random weights in a shape, by the shared generator.
fn make(shared: &Path, shape: &str, folder: &Path) -> Result<()> {
    let formats = if shape == "1.1B" { "gguf" } else { "v0,gguf" };
    if folder.join(format!("{shape}.f32.gguf")).exists() {
        return Ok(());
    }
    let script = shared.join("../tools/make_checkpoint.py");
    ensure!(script.exists(), "{} makes the models, and is not there", script.display());
    let mut python = Command::new("python3");
    run(python.arg(script).arg(shape).args(["--fmt", formats, "--out"]).arg(folder))
        .context("it makes the models, and needs `pip install numpy gguf`")
}

/// Another format of a model, by the `llama-quantize` beside `LLAMA_BENCH`.
fn quantise(from: &Path, to: &Path, format: &str) -> Result<()> {
    let bench = std::env::var_os("LLAMA_BENCH").map(PathBuf::from);
    let Some(program) = bench.map(|path| path.with_file_name("llama-quantize")) else {
        return Ok(());
    };
    if to.exists() || !program.exists() {
        return Ok(());
    }
    let output = Command::new(&program).arg(from).arg(to).arg(format).output()?;
    // Not every shape can be stored in every format: K-quants want rows of 256.
    if !output.status.success() {
        eprintln!("bench: {}: llama-quantize makes no {format} of it", from.display());
        let _ = std::fs::remove_file(to);
    }
    Ok(())
}

/// Our own speed, and decoding as a share of what reading the weights alone would allow.
fn our_speed(model: &Model, threads: usize, isa: Option<&str>) -> Result<(Speed, f64)> {
    let bench = |prompt: usize, new: usize, name: &str| {
        let mut command = Command::new(root().join("target/release/llamaboot"));
        command.arg("bench").arg(&model.path).args(["--json", "--threads", &threads.to_string()]);
        command.args(["--prompt-tokens", &prompt.to_string(), "--new-tokens", &new.to_string()]);
        if let Some(isa) = isa {
            command.args(["--isa", isa]);
        }
        let report: Value = serde_json::from_slice(&output(&mut command)?)?;
        let figure =
            |name: &str| report[name].as_f64().with_context(|| format!("bench: no {name}"));
        Ok::<_, anyhow::Error>((figure(name)?, figure("limit_tok_s")?))
    };
    // Apart, as llama-bench has them: both from an empty cache.
    let (prompt, new) = model.tokens;
    let (decode, limit) = bench(1, new, "decode_tok_s")?;
    let prefill = if prompt > 1 { bench(prompt, 1, "prefill_tok_s")?.0 } else { 0.0 };
    Ok((Speed { prefill, decode }, decode / limit))
}

/// A peer's speed; `None` where it cannot run the file.
fn peer_speed(name: &str, program: &Path, model: &Model, threads: usize) -> Result<Option<Speed>> {
    let mut command = Command::new(program);
    if name == "llama2.c" {
        let Some(tokenizer) = &model.llama2c else { return Ok(None) };
        command.env("OMP_NUM_THREADS", threads.to_string()).arg(&model.path);
        command.arg("-z").arg(tokenizer).args(["-t", "0", "-n", "256"]);
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let decode = text.rsplit("tok/s: ").next().and_then(|rate| rate.trim().parse().ok());
        return Ok(decode.map(|decode| Speed { prefill: 0.0, decode }));
    }
    if model.path.extension().is_none_or(|extension| extension != "gguf") {
        return Ok(None);
    }
    command.arg("-m").arg(&model.path).args(["-t", &threads.to_string(), "-r", "1", "-o", "json"]);
    let (prompt, new) = model.tokens;
    command.args(["-p", &prompt.to_string(), "-n", &new.to_string()]);
    let report: Value = serde_json::from_slice(&output(&mut command)?)?;
    let rate = |key: &str| {
        let tests = report.as_array().into_iter().flatten();
        let mut tests = tests.filter(|test| test[key].as_u64() == Some(0));
        tests.next().and_then(|test| test["avg_ts"].as_f64()).context("llama-bench's report")
    };
    Ok(Some(Speed { prefill: rate("n_gen")?, decode: rate("n_prompt")? }))
}

fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{command:?}: {error}");
    Ok(output.stdout)
}

fn sorted<T>(items: &[T], figure: impl Fn(&T) -> f64) -> Vec<f64> {
    let mut figures: Vec<f64> = items.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures
}

fn middle(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}
