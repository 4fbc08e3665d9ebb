//! The bytes of a FAT folder: one 32-byte record for each file, its long name before it.
//!
//! ```text
//! file record:  0 short name[11]  11 attributes  13..20 created, accessed  20 cluster >> 16
//!               22 time  24 date  26 cluster & 0xffff  28 size
//! name record:  0 order  1 units 1-5  11 = 0x0f  13 checksum of the short name
//!               14 units 6-11  26 = 0  28 units 12-13      (UTF-16LE, 0 ends, 0xffff fills)
//! ```
//! A long name's records stand in reverse: the last 13 units first, its order marked 0x40.
//!
//! Source: fatgen103, "FAT 32 Byte Directory Entry Structure", "FAT Long Directory Entries".

use crate::names::{self, ShortName};
use crate::tree::{Folder, Node};

/// Bytes in a record.
pub(crate) const RECORD_BYTES: u64 = 32;

/// UTF-16 units in a name record.
const UNITS: usize = 13;

/// Where those units stand in it.
const UNIT_OFFSETS: [usize; UNITS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

const ATTR_VOLUME_ID: u8 = 0x08;
const ATTR_FOLDER: u8 = 0x10;
const ATTR_ARCHIVE: u8 = 0x20;
const ATTR_LONG_NAME: u8 = 0x0f;

/// 1980-01-01, the first day FAT can tell: (year - 1980) << 9 | month << 5 | day. The time of day
/// stays 0. Real dates would make two runs differ.
const DATE: u16 = 1 << 5 | 1;

type Record = [u8; RECORD_BYTES as usize];

/// Where a file or folder begins, and the size that its record states (0 for folders).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) cluster: u32,
    pub(crate) bytes: u32,
}

/// Records that a name needs: its file record, and the long name's where there is one.
pub(crate) fn records_for(name: &str) -> u64 {
    let long = if names::is_short(name) { 0 } else { name.encode_utf16().count().div_ceil(UNITS) };
    1 + long as u64
}

/// The records of a folder. `heads` are the records before its children: [`label`] for the root,
/// [`dots`] for others.
pub(crate) fn encode(
    folder: &Folder,
    heads: Vec<Record>,
    place: &dyn Fn(Node) -> Place,
) -> Vec<u8> {
    let mut records = heads;
    for child in &folder.children {
        if !names::is_short(&child.name) {
            records.extend(long_name(&child.name, &child.short));
        }
        let attributes = match child.node {
            Node::Folder(_) => ATTR_FOLDER,
            Node::File(_) => ATTR_ARCHIVE,
        };
        records.push(record(&child.short, attributes, place(child.node)));
    }
    records.concat()
}

/// The root's own record, which holds the volume label.
pub(crate) fn label(label: &ShortName) -> Record {
    record(label, ATTR_VOLUME_ID, Place { cluster: 0, bytes: 0 })
}

/// `.` and `..`. A parent that is the root is written as cluster 0.
pub(crate) fn dots(own_cluster: u32, parent_cluster: u32) -> [Record; 2] {
    let at = |cluster| Place { cluster, bytes: 0 };
    [
        record(b".          ", ATTR_FOLDER, at(own_cluster)),
        record(b"..         ", ATTR_FOLDER, at(parent_cluster)),
    ]
}

fn record(short: &ShortName, attributes: u8, place: Place) -> Record {
    let mut record = [0; RECORD_BYTES as usize];
    let cluster = place.cluster.to_le_bytes();
    record[..11].copy_from_slice(short);
    record[11] = attributes;
    for created_accessed_written in [16, 18, 24] {
        record[created_accessed_written..][..2].copy_from_slice(&DATE.to_le_bytes());
    }
    record[20..22].copy_from_slice(&cluster[2..]);
    record[26..28].copy_from_slice(&cluster[..2]);
    record[28..].copy_from_slice(&place.bytes.to_le_bytes());
    record
}

/// The records of a long name, in disk order.
fn long_name(name: &str, short: &ShortName) -> Vec<Record> {
    let units: Vec<u16> = name.encode_utf16().collect();
    let checksum = short.iter().fold(0_u8, |sum, &byte| sum.rotate_right(1).wrapping_add(byte));
    let last = units.len().div_ceil(UNITS);
    let number = |i: usize| (i as u8 + 1) | if i + 1 == last { 0x40 } else { 0 };
    let one = |(i, part): (usize, &[u16])| {
        let mut record = [0; RECORD_BYTES as usize];
        record[0] = number(i); // at most 20 records, as names end at 255 units
        record[11] = ATTR_LONG_NAME;
        record[13] = checksum;
        let end_and_fill = std::iter::once(0).chain(std::iter::repeat(0xffff));
        for (offset, unit) in UNIT_OFFSETS.into_iter().zip(part.iter().copied().chain(end_and_fill))
        {
            record[offset..offset + 2].copy_from_slice(&unit.to_le_bytes());
        }
        record
    };
    let mut records: Vec<Record> = units.chunks(UNITS).enumerate().map(one).collect();
    records.reverse();
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_of_13_units_has_no_end_mark() {
        let records = long_name("model-a1.gguf", b"MODEL-~1GGU");
        assert_eq!(records.len(), 1);
        assert_eq!((records[0][0], records[0][11]), (0x41, 0x0f));
        assert_eq!(&records[0][28..], b"u\0f\0"[..4].as_ref());
        assert_eq!(records_for("model-a1.gguf"), 2);
    }

    #[test]
    fn a_longer_name_stands_in_reverse_and_is_filled() {
        let records = long_name("model-a10.gguf", b"MODEL-~1GGU");
        assert_eq!((records[0][0], records[1][0]), (0x42, 0x01));
        assert_eq!(&records[0][1..7], b"f\0\0\0\xff\xff");
        // The checksum of fatgen103 in its own words, over the same 11 bytes.
        let mut sum: u8 = 0;
        for byte in b"MODEL-~1GGU" {
            sum = (if sum & 1 != 0 { 0x80_u8 } else { 0 }).wrapping_add(sum >> 1);
            sum = sum.wrapping_add(*byte);
        }
        assert!(records.iter().all(|record| record[13] == sum));
    }

    #[test]
    fn a_record_splits_its_cluster_number() {
        let place = Place { cluster: 0x0012_3456, bytes: 0x789a_bcde };
        let record = record(b"BOOTX64 EFI", ATTR_ARCHIVE, place);
        assert_eq!((&record[20..22], &record[26..28]), (&[0x12, 0][..], &[0x56, 0x34][..]));
        assert_eq!(record[28..], [0xde, 0xbc, 0x9a, 0x78]);
    }
}
