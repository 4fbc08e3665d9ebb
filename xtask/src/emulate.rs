//! `cargo xtask emulate`: the kernels' tests on an emulated CPU with AVX-512, VNNI, BF16 and AMX,
//! for machines without them. `tools/emulate` is the emulator, around PyPI's bochscpu.

use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use xtask::{cache, root, run};

const PACKAGES: [&str; 2] = ["bochscpu-python==0.4.0", "numpy"];
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Runs them, once with AMX and once without. An error names what failed.
pub(crate) fn emulate() -> Result<()> {
    let python = python()?;
    let library = cache().join("emulate").join("bochs.so");
    let sources = root().join("tools/emulate");
    run(Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(sources.join("bochs.c")))?;
    for program in programs()? {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for amx in [false, true] {
            // Only products of bf16 are other ones with AMX.
            if amx && !name.starts_with("products") {
                continue;
            }
            eprintln!("emulate: {name} with AVX-512{}", if amx { " and AMX" } else { "" });
            let mut command = Command::new(&python);
            command.arg(sources.join("emulate.py")).arg(&program).env("LD_PRELOAD", &library);
            // It has no threads.
            command.args(["--skip", "threads"]);
            if amx {
                command.env("EMULATE_AMX", "1").arg("bf16").arg("products");
            }
            run(&mut command)?;
        }
    }
    Ok(())
}

/// Python with the emulator.
fn python() -> Result<PathBuf> {
    let folder = cache().join("emulate");
    let python = folder.join("bin/python3");
    if !python.exists() {
        fs::create_dir_all(cache())?;
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    }
    eprintln!("emulate: {} from PyPI", PACKAGES.join(", "));
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
    Ok(python)
}

/// The kernels' test programs, without a dynamic loader.
fn programs() -> Result<Vec<PathBuf>> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root()).args(["test", "--release", "--no-run", "--message-format=json"]);
    cargo.args(["--package", "llamaboot-kernels", "--test", "*", "--target", TARGET]);
    cargo.env("CARGO_TARGET_DIR", root().join("target/emulate"));
    cargo.env("RUSTFLAGS", "-Ctarget-feature=+crt-static -Crelocation-model=static");
    let output = cargo.stderr(Stdio::inherit()).output().context("cargo")?;
    ensure!(output.status.success(), "the kernels' tests do not build");
    let programs: Vec<PathBuf> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| Some(Path::new(message["executable"].as_str()?).to_owned()))
        .collect();
    ensure!(!programs.is_empty(), "cargo named no test program");
    Ok(programs)
}
