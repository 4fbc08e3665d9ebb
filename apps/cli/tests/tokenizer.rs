//! `tokenizer train` and tokenizer.model as scripts rely on them.

#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_test_support::{data, read};
use std::path::Path;
use std::process::{Command, Output};

fn llamaboot(folder: &Path, args: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llamaboot"));
    command.current_dir(folder).args(args.split_whitespace()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

const VERSE: &str = "the cat and the hat,\nthe bat and the rat,\n";

/// Nine tenths are learned from unless the whole is asked for; what is written encodes.
#[test]
fn a_vocabulary_is_learned_and_used() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("verse.txt"), VERSE).unwrap();
    let said = llamaboot(folder.path(), "tokenizer train --data verse.txt --vocab 275");
    assert_eq!(
        stdout(&said),
        "tokenizer.bin: 275 tokens, 1.68 characters per token on the 37 learned from, 1.00 \
         characters per token on the 5 kept for validation\n"
    );
    let args = "tokenizer train --data verse.txt --vocab 275 --whole -o whole.bin";
    let said = stdout(&llamaboot(folder.path(), args));
    assert!(said.starts_with("whole.bin: 275 tokens, ") && said.contains("the 42 learned"));
    assert!(!said.contains("validation"), "{said}");
    let said = stdout(&llamaboot(folder.path(), "tokenize whole.bin --text the --json"));
    assert_eq!(said, "{\"tokens\":[262]}\n");
    // The same text in pieces, sorted by name; other files do not count.
    std::fs::create_dir(folder.path().join("texts")).unwrap();
    for (name, text) in [("b.txt", &VERSE[5..]), ("a.txt", &VERSE[..5]), ("a.md", "not this")] {
        std::fs::write(folder.path().join("texts").join(name), text).unwrap();
    }
    stdout(&llamaboot(folder.path(), "tokenizer train --data texts --vocab 275 -o parts.bin"));
    let file = |name| std::fs::read(folder.path().join(name)).unwrap();
    assert!(file("parts.bin") == file("tokenizer.bin"));
    assert!(file("parts.bin") != file("whole.bin"));
}

/// One line that says what is wrong, and the exit code: 1 for the text, 2 for the usage.
#[test]
fn bad_input_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("verse.txt", VERSE.as_bytes());
    write("empty.txt", b"");
    write("latin1.txt", b"caf\xe9");
    std::fs::create_dir(folder.path().join("none")).unwrap();
    for (code, args, message) in [
        (
            1,
            "--data verse.txt --vocab 200",
            "verse.txt: vocabulary of 200 tokens: expected at least 270:",
        ),
        (
            1,
            "--data verse.txt --vocab 9999",
            "verse.txt: vocabulary of 9999 tokens: the text supports at most 277",
        ),
        (1, "--data empty.txt --vocab 300", "empty.txt: the text is empty"),
        (1, "--data latin1.txt --vocab 300", "latin1.txt: byte 3: expected UTF-8 text, found 0xe9"),
        (1, "--data none --vocab 300", "none: expected .txt files in this folder, found none"),
        (1, "--data absent --vocab 300", "absent: "),
        (1, "--data verse.txt --vocab 275 -o none", "none: "),
        (2, "--data verse.txt --vocab many", "invalid value 'many' for '--vocab <N>'"),
        (2, "--data verse.txt", "--vocab <N>"),
    ] {
        let output = llamaboot(folder.path(), &format!("tokenizer train {args}"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args}: {stderr}");
        assert!(stderr.contains(message), "{args}: {stderr}");
        assert!(code == 2 || stderr.lines().count() == 1, "{args}: {stderr}");
        assert!(
            output.stdout.is_empty() && !folder.path().join("tokenizer.bin").exists(),
            "{args}"
        );
    }
}

/// A tokenizer.model serves wherever a tokenizer.bin does.
#[test]
fn a_tokenizer_model_serves_as_a_tokenizer_bin() {
    let Some(expected) = read("stories260K/expected_greedy_n256.txt") else { return };
    let folder = data("stories260K").unwrap();
    let said = llamaboot(&folder, "generate stories260K.bin --tokenizer tok512.model -t 0");
    assert_eq!(stdout(&said), String::from_utf8(expected).unwrap());
    let ids = |tokenizer| {
        stdout(&llamaboot(&folder, &format!("tokenize {tokenizer} --text Once,upon --json")))
    };
    assert_eq!(ids("tok512.model"), ids("tok512.bin"));
    let model = "../tokenizers/llama2_tokenizer.model";
    let output = llamaboot(&folder, &format!("generate stories260K.bin --tokenizer {model}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        (output.status.code(), stderr.trim_end()),
        (
            Some(1),
            "llamaboot: ../tokenizers/llama2_tokenizer.model: its tokenizer: tokenizer.model: \
             expected the model's 512 tokens, found 32000"
        )
    );
}
