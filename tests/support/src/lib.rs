//! Where tests find the models and expected outputs, none of which is part of the project.
//!
//! The data folder is the one `LLAMABOOT_DATA` names, else `shared/data` beside the checkout; the
//! chat model is the one `cargo xtask setup` fetched into `.cache`. Where either is missing, a
//! test prints what it skipped; under CI (`CI` set) a missing file fails the test.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

/// The checkout's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file or folder of the data folder, or `None` after saying so.
///
/// # Panics
/// Under CI, where it does not exist.
#[must_use]
pub fn data(relative: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("LLAMABOOT_DATA")
        .map_or_else(|| root().join("../shared/data"), PathBuf::from);
    existing(folder.join(relative))
}

/// The bytes of a file of the data folder, or `None` after saying that it is skipped.
///
/// # Panics
/// Under CI, where it does not exist; anywhere, where it cannot be read.
#[must_use]
pub fn read(relative: &str) -> Option<Vec<u8>> {
    data(relative)
        .map(|path| std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

/// The GGUF of SmolLM2-135M-Instruct, or `None` after saying that it is skipped.
///
/// # Panics
/// Under CI, where it does not exist.
#[must_use]
pub fn smollm2() -> Option<PathBuf> {
    existing(root().join(".cache/SmolLM2-135M-Instruct.Q4_1.gguf"))
}

/// The folder of npm packages that `cargo xtask setup` installed, where `package` is in it, or
/// `None` after saying that it is skipped.
///
/// # Panics
/// Under CI, where it does not exist.
#[must_use]
pub fn node_modules(package: &str) -> Option<PathBuf> {
    let modules = root().join(".cache/node/node_modules");
    existing(modules.join(package)).map(|_| modules)
}

fn existing(path: PathBuf) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "under CI this must be there: {}", path.display());
    skipped(&format!("needs {}", path.display()));
    None
}

/// Says, past the test harness's capture, that a test does not test something, and notes it where
/// `cargo xtask test` counts.
pub fn skipped(why: &str) {
    use std::io::Write as _;
    // Each in one write, for other tests write at the same time.
    let _ = std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes());
    if let Some(list) = std::env::var_os("LLAMABOOT_SKIPPED") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(list);
        let _ = file.and_then(|mut file| file.write_all(format!("{why}\n").as_bytes()));
    }
}

/// Turns `\u{hex}` in a recorded vector back into the character.
///
/// # Panics
/// Where the vector is malformed.
#[must_use]
pub fn unescape(readable: &str) -> String {
    let mut parts = readable.split("\\u{");
    let mut text = String::from(parts.next().unwrap_or(""));
    for part in parts {
        let (hex, rest) = part.split_once('}').expect("a closing brace");
        let code = u32::from_str_radix(hex, 16).expect("a hexadecimal number");
        text.push(char::from_u32(code).expect("a character"));
        text.push_str(rest);
    }
    text
}
