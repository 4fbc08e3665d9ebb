//! `cargo xtask build`: `BOOTX64.EFI`, for our own hard-float target, with the core library built
//! from source (the stock UEFI target turns AVX intrinsics into library calls); and beside it
//! `REFUSE_CORES.EFI`, firmware's refusal to start other cores, for the tests.

use crate::{on_path, root, run};
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A cargo and rustc that have their library's sources, and where to find their linker.
#[derive(Debug, Clone)]
pub struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
    /// Folder of `rust-lld`, where it is not on the path.
    linker: Option<PathBuf>,
}

impl Toolchain {
    /// Whether clippy is the compiler's own: a distribution's compiler goes with another's.
    pub(crate) fn lints(&self) -> bool {
        !self.cargo.is_absolute()
    }

    /// A cargo, at the checkout's root, that can build the library for other targets.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new(&self.cargo);
        cargo.current_dir(root()).env("RUSTC", &self.rustc).env("RUSTC_BOOTSTRAP", "1");
        // The outer `cargo xtask` leaves these behind; they name another toolchain.
        for name in [
            "RUSTUP_TOOLCHAIN",
            "CARGO",
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_TARGET",
        ] {
            if self.cargo.is_absolute() || name.contains("FLAGS") || name.contains("TARGET") {
                cargo.env_remove(name);
            }
        }
        cargo
    }
}

/// rustup's active toolchain where it has `rust-src`, else the distribution's.
#[must_use]
pub fn toolchain() -> Option<Toolchain> {
    let path = [("cargo", "rustc"), ("/usr/bin/cargo", "/usr/bin/rustc")];
    path.into_iter().find_map(|(cargo, rustc)| {
        let (cargo, rustc) = (PathBuf::from(cargo), PathBuf::from(rustc));
        let sysroot = sysroot(&rustc)?;
        let sources = sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs");
        sources.exists().then(|| Toolchain { linker: linker(&sysroot), cargo, rustc })
    })
}

fn sysroot(rustc: &Path) -> Option<PathBuf> {
    // From the root folder, where no rust-toolchain.toml of a caller interferes.
    let output = Command::new(rustc).args(["--print", "sysroot"]).current_dir("/").output().ok()?;
    output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// The folder of a `rust-lld`: of this toolchain, of any rustup toolchain, or none where one is on
/// the path already.
fn linker(sysroot: &Path) -> Option<PathBuf> {
    if on_path("rust-lld") {
        return None;
    }
    let bin = |sysroot: &Path| {
        let bin = sysroot.join("lib/rustlib/x86_64-unknown-linux-gnu/bin");
        bin.join("rust-lld").exists().then_some(bin)
    };
    bin(sysroot).or_else(|| bin(&self::sysroot(Path::new("rustc"))?))
}

/// Builds the boot program and returns where it is.
///
/// # Errors
/// Where no toolchain can build it, or it does not compile.
pub fn build() -> Result<PathBuf> {
    let toolchain =
        toolchain().context("no compiler with library sources: run `cargo xtask setup`")?;
    let target_dir = root().join("target/uefi");
    let mut cargo = toolchain.cargo();
    cargo
        .args(["build", "--package", "llamaboot-boot", "--release"])
        .args(["--target", "targets/x86_64-uefi.json", "-Zjson-target-spec"])
        .args(["-Zbuild-std=core,alloc,compiler_builtins"])
        .args(["-Zbuild-std-features=compiler-builtins-mem"])
        .arg("--target-dir")
        .arg(&target_dir);
    match (&toolchain.linker, on_path("rust-lld")) {
        (Some(folder), _) => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::env::split_paths(&path).chain([folder.clone()]);
            cargo.env("PATH", std::env::join_paths(folders)?);
        }
        // The distribution's LLVM linker under its own name.
        (None, false) => {
            cargo.args(["--config", "target.x86_64-uefi.linker=\"lld-link\""]);
        }
        (None, true) => {}
    }
    run(&mut cargo)?;
    let copy = |built: &str, name: &str| -> Result<PathBuf> {
        let built = target_dir.join("x86_64-uefi/release").join(built);
        let efi = target_dir.join(name);
        std::fs::copy(&built, &efi).with_context(|| built.display().to_string())?;
        Ok(efi)
    };
    copy("refuse_cores.efi", "REFUSE_CORES.EFI")?;
    copy("llamaboot-boot.efi", "BOOTX64.EFI")
}
