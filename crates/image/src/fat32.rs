//! The shape of a FAT32 volume: cluster size, counts, boot sector, FSInfo and the FAT's numbers.
//!
//! ```text
//! sector 0, 6     boot sector and its backup         R reserved sectors
//! sector 1, 7     FSInfo and its backup
//! sector R        FAT, F sectors; then again         4 bytes a cluster
//! sector R + 2F   cluster 2, 3, …, C + 1             S sectors each
//! ```
//! What makes a volume FAT32 is only its number of clusters: below 65525 every driver reads it as
//! FAT16. So little content means small clusters and free room; content that fills the clusters
//! anyway gets larger ones, since a firmware driver walks the FAT cluster by cluster. R is padded
//! so that the clusters start on a mebibyte, and C fills whole mebibytes.
//!
//! Source: fatgen103, "Boot Sector and BPB", "FAT Type Determination", "FSInfo".

use crate::names::ShortName;
use crate::{ALIGN_BYTES, PARTITION_OFFSET_BYTES, SECTOR_BYTES};

/// Largest file of a FAT32 volume, in bytes: sizes are 32-bit numbers.
///
/// `fsck.fat` 4.2 is wrong about files that end in the last cluster before 4 GiB: it takes their
/// cluster chain for empty (dosfstools issue 208, fixed after 4.2).
pub const MAX_FILE_BYTES: u64 = u32::MAX as u64;

/// Sectors of the primary reserved area: boot sector, FSInfo, backups, and room as usual.
const MIN_RESERVED_SECTORS: u64 = 32;

/// 65525 is the threshold; fatgen103 asks to stay 16 away, as some drivers count it wrong.
const MIN_CLUSTERS: u64 = 65525 + 16;

/// Bytes in a cluster, smallest first. 32 KiB is the largest that every driver takes.
const CLUSTER_BYTES: [u64; 6] = [1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15];

/// The first cluster there is; the root folder gets it.
pub(crate) const ROOT_CLUSTER: u32 = 2;

/// Sectors in [`ALIGN_BYTES`].
const ALIGN_SECTORS: u64 = ALIGN_BYTES / SECTOR_BYTES;

/// Sectors before and after the partition, one mebibyte each, for the two partition tables.
const OUTSIDE_SECTORS: u64 = 2 * ALIGN_SECTORS;

/// Most sectors in an image: FAT32 and the protective MBR count them in 32 bits.
pub(crate) const MAX_SECTORS: u64 = u32::MAX as u64 / ALIGN_SECTORS * ALIGN_SECTORS;

/// The numbers of a volume. All fit in 32 bits, as [`MAX_SECTORS`] is checked once in
/// [`Geometry::fit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    cluster_sectors: u64,
    /// C
    pub(crate) clusters: u64,
    /// R
    reserved_sectors: u64,
    /// F
    fat_sectors: u64,
    partition_sectors: u64,
}

impl Geometry {
    /// The volume for content of which `clusters_at(cluster_bytes)` tells the size in clusters.
    ///
    /// # Errors
    /// The image's size in sectors, where that passes [`MAX_SECTORS`].
    pub(crate) fn fit(clusters_at: &dyn Fn(u64) -> u64) -> Result<Self, u64> {
        let fills = |bytes: &u64| clusters_at(*bytes) >= MIN_CLUSTERS;
        let cluster_bytes = CLUSTER_BYTES.into_iter().rev().find(fills).unwrap_or(CLUSTER_BYTES[0]);
        let cluster_sectors = cluster_bytes / SECTOR_BYTES;
        let clusters = clusters_at(cluster_bytes).max(MIN_CLUSTERS);
        let data_sectors = (clusters * cluster_sectors).next_multiple_of(ALIGN_SECTORS);
        let clusters = data_sectors / cluster_sectors;
        let fat_sectors = ((clusters + 2) * 4).div_ceil(SECTOR_BYTES);
        let head_sectors = MIN_RESERVED_SECTORS + 2 * fat_sectors;
        let head_sectors = head_sectors.next_multiple_of(ALIGN_SECTORS);
        let geometry = Self {
            cluster_sectors,
            clusters,
            reserved_sectors: head_sectors - 2 * fat_sectors,
            fat_sectors,
            partition_sectors: head_sectors + data_sectors,
        };
        match geometry.image_sectors() {
            sectors if sectors > MAX_SECTORS => Err(sectors),
            _ => Ok(geometry),
        }
    }

