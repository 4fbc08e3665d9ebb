//! `train` as a user meets it: a run that is killed and taken up again, a story model that turns to
//! verse, wrong inputs, and the recorded run of our own model.

#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_test_support::{data, root};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

fn train() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llamaboot"));
    command.arg("train");
    command
}

fn shakespeare() -> Option<PathBuf> {
    data("tinyshakespeare/input.txt")
}

/// A run of a second or two.
fn small(out: &Path) -> Option<Command> {
    let mut command = train();
    command.arg("--data").arg(shakespeare()?).arg("--out").arg(out);
    let plan = "--preset 260K --vocab 400 --steps 60 --batch 2 --context 64 --every 20 \
                --save-every 3 --dropout 0.1 --average 0.9 --json";
    command.args(plan.split_whitespace());
    Some(command)
}

fn finished(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Step, training and validation loss of every line, the losses as their bits.
fn losses(output: &Output) -> Vec<(u64, u64, Option<u64>)> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            assert!(line["tok_s"].as_f64().unwrap() > 0.0);
            let bits = |name: &str| line[name].as_f64().map(f64::to_bits);
            (line["step"].as_u64().unwrap(), bits("train_loss").unwrap(), bits("val_loss"))
        })
        .collect()
}

/// Twenty runs are killed at random moments, some of them several times, and taken up again: the
/// losses are those of a run never stopped, to the last bit, on whatever threads.
#[test]
fn killed_runs_end_as_if_never_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let Some(whole) = small(&folder.path().join("whole")) else { return };
    let whole = losses(&finished(whole));
    assert_eq!(whole.len(), 61);
    let model = |run: &str| std::fs::read(folder.path().join(run).join("260K.bin")).unwrap();
    let mut random = 0x9e37_79b9_u64;
    let mut kills = 0;
    for number in 0.. {
        let run = format!("killed{number}");
        let out = folder.path().join(&run);
        let mut command = small(&out).unwrap();
        loop {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let (lines, micros) = (random % 30, random >> 20 & 0x7fff);
            if kills == 20 || !killed_after(command, lines, Duration::from_micros(micros)) {
                break;
            }
            kills += 1;
            command = resume(&out, 1 + (random % 2) as u16);
        }
        let last = losses(&finished(resume(&out, 1)));
        let from = last[0].0 as usize;
        assert_eq!(last, whole[from..], "{run}");
        assert_eq!(model(&run), model("whole"), "{run}");
        if kills == 20 {
            break;
        }
    }
}

/// Starts a command and kills it some time after it has printed so many lines. Says whether it was
/// still running.
fn killed_after(mut command: Command, lines: u64, time: Duration) -> bool {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let mut printed = stdout.lines();
    (0..lines).for_each(|_| drop(printed.next()));
    // The moment of the kill is random to the microsecond: nothing is waited for.
    let (_sender, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(time);
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    running
}

/// Ctrl-C keeps the step at hand and says how to go on; the losses are those of a run never stopped.
#[cfg(unix)]
#[test]
fn an_interrupted_run_says_how_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("interrupted");
    let Some(whole) = small(&folder.path().join("whole")) else { return };
    let whole = losses(&finished(whole));
    let mut command = small(&out).unwrap();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut printed = BufReader::new(child.stdout.take().unwrap()).lines();
    (0..4).for_each(|_| drop(printed.next()));
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let steps = 4 + printed.count();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    let goes_on =
        format!("stopped at step {steps} of 60; train --resume {} goes on", out.display());
    assert!(steps < 60 && stderr.contains(&goes_on), "{stderr}");
    assert!(out.join(format!("checkpoints/260K_iter{steps:05}.state")).exists());
    assert_eq!(losses(&finished(resume(&out, 1))), whole[steps..]);
}

fn resume(out: &Path, threads: u16) -> Command {
    let mut command = train();
    command.arg("--resume").arg(out).arg("--json").args(["--threads", &threads.to_string()]);
    command
}

