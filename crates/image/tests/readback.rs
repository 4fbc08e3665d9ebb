//! Images hold what they were given, as read by `gptman` and `fatfs`, and always in the same bytes.

mod common;

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};

use common::{EFI_SYSTEM, bytes, expected, fsck, noise, read_back, usual_entries, volume, write};
use fatfs::FatType;
use gptman::GPT;
use llamaboot_image::{ALIGN_BYTES, Content, Entry, Plan, SECTOR_BYTES, write_image};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tempfile::tempdir;

#[test]
fn every_file_reads_back() {
    let folder = tempdir().expect("a folder");
    let image = folder.path().join("a.img");
    let entries = usual_entries();
    let summary = write(&image, &entries);
    let volume = volume(&image);
    assert_eq!(read_back(&volume), expected(&entries));
    assert_eq!(volume.fat_type(), FatType::Fat32);
    assert_eq!(volume.volume_label(), "LLAMABOOT");
    let label = volume.read_volume_label_from_root_dir().expect("a label");
    assert_eq!(label.as_deref(), Some("LLAMABOOT"));
    let stats = volume.stats().expect("statistics");
    assert_eq!(u64::from(stats.total_clusters()), summary.layout.clusters);
    let free = u64::from(stats.free_clusters()) * summary.layout.cluster_bytes;
    assert_eq!(free, summary.layout.free_bytes);
}

#[test]
fn the_summary_says_where_each_file_lies_in_one_piece() {
    let folder = tempdir().expect("a folder");
    let image = folder.path().join("a.img");
    let entries = usual_entries();
    let summary = write(&image, &entries);
    let expected = expected(&entries);
    let disk = fs::read(&image).expect("the image");
    let paths: Vec<&str> = summary.files.iter().map(|file| file.path.as_str()).collect();
    assert!(paths.is_sorted());
    assert_eq!(paths.len(), expected.len());
    for file in &summary.files {
        let content = &expected[&file.path];
        assert_eq!(file.crc32, crc32fast::hash(content));
        assert_eq!(file.offset_bytes.is_none(), content.is_empty());
        let start = file.offset_bytes.unwrap_or(0) as usize;
        assert!(disk[start..start + file.bytes as usize] == **content, "{}", file.path);
        assert_eq!(start as u64 % summary.layout.cluster_bytes, 0);
    }
}

#[test]
fn both_partition_tables_tell_the_same() {
    let folder = tempdir().expect("a folder");
    let image = folder.path().join("a.img");
    let layout = write(&image, &usual_entries()).layout;
    let mut disk = File::options().read(true).write(true).open(&image).expect("the image");
    assert_eq!(disk.metadata().expect("metadata").len(), layout.image_bytes);
    assert_eq!(layout.image_bytes % ALIGN_BYTES, 0);

    let front = GPT::read_from(&mut disk, SECTOR_BYTES).expect("a GPT");
    assert!(front.header.is_primary());
    let entry = &front[1];
    assert_eq!(entry.partition_type_guid, EFI_SYSTEM);
    assert_eq!(entry.starting_lba * SECTOR_BYTES, ALIGN_BYTES);
    assert_eq!(entry.size().expect("a size") * SECTOR_BYTES, layout.partition_bytes);
    assert_eq!(entry.partition_name.as_str(), "llamaboot");
    assert_ne!(entry.unique_partition_guid, front.header.disk_guid);

    // With the first header destroyed, gptman reads the one at the end.
    disk.seek(SeekFrom::Start(SECTOR_BYTES)).expect("a seek");
    disk.write_all(&[0; 512]).expect("a write");
    let back = GPT::read_from(&mut disk, SECTOR_BYTES).expect("a backup GPT");
    assert!(back.header.is_backup());
    assert_eq!(back.header.disk_guid, front.header.disk_guid);
    assert_eq!(back[1], front[1]);
}