    pub(crate) fn image_sectors(&self) -> u64 {
        self.partition_sectors + OUTSIDE_SECTORS
    }

    pub(crate) fn partition_bytes(&self) -> u64 {
        self.partition_sectors * SECTOR_BYTES
    }

    pub(crate) fn cluster_bytes(&self) -> u64 {
        self.cluster_sectors * SECTOR_BYTES
    }

    /// Where each FAT starts, in bytes from the start of the image.
    pub(crate) fn fat_offsets(&self) -> [u64; 2] {
        let first = PARTITION_OFFSET_BYTES + self.reserved_sectors * SECTOR_BYTES;
        [first, first + self.fat_sectors * SECTOR_BYTES]
    }

    /// Where a cluster starts, in bytes from the start of the image.
    pub(crate) fn cluster_offset(&self, cluster: u32) -> u64 {
        let [_, second_fat] = self.fat_offsets();
        let data = second_fat + self.fat_sectors * SECTOR_BYTES;
        data + u64::from(cluster - ROOT_CLUSTER) * self.cluster_bytes()
    }

    /// Sectors 0 to 8: boot sector, FSInfo, an empty third boot sector, and at 6 all three again.
    pub(crate) fn boot_sectors(&self, label: &ShortName, volume_id: u32, used: u64) -> Vec<u8> {
        let mut third = [0; SECTOR_BYTES as usize];
        third[510..].copy_from_slice(&[0x55, 0xaa]);
        let three = [self.boot_sector(label, volume_id), self.info_sector(used), third].concat();
        let between = vec![0; 3 * SECTOR_BYTES as usize];
        [three.as_slice(), &between, &three].concat()
    }

    fn boot_sector(&self, label: &ShortName, volume_id: u32) -> [u8; 512] {
        let named = label != &[b' '; 11];
        let label = if named { label } else { b"NO NAME    " };
        let mut sector = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &[0xeb, 0x58, 0x90]); // jump to 90
        put(3, b"MSWIN4.1"); // the name that fatgen103 advises, as some drivers look at it
        put(11, &(SECTOR_BYTES as u16).to_le_bytes());
        put(13, &[self.cluster_sectors as u8]);
        put(14, &(self.reserved_sectors as u16).to_le_bytes());
        put(16, &[2]); // FATs
        put(21, &[0xf8]); // a fixed disk
        put(24, &63_u16.to_le_bytes()); // sectors a track
        put(26, &255_u16.to_le_bytes()); // heads
        put(28, &((PARTITION_OFFSET_BYTES / SECTOR_BYTES) as u32).to_le_bytes());
        put(32, &(self.partition_sectors as u32).to_le_bytes());
        put(36, &(self.fat_sectors as u32).to_le_bytes());
        put(44, &ROOT_CLUSTER.to_le_bytes());
        put(48, &1_u16.to_le_bytes()); // FSInfo's sector
        put(50, &6_u16.to_le_bytes()); // the backup's sector
        put(64, &[0x80, 0, 0x29]); // BIOS drive, reserved, "the next three fields are there"
        put(67, &volume_id.to_le_bytes());
        put(71, label);
        put(82, b"FAT32   ");
        put(90, &[0xf4, 0xeb, 0xfd]); // halt, should a BIOS ever come here
        put(510, &[0x55, 0xaa]);
        sector
    }

    /// FSInfo: how many clusters are free, and the first of them.
    fn info_sector(&self, used: u64) -> [u8; 512] {
        let mut sector = [0; 512];
        let mut put =
            |at: usize, word: u32| sector[at..at + 4].copy_from_slice(&word.to_le_bytes());
        put(0, 0x4161_5252);
        put(484, 0x6141_7272);
        put(488, (self.clusters - used) as u32);
        put(492, ROOT_CLUSTER + used as u32);
        put(508, 0xaa55_0000);
        sector
    }
}

