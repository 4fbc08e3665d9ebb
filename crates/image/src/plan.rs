//! Everything about an image that follows from names and sizes, before a byte is written.
//!
//! A plan gives each folder and then each file, in sorted order, the next run of clusters:
//!
//! ```text
//! cluster  2     3        4          …                              C + 1
//!          root | EFI | EFI/BOOT … | BOOTX64.EFI | LICENSES/… | models/… | free
//! ```

use std::fs;
use std::path::Path;

use llamaboot_checksums::List;

use crate::error::Error;
use crate::fat32::{Extent, Geometry, MAX_SECTORS, ROOT_CLUSTER};
use crate::folder::{self, Place, RECORD_BYTES};
use crate::names::{self, ShortName};
use crate::tree::{Node, Tree};
use crate::{Content, Entry, MODELS, PARTITION_OFFSET_BYTES, SECTOR_BYTES};

/// Room that every image keeps free, so that a small file can still be put on the stick.
const SPARE_BYTES: u64 = 1 << 20;

/// The sizes of an image, to be shown before it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The whole image, a multiple of 1 MiB.
    pub image_bytes: u64,
    /// Where the partition starts.
    pub partition_offset_bytes: u64,
    /// The partition, a multiple of 1 MiB.
    pub partition_bytes: u64,
    /// A cluster, 1 KiB to 32 KiB: files take whole clusters.
    pub cluster_bytes: u64,
    /// Clusters of the volume; 65525 or more, as FAT32 has.
    pub clusters: u64,
    /// Free room, at least 1 MiB.
    pub free_bytes: u64,
    /// The files alone.
    pub content_bytes: u64,
}

/// An image about to be written; see [`Plan::write`].
#[derive(Debug)]
pub struct Plan<'a> {
    entries: &'a [Entry],
    pub(crate) label: ShortName,
    tree: Tree,
    pub(crate) geometry: Geometry,
    /// One a folder, in the tree's order.
    folder_extents: Vec<Extent>,
    /// One a file, in the tree's order.
    pub(crate) files: Vec<PlannedFile<'a>>,
}

/// A file with its place.
#[derive(Debug)]
pub(crate) struct PlannedFile<'a> {
    pub(crate) entry: &'a Entry,
    /// FAT32 states sizes in 32 bits.
    pub(crate) bytes: u32,
    pub(crate) extent: Extent,
}

impl<'a> Plan<'a> {
    /// Checks names and sizes, and lays out the image.
    ///
    /// `label` is the volume's name: at most 11 characters, kept in upper case; may be empty.
    ///
    /// # Errors
    /// A name FAT does not allow, two paths that FAT takes for one, a label that does not fit, an
    /// input that is missing or no regular file, a file over
    /// [`MAX_FILE_BYTES`](crate::MAX_FILE_BYTES), or an image over 2 TiB.
    pub fn new(entries: &'a [Entry], label: &str) -> Result<Self, Error> {
        let tree = Tree::new(entries)?;
        let label = names::label(label).ok_or_else(|| Error::Label { label: label.into() })?;
        let planned = |&index: &usize| {
            let entry = &entries[index];
            let bytes = size(entry)?;
            Ok(PlannedFile { entry, bytes, extent: Extent { first: 0, clusters: 0 } })
        };
        let mut files = tree.files.iter().map(planned).collect::<Result<Vec<_>, Error>>()?;
        let summed = files.iter().filter(|file| is_summed(file.entry));
        let summed = summed.map(|file| (file.entry.path.as_str(), file.bytes.into()));
        let text_len = List::text_len(summed);
        for file in files.iter_mut().filter(|file| file.entry.content == Content::Checksums) {
            file.bytes = checked(file.entry, text_len)?;
        }
        let folder_clusters = |cluster_bytes: u64| {
            let clusters = move |records: u64| (records * RECORD_BYTES).div_ceil(cluster_bytes);
            tree.folders.iter().map(move |folder| clusters(folder.records()))
        };
        let geometry = Geometry::fit(&|cluster_bytes| {
            let clusters = |bytes: u64| bytes.div_ceil(cluster_bytes);
            let files = files.iter().map(|file| clusters(file.bytes.into())).sum::<u64>();
            folder_clusters(cluster_bytes).sum::<u64>() + files + clusters(SPARE_BYTES)
        })
        .map_err(|sectors| {
            let (bytes, limit) = (sectors * SECTOR_BYTES, MAX_SECTORS * SECTOR_BYTES);
            Error::ImageTooLarge { bytes, limit }
        })?;

        let mut next = ROOT_CLUSTER;
        let mut take = |clusters: u64| {
            let clusters = clusters as u32; // the geometry holds them all, in 32 bits
            let first = if clusters == 0 { 0 } else { next };
            next += clusters;
            Extent { first, clusters }
        };
        let folder_extents = folder_clusters(geometry.cluster_bytes()).map(&mut take).collect();
        for file in &mut files {
            file.extent = take(u64::from(file.bytes).div_ceil(geometry.cluster_bytes()));
        }
        Ok(Self { entries, label, tree, geometry, folder_extents, files })
    }

