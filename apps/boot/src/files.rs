//! Files on every FAT volume that firmware shows, read and written in small pieces.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use uefi::boot::{self, OpenProtocolAttributes, OpenProtocolParams, ScopedProtocol};
use uefi::proto::media::file::{
    Directory, File as _, FileAttribute, FileInfo, FileMode, RegularFile,
};
use uefi::proto::media::fs::SimpleFileSystem;
use uefi::runtime::Time;
use uefi::{CString16, Handle, Status};

/// Bytes a read asks for: some firmware fails on, or silently cuts, longer reads.
pub(crate) const READ_LEN: usize = 1 << 20;

/// A place on a volume.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) volume: Handle,
    /// With backslashes, from the root.
    pub(crate) path: String,
}

/// A file's name and length.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) len: u64,
}

/// Every volume with a file system, not only the one we were started from.
pub(crate) fn volumes() -> Vec<Handle> {
    boot::find_handles::<SimpleFileSystem>().unwrap_or_default()
}

/// The regular files of a folder, sorted by name; nothing where it cannot be read.
pub(crate) fn list(place: &Place) -> Vec<Entry> {
    let Ok(mut folder) = open_folder(place) else { return Vec::new() };
    let mut entries = Vec::new();
    while let Ok(Some(info)) = folder.read_entry_boxed() {
        if !info.is_directory() {
            entries.push(Entry { name: info.file_name().to_string(), len: info.file_size() });
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    entries
}

/// The folders in a folder; nothing where it cannot be read.
pub(crate) fn folders(place: &Place) -> Vec<String> {
    let Ok(mut folder) = open_folder(place) else { return Vec::new() };
    let mut names = Vec::new();
    while let Ok(Some(info)) = folder.read_entry_boxed() {
        let name = info.file_name().to_string();
        if info.is_directory() && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    names
}

/// An open file.
pub(crate) struct OpenFile {
    file: RegularFile,
    pub(crate) len: u64,
    changed: Time,
}

impl OpenFile {
    /// Opens for reading.
    pub(crate) fn open(place: &Place) -> Result<Self, String> {
        Self::open_as(place, false).map_err(|status| match status {
            Status::INVALID_PARAMETER => String::from("expected a file, found a folder"),
            status => format!("cannot be opened ({status})"),
        })
    }

    /// Opens for reading, and for writing where that is asked for.
    pub(crate) fn open_as(place: &Place, writing: bool) -> Result<Self, Status> {
        Self::open_in(place, if writing { FileMode::ReadWrite } else { FileMode::Read })
    }

    /// Makes an empty file.
    pub(crate) fn create(place: &Place) -> Result<Self, Status> {
        Self::open_in(place, FileMode::CreateReadWrite)
    }

    fn open_in(place: &Place, mode: FileMode) -> Result<Self, Status> {
        let status = |e: uefi::Error| e.status();
        let mut root = root(place.volume).map_err(status)?;
        let handle = root.open(&wide(&place.path), mode, FileAttribute::empty());
        let file = handle.map_err(status)?.into_regular_file();
        let mut file = file.ok_or(Status::INVALID_PARAMETER)?;
        let info = file.get_boxed_info::<FileInfo>().map_err(status)?;
        Ok(Self { file, len: info.file_size(), changed: *info.modification_time() })
    }

    /// Whether it bears the time that an image's files have, FAT's first: then nobody has put
    /// another in its place.
    pub(crate) fn is_the_images(&self) -> bool {
        let day = (self.changed.year(), self.changed.month(), self.changed.day());
        let time = (self.changed.hour(), self.changed.minute(), self.changed.second());
        (day, time) == ((1980, 1, 1), (0, 0, 0))
    }

    /// Goes to a byte.
    pub(crate) fn seek(&mut self, offset: u64) -> Result<(), Status> {
        self.file.set_position(offset).map_err(|e| e.status())
    }

    /// Writes over what is there, and has it put on the medium.
    pub(crate) fn overwrite(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Status> {
        self.seek(offset)?;
        for piece in bytes.chunks(READ_LEN) {
            self.file.write(piece).map_err(|e| e.status())?;
        }
        self.file.flush().map_err(|e| e.status())
    }

    /// Makes the file `len` bytes long, with zeros at its end.
    pub(crate) fn extend(&mut self, len: u64) -> Result<(), Status> {
        let zeros = alloc::vec![0; READ_LEN];
        while self.len < len {
            let piece = (len - self.len).min(READ_LEN as u64) as usize;
            self.overwrite(self.len, &zeros[..piece])?;
            self.len += piece as u64;
        }
        Ok(())
    }

    /// Fills `buffer` from the current position, which is `start`. `read` is given each stretch
    /// of bytes that is in and the place of the next, and may stop by returning false.
    pub(crate) fn fill(
        &mut self,
        buffer: &mut [u8],
        start: u64,
        mut read: impl FnMut(&[u8], u64) -> bool,
    ) -> Result<(), String> {
        let mut done = 0;
        while done < buffer.len() {
            let (at, end) = (start + done as u64, buffer.len().min(done + READ_LEN));
            let n = self.file.read(&mut buffer[done..end]).map_err(|e| {
                format!("byte {at}: reading failed ({}); is the stick still in?", e.status())
            })?;
            if n == 0 {
                let expected = start + buffer.len() as u64;
                return Err(format!("byte {at}: the file ends here, {expected} bytes expected"));
            }
            let new = &buffer[done..done + n];
            done += n;
            if !read(new, start + done as u64) {
                return Err(String::from("loading was stopped"));
            }
        }
        Ok(())
    }

    /// Back to the first byte.
    pub(crate) fn rewind(&mut self) -> Result<(), String> {
        self.file.set_position(0).map_err(|e| format!("cannot be read ({})", e.status()))
    }
}

fn open_folder(place: &Place) -> uefi::Result<Directory> {
    let mut root = root(place.volume)?;
    if place.path.is_empty() {
        return Ok(root);
    }
    let handle = root.open(&wide(&place.path), FileMode::Read, FileAttribute::empty())?;
    handle.into_directory().ok_or_else(|| uefi::Status::NOT_FOUND.into())
}

fn root(volume: Handle) -> uefi::Result<Directory> {
    let params =
        OpenProtocolParams { handle: volume, agent: boot::image_handle(), controller: None };
    // SAFETY: opened without exclusivity, which would take the volume away from firmware's own
    // drivers; the interface is used and dropped in this function, while the volume is there.
    let mut fs: ScopedProtocol<SimpleFileSystem> =
        unsafe { boot::open_protocol(params, OpenProtocolAttributes::GetProtocol)? };
    fs.open_volume()
}

/// A path for firmware; characters outside UCS-2 cannot be in a name we listed.
pub(crate) fn wide(path: &str) -> CString16 {
    CString16::try_from(path).unwrap_or_default()
}
