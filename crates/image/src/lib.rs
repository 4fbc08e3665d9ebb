//! Bootable disk images: GPT with one FAT32 system partition.
//!
//! UEFI firmware starts `EFI/BOOT/BOOTX64.EFI` from any disk that carries an EFI system partition,
//! and the only file system it is bound to read is FAT. So a stick needs very little: a partition
//! table, one FAT32 volume, and the files. Top to bottom, in units of 1 MiB (`n` for the rest):
//!
//! ```text
//! 0        protective MBR, GPT header and entries (LBA 0, 1, 2..=33)
//! 1        partition: boot sector, FSInfo, their backups, two FATs
//! 1 + n    clusters: root folder, folders, then the files, each in one piece
//! last     GPT entries and header again, in the last 33 sectors
//! ```
//!
//! **Why our own FAT32 writer, and not `fatfs`.** The whole tree is known before the first byte is
//! written, and nothing is changed afterwards. Under that condition FAT32 shrinks to arithmetic:
//! give each file the next run of clusters, and a FAT entry is "my number plus one". That takes a
//! few hundred lines, and buys three things a general allocator does not promise: every file is
//! contiguous (firmware reads it in large requests), the bytes depend on the inputs alone, and the
//! writer moves forward through the image at the speed of the disk. (100 MB, 1 KiB clusters,
//! 2 cores of an AMD EPYC, virtual disk: 0.3 s with the final fsync, against 1.0 s through `fatfs`
//! 0.3 without.) `fatfs` and `gptman` are kept as independent readers in the tests, next to
//! `fsck.fat`, `mtools`, `sgdisk` and `sfdisk`.
//!
//! **Same inputs, same bytes.** Entries are sorted first, timestamps are FAT's epoch
//! (1980-01-01), and the GUIDs and the volume id come from a hash of names, sizes, checksums and
//! label. Two sticks with different models therefore do not share a disk GUID, which firmware uses
//! to tell boot entries apart.
//!
//! Formats: *Microsoft Extensible Firmware Initiative FAT32 File System Specification* 1.03
//! ("fatgen103") and *UEFI Specification* 2.10, chapter 5 (GPT) and section 13.3 (FAT).
//!
//! ```no_run
//! use llamaboot_image::{Content, Entry, write_image};
//! let entries = [
//!     Entry::new("EFI/BOOT/BOOTX64.EFI", Content::File("target/boot.efi".into())),
//!     Entry::new("models/a.gguf", Content::File("a.gguf".into())),
//!     Entry::new("LICENSES/MIT.txt", Content::Bytes(b"...".to_vec())),
//! ];
//! let summary = write_image("llamaboot.img".as_ref(), &entries, "LLAMABOOT", &mut |done, total| {
//!     eprintln!("{done} of {total} bytes");
//! })?;
//! println!("{} MiB", summary.layout.image_bytes >> 20);
//! # Ok::<(), llamaboot_image::Error>(())
//! ```
#![forbid(unsafe_code)]

mod error;
mod fat32;
mod folder;
mod gpt;
mod names;
mod output;
mod plan;
mod tree;
mod write;

use std::path::{Path, PathBuf};

pub use error::{Error, NameFault};
pub use fat32::MAX_FILE_BYTES;
pub use plan::{Layout, Plan};
pub use write::{Summary, WrittenFile};

/// Bytes in a disk sector. USB sticks present 512, whatever they use inside.
pub const SECTOR_BYTES: u64 = 512;

/// Everything large is aligned to this many bytes: the partition, its clusters, the image's end.
pub const ALIGN_BYTES: u64 = 1 << 20;

/// Where the partition starts, in bytes from the start of the image.
pub const PARTITION_OFFSET_BYTES: u64 = ALIGN_BYTES;

/// Where models are, with the slash: the paths that [`Content::Checksums`] tells of.
pub const MODELS: &str = "models/";

/// What a file of the image holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The bytes of a file on the host, read in pieces while the image is written.
    File(PathBuf),
    /// Bytes in memory, for small things such as licences and settings.
    Bytes(Vec<u8>),
    /// Checksums of the files in [`MODELS`], in the form of [`llamaboot_checksums`].
    Checksums,
}

/// One file of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it goes, with `/` between folders, such as `models/a.gguf`. Folders are made as
    /// needed. FAT ignores case: two paths that differ only in case are refused.
    pub path: String,
    /// What it holds, at most [`MAX_FILE_BYTES`].
    pub content: Content,
}

impl Entry {
    /// An entry for `path`, such as `models/a.gguf`.
    pub fn new(path: impl Into<String>, content: Content) -> Self {
        Self { path: path.into(), content }
    }
}

/// What a stick holds beside its models: the boot program, the models' checksums, the licences of
/// this project, files of text, and files of zeros that are written over later, of so many bytes.
#[must_use]
pub fn boot_entries(efi: PathBuf, texts: &[(&str, &str)], reserved: &[(&str, u64)]) -> Vec<Entry> {
    let license = |name: &str, text: &str| {
        Entry::new(format!("LICENSES/{name}"), Content::Bytes(text.as_bytes().to_vec()))
    };
    let mut entries = vec![
        Entry::new("EFI/BOOT/BOOTX64.EFI", Content::File(efi)),
        Entry::new(llamaboot_checksums::FILE, Content::Checksums),
        license("FONTS-OFL.txt", include_str!("../../../assets/fonts/LICENSE-OFL.txt")),
        license("LICENSE-APACHE", include_str!("../../../LICENSE-APACHE")),
        license("LICENSE-MIT", include_str!("../../../LICENSE-MIT")),
    ];
    let bytes = |name: &str, bytes| Entry::new(name, Content::Bytes(bytes));
    entries.extend(texts.iter().map(|(name, text)| bytes(name, text.as_bytes().to_vec())));
    entries.extend(reserved.iter().map(|(name, len)| bytes(name, vec![0; *len as usize])));
    entries
}

/// Writes a bootable image of `entries` to `output`: [`Plan::new`], then [`Plan::write`].
///
/// `label` is the volume's name, at most 11 characters. `progress` is called with the bytes of
/// content written so far and their total, at the start, after every mebibyte or less, and at the
/// end.
///
/// # Errors
/// As [`Plan::new`] and [`Plan::write`].
pub fn write_image(
    output: &Path,
    entries: &[Entry],
    label: &str,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Summary, Error> {
    Plan::new(entries, label)?.write(output, progress)
}
