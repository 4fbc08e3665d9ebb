//! What the boot tests share: images made of test data, machines that boot them, and the host's
//! own answers to compare with.

#![forbid(unsafe_code)]

use llamaboot_chat::{CHATS_BYTES, CHATS_FILE};
use llamaboot_engine::logit_report;
use llamaboot_golden::with_engine;
use llamaboot_image::{Content, Entry, WrittenFile, write_image};
use llamaboot_kernels::{Kernels, SingleThread};
use llamaboot_test_support::{data, root, smollm2};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use xtask::qemu::{Machine, Running};

/// Long enough for firmware to start on a busy machine.
pub const BOOT: Duration = Duration::from_secs(120);
/// Long enough for an answer of the chat model, emulated.
pub const ANSWER: Duration = Duration::from_secs(600);
/// Long enough for anything that takes no thinking.
pub const SHORT: Duration = Duration::from_secs(60);

/// The boot program, which `cargo xtask test` has built.
///
/// # Panics
/// Where it is not there.
#[must_use]
pub fn efi() -> PathBuf {
    let efi = root().join("target/uefi/BOOTX64.EFI");
    assert!(efi.exists(), "{} is not there: run `cargo xtask build`", efi.display());
    efi
}

/// A disk image in a folder that goes when it does.
pub struct Image {
    /// The image.
    pub path: PathBuf,
    /// The files on it.
    pub files: Vec<WrittenFile>,
    _folder: TempDir,
}

/// An image with the boot program, a place for chats, and `files`, with the models' checksums.
///
/// # Panics
/// Where it cannot be written.
#[must_use]
pub fn image(mut files: Vec<Entry>) -> Image {
    files.push(bytes(CHATS_FILE, vec![0; CHATS_BYTES as usize]));
    files.push(Entry::new(llamaboot_checksums::FILE, Content::Checksums));
    stick_made_by_hand(files)
}

/// As [`image`], without a place for chats and without checksums.
///
/// # Panics
/// Where it cannot be written.
#[must_use]
pub fn stick_made_by_hand(files: Vec<Entry>) -> Image {
    disk(vec![Entry::new("EFI/BOOT/BOOTX64.EFI", Content::File(efi()))], files)
}

/// As [`image`], on firmware that refuses to start other cores.
///
/// # Panics
/// Where it cannot be written.
#[must_use]
pub fn image_refusing_cores(files: Vec<Entry>) -> Image {
    let refuse = efi().with_file_name("REFUSE_CORES.EFI");
    let programs = vec![
        Entry::new("EFI/BOOT/BOOTX64.EFI", Content::File(refuse)),
        Entry::new("EFI/BOOT/LLAMABOOT.EFI", Content::File(efi())),
    ];
    disk(programs, files)
}

fn disk(mut entries: Vec<Entry>, files: Vec<Entry>) -> Image {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let path = folder.path().join("test.img");
    entries.extend(files);
    let summary = write_image(&path, &entries, "TEST", &mut |_, _| {});
    let files = summary.unwrap_or_else(|e| panic!("{e}")).files;
    Image { path, files, _folder: folder }
}

/// A file of the host, on the stick.
#[must_use]
pub fn file(path: &str, host: &Path) -> Entry {
    Entry::new(path, Content::File(host.to_path_buf()))
}

/// Bytes, on the stick.
#[must_use]
pub fn bytes(path: &str, bytes: Vec<u8>) -> Entry {
    Entry::new(path, Content::Bytes(bytes))
}

/// The story model with its tokenizer, in `folder` (with a slash, or empty for the root).
#[must_use]
pub fn stories(folder: &str) -> Option<Vec<Entry>> {
    let (model, tokenizer) =
        (data("stories260K/stories260K.bin")?, data("stories260K/tok512.bin")?);
    Some(vec![
        file(&format!("{folder}stories260K.bin"), &model),
        file(&format!("{folder}tokenizer.bin"), &tokenizer),
    ])
}

/// The chat model.
#[must_use]
pub fn chat_model() -> Option<Entry> {
    Some(file("models/SmolLM2-135M-Instruct.Q4_1.gguf", &smollm2()?))
}

/// What `/logits` must print for the model in this file, computed here.
///
/// # Panics
/// Where the file is no model.
#[must_use]
pub fn host_logits(model: &Path) -> String {
    let bytes = std::fs::read(model).unwrap_or_else(|e| panic!("{}: {e}", model.display()));
    with_engine(&bytes, Kernels::best(), &SingleThread, 1, |engine| {
        logit_report(engine, &[1, 403, 407]).unwrap_or_else(|e| panic!("{e}"))
    })
}

/// A machine at its prompt, spoken to line by line.
pub struct Prompt(pub Running);

impl Prompt {
    /// Boots and waits for the first prompt (a single model starts at once).
    ///
    /// # Panics
    /// Where it does not come.
    #[must_use]
    pub fn boot(machine: &Machine) -> Self {
        let mut prompt = Self(start(machine));
        prompt.expect(">>> ", BOOT);
        prompt
    }

    /// Types a line and returns what stands between its echo and the next prompt.
    ///
    /// # Panics
    /// Where the echo or the prompt does not come.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(&format!("{line}\r"));
        self.expect(&format!("{line}\r\n"), SHORT);
        let said = self.expect("\r\n>>> ", ANSWER);
        said.replace("\r\n", "\n")
    }

    /// Types, without waiting.
    ///
    /// # Panics
    /// Where the machine has gone.
    pub fn send(&mut self, text: &str) {
        self.0.send(text).unwrap_or_else(|e| panic!("{e}"));
    }

    /// Waits for a text on the serial line; returns what came before it.
    ///
    /// # Panics
    /// Where it does not come in time.
    pub fn expect(&mut self, text: &str, limit: Duration) -> String {
        self.0.expect(text, limit).unwrap_or_else(|e| panic!("{e}"))
    }
}

/// Starts a machine.
///
/// # Panics
/// Where it cannot be started.
#[must_use]
pub fn start(machine: &Machine) -> Running {
    machine.start().unwrap_or_else(|e| panic!("{e:#}"))
}
