//! The host command as scripts rely on it: exact text, JSON shapes, exit codes, one clear line.

#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_kernels::{Isa, Kernels};
use llamaboot_test_support::{data, read, smollm2};
use serde_json::Value;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llamaboot"));
    command.args(args);
    command
}

/// Runs with words that may name files of the data folder: `@stories260K/tok512.bin`.
fn run(args: &str) -> Option<Output> {
    let args: Option<Vec<String>> = args
        .split_whitespace()
        .map(|word| match word.strip_prefix('@') {
            Some(file) => Some(data(file)?.display().to_string()),
            None => Some(word.to_string()),
        })
        .collect();
    Some(command(&args?.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap())
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

const STORIES: &str = "@stories260K/stories260K.bin --tokenizer @stories260K/tok512.bin";

/// llama2.c's own output, byte for byte, the newline at its end included.
#[test]
fn stories_are_llama2cs() {
    for (args, golden) in [
        ("-t 0 -n 256", "expected_greedy_n256.txt"),
        ("-t 0 -n 200", "expected_greedy_n200.txt"),
        ("-t 0 -n 256 --isa scalar --threads 1", "expected_greedy_n256.txt"),
        ("-t 0 -n 256 --threads 2 --batch 1", "expected_greedy_n256.txt"),
        ("-t 1.0 --top-p 0.9 -s 133742", "expected_sample_t1.0_p0.9_s133742.txt"),
    ] {
        let Some(expected) = read(&format!("stories260K/{golden}")) else { return };
        let output = run(&format!("generate {STORIES} {args}")).unwrap();
        assert_eq!(stdout(&output), String::from_utf8(expected).unwrap(), "{args}");
    }
}

/// The same story from the other files of the same weights, and from the middle of its text.
#[test]
fn stories_are_the_same_from_every_f32_file() {
    let Some(expected) = read("stories260K/expected_greedy_n256.txt") else { return };
    let expected = String::from_utf8(expected).unwrap();
    let v1 = "@stories260K/formats/stories260K.v1.bin --tokenizer @stories260K/tok512.bin";
    for model in [v1, "@stories260K/gguf/stories260K-f32.gguf"] {
        assert_eq!(stdout(&run(&format!("generate {model} -t 0")).unwrap()), expected, "{model}");
    }
    let args = data("stories260K/stories260K.bin").zip(data("stories260K/tok512.bin"));
    let (model, tokenizer) = args.unwrap();
    let prompt = "Once upon a time, there was a little girl named";
    let output = command(&["generate"])
        .arg(model)
        .arg("--tokenizer")
        .arg(tokenizer)
        .args(["-t", "0", "-p", prompt])
        .output()
        .unwrap();
    assert_eq!(stdout(&output), expected);
}

#[test]
fn exit_codes_and_messages() {
    let cases = [
        (1, "generate /nonexistent", "/nonexistent"),
        (1, "generate @test-data.md", "is this a model?"),
        (1, "image --efi @test-data.md -o target/none.img", "not a boot program"),
        (1, "image -o -", "a file or a device"),
        (2, "generate @stories260K/stories260K.bin --set format=text", "--set format: only"),
        (1, "generate @stories260K/stories260K.bin", "no tokenizer"),
        (1, "inspect @stories260K/formats/stories260K-q8.v2.bin", "byte 37: group size"),
        (
            1,
            "logits @stories260K/stories260K.bin --tokens 1,512",
            "token 512: the vocabulary has 512",
        ),
        (1, "bench @stories260K/stories260K.bin --prompt-tokens 500", "its context has 512"),
        (2, "bench @stories260K/stories260K.bin --threads 0", "--threads"),
        (2, "bench @stories260K/stories260K.bin --dtype bf16", "--dtype"),
        (2, "bench @stories260K/stories260K.bin --isa mmx", "--isa"),
        (2, "bench @stories260K/stories260K.bin --kv f64", "--kv"),
        (2, "bench @stories260K/stories260K.bin --threads -2", "-2 is not in 1..="),
        (2, "generate @stories260K/stories260K.bin --seed -5", "expected a whole number"),
        (2, "generate @stories260K/stories260K.bin --seed 1.5", "expected a whole number"),
        (2, "generate @stories260K/stories260K.bin -t 9", "temperature: expected 0 to 5"),
        (2, "generate @stories260K/stories260K.bin -t -1", "temperature: expected 0 to 5"),
        (2, "tokenize @stories260K/tok512.bin", "--text"),
        (2, "image --tokenizer a --model b", "it goes behind the model"),
        (2, "image --tokenizer a", "it goes behind the model"),
        (2, "frobnicate", "frobnicate"),
    ];
    for (code, args, message) in cases {
        let Some(output) = run(args) else { return };
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args}: {stderr}");
        assert!(stderr.contains(message), "{args}: {stderr}");
        assert!(output.stdout.is_empty(), "{args}");
        assert!(code == 2 || stderr.trim_end().lines().count() == 1, "{args}: {stderr}");
    }
}

/// `llamaboot … 2>&1 | true`: an end like others, no abort.
#[test]
fn a_closed_stderr_is_no_crash() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = command(&["generate", "/nonexistent"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(1));
}

fn json(args: &str) -> Option<Vec<Value>> {
    let output = run(args)?;
    Some(stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn json_shapes() {
    let Some(logits) =
        json("logits @stories260K/stories260K.bin --tokens 1,403,407 --json --batch 2")
    else {
        return;
    };
    for (pos, (line, token)) in logits.iter().zip([1, 403, 407]).enumerate() {
        assert_eq!((line["pos"].as_u64(), line["token"].as_u64()), (Some(pos as u64), Some(token)));
        assert_eq!(line["logits"].as_array().unwrap().len(), 512);
    }
    let tokens =
        json("tokenize @gguf-vocab/ggml-vocab-gpt-2.gguf --text Hello --json --bos").unwrap();
    assert_eq!(tokens, [serde_json::json!({"tokens": [50256, 15496]})]);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let bench = json(
        "bench @stories260K/stories260K.bin --prompt-tokens 9 --new-tokens 3 --threads 1 --json",
    )
    .unwrap();
    for key in
        ["prefill_tok_s", "decode_tok_s", "threads", "isa", "resident_bytes", "bytes_per_token"]
    {
        assert!(keys(&bench[0]).contains(&key.to_string()), "{key}");
    }
    let text = "@stories260K/expected_greedy_n256.txt";
    let perplexity =
        json(&format!("perplexity {STORIES} --file {text} --window 64 --json")).unwrap();
    assert_eq!(keys(&perplexity[0]), ["nats_per_char", "nats_per_token", "tokens"]);
    let inspect = json("inspect @stories260K/stories260K.bin --json").unwrap();
    assert_eq!(inspect[0]["config"]["n_kv_heads"], 4);
}

/// The shared numpy reference in float64 gives these for llama2.c's greedy text, in windows of 64
/// and in one window.
#[test]
fn perplexity_is_the_references() {
    let value = |more: &str| {
        let text = "@stories260K/expected_greedy_n256.txt";
        let report = json(&format!("perplexity {STORIES} --file {text} --json {more}"))?;
        Some((report[0]["tokens"].as_u64()?, report[0]["nats_per_token"].as_f64()?))
    };
    for (window, tokens, nats) in [("64", 252, 0.594_725_539), ("512", 256, 0.494_995_568)] {
        let Some(got) = value(&format!("--window {window}")) else { return };
        assert_eq!(got.0, tokens);
        assert!((got.1 - nats).abs() < 1e-6, "{got:?}");
        assert_eq!(Some(got), value(&format!("--window {window} --batch 1 --threads 2")));
    }
}

/// The prompt over a pipe: one `>>> ` for each input, echo, commands, and the golden story.
#[test]
fn chat_over_a_pipe() {
    let Some(expected) = read("stories260K/expected_greedy_n200.txt") else { return };
    let script = "/set temperature 0\n/set max_tokens 200\n\n/nonsense\n/logits\nexit\n";
    let said = chat(&format!("chat {STORIES} --threads 1"), script);
    let parts: Vec<&str> = said.split("\n>>> ").collect();
    assert_eq!(parts.len(), 7, "{said}");
    assert_eq!(parts[1], "/set temperature 0\ntemperature is 0\n");
    let story = parts[3].strip_prefix('\n').unwrap().rsplit_once("\n[200 tokens, ").unwrap().0;
    assert_eq!(story, String::from_utf8(expected).unwrap().trim_end());
    assert_eq!(parts[4], "/nonsense\n\"/nonsense\" is not a command; /help lists them\n");
    assert!(
        parts[5].contains("logits-fnv1a64=") && parts[5].contains("argmax=403 first10: -6.2229")
    );
    assert_eq!(parts[6], "exit\n");
}

/// The same seed gives the same text each time, whatever was said before.
#[test]
fn seeded_answers_repeat() {
    if data("stories260K").is_none() {
        return;
    }
    let script =
        "/set seed 7\n/set repeat_penalty 1.5\n/set max_tokens 40\nOnce\nOnce\n/clear\nOnce\n";
    let said = chat(&format!("chat {STORIES}"), script);
    let parts: Vec<&str> = said.split("\n>>> ").collect();
    let text = |i: usize| parts[i].rsplit_once("\n[40 tokens").unwrap().0;
    assert_eq!((text(4), text(4)), (text(5), text(7)));
}

/// An input that ends in mid-line is answered, and then the session ends.
#[test]
fn chat_ends_with_its_input() {
    if data("stories260K").is_none() {
        return;
    }
    let said = chat(&format!("chat {STORIES}"), "/set seed 7\n/show");
    assert!(said.contains(">>> /show\nmodel stories260K.bin") && said.contains("seed 7"), "{said}");
    let said = chat(&format!("chat {STORIES} --max-tokens 5"), "Once");
    assert!(said.contains("[5 tokens, ") && !said.contains("[stopped]"), "{said}");
}

/// A conversation keeps what was said; control tokens typed by the user are text.
#[test]
fn chat_keeps_the_conversation() {
    let Some(model) = smollm2() else { return };
    let script = "What is the capital of France?\nAnd of Germany?\n<|im_end|>\n";
    let said = chat(&format!("chat {} -t 0 --max-tokens 24", model.display()), script);
    let parts: Vec<&str> = said.split("\n>>> ").collect();
    assert!(parts[1].contains("\nThe capital of France is Paris.\n[8 tokens"), "{said}");
    assert!(parts[2].contains("Berlin"), "{said}");
    assert_eq!(parts.len(), 5, "{said}");
}

fn chat(args: &str, script: &str) -> String {
    let args: Vec<String> = args
        .split_whitespace()
        .map(|word| match word.strip_prefix('@') {
            Some(file) => data(file).unwrap().display().to_string(),
            None => word.to_string(),
        })
        .collect();
    let mut child = command(&args.iter().map(String::as_str).collect::<Vec<_>>())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    stdout(&child.wait_with_output().unwrap())
}

/// The headers of a UEFI application for x86-64 without any code.
fn boot_program() -> Vec<u8> {
    let mut program = vec![0; 64 + 24 + 112];
    let mut put = |at: usize, bytes: &[u8]| program[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(60, &64_u32.to_le_bytes());
    put(64, b"PE\0\0\x64\x86");
    put(64 + 20, &112_u16.to_le_bytes());
    put(64 + 24, &0x20b_u16.to_le_bytes());
    put(64 + 24 + 68, &10_u16.to_le_bytes());
    program
}

/// An image holds what was asked for, and the same bytes each time.
#[test]
fn image_is_reproducible() {
    let Some(model) = data("stories260K/stories260K.bin") else { return };
    let tokenizer = data("stories260K/tok512.bin").unwrap();
    let gguf = data("stories260K/gguf/stories260K-q8_0.gguf").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let efi = folder.path().join("boot.efi");
    std::fs::write(&efi, boot_program()).unwrap();
    let images = ["a.img", "b.img"].map(|name| {
        let path = folder.path().join(name);
        // Models may be named with --model or without.
        let option = (name == "a.img").then_some("--model");
        let output = command(&["image"])
            .args(option)
            .arg(&model)
            .arg("--tokenizer")
            .arg(&tokenizer)
            .args(option)
            .arg(&gguf)
            .arg("--efi")
            .arg(&efi)
            .arg("-o")
            .arg(&path)
            .output()
            .unwrap();
        let listed = stdout(&output);
        for name in [
            "EFI/BOOT/BOOTX64.EFI",
            "models/stories260K.bin",
            "models/stories260K.tokenizer.bin",
            "models/stories260K-q8_0.gguf",
            "LICENSES/LICENSE-MIT",
        ] {
            assert!(listed.contains(name), "{name} not in {listed}");
        }
        std::fs::read(path).unwrap()
    });
    assert!(images[0] == images[1]);
    let mut twice = command(&["image", "-o", "none.img", "--efi"]);
    let output = twice.arg(&efi).arg(&gguf).arg(&gguf).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("the image has a model of this name already"), "{stderr}");
    let mut nowhere = command(&["image", "-o", "/nonexistent/none.img", "--efi"]);
    let output = nowhere.arg(&efi).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr.matches("/nonexistent/none.img: No such file").count(), 1, "{stderr}");
    assert_eq!(stderr.matches("No such file").count(), 1, "{stderr}");
}

/// Guessing changes how the text is computed, never the text: greedy and drawn, of a base model that
/// repeats itself and of a chat model that lists; and guesses were made.
#[test]
fn speculation_changes_no_text() {
    let Some(chat) = smollm2() else { return };
    let chat =
        format!("generate {} -p one,two,three,four,one,two,three,four,one -n 60", chat.display());
    let story = format!("generate {STORIES} -n 256");
    for (args, draws) in
        [(&story, "-t 0"), (&story, "-t 0.4 -s 3"), (&chat, "-t 0"), (&chat, "-t 1 -s 7")]
    {
        let text = |speculation: &str| {
            run(&format!("{args} {draws} --threads 1 --speculation {speculation}"))
        };
        let (Some(on), Some(off)) = (text("on"), text("off")) else { return };
        assert_eq!(stdout(&on), stdout(&off), "{args} {draws}");
        let drafted = |output: &Output| -> usize {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let words: Vec<&str> = stderr.split_whitespace().collect();
            let at = words.iter().position(|&word| word == "guessed");
            at.map_or(0, |at| words[at - 1].parse().unwrap())
        };
        assert!(drafted(&on) > 0, "{args} {draws}");
        assert_eq!(drafted(&off), 0);
    }
}

/// Forced kernels that this CPU lacks, as every CPU lacks some: one line, exit 1.
#[test]
fn missing_instruction_sets_are_told() {
    for isa in Isa::ALL.into_iter().filter(|&isa| Kernels::new(isa).is_err()) {
        let args = format!("bench @stories260K/stories260K.bin --isa {isa}");
        let Some(output) = run(&args) else { return };
        assert_eq!(output.status.code(), Some(1), "{args}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(&format!("instruction set {isa}: this CPU")), "{stderr}");
        assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    }
}
