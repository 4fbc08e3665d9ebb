//! `train --device gpu` as a user meets it. Built with `--features gpu` alone, which
//! `cargo xtask test --gpu` does; without a GPU these tests fail, and `cargo xtask setup --gpu`
//! installs one in software.

#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// Text enough for a run of a few seconds.
fn text(folder: &Path) -> std::path::PathBuf {
    let line = |n: usize| format!("Line {n}: {} bottles of {n} times {}.\n", n * n, n % 7);
    let path = folder.join("text.txt");
    std::fs::write(&path, (0..600).map(line).collect::<String>()).unwrap();
    path
}

fn train(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llamaboot"));
    let output = command.args(["train", "--json"]).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Step, training and validation loss of every line.
fn losses(output: &Output) -> Vec<(u64, f64, Option<f64>)> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let row = |l: Value| {
        (l["step"].as_u64().unwrap(), l["train_loss"].as_f64().unwrap(), l["val_loss"].as_f64())
    };
    lines.map(row).collect()
}

/// The same steps, with losses that differ by what other orders of sums make of them.
fn near(found: &[(u64, f64, Option<f64>)], expected: &[(u64, f64, Option<f64>)]) {
    assert_eq!(found.len(), expected.len());
    let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-4;
    for (found, expected) in found.iter().zip(expected) {
        let steps = found.0 == expected.0 && found.2.is_some() == expected.2.is_some();
        let validated = found.2.zip(expected.2).is_none_or(|(a, b)| near(a, b));
        assert!(steps && near(found.1, expected.1) && validated, "{found:?}, CPU {expected:?}");
    }
}

/// The losses fall as on the CPU, and a run goes on with the other device from a checkpoint.
#[test]
fn a_run_learns_as_on_the_cpu_and_may_change_its_device() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(folder.path());
    let plan = "--preset 260K --vocab 300 --steps 24 --batch 2 --context 32 --every 12 --lr 3e-3 \
                --warmup 4 --dropout 0.1 --average 0.9 --save-every 12 --data";
    let plan: Vec<&str> = plan.split_whitespace().chain([data.to_str().unwrap()]).collect();
    let outs = ["on_cpu", "on_gpu"].map(|name| folder.path().join(name).display().to_string());
    let [on_cpu, on_gpu] = &outs;
    let cpu = losses(&train(&[&["--out", on_cpu], &plan[..]].concat()));
    let gpu = train(&[&["--device", "gpu", "--out", on_gpu], &plan[..]].concat());
    let shown = String::from_utf8_lossy(&gpu.stderr).into_owned();
    assert!(shown.contains(" (vulkan), ") || shown.contains(" (metal), "), "no device: {shown}");
    near(&losses(&gpu), &cpu);
    assert!(cpu[24].1 < 0.8 * cpu[0].1, "{} after {}", cpu[24].1, cpu[0].1);
    for (out, device) in [(on_cpu, "gpu"), (on_gpu, "cpu")] {
        let last = Path::new(out).join("checkpoints/260K_iter00024.state");
        std::fs::remove_file(last).unwrap();
        near(&losses(&train(&["--resume", out, "--device", device])), &cpu[12..]);
    }
}

/// Where no driver of a graphics interface is found, one line says so.
#[cfg(target_os = "linux")]
#[test]
fn a_machine_without_a_gpu_is_told_so() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llamaboot"));
    command.args(["train", "--data", "text.txt", "--device", "gpu"]);
    for hidden in ["VK_ICD_FILENAMES", "VK_DRIVER_FILES", "__EGL_VENDOR_LIBRARY_FILENAMES"] {
        command.env(hidden, "/dev/null");
    }
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert_eq!(
        told,
        "llamaboot: GPU: expected one that Vulkan, Metal or DirectX 12 reaches, found none\n"
    );
}
