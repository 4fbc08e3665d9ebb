//! `cargo xtask tidy`: formatting, lints, and the house rules that no lint knows.

use anyhow::{Context as _, Result, ensure};
use std::path::Path;
use std::process::Command;
use xtask::{aarch64, root, run};

/// Lines a source file may have.
const MAX_LINES: usize = 600;
/// Columns a line may have.
const MAX_COLUMNS: usize = 100;
/// Notes to oneself that belong into an issue; put together here so that this file has none.
const NOTES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];

/// `gpu` lints what the default build leaves out as well.
pub(crate) fn tidy(gpu: bool) -> Result<()> {
    let cargo = |args: &[&str]| run(Command::new("cargo").current_dir(root()).args(args));
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--exclude",
        "llamaboot-boot",
        "--exclude",
        "llamaboot-train-gpu",
        "--",
        "-D",
        "warnings",
    ])?;
    if gpu {
        let packages = ["--package", "llamaboot-train-gpu", "--package", "llamaboot"];
        let rest = ["--features", "llamaboot/gpu", "--all-targets", "--", "-D", "warnings"];
        cargo(&[&["clippy"], &packages[..], &rest].concat())?;
    }
    // The boot program links only for firmware and does not unwind, but it can be checked here.
    cargo(&["clippy", "--release", "--package", "llamaboot-boot", "--", "-D", "warnings"])?;
    aarch64::lint()?;
    let faults = house_rules()?;
    faults.iter().for_each(|fault| eprintln!("{fault}"));
    ensure!(faults.is_empty(), "{} faults", faults.len());
    println!("tidy");
    Ok(())
}

/// What git tracks, checked line by line.
fn house_rules() -> Result<Vec<String>> {
    let listed = Command::new("git").current_dir(root()).args(["ls-files"]).output()?;
    ensure!(listed.status.success(), "git ls-files failed");
    let mut faults = Vec::new();
    for name in String::from_utf8(listed.stdout)?.lines() {
        let path = root().join(name);
        if name.starts_with("assets/") && !has_license(&path) {
            faults.push(format!(
                "{name}: an asset needs a licence beside it (NAME.license or LICENSE)"
            ));
        }
        if [".rs", ".py", ".toml", ".sh"].iter().any(|end| name.ends_with(end)) && path.exists() {
            let text = std::fs::read_to_string(&path).with_context(|| name.to_string())?;
            check_text(name, &text, &mut faults);
        }
    }
    Ok(faults)
}

fn has_license(asset: &Path) -> bool {
    let name = asset.to_string_lossy();
    let own = asset.with_file_name(format!(
        "{}.license",
        asset.file_name().unwrap_or_default().to_string_lossy()
    ));
    let folder = asset.with_file_name("LICENSE");
    name.ends_with(".license") || name.ends_with("LICENSE") || own.exists() || folder.exists()
}

fn check_text(name: &str, text: &str, faults: &mut Vec<String>) {
    let lines = text.lines().count();
    if lines > MAX_LINES && name.ends_with(".rs") {
        faults.push(format!("{name}: {lines} lines, {MAX_LINES} at most"));
    }
    let tests = name.contains("/tests/") || name.starts_with("tests/");
    let opens = text.lines().find(|line| !line.is_empty()).unwrap_or_default();
    if name.ends_with(".rs") && !opens.starts_with("//!") {
        faults.push(format!("{name}: a module opens with //! and why it exists"));
    }
    for (number, line) in (1..).zip(text.lines()) {
        let columns = line.chars().count();
        if columns > MAX_COLUMNS && !tests {
            faults.push(format!("{name}:{number}: {columns} columns, {MAX_COLUMNS} at most"));
        }
        if let Some(note) = NOTES.iter().find(|note| line.contains(*note)) {
            faults.push(format!("{name}:{number}: {note} belongs into an issue"));
        }
    }
}
