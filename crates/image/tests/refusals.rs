//! What cannot become an image is refused with its name and the reason, and harms no file.

mod common;

use std::fs::{self, File};
use std::path::Path;

use common::{bytes, write};
use llamaboot_image::{Content, Entry, Error, NameFault, Plan, write_image};
use tempfile::tempdir;

fn refused(entries: &[Entry]) -> Error {
    Plan::new(entries, "L").expect_err("a refusal")
}

fn file(path: &str, host: &Path) -> Entry {
    Entry::new(path, Content::File(host.into()))
}

/// Names of what is in a folder.
fn listing(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let mut names: Vec<_> = entries.map(|e| e.file_name().to_string_lossy().into()).collect();
    names.sort();
    names
}

#[test]
fn what_is_no_image_is_not_replaced() {
    let folder = tempdir().expect("a folder");
    let output = folder.path().join("notes.txt");
    // Such as a partition table of another maker.
    let mut foreign = vec![0; 5000];
    foreign[512..520].copy_from_slice(b"EFI PART");
    for content in [&b"my only copy"[..], &[7; 5000], &foreign] {
        fs::write(&output, content).expect("a file");
        let refused = write_image(&output, &[], "", &mut |_, _| {});
        let message = refused.expect_err("no image").to_string();
        assert!(
            message.ends_with(
                "notes.txt: exists and is no image of llamaboot's; remove it first, or choose \
                 another name"
            ),
            "{message}"
        );
        assert_eq!(fs::read(&output).expect("it"), content);
    }
    fs::write(&output, b"").expect("an empty file");
    // The second time it replaces an image.
    for _ in 0..2 {
        write_image(&output, &[], "", &mut |_, _| {}).expect("an image");
    }
}

#[test]
fn names_that_fat_does_not_allow() {
    for (path, expected) in [
        ("", NameFault::Empty),
        ("/models/a", NameFault::Empty),
        ("models//a", NameFault::Empty),
        ("models/", NameFault::Empty),
        ("models/../a", NameFault::Dots),
        ("models\\a", NameFault::Character('\\')),
        ("models/a?", NameFault::Character('?')),
        ("models/a.", NameFault::Edge),
    ] {
        match refused(&[bytes(path, "")]) {
            Error::Name { fault, .. } => assert_eq!(fault, expected, "{path}"),
            other => panic!("{path}: {other}"),
        }
    }
    let long = "x".repeat(256);
    assert!(matches!(
        refused(&[bytes(&long, "")]),
        Error::Name { fault: NameFault::Length(256), .. }
    ));
    let message = refused(&[bytes("models/a:b.gguf", "")]).to_string();
    assert_eq!(
        message,
        "models/a:b.gguf: the name \"a:b.gguf\" holds ':'; FAT allows no control characters and \
         none of \" * / : < > ? \\ |"
    );
}

#[test]
fn paths_that_fat_takes_for_one() {
    let twice = refused(&[bytes("models/A.gguf", ""), bytes("models/a.GGUF", "")]);
    assert!(matches!(twice, Error::Duplicate { .. }), "{twice}");
    let umlaut = refused(&[bytes("ä", ""), bytes("Ä", "")]);
    assert!(matches!(umlaut, Error::Duplicate { .. }), "{umlaut}");
    let both = refused(&[bytes("models/a", ""), bytes("Models", "")]);
    assert!(matches!(both, Error::FileAndFolder { .. }), "{both}");
}

#[test]
fn labels_that_do_not_fit() {
    for label in ["TWELVE CHARS", "a.b", "lläma", " x"] {
        assert!(matches!(Plan::new(&[], label), Err(Error::Label { .. })), "{label}");
    }
}

