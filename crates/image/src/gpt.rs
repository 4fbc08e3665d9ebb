//! The partition table: a protective MBR, the GPT at the front, and its copy at the end.
//!
//! ```text
//! LBA 0                 MBR: one partition of type 0xEE over the whole disk
//! LBA 1                 header          LBA 2..=33            128 entries of 128 bytes
//! LBA n - 33..=n - 2    entries again   LBA n - 1             header again
//! ```
//! The MBR is there for tools that know no GPT, and for a BIOS: firmware without UEFI runs its
//! first bytes, so they print why nothing will start, instead of leaving a black screen.
//!
//! Source: UEFI Specification 2.10, chapter 5; GUIDs are written with their first three fields
//! little-endian (appendix A).

use crate::SECTOR_BYTES;

/// C12A7328-F81F-11D2-BA4B-00A0C93EC93B: firmware looks for boot files in partitions of this type.
const EFI_SYSTEM: [u8; 16] = [
    0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
];

/// The partition's name, at most 36 UTF-16 units.
const PARTITION_NAME: &str = "llamaboot";

const SECTOR: usize = SECTOR_BYTES as usize;
/// What a header begins with.
const SIGNATURE: &[u8] = b"EFI PART";

/// Where an entry's name begins.
const NAME_AT: usize = 56;

const ENTRIES: usize = 128;
const ENTRY_BYTES: usize = 128;
const HEADER_BYTES: usize = 92;

/// Sectors that the entries take: 32.
const ENTRY_SECTORS: u64 = (ENTRIES * ENTRY_BYTES) as u64 / SECTOR_BYTES;

/// 16-bit code for a BIOS, which loads it at 0x7c00; [`BIOS_TEXT`] follows it.
///
/// ```text
///       xor ax, ax
///       mov ds, ax
///       cld
///       mov si, 0x7c19     ; the text
/// next: lodsb
///       test al, al
///       jz stop
///       mov ah, 0x0e       ; print al
///       mov bx, 7
///       int 0x10
///       jmp next
/// stop: hlt
///       jmp stop
/// ```
const BIOS_CODE: [u8; 25] = [
    0x31, 0xc0, 0x8e, 0xd8, 0xfc, 0xbe, 0x19, 0x7c, 0xac, 0x84, 0xc0, 0x74, 0x09, 0xb4, 0x0e, 0xbb,
    0x07, 0x00, 0xcd, 0x10, 0xeb, 0xf2, 0xf4, 0xeb, 0xfd,
];

const BIOS_TEXT: &[u8] =
    b"llamaboot needs UEFI: turn off legacy (CSM) boot in the firmware's setup.\r\n\0";

/// What tells one disk from another. Both derive from the content; see [`crate::write`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guids {
    pub(crate) disk: [u8; 16],
    pub(crate) partition: [u8; 16],
}

/// A GUID made of hash bytes, marked as one of version 8, "custom" (RFC 9562, section 5.8).
pub(crate) fn guid(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[7] = bytes[7] & 0x0f | 0x80; // the high byte of the little-endian third field
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

/// Bytes from a disk's first on that [`is_ours`] looks at.
pub(crate) const FRONT: u64 = 3 * SECTOR_BYTES;

/// Whether a disk begins as [`Table::front`] does: a header, and a partition of our name.
pub(crate) fn is_ours(front: &[u8]) -> bool {
    let has = |at: usize, bytes: &[u8]| front.get(at..).is_some_and(|rest| rest.starts_with(bytes));
    has(SECTOR, SIGNATURE) && has(2 * SECTOR + NAME_AT, &partition_name())
}

fn partition_name() -> Vec<u8> {
    PARTITION_NAME.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A disk with one partition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    pub(crate) disk_sectors: u64,
    pub(crate) first_lba: u64,
    pub(crate) last_lba: u64,
    pub(crate) guids: Guids,
}

impl Table {
    /// The first 34 sectors of the disk: MBR, header, entries.
    pub(crate) fn front(&self) -> Vec<u8> {
        let entries = self.entries();
        let header = self.header(1, self.disk_sectors - 1, 2, &entries);
        [self.mbr().as_slice(), &header, &entries].concat()
    }

    /// The last 33 sectors of the disk: entries, header.
    pub(crate) fn back(&self) -> Vec<u8> {
        let entries = self.entries();
        let last = self.disk_sectors - 1;
        let header = self.header(last, 1, last - ENTRY_SECTORS, &entries);
        [entries.as_slice(), &header].concat()
    }

    fn mbr(&self) -> [u8; SECTOR] {
        let mut sector = [0; SECTOR];
        let mut put = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &BIOS_CODE);
        put(BIOS_CODE.len(), BIOS_TEXT);
        put(447, &[0, 2, 0]); // first sector as cylinder, head, sector: the one after this
        put(450, &[0xee]); // "GPT protective"
        put(451, &[0xff, 0xff, 0xff]); // last sector, beyond what these fields can say
        put(454, &1_u32.to_le_bytes());
        // Images end below 2^32 sectors, so the size is exact.
        put(458, &(self.disk_sectors as u32 - 1).to_le_bytes());
        put(510, &[0x55, 0xaa]);
        sector
    }

    fn header(&self, own: u64, other: u64, entries_lba: u64, entries: &[u8]) -> [u8; SECTOR] {
        let mut sector = [0; SECTOR];
        let mut put = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, SIGNATURE);
        put(8, &0x0001_0000_u32.to_le_bytes()); // revision 1.0
        put(12, &(HEADER_BYTES as u32).to_le_bytes());
        put(24, &own.to_le_bytes());
        put(32, &other.to_le_bytes());
        put(40, &(2 + ENTRY_SECTORS).to_le_bytes()); // first usable
        put(48, &(self.disk_sectors - 2 - ENTRY_SECTORS).to_le_bytes()); // last usable
        put(56, &self.guids.disk);
        put(72, &entries_lba.to_le_bytes());
        put(80, &(ENTRIES as u32).to_le_bytes());
        put(84, &(ENTRY_BYTES as u32).to_le_bytes());
        put(88, &crc32fast::hash(entries).to_le_bytes());
        let crc = crc32fast::hash(&sector[..HEADER_BYTES]); // its own field still zero
        sector[16..20].copy_from_slice(&crc.to_le_bytes());
        sector
    }

    fn entries(&self) -> Vec<u8> {
        let mut entries = vec![0; ENTRIES * ENTRY_BYTES];
        let mut put =
            |at: usize, bytes: &[u8]| entries[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &EFI_SYSTEM);
        put(16, &self.guids.partition);
        put(32, &self.first_lba.to_le_bytes());
        put(40, &self.last_lba.to_le_bytes());
        put(NAME_AT, &partition_name());
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bios_note_fits_before_the_partition_table_and_finds_its_text() {
        assert!(BIOS_CODE.len() + BIOS_TEXT.len() <= 440);
        assert_eq!(usize::from(BIOS_CODE[6]), BIOS_CODE.len());
        assert_eq!(BIOS_CODE[7], 0x7c);
    }

    #[test]
    fn guids_are_version_8() {
        // Printed, the third field of a GUID starts with its version.
        let bytes = guid([0xff; 16]);
        assert_eq!((bytes[7], bytes[8]), (0x8f, 0xbf));
    }
}
