//! A plan becomes bytes: FATs, folders and files front to back, boot sectors and tables last.
//!
//! ```text
//! for each FAT entry            both FATs
//! for each folder               its records
//! for each file                 read 1 MiB, add to its CRC-32, write 1 MiB; checksums last
//! GUIDs = SHA-256(label, each file's path, size, CRC-32)
//! boot sectors, GPT, backup GPT
//! ```
//! The file starts as one hole, so whatever is not written reads as zeros and takes no room on
//! the host. No more than a mebibyte of a file is in memory. The identifiers come last because
//! they depend on the content; reading each model twice for them would halve the speed. They are
//! made from CRC-32s because a cryptographic hash of the content would, on a CPU without SHA
//! instructions, take longer than writing it, and nobody forges a disk GUID.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use llamaboot_checksums::{Checksums, List, Summing};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::fat32::fat_entries;
use crate::gpt::{Guids, Table, guid};
use crate::output::{Partial, write_error};
use crate::plan::{Layout, Plan, PlannedFile, is_summed};
use crate::{Content, PARTITION_OFFSET_BYTES, SECTOR_BYTES};

/// Bytes read and written at once: large enough for the disk, small enough for a smooth bar.
const CHUNK_BYTES: usize = 1 << 20;

/// One file of a written image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFile {
    /// Its path in the image.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// CRC-32 (IEEE 802.3, as in zip and GPT) of its bytes.
    pub crc32: u32,
    /// Where it starts, in bytes from the start of the image; it is in one piece. `None` for an
    /// empty file, which is nowhere.
    pub offset_bytes: Option<u64>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The image's sizes.
    pub layout: Layout,
    /// The files in the order they have on the disk.
    pub files: Vec<WrittenFile>,
}

impl Plan<'_> {
    /// Writes the image to `output`, which appears, or is replaced, only when all went well. Until
    /// then it grows as `OUTPUT.partial` beside it.
    ///
    /// `progress` is called with the bytes of content written so far and their total.
    ///
    /// # Errors
    /// An output that is a device, a folder or an input; a full disk; an input that cannot be read
    /// or has another size than when it was planned.
    pub fn write(
        &self,
        output: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Summary, Error> {
        let layout = self.layout();
        let partial = Partial::create(output, layout.image_bytes, self.inputs())?;
        let mut sink = Sink { out: &partial.file, path: output, image_bytes: layout.image_bytes };
        let files = write_all(self, &mut sink, progress)?;
        partial.finish()?;
        Ok(Summary { layout, files })
    }
}

/// Where the image goes; errors come out with its name.
struct Sink<'a, W> {
    out: W,
    path: &'a Path,
    image_bytes: u64,
}

impl<W: Write + Seek> Sink<'_, W> {
    fn put(&mut self, offset_bytes: u64, bytes: &[u8]) -> Result<(), Error> {
        let seek = self.out.seek(SeekFrom::Start(offset_bytes));
        seek.and_then(|_| self.out.write_all(bytes))
            .map_err(|cause| write_error(self.path, self.image_bytes, cause))
    }
}