#[test]
fn a_folder_with_too_many_records() {
    let name = |i: usize| format!("models/{i:0>200}");
    let entries: Vec<Entry> = (0..4000).map(|i| bytes(&name(i), "")).collect();
    match refused(&entries) {
        Error::FolderFull { path, found, limit } => {
            assert_eq!((path.as_str(), found, limit), ("models", 2 + 4000 * 17, 65536));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_file_of_4_gib() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("big.gguf");
    let big = File::create(&path).expect("a file");
    big.set_len(1 << 32).expect("a length");
    let error = refused(&[file("models/big.gguf", &path)]);
    assert_eq!(
        error.to_string(),
        "models/big.gguf: 4294967296 bytes, but a FAT32 file ends at 4294967295 (4 GiB - 1); \
         split it, as GGUF does with names ending in -00001-of-00003.gguf"
    );
    big.set_len((1 << 32) - 1).expect("a length");
    let entries = [file("models/big.gguf", &path)];
    let layout = Plan::new(&entries, "L").expect("one byte less fits").layout();
    assert_eq!(layout.cluster_bytes, 32 << 10);
}

#[test]
fn more_than_fat32_can_count() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("big.gguf");
    File::create(&path).expect("a file").set_len((1 << 32) - 1).expect("a length");
    let entries: Vec<Entry> = (0..512).map(|i| file(&format!("{i}"), &path)).collect();
    let error = refused(&entries);
    assert!(matches!(error, Error::ImageTooLarge { .. }), "{error}");
}

#[test]
fn inputs_that_are_missing_or_no_files() {
    let folder = tempdir().expect("a folder");
    let missing = folder.path().join("missing.gguf");
    let error = refused(&[file("a", &missing)]);
    assert!(matches!(error, Error::Read { .. }));
    assert!(error.to_string().contains("missing.gguf: No such file"), "{error}");
    assert!(matches!(refused(&[file("a", folder.path())]), Error::InputNotAFile { .. }));
}

#[test]
fn a_file_that_changes_leaves_the_old_image_alone() {
    let folder = tempdir().expect("a folder");
    let (input, image) = (folder.path().join("a.bin"), folder.path().join("a.img"));
    fs::write(&input, [1; 5000]).expect("an input");
    write(&image, &[bytes("old", *b"the old image")]);
    let old = fs::read(&image).expect("the image");
    let entries = [bytes("0", [7; 100]), file("a.bin", &input)];
    for length in [4999, 5001, 3 << 20, 0] {
        fs::write(&input, [1; 5000]).expect("an input");
        let plan = Plan::new(&entries, "L").expect("a plan");
        fs::write(&input, vec![1; length]).expect("another input");
        match plan.write(&image, &mut |_, _| {}) {
            Err(Error::Changed { path, expected, found }) => {
                assert_eq!((path, expected, found), (input.clone(), 5000, length as u64));
            }
            other => panic!("{length}: {other:?}"),
        }
        assert!(fs::read(&image).expect("the image") == old);
        assert_eq!(listing(folder.path()), ["a.bin", "a.img"]);
    }
}

#[test]
fn a_file_that_vanishes_is_named() {
    let folder = tempdir().expect("a folder");
    let (input, image) = (folder.path().join("a.bin"), folder.path().join("a.img"));
    fs::write(&input, "a").expect("an input");
    let entries = [file("a.bin", &input)];
    let plan = Plan::new(&entries, "L").expect("a plan");
    fs::remove_file(&input).expect("it to go");
    let error = plan.write(&image, &mut |_, _| {}).expect_err("a refusal");
    assert!(error.to_string().contains("a.bin"), "{error}");
    assert!(listing(folder.path()).is_empty());
}

#[test]
fn an_output_that_is_an_input() {
    let folder = tempdir().expect("a folder");
    let model = folder.path().join("a.gguf");
    fs::write(&model, "a model").expect("an input");
    let indirect = folder.path().join(".").join("a.gguf");
    let error = write_image(&indirect, &[file("a.gguf", &model)], "L", &mut |_, _| {});
    assert!(matches!(error, Err(Error::OutputIsInput { .. })), "{error:?}");
    assert_eq!(fs::read(&model).expect("the model"), b"a model");
}

#[test]
fn an_output_that_is_no_file() {
    let folder = tempdir().expect("a folder");
    let device = Path::new("/dev/null");
    for output in [folder.path(), Path::new("/"), Path::new(""), device] {
        if output == device && !device.exists() {
            println!("skipped: no /dev/null here");
            continue;
        }
        let result = write_image(output, &[], "L", &mut |_, _| {});
        assert!(matches!(result, Err(Error::OutputNotAFile { .. })), "{output:?}: {result:?}");
    }
    let nowhere = folder.path().join("missing").join("a.img");
    let error = write_image(&nowhere, &[], "L", &mut |_, _| {}).expect_err("a refusal");
    assert!(error.to_string().contains("a.img: No such file"), "{error}");
}

#[test]
fn what_a_killed_run_left_is_used_up_and_a_running_one_is_respected() {
    let folder = tempdir().expect("a folder");
    let image = folder.path().join("a.img");
    let partial = folder.path().join("a.img.partial");
    fs::write(&partial, vec![0xff; 70 << 20]).expect("a leftover");
    let running = File::open(&partial).expect("the leftover");
    running.lock().expect("a lock");
    let busy = write_image(&image, &[], "L", &mut |_, _| {});
    assert!(matches!(busy, Err(Error::Busy { .. })), "{busy:?}");
    assert_eq!(listing(folder.path()), ["a.img.partial"]);

    drop(running);
    write(&image, &[]);
    assert_eq!(listing(folder.path()), ["a.img"]);
    let clean = folder.path().join("clean.img");
    write(&clean, &[]);
    assert!(fs::read(&image).expect("one") == fs::read(&clean).expect("the other"));
}

#[cfg(unix)]
#[test]
fn a_link_to_an_image_stays_a_link() {
    let folder = tempdir().expect("a folder");
    let (image, link) = (folder.path().join("a.img"), folder.path().join("link.img"));
    write(&image, &[bytes("old", vec![7; 80 << 20])]);
    std::os::unix::fs::symlink("a.img", &link).expect("a link");
    write(&link, &[]);
    assert!(fs::symlink_metadata(&link).expect("the link").is_symlink());
    assert_eq!(fs::metadata(&image).expect("the image").len(), 68 << 20);
}
