//! A text to learn from: a file, all texts of a folder, or TinyShakespeare by its name.

use crate::model::read_text;
use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Karpathy's TinyShakespeare, 1,115,394 bytes.
const TINY_SHAKESPEARE: &str = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed";

/// Reads a UTF-8 file, or the `.txt` files of a folder, sorted by name, one after another; the name
/// `tinyshakespeare` is looked for, and must be that.
///
/// # Errors
/// A file that cannot be read or is not UTF-8, and a folder without `.txt` files.
pub(crate) fn read_corpus(path: &Path) -> Result<String> {
    if path.as_os_str() == "tinyshakespeare" && !path.exists() {
        return tiny_shakespeare();
    }
    if !path.is_dir() {
        return read_text(path);
    }
    let name = || path.display().to_string();
    let entries = path.read_dir().with_context(name)?;
    let files: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut files = files.with_context(name)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    if files.is_empty() {
        bail!("{}: expected .txt files in this folder, found none", name());
    }
    files.sort();
    files.iter().map(|file| read_text(file)).collect()
}

fn tiny_shakespeare() -> Result<String> {
    let shared = std::env::var_os("LLAMABOOT_DATA").map(PathBuf::from);
    let folders = shared.into_iter().chain([PathBuf::from("../shared/data"), PathBuf::from(".")]);
    let names = ["tinyshakespeare/input.txt", "tinyshakespeare.txt"];
    let mut places = folders.flat_map(|folder| names.map(|name| folder.join(name)));
    let Some(path) = places.find(|path| path.exists()) else {
        bail!(
            "tinyshakespeare: not found as {}, here, in ../shared/data, or in the folder that \
             LLAMABOOT_DATA names; it is data/tinyshakespeare/input.txt of \
             github.com/karpathy/char-rnn",
            names.join(" or ")
        );
    };
    let text = read_text(&path)?;
    let found = sha256(text.as_bytes());
    ensure!(
        found == TINY_SHAKESPEARE,
        "{}: expected TinyShakespeare, sha256 {TINY_SHAKESPEARE}, found {found}",
        path.display()
    );
    Ok(text)
}

/// In hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
