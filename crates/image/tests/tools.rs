//! Images as the usual Linux tools see them. Each test prints a line and passes where its tool is
//! missing; `cargo xtask setup` installs them all.

mod common;

use common::{expected, fsck, tool, usual_entries, write};
use tempfile::tempdir;

#[test]
fn fsck_finds_nothing_to_repair() {
    let folder = tempdir().expect("a folder");
    let image = folder.path().join("a.img");
    write(&image, &usual_entries());
    fsck(&image);
}

#[test]
fn partition_tools_find_a_sound_gpt() {
    let folder = tempdir().expect("a folder");
    let image = folder.path().join("a.img");
    write(&image, &usual_entries());
    let path = image.to_string_lossy();
    if let Some(text) = tool("sgdisk", &["-v", &path]) {
        assert!(text.contains("No problems found"), "{text}");
        assert!(!text.to_lowercase().contains("warning"), "{text}");
    }
    if let Some(text) = tool("sfdisk", &["--verify", &path]) {
        assert!(text.contains("No errors detected"), "{text}");
    }
    if let Some(text) = tool("sfdisk", &["--dump", &path]) {
        assert!(text.contains("C12A7328-F81F-11D2-BA4B-00A0C93EC93B"), "{text}");
        assert!(text.contains("start=        2048"), "{text}");
    }
}

#[test]
fn mtools_list_and_copy() {
    let folder = tempdir().expect("a folder");
    let (image, copy) = (folder.path().join("a.img"), folder.path().join("copy"));
    let entries = usual_entries();
    write(&image, &entries);
    let drive = format!("{}@@1M", image.display());
    if let Some(text) = tool("mdir", &["-i", &drive, "::models"]) {
        assert!(text.contains("SmolLM2-135M-Instruct.Q4_1.gguf"), "{text}");
        assert!(text.contains("1980-01-01"), "{text}");
    }
    for (path, content) in expected(&entries) {
        let from = format!("::{path}");
        if tool("mcopy", &["-n", "-o", "-i", &drive, &from, &copy.to_string_lossy()]).is_some() {
            assert!(std::fs::read(&copy).expect("the copy") == content, "{path}");
            std::fs::remove_file(&copy).expect("the copy to go");
        }
    }
}
