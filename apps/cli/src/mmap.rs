//! A file's bytes in memory: mapped, or read. The one place of this command with `unsafe`.

#![allow(unsafe_code)]

use anyhow::{Context as _, Result, ensure};
use llamaboot_kernels::{Parallel, for_each_chunk};
use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

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

/// The bytes of a file in memory of our own, to be changed: read by all threads at once, into large
/// pages where the system has them. Stays until the process ends.
pub(crate) fn read(path: &Path, threads: &dyn Parallel) -> Result<&'static mut [u8]> {
    let name = path.display();
    let file = open(path)?;
    let len = usize::try_from(file.metadata().with_context(|| format!("{name}"))?.len())?;
    let memory = memmap2::MmapOptions::new().len(len).map_anon();
    let memory = Box::leak(Box::new(memory.with_context(|| format!("{name}: {len} bytes"))?));
    // Without large pages it is slower, nothing else.
    #[cfg(target_os = "linux")]
    let _ = memory.advise(memmap2::Advice::HugePage);
    let fault = Mutex::new(None);
    for_each_chunk(threads, memory, READ_LEN, |index, chunk| {
        if let Err(error) = read_at(&file, chunk, (index * READ_LEN) as u64) {
            *fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    });
    match fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error).with_context(|| format!("{name}")),
        None => Ok(memory),
    }
}

/// Bytes of one read.
const READ_LEN: usize = 4 << 20;

#[cfg(unix)]
fn read_at(file: &File, out: &mut [u8], at: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, at)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, out: &mut [u8], at: u64) -> std::io::Result<()> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(out)
}

fn open(path: &Path) -> Result<File> {
    let name = path.display();
    // Before it is opened: a pipe would wait for its other end.
    let metadata = std::fs::metadata(path).with_context(|| format!("{name}"))?;
    let found = if metadata.is_dir() { "a folder" } else { "something else" };
    ensure!(metadata.is_file(), "{name}: expected a file, found {found}");
    ensure!(metadata.len() > 0, "{name}: the file is empty");
    File::open(path).with_context(|| format!("{name}"))
}
