//! What the tests share: small images, and reading them back with crates that know nothing of ours.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use fatfs::{FileSystem, FsOptions};
use gptman::GPT;
use llamaboot_image::{Content, Entry, SECTOR_BYTES, Summary, write_image};

/// C12A7328-F81F-11D2-BA4B-00A0C93EC93B as bytes on the disk.
pub(crate) const EFI_SYSTEM: [u8; 16] =
    *b"\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b";

/// Path to content.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// An entry with bytes.
pub(crate) fn bytes(path: &str, bytes: impl Into<Vec<u8>>) -> Entry {
    Entry::new(path, Content::Bytes(bytes.into()))
}

/// Bytes that differ everywhere, so that swapped or shifted clusters show.
pub(crate) fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(0x915f_77f5).wrapping_add(0x6d2b_79f5);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// What an image of the product looks like, in small.
pub(crate) fn usual_entries() -> Vec<Entry> {
    vec![
        bytes("models/SmolLM2-135M-Instruct.Q4_1.gguf", noise(300_000, 1)),
        bytes("models/stories260K.bin", noise(1024, 2)),
        bytes("models/stories260K.tokenizer.bin", noise(1025, 3)),
        bytes("LICENSES/Apache-2.0.txt", *b"licensed"),
        bytes("LICENSES/empty.txt", *b""),
        bytes("EFI/BOOT/BOOTX64.EFI", noise(70_000, 4)),
    ]
}

/// Writes an image, with no progress shown.
pub(crate) fn write(output: &Path, entries: &[Entry]) -> Summary {
    write_image(output, entries, "LLAMABOOT", &mut |_, _| {}).expect("a good image")
}

/// What the entries hold.
pub(crate) fn expected(entries: &[Entry]) -> Files {
    let content = |entry: &Entry| match &entry.content {
        Content::Bytes(bytes) => bytes.clone(),
        Content::File(path) => std::fs::read(path).expect("an input"),
        Content::Checksums => panic!("not known beforehand"),
    };
    entries.iter().map(|entry| (entry.path.clone(), content(entry))).collect()
}

/// A partition as a disk of its own, as `fatfs` wants it.
pub(crate) struct Partition {
    file: File,
    start_bytes: u64,
}

impl Partition {
    /// The only partition of an image, found with `gptman`.
    pub(crate) fn of(image: &Path) -> Self {
        let mut file = File::open(image).expect("the image");
        let gpt = GPT::find_from(&mut file).expect("a GPT");
        let used: Vec<_> = gpt.iter().filter(|(_, entry)| entry.is_used()).collect();
        let [(1, entry)] = used.as_slice() else { panic!("expected one partition: {used:?}") };
        let start_bytes = entry.starting_lba * SECTOR_BYTES;
        file.seek(SeekFrom::Start(start_bytes)).expect("a seek");
        Self { file, start_bytes }
    }
}

impl Read for Partition {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Write for Partition {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Partition {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => SeekFrom::Start(at + self.start_bytes),
            other => other,
        };
        self.file.seek(to).map(|at| at - self.start_bytes)
    }
}

/// The volume of an image.
pub(crate) fn volume(image: &Path) -> FileSystem<Partition> {
    FileSystem::new(Partition::of(image), FsOptions::new()).expect("a FAT volume")
}

/// All files of a volume, whose short names are found to be unique on the way.
pub(crate) fn read_back(volume: &FileSystem<Partition>) -> Files {
    let mut files = Files::new();
    let mut folders = vec![(String::new(), volume.root_dir())];
    while let Some((prefix, folder)) = folders.pop() {
        let mut shorts = HashSet::new();
        for entry in folder.iter() {
            let entry = entry.expect("a record");
            let short = entry.short_file_name();
            assert!(shorts.insert(short.clone()), "{short} twice in {prefix:?}");
            let name = entry.file_name();
            let path = format!("{prefix}{name}");
            if name == "." || name == ".." {
                continue;
            }
            if entry.is_dir() {
                folders.push((format!("{path}/"), entry.to_dir()));
                continue;
            }
            let mut content = Vec::new();
            entry.to_file().read_to_end(&mut content).expect("a file");
            assert!(files.insert(path.clone(), content).is_none(), "{path} twice");
        }
    }
    files
}

/// Runs a tool and asserts that it succeeds; `None`, and a printed line, where it is missing.
pub(crate) fn tool(name: &str, arguments: &[&str]) -> Option<String> {
    // Debian keeps these in sbin, which is not on every user's path.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let found = std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    if !found {
        println!("skipped: {name} is not installed");
        return None;
    }
    let output = Command::new(name).args(arguments).env("PATH", path).output().expect("a process");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let text = said(&output.stdout) + &said(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {}\n{text}", output.status);
    Some(text)
}

/// `fsck.fat` on the volume of an image; it wants a file of its own.
pub(crate) fn fsck(image: &Path) {
    let mut volume = tempfile::NamedTempFile::new().expect("a temporary file");
    let bytes = io::copy(&mut Partition::of(image), &mut volume).expect("a copy");
    // The copy runs on to the end of the image; the volume's own size decides.
    assert!(bytes > 0);
    let path = volume.path().to_string_lossy();
    if let Some(text) = tool("fsck.fat", &["-n", "-v", &path]) {
        // After the boot sector's numbers: the checks it starts, one line of totals, no complaint.
        let rest = text.split("sectors total\n").nth(1).unwrap_or_default();
        let rest: Vec<&str> = rest.lines().filter(|line| !line.starts_with("Checking")).collect();
        assert!(matches!(rest.as_slice(), [totals] if totals.ends_with(" clusters")), "{text}");
    }
}
