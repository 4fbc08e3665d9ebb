//! The same forty inputs on a booted machine and in a pipe on the host: the same transcript, but
//! for what takes time.

#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_qemu_tests::{BOOT, Prompt, SHORT, bytes, image, start, stories};
use llamaboot_test_support::{data, root};
use std::io::Write as _;
use std::process::{Command, Stdio};
use xtask::qemu::Machine;

/// What a user may type, with every command whose answer does not depend on the machine.
const SCRIPT: [&str; 40] = [
    "/help",
    "/show max_tokens",
    "/set temperature 0",
    "/set max_tokens 24",
    "Once upon a time",
    "",
    "/why",
    "/set template plain",
    "/clear",
    "/set seed 7",
    "/set temperature 0.9",
    "/set min_p 0.05",
    "/set repeat_penalty 1.1",
    "Tell me about the little dog.",
    "Où est l'été ? 日本 🦙",
    "/context",
    "/regen",
    "/undo",
    "/system Be kind.",
    "/system",
    "And the cat?",
    "/save pets",
    "/set mirostat 2",
    "/set dry 0.8",
    "And the bird \\",
    "in the tree?",
    "/read notes.txt",
    "Who is Rex?",
    "/chats",
    "/set format json",
    "/set max_tokens 60",
    "Tell me more.",
    "/set format text",
    "/load pets",
    "/set stop .",
    "/set language fr",
    "Go on.",
    "/hlep",
    "/logits 1,2,3",
    "/set top_p 3",
];

/// Takes out what differs from run to run: tokens a second.
fn masked(text: &str) -> String {
    let words = text.replace("\r\n", "\n");
    let mut out = String::new();
    for line in words.lines() {
        let line = match line.split_once(" tokens/s]") {
            Some((before, _)) => {
                let kept = before.rsplit_once(' ').map_or(before, |(kept, _)| kept);
                format!("{kept} N tokens/s]")
            }
            // A bar's last state is on the serial line, and on a host on its error output.
            None if line.contains("] 100 %  ") => continue,
            None => line.to_string(),
        };
        out += &(line + "\n");
    }
    out
}

#[test]
fn forty_inputs_give_one_transcript() {
    let Some(mut files) = stories("models/") else { return };
    let notes = "The dog is called Rex.\nHe likes the sea.\n";
    files.push(bytes("notes.txt", notes.into()));
    let disk = image(files);

    let mut prompt = Prompt(start(&Machine::new(&disk.path)));
    prompt.expect("/help lists the commands.\r\n", BOOT);
    prompt.expect("\r\n>>> ", SHORT);
    let mut booted = String::from(">>> ");
    for input in SCRIPT {
        prompt.send(&format!("{input}\r"));
        // A line that goes on is asked for with dots.
        let next = if input.ends_with('\\') { "\r\n... " } else { "\r\n>>> " };
        booted += &prompt.expect(next, SHORT);
        booted += next;
    }

    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("notes.txt"), notes).unwrap();
    let mut host = Command::new(root().join("target/release/llamaboot"))
        .arg("chat")
        .arg(data("stories260K/stories260K.bin").unwrap())
        .arg("--tokenizer")
        .arg(data("stories260K/tok512.bin").unwrap())
        .args(["--isa", "avx2", "--threads", "1", "--home"])
        .arg(home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    host.stdin.take().unwrap().write_all((SCRIPT.join("\r") + "\r").as_bytes()).unwrap();
    let output = host.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let said = &said[said.find(">>> ").unwrap()..];

    let (booted, host) = (masked(booted.trim_end()), masked(said.trim_end()));
    for (booted, host) in booted.lines().zip(host.lines()) {
        assert_eq!(booted, host);
    }
    assert_eq!(booted.lines().count(), host.lines().count());
    assert!(booted.lines().count() > 150, "{booted}");
}
