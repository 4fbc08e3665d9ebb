//! Instructions per token, counted by valgrind: a slower engine shows on a noisy machine, too.
//! Counts hold for one compiler, so they are compared only where `rustc -V` is the recorded one.
//! To record anew, run this test and take the counts that it prints.

#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_test_support::{data, root, skipped, smollm2};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const RUSTC: &str = "rustc 1.95.0 (59807616e 2026-04-14)";
/// With AVX2, and with SSE2.
const STORIES_260K: [f64; 2] = [551_719.0, 3_913_271.0];
const SMOLLM2: [f64; 2] = [52_667_311.0, 206_466_333.0];
/// valgrind hides AVX-512.
const ISAS: [&str; 2] = ["avx2", "sse2"];

/// The command as it is shipped: other profiles take other counts.
fn release() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let target = root().join("target");
        let status = Command::new(env!("CARGO"))
            .args(["build", "--release", "--quiet", "--package", "llamaboot", "--target-dir"])
            .arg(&target)
            .current_dir(root())
            .status();
        assert!(status.unwrap().success());
        target.join("release/llamaboot")
    })
}

/// Instructions that `generate` takes for `steps` tokens.
fn count(model: &Path, more: &[&str], isa: &str, steps: usize) -> Option<f64> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("callgrind.out");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", &format!("--callgrind-out-file={}", out.display())])
        .arg(release())
        .args(["generate", "--threads", "1", "--isa", isa, "--speculation", "off", "-t", "0"])
        .args(["-n", &steps.to_string()])
        .arg(model)
        .args(more)
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let refs = text.lines().find_map(|line| line.split_once("Collected : ")).unwrap();
    Some(refs.1.trim().parse().unwrap())
}

/// Compares the instructions of one token at positions `from` to `to` with the recorded count.
fn check(model: &Path, more: &[&str], (from, to): (usize, usize), recorded: [f64; 2]) {
    let version = Command::new("rustc").arg("-V").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    if version.trim() != RUSTC {
        return skipped(&format!("instructions were counted with {RUSTC}"));
    }
    for (isa, recorded) in ISAS.into_iter().zip(recorded) {
        let counts = count(model, more, isa, from).zip(count(model, more, isa, to));
        let Some((short, long)) = counts else {
            assert!(std::env::var_os("CI").is_none(), "under CI valgrind must be there");
            return skipped("needs valgrind");
        };
        let per_token = (long - short) / (to - from) as f64;
        let ratio = per_token / recorded;
        assert!(
            (0.98..=1.02).contains(&ratio),
            "{isa}: {per_token} instructions per token, {ratio} of before"
        );
    }
}

#[test]
fn stories260k_takes_as_many_as_recorded() {
    let files = data("stories260K/stories260K.bin").zip(data("stories260K/tok512.bin"));
    let Some((model, tokenizer)) = files else { return };
    check(&model, &["--tokenizer", tokenizer.to_str().unwrap()], (20, 120), STORIES_260K);
}

#[test]
fn smollm2_takes_as_many_as_recorded() {
    let Some(model) = smollm2() else { return };
    check(&model, &["-p", "Once upon a time"], (8, 16), SMOLLM2);
}