/// A run of clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// 0 where there are none, as a record of an empty file has it.
    pub(crate) first: u32,
    pub(crate) clusters: u32,
}

/// The FAT's entries 0, 1, 2, … for extents that follow each other from cluster 2 on.
pub(crate) fn fat_entries(extents: impl Iterator<Item = Extent>) -> impl Iterator<Item = u32> {
    const MEDIA: u32 = 0x0fff_fff8;
    const END: u32 = 0x0fff_ffff; // in entry 1 it says "cleanly unmounted, no errors"
    let chain = |extent: Extent| {
        let last = extent.first + extent.clusters;
        (extent.first + 1..=last).map(move |next| if next == last { END } else { next })
    };
    [MEDIA, END].into_iter().chain(extents.flat_map(chain))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts clusters the way fatgen103 tells drivers to.
    fn counted_clusters(geometry: &Geometry) -> u64 {
        let sector = geometry.boot_sector(b"           ", 0);
        let word = |at: usize| u64::from(u16::from_le_bytes([sector[at], sector[at + 1]]));
        let head = word(14) + 2 * (word(36) | word(38) << 16);
        ((word(32) | word(34) << 16) - head) / u64::from(sector[13])
    }

    #[test]
    fn every_size_is_fat32_and_aligned() {
        for shift in 0..41 {
            for bytes in [(1_u64 << shift) - 1, 1 << shift, (1 << shift) + 1] {
                let geometry = match Geometry::fit(&|cluster| bytes.div_ceil(cluster)) {
                    Ok(geometry) => geometry,
                    Err(sectors) => panic!("{bytes} bytes: {sectors} sectors"),
                };
                let clusters = counted_clusters(&geometry);
                assert_eq!(clusters, geometry.clusters, "{bytes} bytes");
                assert!((MIN_CLUSTERS..0x0fff_fff5).contains(&clusters), "{bytes} bytes");
                assert!(clusters * geometry.cluster_bytes() >= bytes);
                assert!((clusters + 2) * 4 <= geometry.fat_sectors * SECTOR_BYTES);
                assert_eq!(geometry.cluster_offset(ROOT_CLUSTER) % ALIGN_BYTES, 0);
                assert_eq!(geometry.partition_bytes() % ALIGN_BYTES, 0);
            }
        }
    }

    #[test]
    fn clusters_grow_with_the_content() {
        let cluster = |mib: u64| {
            let clusters_at = |bytes| (mib << 20).div_ceil(bytes);
            Geometry::fit(&clusters_at).map(|geometry| geometry.cluster_bytes())
        };
        assert_eq!(cluster(1), Ok(1 << 10));
        assert_eq!(cluster(100), Ok(1 << 10));
        assert_eq!(cluster(300), Ok(1 << 12));
        assert_eq!(cluster(4000), Ok(1 << 15));
        assert!(cluster(2 << 20).is_err(), "2 TiB of content and its FATs pass 32 bits of sectors");
    }

    #[test]
    fn chains_end_where_their_extents_end() {
        let extents = [(2, 1), (3, 3), (0, 0), (6, 1)];
        let extents = extents.into_iter().map(|(first, clusters)| Extent { first, clusters });
        let end = 0x0fff_ffff;
        let entries: Vec<u32> = fat_entries(extents).collect();
        assert_eq!(entries, [0x0fff_fff8, end, end, 4, 5, end, end]);
    }
}