#[test]
fn the_mbr_protects_the_whole_disk() {
    let folder = tempdir().expect("a folder");
    let image = folder.path().join("a.img");
    let sectors = write(&image, &[]).layout.image_bytes / SECTOR_BYTES;
    let mut mbr = [0; 512];
    File::open(&image).expect("the image").read_exact(&mut mbr).expect("a sector");
    // UEFI 2.10, table 5.4: not bootable, from CHS 0/0/2, type 0xEE, to CHS max, LBA 1 to the end.
    let mut record = *b"\0\0\x02\0\xee\xff\xff\xff\x01\0\0\0\0\0\0\0";
    record[12..].copy_from_slice(&(sectors as u32 - 1).to_le_bytes());
    assert_eq!(mbr[446..462], record);
    assert_eq!(mbr[462..510], [0; 48]);
    assert_eq!(mbr[510..], [0x55, 0xaa]);
}

#[test]
fn the_same_inputs_give_the_same_bytes_in_any_order() {
    let folder = tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let mut entries = usual_entries();
    write(&at("first.img"), &entries);
    entries.reverse();
    // From a file or from memory makes no difference either.
    for (i, entry) in entries.iter_mut().enumerate() {
        if let Content::Bytes(bytes) = &entry.content {
            let path = at(&format!("{i}.bin"));
            fs::write(&path, bytes).expect("an input");
            entry.content = Content::File(path);
        }
    }
    write(&at("second.img"), &entries);
    let [first, second] = ["first.img", "second.img"].map(|name| fs::read(at(name)).expect("it"));
    assert!(first == second);
}

#[test]
fn checksums_are_those_of_the_models() {
    let folder = tempdir().expect("a folder");
    let image = folder.path().join("a.img");
    let (large, small) = (noise((2 << 20) + 5, 1), noise(7, 2));
    let entries = [
        bytes("models/small.bin", small.clone()),
        Entry::new("checksums.txt", Content::Checksums),
        bytes("models/a large one.gguf", large.clone()),
        bytes("zzz.bin", noise(9, 3)),
    ];
    let summary = write(&image, &entries);
    let mut text = String::new();
    let volume = volume(&image);
    let mut file = volume.root_dir().open_file("checksums.txt").expect("the file");
    file.read_to_string(&mut text).expect("text");
    let all: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let (own, lines) = all.split_last().expect("lines");
    let crc = |bytes: &[u8]| format!("{:08x}", crc32fast::hash(bytes));
    let (first, rest) = large.split_at(1 << 20);
    let (second, third) = rest.split_at(1 << 20);
    let expected = [
        "2097157 models/a large one.gguf".into(),
        crc(first),
        crc(second),
        crc(third),
        "7 models/small.bin".into(),
        crc(&small),
    ];
    assert_eq!(lines, expected);
    let above = &text[..text.len() - own.len() - 1];
    assert_eq!(*own, format!("{} is the CRC-32 of the lines above", crc(above.as_bytes())));
    let listed: Vec<_> = summary.files.iter().map(|file| file.path.as_str()).collect();
    let paths = ["checksums.txt", "models/a large one.gguf", "models/small.bin", "zzz.bin"];
    assert_eq!(listed, paths);
}

#[test]
fn one_changed_byte_changes_every_identifier() {
    let folder = tempdir().expect("a folder");
    let identifiers = |content: &[u8]| {
        let image = folder.path().join("a.img");
        write(&image, &[bytes("a.bin", content)]);
        let gpt = GPT::find_from(&mut File::open(&image).expect("the image")).expect("a GPT");
        (gpt.header.disk_guid, gpt[1].unique_partition_guid, volume(&image).volume_id())
    };
    let (first, second) = (identifiers(b"1"), identifiers(b"2"));
    assert_ne!(first.0, second.0);
    assert_ne!(first.1, second.1);
    assert_ne!(first.2, second.2);
}

#[test]
fn the_smallest_image_is_still_fat32() {
    let folder = tempdir().expect("a folder");
    let image = folder.path().join("a.img");
    let layout = write_image(&image, &[], "", &mut |_, _| {}).expect("an image").layout;
    assert_eq!(layout.image_bytes, 68 << 20);
    assert_eq!(layout.cluster_bytes, 1024);
    let volume = volume(&image);
    assert_eq!(volume.fat_type(), FatType::Fat32);
    assert!(volume.stats().expect("statistics").total_clusters() >= 65525 + 16);
    assert_eq!(volume.volume_label(), "NO NAME");
    assert!(read_back(&volume).is_empty());
    fsck(&image);
}

