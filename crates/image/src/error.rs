//! What can go wrong while an image is planned and written.
//!
//! Each message stands on its own line in front of a user, so it carries the path, what was
//! expected, what was found and, where there is one, the way out; and what the system said, which
//! therefore is no `source` of it.

use std::io;
use std::path::PathBuf;

use crate::fat32::MAX_FILE_BYTES;

/// Why a name cannot stand on a FAT volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing between two slashes, or before the first or after the last.
    #[error("is empty; write paths like models/a.gguf, with no slash at either end")]
    Empty,
    /// `.` or `..`, which FAT keeps for the folder itself and its parent.
    #[error("means a folder itself or its parent")]
    Dots,
    /// A character that FAT forbids in long names.
    #[error("holds {0:?}; FAT allows no control characters and none of \" * / : < > ? \\ |")]
    Character(char),
    /// A space at either end or a dot at the end, which other systems drop silently.
    #[error("starts or ends with a space, or ends with a dot")]
    Edge,
    /// More UTF-16 units than a long name can have.
    #[error("has {0} UTF-16 units; FAT allows 255")]
    Length(usize),
}

/// Why an image could not be planned or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A part of an entry's path is not a FAT name.
    #[error("{path}: the name {name:?} {fault}")]
    Name {
        /// The entry's whole path.
        path: String,
        /// The part at fault.
        name: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// The volume label is not 11 or fewer plain characters.
    #[error(
        "volume label {label:?}: expected at most 11 characters, ASCII letters, digits, spaces \
         (not first) and _-!#$%&'()@^`{{}}~"
    )]
    Label {
        /// The label as given.
        label: String,
    },
    /// Two entries have the same path; FAT ignores case.
    #[error("{path} and {other}: the same file to FAT, which ignores case")]
    Duplicate {
        /// The later entry in sorted order.
        path: String,
        /// The earlier one.
        other: String,
    },
    /// A path is a file in one entry and a folder in another.
    #[error("{folder}: a file in one entry, a folder in {path}")]
    FileAndFolder {
        /// The path with both meanings.
        folder: String,
        /// An entry that needs it as a folder.
        path: String,
    },
    /// A folder needs more 32-byte records than FAT's 65536.
    #[error(
        "folder {path:?}: needs {found} records of 32 bytes, FAT allows {limit}; use subfolders"
    )]
    FolderFull {
        /// The folder, empty for the root.
        path: String,
        /// Records needed: one a file and one for each 13 UTF-16 units of a long name.
        found: u64,
        /// FAT's limit.
        limit: u64,
    },
    /// A file too large for FAT32's 32-bit size.
    #[error(
        "{path}: {bytes} bytes, but a FAT32 file ends at {MAX_FILE_BYTES} (4 GiB - 1); split it, \
         as GGUF does with names ending in -00001-of-00003.gguf"
    )]
    FileTooLarge {
        /// The entry's path.
        path: String,
        /// The size found.
        bytes: u64,
    },
    /// The whole image passes the 32-bit sector count of FAT32 and of the protective MBR.
    #[error("the image would have {bytes} bytes; FAT32 with 512-byte sectors ends at {limit}")]
    ImageTooLarge {
        /// Size of the image that the entries need.
        bytes: u64,
        /// The largest size.
        limit: u64,
    },
    /// An input file is missing, unreadable, or failed while it was read.
    #[error("{}: {cause}", path.display())]
    Read {
        /// The host file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// An input is a folder or a device.
    #[error("{}: not a regular file", path.display())]
    InputNotAFile {
        /// The host path.
        path: PathBuf,
    },
    /// An input changed its size between planning and the end of its copy.
    #[error("{}: changed while it was copied, expected {expected} bytes, found {found}",
        path.display())]
    Changed {
        /// The host file.
        path: PathBuf,
        /// Bytes when the image was planned.
        expected: u64,
        /// Bytes when it was copied.
        found: u64,
    },
    /// The output exists and is a folder or a device. Renaming over a device would only replace
    /// its name in `/dev`.
    #[error("{}: exists and is not a regular file; an image is written to a file first",
        path.display())]
    OutputNotAFile {
        /// The output path.
        path: PathBuf,
    },
    /// The output exists and is something else, which would be lost.
    #[error("{}: exists and is no image of llamaboot's; remove it first, or choose another name",
        path.display())]
    OutputIsNoImage {
        /// The output path.
        path: PathBuf,
    },
    /// The output is one of the inputs and would be lost.
    #[error("{}: both an input and the output", path.display())]
    OutputIsInput {
        /// The output path.
        path: PathBuf,
    },
    /// Another run is writing the same image.
    #[error("{}: another run is writing it", path.display())]
    Busy {
        /// The unfinished file.
        path: PathBuf,
    },
    /// No room for the image.
    #[error("{}: the disk is full; the image needs {needed_bytes} bytes", path.display())]
    DiskFull {
        /// The output path.
        path: PathBuf,
        /// Size of the image.
        needed_bytes: u64,
    },
    /// The output could not be created, written or renamed.
    #[error("{}: {cause}", path.display())]
    Write {
        /// The file being written.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}