    /// The sizes of the image.
    pub fn layout(&self) -> Layout {
        let free_clusters = self.geometry.clusters - self.used_clusters();
        Layout {
            image_bytes: self.geometry.image_sectors() * SECTOR_BYTES,
            partition_offset_bytes: PARTITION_OFFSET_BYTES,
            partition_bytes: self.geometry.partition_bytes(),
            cluster_bytes: self.geometry.cluster_bytes(),
            clusters: self.geometry.clusters,
            free_bytes: free_clusters * self.geometry.cluster_bytes(),
            content_bytes: self.files.iter().map(|file| u64::from(file.bytes)).sum(),
        }
    }

    /// All extents in disk order, without gaps from cluster 2 on.
    pub(crate) fn extents(&self) -> impl Iterator<Item = Extent> {
        let files = self.files.iter().map(|file| file.extent);
        self.folder_extents.iter().copied().chain(files)
    }

    pub(crate) fn used_clusters(&self) -> u64 {
        self.extents().map(|extent| u64::from(extent.clusters)).sum()
    }

    /// Host files that are read.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = &Path> {
        self.entries.iter().filter_map(|entry| match &entry.content {
            Content::File(path) => Some(path.as_path()),
            Content::Bytes(_) | Content::Checksums => None,
        })
    }

    /// Each folder's records, with the first cluster they go to.
    pub(crate) fn folders(&self) -> impl Iterator<Item = (u32, Vec<u8>)> {
        let place = |node| match node {
            Node::Folder(index) => Place { cluster: self.folder_extents[index].first, bytes: 0 },
            Node::File(index) => {
                let file = &self.files[index];
                Place { cluster: file.extent.first, bytes: file.bytes }
            }
        };
        self.tree.folders.iter().zip(&self.folder_extents).map(move |(folder, extent)| {
            let parent = self.folder_extents[folder.parent].first;
            let heads = match (extent.first, parent) {
                (ROOT_CLUSTER, _) if self.label == [b' '; 11] => vec![],
                (ROOT_CLUSTER, _) => vec![folder::label(&self.label)],
                (own, ROOT_CLUSTER) => folder::dots(own, 0).to_vec(),
                (own, parent) => folder::dots(own, parent).to_vec(),
            };
            (extent.first, folder::encode(folder, heads, &place))
        })
    }
}

/// Whether [`Content::Checksums`] tells of this file.
pub(crate) fn is_summed(entry: &Entry) -> bool {
    entry.path.starts_with(MODELS) && entry.content != Content::Checksums
}

/// Bytes of an entry's content, as far as that is known before the others are.
fn size(entry: &Entry) -> Result<u32, Error> {
    let bytes = match &entry.content {
        Content::Bytes(bytes) => bytes.len() as u64,
        Content::Checksums => 0,
        Content::File(path) => {
            let found =
                fs::metadata(path).map_err(|cause| Error::Read { path: path.clone(), cause })?;
            if !found.is_file() {
                return Err(Error::InputNotAFile { path: path.clone() });
            }
            found.len()
        }
    };
    checked(entry, bytes)
}

/// A size that FAT32 can state.
fn checked(entry: &Entry, bytes: u64) -> Result<u32, Error> {
    // MAX_FILE_BYTES is u32's maximum, so the conversion is the check.
    u32::try_from(bytes).map_err(|_| Error::FileTooLarge { path: entry.path.clone(), bytes })
}