#[test]
fn a_large_file_grows_the_clusters() {
    let folder = tempdir().expect("a folder");
    let (input, image) = (folder.path().join("a.gguf"), folder.path().join("a.img"));
    let mut sparse = File::create(&input).expect("an input");
    sparse.set_len(300_000_001).expect("a length");
    for at in [0, 1 << 20, (150 << 20) - 3, 300_000_000] {
        sparse.seek(SeekFrom::Start(at)).expect("a seek");
        sparse.write_all(&[at as u8 | 1]).expect("a write");
    }
    let entries = [Entry::new("models/a.gguf", Content::File(input.clone()))];
    let mut calls = Vec::new();
    let mut progress = |done, total| calls.push((done, total));
    let summary = write_image(&image, &entries, "L", &mut progress).expect("an image");
    assert_eq!(summary.layout.cluster_bytes, 4096);
    let slack = summary.layout.image_bytes - summary.layout.content_bytes;
    assert!(slack < 8 << 20, "{slack} bytes around the content");
    assert_eq!(calls.first(), Some(&(0, 300_000_001)));
    assert_eq!(calls.last(), Some(&(300_000_001, 300_000_001)));
    assert!(calls.windows(2).all(|pair| pair[1].0 > pair[0].0));
    assert!(
        read_back(&volume(&image))
            == expected(&[Entry { path: entries[0].path.clone(), content: Content::File(input) }])
    );
    fsck(&image);
}

#[test]
fn many_files_fill_many_clusters_of_a_folder() {
    let folder = tempdir().expect("a folder");
    let image = folder.path().join("a.img");
    let name = |i: usize| format!("LICENSES/a rather long name of a licence {i}.txt");
    let entries: Vec<Entry> = (0..1500).map(|i| bytes(&name(i), name(i))).collect();
    write(&image, &entries);
    assert_eq!(read_back(&volume(&image)), expected(&entries));
    fsck(&image);
}

#[test]
fn a_plan_tells_the_sizes_beforehand() {
    let folder = tempdir().expect("a folder");
    let image = folder.path().join("a.img");
    let entries = usual_entries();
    let planned = Plan::new(&entries, "LLAMABOOT").expect("a plan").layout();
    assert_eq!(write(&image, &entries).layout, planned);
    assert!(planned.free_bytes >= 1 << 20);
    assert_eq!(planned.content_bytes, expected(&entries).values().map(|v| v.len() as u64).sum());
}

/// Names of all kinds: short, long, with dots, spaces, tildes, outside ASCII and outside the BMP.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Z]{1,8}(\\.[A-Z0-9]{1,3})?",
        "[a-cA-C]{1,2}",
        "[A-C]{1,6}~[1-3]",
        "[a-z0-9.+~_-]{0,40}[a-z0-9]",
        "[a-zäßı日🦙 .]{0,20}[a-zé日🦙]",
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let length = prop_oneof![Just(0), Just(1), 1023..1026_usize, 0..6000_usize];
    (prop::collection::vec(name(), 1..4), length, any::<u32>())
        .prop_map(|(path, length, seed)| bytes(&path.join("/"), noise(length, seed)))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        rng_seed: RngSeed::Fixed(20_261_101),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_trees_read_back(entries in prop::collection::vec(entry(), 0..60)) {
        // What the rules refuse is dropped one by one; the rest must come through unchanged.
        let mut kept: Vec<Entry> = Vec::new();
        for entry in entries {
            kept.push(entry);
            if Plan::new(&kept, "").is_err() {
                kept.pop();
            }
        }
        let folder = tempdir().expect("a folder");
        let image = folder.path().join("a.img");
        write(&image, &kept);
        let found = read_back(&volume(&image));
        // A folder has one spelling, whichever path named it first.
        let fold = |files: &common::Files| -> common::Files {
            files.iter().map(|(path, content)| (path.to_uppercase(), content.clone())).collect()
        };
        prop_assert_eq!(fold(&found), fold(&expected(&kept)));
        let names = |files: &common::Files| -> Vec<String> {
            let mut names: Vec<String> =
                files.keys().filter_map(|p| p.rsplit('/').next()).map(String::from).collect();
            names.sort();
            names
        };
        prop_assert_eq!(names(&found), names(&expected(&kept)));
        fsck(&image);
    }
}
