//! The one place of this command with `unsafe`: a file mapped into memory.

#![allow(unsafe_code)]

use anyhow::{Context as _, Result, ensure};
use std::fs::File;
use std::path::Path;

/// The bytes of a file, mapped until the process ends.
pub(crate) fn map(path: &Path) -> Result<&'static [u8]> {
    let file = open(path)?;
    // SAFETY: the mapping is private and read-only. Another process that changes the file while it
    // is mapped could change weights that were already checked; numbers then come out wrong, but
    // every offset and length has been taken from the checked header. One that shortens it ends
    // this process with SIGBUS, as for every program that maps files.
    let map = unsafe { memmap2::Mmap::map(&file) };
    Ok(Box::leak(Box::new(map.with_context(|| path.display().to_string())?)))
}

/// As [`map`], but ours to change: pages are copied when they are written, the file stays as it is.
pub(crate) fn map_private(path: &Path) -> Result<&'static mut [u8]> {
    let file = open(path)?;
    // SAFETY: as for `map`; what is written goes to pages of this process alone.
    let map = unsafe { memmap2::MmapOptions::new().map_copy(&file) };
    let map = Box::leak(Box::new(map.with_context(|| path.display().to_string())?));
    Ok(&mut map[..])
}

fn open(path: &Path) -> Result<File> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("{name}"))?;
    let metadata = file.metadata().with_context(|| format!("{name}"))?;
    ensure!(metadata.is_file(), "{name}: expected a file, found something else");
    ensure!(metadata.len() > 0, "{name}: the file is empty");
    Ok(file)
}
