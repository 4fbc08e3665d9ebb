//! `convert` as scripts rely on it, and its files in the programs they are for: llama.cpp (through
//! node-llama-cpp, which `cargo xtask setup` installs) and llama2.c (where `LLAMA2C_RUN` names its
//! `run`).

#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_test_support::{data, node_modules, read, root, skipped};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const GREEDY: &str = "stories260K/expected_greedy_n256.txt";

fn convert(input: &Path, output: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llamaboot"));
    command.arg("convert").arg(input).arg(output).args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    text
}

/// The greedy story of a model.
fn story(model: &Path, tokens: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llamaboot"));
    command.arg("generate").arg(model).args(["-t", "0", "-n", tokens]);
    stdout(&command.output().unwrap())
}

/// stories260K in a folder of its own, converted; its tokenizer is given by name.
fn stories(output: &str, kind: &str) -> Option<(tempfile::TempDir, std::path::PathBuf)> {
    let (model, tokenizer) =
        (data("stories260K/stories260K.bin")?, data("stories260K/tok512.bin")?);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(output);
    let args = ["--type", kind, "--tokenizer", tokenizer.to_str().unwrap()];
    let line = stdout(&convert(&model, &path, &args));
    assert!(line.starts_with(path.to_str().unwrap()) && line.lines().count() == 1, "{line}");
    Some((folder, path))
}

/// An output that is the input, by whatever path, would leave nothing to go back to.
#[test]
fn the_input_is_never_written_over() {
    let Some((folder, gguf)) = stories("a.gguf", "f32") else { return };
    let hf = folder.path().join("hf/");
    stdout(&convert(&gguf, &hf, &[]));
    let weights = hf.join("model.safetensors");
    let before = [fs::read(&gguf).unwrap(), fs::read(&weights).unwrap()];
    let around = folder.path().join("hf/../a.gguf");
    let (both, beside) = ("both an input and the output", "its config.json would be lost");
    let new = hf.join("new.safetensors");
    for (input, output, message) in [
        (&gguf, &gguf, both),
        (&gguf, &around, both),
        (&hf, &hf, both),
        (&weights, &weights, both),
        (&weights, &hf, beside),
        (&hf, &weights, beside),
        (&hf, &new, beside),
    ] {
        let line = stderr(&convert(input, output, &["--type", "f16"]));
        assert!(line.contains(message), "{line}");
    }
    let tokenizer = folder.path().join("t.bin");
    fs::copy(data("stories260K/tok512.bin").unwrap(), &tokenizer).unwrap();
    let args = ["--tokenizer", tokenizer.to_str().unwrap()];
    assert!(stderr(&convert(&weights, &tokenizer, &args)).contains(both));
    assert_eq!(before, [fs::read(&gguf).unwrap(), fs::read(&weights).unwrap()]);
    // A folder may hold other files.
    stdout(&convert(&hf, &hf.join("b.gguf"), &[]));
}

/// The exact story, whichever way the weights went.
#[test]
fn stories_go_round() {
    let Some((folder, gguf)) = stories("a.gguf", "f32") else { return };
    let expected = String::from_utf8(read(GREEDY).unwrap()).unwrap();
    assert_eq!(story(&gguf, "256"), expected);
    let (hf, bin) = (folder.path().join("hf/"), folder.path().join("b.bin"));
    stdout(&convert(&gguf, &hf, &[]));
    stdout(&convert(&hf, &bin, &[]));
    assert_eq!(story(&bin, "256"), expected);
    // With tokenizer.json alone, as transformers' save_pretrained leaves a folder.
    fs::remove_file(hf.join("tokenizer.bin")).unwrap();
    stdout(&convert(&hf, &bin, &[]));
    assert_eq!(story(&bin, "256"), expected);
    let q8 = folder.path().join("q.bin");
    let line = stdout(&convert(&hf.join("model.safetensors"), &q8, &["--type", "q8_0"]));
    assert!(line.contains("llama2.c v2, int8, "), "{line}");
    assert!(story(&q8, "256").starts_with("Once upon a time, there was a little girl named Lily."));
}

