//! Files that are whole or not there: written beside their place, flushed to the disk, and put in
//! place by a rename. A full disk or a power cut leaves the former file as it was.
//!
//! ```text
//! NAME.partial ─ write, fsync ─▶ rename to NAME ─▶ fsync of the folder
//! ```

use crate::error::named;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes a file so that its name never stands for half of one. Gives its length in bytes.
///
/// # Errors
/// What `write` returns, and the file system's own faults, which name the file. The former file
/// stays, and nothing is left beside it.
pub fn write_atomically<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<u64, E> {
    Ok(Partial::create(path, write)?.put_in_place()?)
}

/// A file written in full beside its place. Dropped without [`Partial::put_in_place`], it is
/// removed. Where several files belong together, all are written before the first takes its place.
#[derive(Debug)]
pub struct Partial {
    partial: PathBuf,
    place: PathBuf,
    bytes: u64,
}

impl Partial {
    /// Writes `path`.partial in full and flushes it to the disk.
    ///
    /// # Errors
    /// As [`write_atomically`].
    pub fn create<E: From<io::Error>>(
        path: &Path,
        write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
        name.push(".partial");
        let partial = path.with_file_name(name);
        let file = File::create(&partial).map_err(|e| named(path, e))?;
        // From here on the file is removed wherever this function is left.
        let mut whole = Self { partial, place: path.to_path_buf(), bytes: 0 };
        let mut out =
            Named { inner: BufWriter::with_capacity(1 << 20, file), file: path, bytes: 0 };
        write(&mut out)?;
        out.flush()?;
        whole.bytes = out.bytes;
        out.inner.get_ref().sync_all().map_err(|e| named(path, e))?;
        Ok(whole)
    }

    /// Renames it to its place. Gives its length in bytes.
    ///
    /// # Errors
    /// The file system's fault, which names the file.
    pub fn put_in_place(self) -> io::Result<u64> {
        fs::rename(&self.partial, &self.place).map_err(|e| named(&self.place, e))?;
        // The rename itself must reach the disk. Some systems cannot open a folder; there it is
        // their business.
        if let Some(Ok(folder)) = self.place.parent().map(File::open) {
            let _ = folder.sync_all();
        }
        Ok(self.bytes)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After the rename there is nothing by this name.
        let _ = fs::remove_file(&self.partial);
    }
}

/// Counts what is written, and puts the file's name into what goes wrong.
struct Named<'a, W> {
    inner: W,
    file: &'a Path,
    bytes: u64,
}

impl<W: Write> Write for Named<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes).map_err(|e| named(self.file, e))?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush().map_err(|e| named(self.file, e))
    }
}
