//! The image file while it is not finished.
//!
//! An image grows under the name `OUTPUT.partial` and takes its own name in one rename, so a file
//! with the output's name is always whole: an error or a power cut leaves the previous image
//! alone. The name is fixed and not random, so that what a killed run leaves behind is used up by
//! the next one instead of piling up; a lock keeps two runs from sharing it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::gpt::{FRONT, is_ours};

/// An unfinished image, removed when dropped before [`Partial::finish`].
#[derive(Debug)]
pub(crate) struct Partial {
    pub(crate) file: File,
    path: PathBuf,
    output: PathBuf,
    image_bytes: u64,
    finished: bool,
}

impl Partial {
    /// Creates the file, `image_bytes` long and all holes, which read as zeros.
    ///
    /// `inputs` are host files that the image must not replace.
    pub(crate) fn create<'a>(
        output: &Path,
        image_bytes: u64,
        inputs: impl Iterator<Item = &'a Path>,
    ) -> Result<Self, Error> {
        let output = resolve(output, inputs)?;
        let mut path = output.clone().into_os_string();
        path.push(".partial");
        let path = PathBuf::from(path);
        let failed = |cause| write_error(&output, image_bytes, cause);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        // File systems that know no locks are used without; only a held lock counts.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(Error::Busy { path });
        }
        let partial = Self { file, path, output, image_bytes, finished: false };
        // Emptied first, so that what a killed run wrote does not shine through.
        let sized = partial.file.set_len(0).and_then(|()| partial.file.set_len(image_bytes));
        sized.map_err(|cause| partial.failed(cause))?;
        Ok(partial)
    }

    /// Brings the bytes to the disk and gives the image its name.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        let renamed = self.file.sync_all().and_then(|()| fs::rename(&self.path, &self.output));
        renamed.map_err(|cause| self.failed(cause))?;
        self.finished = true;
        Ok(())
    }

    fn failed(&self, cause: io::Error) -> Error {
        write_error(&self.output, self.image_bytes, cause)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing is left to try if this fails, and the first error is the one to report.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What a failed write means to the user.
pub(crate) fn write_error(path: &Path, needed_bytes: u64, cause: io::Error) -> Error {
    let path = path.to_path_buf();
    match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::DiskFull { path, needed_bytes },
        _ => Error::Write { path, cause },
    }
}

/// The output with links followed, so that the rename replaces the file and not a link to it.
fn resolve<'a>(output: &Path, inputs: impl Iterator<Item = &'a Path>) -> Result<PathBuf, Error> {
    let path = output.to_path_buf();
    let found = match fs::metadata(output) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => {
            return Err(Error::Write { path, cause });
        }
        Err(_) if output.file_name().is_some() => return Ok(path),
        Ok(found) if found.is_file() => fs::canonicalize(output),
        _ => return Err(Error::OutputNotAFile { path }),
    };
    let found = found.map_err(|cause| Error::Write { path: path.clone(), cause })?;
    for input in inputs {
        if fs::canonicalize(input).is_ok_and(|input| input == found) {
            return Err(Error::OutputIsInput { path });
        }
    }
    if !is_image(&found).map_err(|cause| Error::Write { path: path.clone(), cause })? {
        return Err(Error::OutputIsNoImage { path });
    }
    Ok(found)
}

/// Whether a file is empty, or an image that we wrote.
fn is_image(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(FRONT).read_to_end(&mut head)?;
    Ok(head.is_empty() || is_ours(&head))
}