/// Products of bf16 change what is learned a little, and nothing of how it is measured; a run keeps
/// its numbers when it goes on.
#[test]
fn bf16_learns_as_f32_does() {
    let folder = tempfile::tempdir().unwrap();
    let run = |dtype: &str| {
        let mut command = small(&folder.path().join(dtype))?;
        command.args(["--dtype", dtype]);
        Some(losses(&finished(command)))
    };
    let Some((exact, rounded)) = run("f32").zip(run("bf16")) else { return };
    let validations = [&exact, &rounded].map(|losses| {
        losses.iter().filter_map(|line| line.2).map(f64::from_bits).collect::<Vec<_>>()
    });
    let [exact_loss, rounded_loss] = &validations;
    assert_eq!(exact_loss[0], rounded_loss[0], "before the first step both models are the same");
    for (exact, rounded) in exact_loss.iter().zip(rounded_loss).skip(1) {
        assert!(exact != rounded && (exact - rounded).abs() < 0.02, "{exact}, in bf16 {rounded}");
    }
    let again = folder.path().join("again");
    let mut command = small(&again).unwrap();
    command.args(["--dtype", "bf16"]);
    killed_after(command, 31, Duration::ZERO);
    let last = losses(&finished(resume(&again, 1)));
    assert_eq!(last, rounded[last[0].0 as usize..]);
}

/// Fine-tuning begins where the model stands: the loss at step 0 is the engine's own perplexity.
/// A short while later the model of children's stories speaks in verse lines.
#[test]
fn a_story_model_turns_to_verse() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("verse");
    let stories = data("stories260K/stories260K.bin").zip(data("stories260K/tok512.bin"));
    let Some(((model, tokenizer), text)) = stories.zip(shakespeare()) else { return };
    let mut command = train();
    command.arg("--data").arg(text).arg("--out").arg(&out).arg("--json");
    command.arg("--init").arg(&model).arg("--tokenizer").arg(&tokenizer);
    command.args("--steps 120 --lr 2e-3 --warmup 10 --every 120".split_whitespace());
    let losses = losses(&finished(command));
    let mut perplexity = Command::new(env!("CARGO_BIN_EXE_llamaboot"));
    perplexity.arg("perplexity").arg(&model).arg("--tokenizer").arg(&tokenizer);
    perplexity.arg("--file").arg(out.join("validation.txt")).args(["--window", "256", "--json"]);
    let engine: Value = serde_json::from_slice(&finished(perplexity).stdout).unwrap();
    let engine = engine["nats_per_token"].as_f64().unwrap();
    let trainer = f64::from_bits(losses[0].2.unwrap());
    assert!((trainer - engine).abs() < 1e-4, "step 0: {trainer}, the engine has {engine}");
    let last = f64::from_bits(losses.last().unwrap().2.unwrap());
    assert!(last < 2.9, "validation {last} after {trainer}");

    let lines = |model: &Path, tokenizer: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llamaboot"));
        command.arg("generate").arg(model).arg("--tokenizer").arg(tokenizer);
        let text = finished({
            command.args(["-t", "0", "-n", "250"]);
            command
        })
        .stdout;
        String::from_utf8(text).unwrap()
    };
    let average = |text: &str| text.trim().len() / text.trim().lines().count();
    let stories = lines(&model, &tokenizer);
    let verse = lines(&out.join("stories260K.bin"), &out.join("stories260K.tokenizer.bin"));
    assert!(average(&stories) > 60 && average(&verse) < 50, "{stories}\n{verse}");
    assert!(verse.contains(":\n"), "nobody speaks: {verse}");
}

#[test]
fn wrong_inputs_give_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let little = file("little.txt", "To be, or not to be. ".repeat(20).as_bytes());
    let latin1 = file("latin1.txt", b"o\xf9 est l'\xe9t\xe9");
    let text =
        file("text.txt", "It was the best of times, it was the worst.\n".repeat(400).as_bytes());
    let nowhere = folder.path().join("nowhere").display().to_string();
    let out = folder.path().join("out").display().to_string();
    let cases = [
        (
            1,
            format!("--data {little} --vocab 280"),
            "training text for one batch: expected at least",
        ),
        (1, format!("--data {latin1}"), "byte 1: expected UTF-8 text, found 0xf9"),
        (1, format!("--data {nowhere}"), "nowhere"),
        (1, format!("--data {text} --vocab 30000"), "the text supports at most"),
        (1, format!("--data {text} --vocab 100"), "expected at least 2"),
        (1, format!("--data {text} --preset 15K"), "expected one of 260K, shakespeare"),
        (
            1,
            format!("--data {text} --vocab 280 --context 257"),
            "llamaboot: --context: expected 2 to 256, found 257",
        ),
        (
            1,
            format!("--data {text} --vocab 280 --dropout 1"),
            "llamaboot: --dropout: expected 0 to 0.99, found 1",
        ),
        (1, format!("--data {text} --init {text}"), "is this a model?"),
        (1, format!("--resume {nowhere}"), "recipe.json"),
        (2, format!("--resume {nowhere} --steps 9"), "cannot be used with"),
        (2, format!("--resume {nowhere} --dtype bf16"), "cannot be used with"),
        (2, String::new(), "--data"),
        (2, format!("--data {text} --steps x"), "expected a whole number"),
        (2, format!("--data {text} --preset 15M --init {text}"), "cannot be used with"),
    ];
    for (code, args, message) in cases {
        let mut command = train();
        command.args(args.split_whitespace());
        if !args.starts_with("--resume") {
            command.args(["--out", &out]);
        }
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args}: {told}");
        assert!(told.contains(message), "{args}: {told}");
        assert!(code == 2 || told.lines().count() == 1, "{args}: {told}");
        let _ = std::fs::remove_dir_all(&out);
    }
}

