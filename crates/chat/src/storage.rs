//! Files of the stick, or of a folder on a host.

use crate::text::{self, Language};
use alloc::{string::String, vec::Vec};

/// Why a file could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageError {
    /// There is no such file.
    Missing,
    /// The volume, or the file, cannot be written.
    ReadOnly,
    /// No room is left.
    Full,
    /// Longer than was asked for at most, in bytes.
    TooLong(u64),
    /// There is no place for files at all.
    NoPlace,
    /// Something else, in a line: a stick that was pulled out, a status of firmware's.
    Failed(String),
}

impl StorageError {
    /// What to show of it.
    #[must_use]
    pub fn line(&self, language: Language) -> String {
        match self {
            Self::Missing => text::FAULT_MISSING.get(language).into(),
            Self::ReadOnly => text::FAULT_READ_ONLY.get(language).into(),
            Self::Full => text::FAULT_FULL.get(language).into(),
            Self::NoPlace => text::FAULT_NO_PLACE.get(language).into(),
            Self::TooLong(limit) => text::FAULT_TOO_LONG.fill(language, &[limit]),
            Self::Failed(line) => line.clone(),
        }
    }
}

/// Where files are kept. Paths have slashes and begin at the root.
pub trait Storage {
    /// Names of the files in a folder (`""` is the root), sorted; none where it cannot be read.
    fn list(&mut self, folder: &str) -> Vec<String>;

    /// A whole file of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`StorageError`] says.
    fn read(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, StorageError>;

    /// Makes a file of `len` zero bytes, where there is none of that length already.
    ///
    /// # Errors
    /// As [`StorageError`] says.
    fn reserve(&mut self, path: &str, len: u64) -> Result<(), StorageError>;

    /// Fills `buffer` from byte `offset` of a file on.
    ///
    /// # Errors
    /// As [`StorageError`] says.
    fn read_at(&mut self, path: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError>;

    /// Overwrites bytes of a file in place. When this returns, they are on the medium, as far as
    /// firmware or the system can tell.
    ///
    /// # Errors
    /// As [`StorageError`] says.
    fn write_at(&mut self, path: &str, offset: u64, bytes: &[u8]) -> Result<(), StorageError>;
}

/// No place for files.
pub struct NoStorage;

impl Storage for NoStorage {
    fn list(&mut self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn read(&mut self, _: &str, _: u64) -> Result<Vec<u8>, StorageError> {
        Err(StorageError::NoPlace)
    }

    fn reserve(&mut self, _: &str, _: u64) -> Result<(), StorageError> {
        Err(StorageError::NoPlace)
    }

    fn read_at(&mut self, _: &str, _: u64, _: &mut [u8]) -> Result<(), StorageError> {
        Err(StorageError::NoPlace)
    }

    fn write_at(&mut self, _: &str, _: u64, _: &[u8]) -> Result<(), StorageError> {
        Err(StorageError::NoPlace)
    }
}