#[test]
fn faults_get_one_line() {
    let Some((folder, gguf)) = stories("a.gguf", "f16") else { return };
    let place = |name: &str| folder.path().join(name);
    let message = stderr(&convert(&gguf, &place("a.bin"), &["--type", "q4_0"]));
    assert!(message.contains("expected f32 (version 0) or q8_0 (version 2), found q4_0"));
    let message = stderr(&convert(&gguf, &place("a.txt"), &[]));
    assert!(message.contains(".bin, .gguf, .safetensors or /"), "{message}");
    let message = stderr(&convert(&place("none"), &place("a.bin"), &[]));
    assert!(message.contains("none: "), "{message}");
    let message = stderr(&convert(&gguf, &place("none/a.bin"), &[]));
    assert!(message.contains("none/a.bin"), "{message}");
    // What runs is made of safetensors first.
    stdout(&convert(&gguf, &place("hf/"), &[]));
    for model in [place("hf"), place("hf/model.safetensors")] {
        let mut chat = Command::new(env!("CARGO_BIN_EXE_llamaboot"));
        let message = stderr(&chat.arg("chat").arg(&model).output().unwrap());
        assert!(message.contains("found safetensors: `llamaboot convert "), "{message}");
    }
}

/// A limit on the length of files stands in for a full disk.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_former_file() {
    let Some((folder, gguf)) = stories("a.gguf", "f32") else { return };
    let bin = folder.path().join("a.bin");
    fs::write(&bin, "former").unwrap();
    let script = "trap '' XFSZ; ulimit -f 512; exec \"$0\" convert \"$1\" \"$2\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_llamaboot")]).arg(&gguf).arg(&bin);
    let message = stderr(&command.output().unwrap());
    assert!(message.contains("a.bin: File too large"), "{message}");
    assert_eq!(fs::read(&bin).unwrap(), b"former");
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a.bin", "a.gguf"]);
}

/// llama.cpp reads what we write, and tells the same story.
#[test]
fn llama_cpp_says_the_same() {
    let Some(modules) = node_modules("node-llama-cpp") else { return };
    for (kind, tokens) in [("f32", 30), ("f16", 30), ("q8_0", 30), ("q4_0", 16)] {
        let Some((_folder, gguf)) = stories("a.gguf", kind) else { return };
        let mut node = Command::new("node");
        node.arg(root().join("apps/cli/tests/llama_cpp.mjs")).arg(&modules).arg(&gguf);
        let theirs = stdout(&node.arg(tokens.to_string()).output().unwrap());
        assert!(theirs.len() > 40, "{kind}: {theirs}");
        let ours = story(&gguf, "60");
        assert!(ours.starts_with(theirs.trim_start()), "{kind}: {theirs:?}, ours {ours:?}");
    }
}

/// llama2.c reads our version 0, and tells the same story.
#[test]
fn llama2c_says_the_same() {
    let Some(run) = std::env::var_os("LLAMA2C_RUN") else {
        skipped("LLAMA2C_RUN does not name llama2.c's run");
        return;
    };
    let Some((folder, bin)) = stories("a.bin", "f32") else { return };
    let tokenizer = folder.path().join("a.tokenizer.bin");
    let mut command = Command::new(run);
    command.arg(&bin).arg("-z").arg(tokenizer).args(["-t", "0", "-n", "100"]);
    assert_eq!(stdout(&command.output().unwrap()), story(&bin, "100"));
}

/// A story is as long in either format: it ends where the next one would begin. A GGUF without a
/// tokenizer is told of.
#[test]
fn a_story_ends_in_a_gguf_too() {
    let Some((folder, gguf)) = stories("a.gguf", "f32") else { return };
    let tell = |model: &Path, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llamaboot"));
        command.arg("generate").arg(model).args(["-n", "0", "-s", "1"]).args(more);
        stdout(&command.output().unwrap())
    };
    let bin = data("stories260K/stories260K.bin").unwrap();
    let tokenizer = data("stories260K/tok512.bin").unwrap();
    let story = tell(&bin, &["--tokenizer", tokenizer.to_str().unwrap()]);
    assert_eq!(story.matches("Once upon a time").count(), 1, "{story}");
    assert_eq!(tell(&gguf, &[]), story);

    // Beside this copy there is none.
    let alone = folder.path().join("b.bin");
    fs::copy(&bin, &alone).unwrap();
    let output = convert(&alone, &folder.path().join("b.gguf"), &[]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("it has no tokenizer"), "{told}");
}