/// A build for the CPU says how to build for a GPU.
#[cfg(not(feature = "gpu"))]
#[test]
fn a_gpu_is_a_feature_of_the_build() {
    let output = train().args(["--data", "text.txt", "--device", "gpu"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("cargo build --release --features gpu"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

/// A text whose last tenth is unlike the rest: what is learned makes it worse, and the run stops.
#[test]
fn patience_ends_a_run_that_gets_no_better() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.txt");
    let (learned, unlike) = ("the sea, the sky. ".repeat(500), "zq-xk!vj ".repeat(110));
    std::fs::write(&text, learned + &unlike).unwrap();
    let mut command = train();
    let plan = "--preset 260K --vocab 272 --steps 400 --batch 2 --context 32 --lr 1e-2 --warmup 1 \
                --every 5 --patience 2 --json";
    command.arg("--data").arg(&text).args(plan.split_whitespace());
    let losses = losses(&finished({
        command.arg("--out").arg(folder.path().join("run"));
        command
    }));
    let validations: Vec<f64> =
        losses.iter().filter_map(|(.., loss)| loss.map(f64::from_bits)).collect();
    let best = validations.iter().copied().fold(f64::INFINITY, f64::min);
    let behind = validations.iter().rev().position(|&loss| loss == best);
    assert!(losses.len() < 200, "it went on for {} steps", losses.len());
    assert_eq!(behind, Some(2), "{validations:?}");
}

/// A run is never overwritten, a damaged checkpoint and one of another shape are refused, and so is
/// another text.
#[test]
fn a_run_is_resumed_only_as_itself() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let Some(command) = small(&out) else { return };
    finished(command);
    let refused = |mut command: Command, message: &str| {
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(message) && told.lines().count() == 1, "{told}");
    };
    refused(small(&out).unwrap(), "there is a run in it");
    let state = out.join("checkpoints/260K_iter00060.state");
    let whole = std::fs::read(&state).unwrap();
    std::fs::write(&state, &whole[..whole.len() / 2]).unwrap();
    let older = resume(&out, 1).output().unwrap();
    let told = String::from_utf8_lossy(&older.stderr).into_owned();
    assert!(older.status.success() && told.contains("bytes of the state"), "{told}");
    assert_eq!(losses(&older)[0].0, 57, "not from the state before");
    assert_eq!(std::fs::read(&state).unwrap(), whole, "another end");
    let recipe = out.join("recipe.json");
    let text = std::fs::read_to_string(&recipe).unwrap();
    std::fs::write(&recipe, text.replace("\"vocab\": 400", "\"vocab\": 500")).unwrap();
    refused(resume(&out, 1), "weights of the state");
    std::fs::write(&recipe, text.replace("\"data_sha256\": \"8", "\"data_sha256\": \"9")).unwrap();
    refused(resume(&out, 1), "the run began with a text of sha256");
    std::fs::write(&recipe, "{").unwrap();
    refused(resume(&out, 1), "recipe.json");
}

/// A Hugging Face folder is the model that it was made of: training goes on with the same losses.
/// What belongs to it is known again when the run is.
#[test]
fn a_hugging_face_folder_goes_on() {
    let Some(bin) = data("stories260K/stories260K.bin") else { return };
    let tokenizer = data("stories260K/tok512.bin").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (hf, text) = (folder.path().join("hf/"), folder.path().join("text.txt"));
    let verse = std::fs::read_to_string(shakespeare().unwrap()).unwrap();
    std::fs::write(&text, &verse[..20_000]).unwrap();
    let mut convert = Command::new(env!("CARGO_BIN_EXE_llamaboot"));
    convert.arg("convert").arg(&bin).arg(&hf).arg("--tokenizer").arg(&tokenizer);
    finished(convert);
    let run = |init: &Path, name: &str| {
        let mut command = train();
        command.arg("--init").arg(init).arg("--data").arg(&text);
        command.arg("--out").arg(folder.path().join(name));
        command.args("--steps 4 --batch 2 --context 32 --every 2 --json".split_whitespace());
        command
    };
    let mut of_bin = run(&bin, "bin");
    of_bin.arg("--tokenizer").arg(&tokenizer);
    assert_eq!(losses(&finished(run(&hf, "folder"))), losses(&finished(of_bin)));

    let out = folder.path().join("folder");
    assert!(resume(&out, 1).output().unwrap().status.success());
    std::fs::write(hf.join("generation_config.json"), "{\"eos_token_id\": 2}").unwrap();
    let output = resume(&out, 1).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("hf: the run began with sha256") || told.contains("hf/: the run"),
        "{told}"
    );
    assert_eq!(output.status.code(), Some(1));
}

