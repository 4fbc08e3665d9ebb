//! The kernels of AArch64 on any machine: linted, and tested under an emulator, QEMU's user mode,
//! which runs the test programs as if they were this machine's own. The library is built from
//! source, as for the boot program, since compilers seldom come with that target's.

use crate::build::Toolchain;
use crate::{build, on_path, run};
use anyhow::{Context as _, Result, ensure};
use std::process::Command;

const TARGET: &str = "aarch64-unknown-linux-gnu";
pub(crate) const EMULATOR: &str = "qemu-aarch64";
pub(crate) const LINKER: &str = "aarch64-linux-gnu-gcc";
/// Where Debian's cross compiler has the C library.
pub(crate) const LIBRARIES: &str = "/usr/aarch64-linux-gnu";

/// A cargo task for that target. Lints and tests share what is built of the library.
fn cargo(toolchain: &Toolchain, task: &str) -> Command {
    let mut cargo = toolchain.cargo();
    cargo
        .args([task, "--release", "--target", TARGET, "--target-dir", "target/aarch64"])
        .arg("-Zbuild-std=std,panic_unwind,test")
        // Tests unwind, and one library must do for all. The rest is as it ships.
        .args(["--config", "profile.release.panic=\"unwind\""])
        .args(["--config", &format!("target.{TARGET}.linker=\"{LINKER}\"")])
        .args(["--config", &format!("target.{TARGET}.runner=\"{EMULATOR} -L {LIBRARIES}\"")]);
    cargo
}

/// Lints the kernels, where the compiler has its library's sources.
///
/// # Errors
/// Where there is something to say.
pub fn lint() -> Result<()> {
    if cfg!(target_arch = "aarch64") {
        return Ok(());
    }
    let Some(toolchain) = build::toolchain().filter(Toolchain::lints) else {
        eprintln!("tidy: SKIPPED: the kernels of AArch64: a compiler with library sources, which");
        eprintln!("tidy: `cargo xtask setup` installs, is missing");
        return Ok(());
    };
    let lints = ["--package", "llamaboot-kernels", "--all-targets", "--", "-D", "warnings"];
    run(cargo(&toolchain, "clippy").args(lints))
}

/// Whether the emulator, the linker and the C library are there.
pub(crate) fn is_set_up() -> bool {
    // The C library as programs are linked with it, not only as they run.
    let library = std::path::Path::new(LIBRARIES).join("lib/crt1.o");
    on_path(EMULATOR) && on_path(LINKER) && library.exists()
}

/// Every kernel beside the scalar ones, and golden text and logits. Gives the reason where that
/// is skipped.
///
/// # Errors
/// Where a test fails; under CI also where it cannot be run.
pub fn test() -> Result<Option<&'static str>> {
    if cfg!(target_arch = "aarch64") {
        return Ok(None);
    }
    if !is_set_up() {
        ensure!(std::env::var_os("CI").is_none(), "under CI the emulator of AArch64 must be there");
        return Ok(Some("the kernels of AArch64 need QEMU's user mode and a cross compiler"));
    }
    let toolchain = build::toolchain().context("no compiler with library sources")?;
    let mut tests = cargo(&toolchain, "test");
    tests.args(["--package", "llamaboot-kernels", "--package", "llamaboot-golden"]);
    tests.args(["--test", "agree", "--test", "products", "--test", "rounding"]);
    tests.args(["--test", "logits"]);
    // These take too long under an emulator.
    tests.args(["--", "--skip", "smollm2", "--skip", "every_path"]);
    run(tests.env("PROPTEST_CASES", "64"))?;
    Ok(None)
}