fn write_all<W: Write + Seek>(
    plan: &Plan,
    sink: &mut Sink<W>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Vec<WrittenFile>, Error> {
    write_fats(plan, sink)?;
    for (cluster, records) in plan.folders() {
        sink.put(plan.geometry.cluster_offset(cluster), &records)?;
    }
    let (mut done, total) = (0, plan.layout().content_bytes);
    progress(done, total);
    let mut advance = |bytes| {
        done += bytes;
        progress(done, total);
    };
    let mut list = List::default();
    let mut copy = |file: &PlannedFile| {
        let (written, sums) = write_file(plan, file, "", sink, &mut advance)?;
        if is_summed(file.entry) {
            list.push(&file.entry.path, sums);
        }
        Ok(written)
    };
    let is_last = |file: &&PlannedFile| file.entry.content == Content::Checksums;
    let first = plan.files.iter().filter(|file| !is_last(file));
    let mut files = first.map(&mut copy).collect::<Result<Vec<_>, Error>>()?;
    let text = list.text();
    for (place, file) in plan.files.iter().enumerate().filter(|(_, file)| is_last(file)) {
        files.insert(place, write_file(plan, file, &text, sink, &mut advance)?.0);
    }
    write_head_and_tail(plan, &files, sink)?;
    Ok(files)
}

/// Both FATs, in step. Entries of free clusters are zero and stay holes.
fn write_fats<W: Write + Seek>(plan: &Plan, sink: &mut Sink<W>) -> Result<(), Error> {
    let mut entries = fat_entries(plan.extents());
    let mut at = 0;
    loop {
        let part: Vec<u8> =
            entries.by_ref().take(CHUNK_BYTES / 4).flat_map(u32::to_le_bytes).collect();
        if part.is_empty() {
            return Ok(());
        }
        for fat in plan.geometry.fat_offsets() {
            sink.put(fat + at, &part)?;
        }
        at += part.len() as u64;
    }
}

/// Writes one file; `checksums` is the content of the one that tells of others.
fn write_file<W: Write + Seek>(
    plan: &Plan,
    file: &PlannedFile,
    checksums: &str,
    sink: &mut Sink<W>,
    advance: &mut dyn FnMut(u64),
) -> Result<(WrittenFile, Checksums), Error> {
    let bytes = u64::from(file.bytes);
    let offset_bytes = (bytes > 0).then(|| plan.geometry.cluster_offset(file.extent.first));
    let start = offset_bytes.unwrap_or(0);
    let mut sums = Summing::default();
    let mut done = 0;
    let mut put = |part: &[u8]| {
        sums.update(part);
        sink.put(start + done, part)?;
        done += part.len() as u64;
        advance(part.len() as u64);
        Ok(())
    };
    match &file.entry.content {
        Content::Bytes(all) => all.chunks(CHUNK_BYTES).try_for_each(&mut put)?,
        Content::File(path) => copy(path, bytes, &mut put)?,
        Content::Checksums => checksums.as_bytes().chunks(CHUNK_BYTES).try_for_each(&mut put)?,
    }
    let (path, sums) = (file.entry.path.clone(), sums.finish());
    Ok((WrittenFile { path, bytes, crc32: sums.whole(), offset_bytes }, sums))
}

/// Hands a host file to `put` in chunks, exactly `expected` bytes.
fn copy(
    path: &Path,
    expected: u64,
    put: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let failed = |cause| Error::Read { path: path.into(), cause };
    // One byte more than expected, to notice a file that grew.
    let mut file = File::open(path).map_err(failed)?.take(expected + 1);
    let mut buffer = Vec::with_capacity(CHUNK_BYTES);
    let mut found = 0;
    loop {
        buffer.clear();
        let read = file.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut buffer);
        found += read.map_err(failed)? as u64;
        if buffer.is_empty() || found > expected {
            break;
        }
        put(&buffer)?;
    }
    match found.cmp(&expected) {
        Ordering::Equal => return Ok(()),
        Ordering::Greater => found = file.get_ref().metadata().map_err(failed)?.len(),
        Ordering::Less => {}
    }
    Err(Error::Changed { path: path.into(), expected, found })
}

/// What depends on the content: the boot sectors' volume id and the tables' GUIDs.
fn write_head_and_tail<W: Write + Seek>(
    plan: &Plan,
    files: &[WrittenFile],
    sink: &mut Sink<W>,
) -> Result<(), Error> {
    let hash = fingerprint(plan, files);
    let part = |from: usize| std::array::from_fn(|i| hash[from + i]);
    let geometry = &plan.geometry;
    let volume_id = u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]);
    let boot = geometry.boot_sectors(&plan.label, volume_id, plan.used_clusters());
    sink.put(PARTITION_OFFSET_BYTES, &boot)?;

    let first_lba = PARTITION_OFFSET_BYTES / SECTOR_BYTES;
    let table = Table {
        disk_sectors: geometry.image_sectors(),
        first_lba,
        last_lba: first_lba + geometry.partition_bytes() / SECTOR_BYTES - 1,
        guids: Guids { disk: guid(part(0)), partition: guid(part(16)) },
    };
    sink.put(0, &table.front())?;
    let back = table.back();
    sink.put(sink.image_bytes - back.len() as u64, &back)
}

/// SHA-256 over everything that makes one image differ from another.
fn fingerprint(plan: &Plan, files: &[WrittenFile]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(plan.label);
    for file in files {
        hasher.update(&file.path);
        hasher.update([0]); // no name holds it, so paths cannot run into each other
        hasher.update(file.bytes.to_le_bytes());
        hasher.update(file.crc32.to_le_bytes());
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::Entry;

    /// A disk with room for `room` bytes of writes.
    struct SmallDisk {
        room: usize,
    }

    impl Write for SmallDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match bytes.len().min(self.room) {
                0 => Err(io::ErrorKind::StorageFull.into()),
                fits => {
                    self.room -= fits;
                    Ok(fits)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for SmallDisk {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }

    #[test]
    fn a_full_disk_is_named_as_such_wherever_it_strikes() {
        let entries = [Entry::new("a.bin", Content::Bytes(vec![7; 3 << 20]))];
        let plan = Plan::new(&entries, "L").expect("a good plan");
        let image_bytes = plan.layout().image_bytes;
        let write = |room| {
            let out = SmallDisk { room };
            let mut sink = Sink { out, path: Path::new("out.img"), image_bytes };
            write_all(&plan, &mut sink, &mut |_, _| {})
        };
        for room in [0, 1 << 10, 1 << 20, 3 << 20, (3 << 20) + (60 << 10)] {
            match write(room) {
                Err(Error::DiskFull { path, needed_bytes }) => {
                    assert_eq!((path.as_path(), needed_bytes), (Path::new("out.img"), image_bytes));
                }
                other => panic!("room {room}: {other:?}"),
            }
        }
        assert!(write(4 << 20).is_ok());
    }
}