/// A disk that is full while a checkpoint is saved: the checkpoint before is whole, and the run goes
/// on from it when there is room again.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_costs_no_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let Some(command) = small(&whole) else { return };
    let expected = losses(&finished(command));
    let out = folder.path().join("full");
    // No file may grow past 2 MiB: the model and the tokens fit, a checkpoint with averages does not
    // once the limit is set.
    let resumed = |limit: &str| {
        let mut shell = Command::new("bash");
        let program = env!("CARGO_BIN_EXE_llamaboot");
        let resume =
            format!("trap '' XFSZ; ulimit -f {limit}; exec {program} train --json --resume");
        shell.arg("-c").arg(format!("{resume} {}", out.display()));
        shell.output().unwrap()
    };
    assert!(killed_after(small(&out).unwrap(), 20, Duration::ZERO));
    let states = || {
        let entries = out.join("checkpoints").read_dir().unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.retain(|name| !name.to_string_lossy().ends_with(".partial"));
        names.sort();
        names
    };
    let before = states();
    let full = resumed("2048");
    let told = String::from_utf8_lossy(&full.stderr).into_owned();
    assert_eq!(full.status.code(), Some(1), "{told}");
    assert!(told.contains(".state") && told.contains("File too large"), "{told}");
    assert_eq!(states(), before);
    let rest = losses(&resumed("unlimited"));
    assert_eq!(rest, expected[rest[0].0 as usize..]);
}

/// The command recorded beside our own model gives its first losses again, bit for bit.
#[test]
fn our_own_model_can_be_made_again() {
    let Some(text) = shakespeare() else { return };
    let assets = root().join("assets/shakespeare");
    let recipe = std::fs::read_to_string(assets.join("recipe.json")).unwrap();
    let recipe: Value = serde_json::from_str(&recipe).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = train();
    command.arg("--data").arg(text).arg("--out").arg(folder.path().join("run")).arg("--json");
    let number = |name: &str| recipe[name].to_string();
    for (option, name) in [
        ("--steps", "steps"),
        ("--vocab", "vocab"),
        ("--seed", "seed"),
        ("--batch", "batch"),
        ("--lr", "lr"),
        ("--last-lr", "last_lr"),
        ("--warmup", "warmup"),
        ("--dropout", "dropout"),
        ("--decay", "decay"),
        ("--beta2", "beta2"),
        ("--average", "average"),
        ("--every", "every"),
    ] {
        command.arg(option).arg(number(name));
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let recorded = std::fs::read_to_string(assets.join("loss.csv")).unwrap();
    for (line, recorded) in lines.take(200).zip(recorded.lines().skip(1)) {
        let line = line.unwrap();
        let fields: Vec<&str> = recorded.split(',').collect();
        // As text, for serde_json reads numbers only nearly to the last bit.
        let number = |name: &str| {
            let at = line.find(&format!("\"{name}\":")).unwrap() + name.len() + 3;
            let text = line[at..].split([',', '}']).next().unwrap();
            text.parse::<f64>().map_or(String::new(), |number| number.to_string())
        };
        assert_eq!(number("step"), fields[0]);
        assert_eq!(number("train_loss"), fields[1], "step {}", fields[0]);
        assert_eq!(number("val_loss"), fields[2], "step {}", fields[0]);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
