//! Files of the stick for the chat: read and, in place, overwritten. Each call opens the volume
//! anew, so a stick that was pulled out is an error of that call, and one put back works again.

use crate::files::{self, OpenFile, Place};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use llamaboot_chat::{CHATS_FILE, Storage, StorageError};
use uefi::proto::loaded_image::LoadedImage;
use uefi::{Handle, Status, boot};

/// The volume that this program was started from, or, where firmware does not tell, the first.
pub(crate) struct Stick {
    volume: Option<Handle>,
}

impl Stick {
    /// Finds it.
    pub(crate) fn find() -> Self {
        let image = boot::open_protocol_exclusive::<LoadedImage>(boot::image_handle());
        let device = image.ok().and_then(|image| image.device());
        let volumes = files::volumes();
        let volume = device.filter(|device| volumes.contains(device)).or(volumes.first().copied());
        Self { volume }
    }

    /// The volume, so that others can tell theirs from it.
    pub(crate) fn volume(&self) -> Option<Handle> {
        self.volume
    }

    /// A place on the stick. One that was pulled out and put back is another volume to firmware:
    /// the one that has the chats.
    fn place(&mut self, path: &str) -> Result<Place, StorageError> {
        let volumes = files::volumes();
        if !self.volume.is_some_and(|volume| volumes.contains(&volume)) {
            let has_chats = |volume: &Handle| {
                let root = Place { volume: *volume, path: String::new() };
                files::list(&root).iter().any(|entry| entry.name.eq_ignore_ascii_case(CHATS_FILE))
            };
            if let Some(volume) = volumes.into_iter().find(has_chats) {
                self.volume = Some(volume);
            }
        }
        let volume = self.volume.ok_or(StorageError::NoPlace)?;
        Ok(Place { volume, path: format!("\\{}", path.replace('/', "\\")) })
    }
}

/// A status of firmware's.
fn fault(status: Status) -> StorageError {
    match status {
        Status::NOT_FOUND | Status::INVALID_PARAMETER => StorageError::Missing,
        Status::WRITE_PROTECTED | Status::ACCESS_DENIED => StorageError::ReadOnly,
        Status::VOLUME_FULL => StorageError::Full,
        status => StorageError::Failed(format!("the stick does not answer ({status}); is it in?")),
    }
}

impl Storage for Stick {
    fn list(&mut self, folder: &str) -> Vec<String> {
        let path = if folder.is_empty() { String::new() } else { format!("\\{folder}") };
        let Some(volume) = self.volume else { return Vec::new() };
        let place = Place { volume, path: path.replace('/', "\\") };
        files::list(&place).into_iter().map(|entry| entry.name).collect()
    }

    fn read(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, StorageError> {
        let mut file = OpenFile::open_as(&self.place(path)?, false).map_err(fault)?;
        if file.len > limit {
            return Err(StorageError::TooLong(limit));
        }
        let mut bytes = vec![0; file.len as usize];
        file.fill(&mut bytes, 0, |_, _| true).map_err(StorageError::Failed)?;
        Ok(bytes)
    }

    fn reserve(&mut self, path: &str, len: u64) -> Result<(), StorageError> {
        let place = self.place(path)?;
        match OpenFile::open_as(&place, false) {
            Ok(file) if file.len == len => return Ok(()),
            Ok(_) => {}
            Err(Status::NOT_FOUND) => {}
            Err(status) => return Err(fault(status)),
        }
        // Only on a stick that the image was not written to: here the FAT must change, once.
        OpenFile::create(&place).map_err(fault)?.extend(len).map_err(fault)
    }

    fn read_at(&mut self, path: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        let mut file = OpenFile::open_as(&self.place(path)?, false).map_err(fault)?;
        if offset + buffer.len() as u64 > file.len {
            return Err(StorageError::Missing);
        }
        file.seek(offset).map_err(fault)?;
        file.fill(buffer, offset, |_, _| true)
            .map_err(|line| StorageError::Failed(line.to_string()))
    }

    fn write_at(&mut self, path: &str, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let mut file = OpenFile::open_as(&self.place(path)?, true).map_err(fault)?;
        // Writing past the end would make the file longer, and the FAT change.
        if offset + bytes.len() as u64 > file.len {
            return Err(StorageError::Missing);
        }
        file.overwrite(offset, bytes).map_err(fault)
    }
}
