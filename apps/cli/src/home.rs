//! A folder of the host in the part of the stick: settings, chats, texts to read.

use crate::model::read_text;
use anyhow::ensure;
use llamaboot_chat::{CONFIG_FILE, Config, Storage, StorageError};
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// A folder; without one nothing is written, and files are read from where the command was started.
pub(crate) struct Home(Option<PathBuf>);

impl Home {
    /// The folder, made where it is not there yet.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub(crate) fn open(folder: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(folder) = folder {
            ensure!(!folder.is_file(), "a file, expected a folder");
            std::fs::create_dir_all(folder)?;
        }
        Ok(Self(folder.map(Path::to_path_buf)))
    }

    /// What the folder's settings file says, and every mistake in it.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub(crate) fn config(&self) -> anyhow::Result<(Config, Vec<String>)> {
        let path = self.0.as_ref().map(|folder| folder.join(CONFIG_FILE));
        match path.filter(|path| path.exists()) {
            Some(path) => Ok(Config::parse(&path.to_string_lossy(), &read_text(&path)?)),
            None => Ok((Config::default(), Vec::new())),
        }
    }

    fn own(&self, path: &str) -> Result<PathBuf, StorageError> {
        self.0.as_ref().map(|folder| folder.join(path)).ok_or(StorageError::NoPlace)
    }
}

fn fault(error: Error) -> StorageError {
    match error.kind() {
        // A file that is too short lacks what was looked for.
        ErrorKind::NotFound | ErrorKind::UnexpectedEof => StorageError::Missing,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StorageError::ReadOnly,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StorageError::Full,
        _ => StorageError::Failed(error.to_string()),
    }
}

impl Storage for Home {
    fn list(&mut self, folder: &str) -> Vec<String> {
        let base = self.0.clone().unwrap_or_default();
        let entries = std::fs::read_dir(base.join(folder).join("."));
        let files = entries.into_iter().flatten().flatten().filter(|entry| entry.path().is_file());
        let mut names: Vec<String> =
            files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    fn read(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, StorageError> {
        let own = self.0.as_ref().map(|folder| folder.join(path)).filter(|own| own.exists());
        let mut bytes = Vec::new();
        let file = File::open(own.unwrap_or_else(|| PathBuf::from(path))).map_err(fault)?;
        file.take(limit + 1).read_to_end(&mut bytes).map_err(fault)?;
        if bytes.len() as u64 > limit { Err(StorageError::TooLong(limit)) } else { Ok(bytes) }
    }

    fn reserve(&mut self, path: &str, len: u64) -> Result<(), StorageError> {
        let path = self.own(path)?;
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(fault)?;
        if file.metadata().map_err(fault)?.len() == len {
            return Ok(());
        }
        file.set_len(len).map_err(fault)
    }

    fn read_at(&mut self, path: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        let mut file = File::open(self.own(path)?).map_err(fault)?;
        file.seek(SeekFrom::Start(offset)).map_err(fault)?;
        file.read_exact(buffer).map_err(fault)
    }

    fn write_at(&mut self, path: &str, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let mut file = OpenOptions::new().write(true).open(self.own(path)?).map_err(fault)?;
        file.seek(SeekFrom::Start(offset)).map_err(fault)?;
        file.write_all(bytes).and_then(|()| file.sync_data()).map_err(fault)
    }
}
