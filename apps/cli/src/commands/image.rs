//! `image`: a disk image with the boot program, the models and the licences. With no model given,
//! our own goes on it, which this program carries.

use crate::args::{Image, ModelFile};
use crate::mmap;
use crate::model::{Loaded, read_text};
use crate::progress::bar;
use anyhow::{Context as _, Result, ensure};
use llamaboot_chat::{
    CHATS_BYTES, CHATS_FILE, CONFIG_FILE, Config, SAMPLE_CONFIG, bytes_text, is_model_name,
    tokenizer_names,
};
use llamaboot_image::{Content, Entry, boot_entries, write_image};
use object::LittleEndian;
use object::pe::{IMAGE_FILE_MACHINE_AMD64, IMAGE_SUBSYSTEM_EFI_APPLICATION};
use object::read::pe::PeFile64;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A model trained by `train`; its card says what it is and is not.
const SHAKESPEARE: &[u8] = include_bytes!("../../../../assets/shakespeare/shakespeare.gguf");
const SHAKESPEARE_CARD: &[u8] = include_bytes!("../../../../assets/shakespeare/README.md");

pub(crate) fn run(args: &Image) -> Result<()> {
    ensure!(args.output != Path::new("-"), "-o -: an image goes to a file or a device");
    let config = args.config.as_deref().map(config).transpose()?;
    let texts = [(CONFIG_FILE, config.as_deref().unwrap_or(SAMPLE_CONFIG))];
    let efi = find_efi(args.efi.as_deref())?;
    check_efi(&efi)?;
    let mut entries = boot_entries(efi, &texts, &[(CHATS_FILE, CHATS_BYTES)]);
    for file in &args.models.0 {
        add_model(&mut entries, file)?;
    }
    if args.models.0.is_empty() {
        let own = |path: &str, bytes: &[u8]| Entry::new(path, Content::Bytes(bytes.to_vec()));
        entries.push(own("models/shakespeare.gguf", SHAKESPEARE));
        entries.push(own("LICENSES/shakespeare.md", SHAKESPEARE_CARD));
    }
    let progress = bar(0, None);
    let summary = write_image(&args.output, &entries, "LLAMABOOT", &mut |done, total| {
        progress.set_length(total);
        progress.set_position(done);
    })?;
    progress.finish_and_clear();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}: {}, with", args.output.display(), bytes_text(summary.layout.image_bytes))?;
    for file in summary.files {
        writeln!(out, "  {}  {}", file.path, bytes_text(file.bytes))?;
    }
    Ok(())
}

/// The settings in a file; every mistake in it is told.
fn config(path: &Path) -> Result<String> {
    let source = read_text(path)?;
    let (_, mistakes) = Config::parse(&path.to_string_lossy(), &source);
    mistakes.iter().for_each(|mistake| eprintln!("llamaboot: {mistake}"));
    ensure!(mistakes.is_empty(), "--config {}: a stick would not take all of it", path.display());
    Ok(source)
}

/// Checks that a model can be run before it goes on a stick, tokenizer included.
fn add_model(entries: &mut Vec<Entry>, file: &ModelFile) -> Result<()> {
    let loaded = Loaded::open(file)?;
    loaded.tokenizer()?;
    let name = loaded.name();
    ensure!(
        is_model_name(&name),
        "{name}: on the stick a model is known by .gguf or .bin at its end"
    );
    let path = format!("models/{name}");
    ensure!(
        !entries.iter().any(|entry| entry.path.eq_ignore_ascii_case(&path)),
        "{}: the image has a model of this name already",
        file.model.display()
    );
    entries.push(Entry::new(path, Content::File(loaded.path.clone())));
    if let Some(tokenizer) = loaded.tokenizer_file() {
        let [own, _] = tokenizer_names(&name);
        entries.push(Entry::new(format!("models/{own}"), Content::File(tokenizer)));
    }
    Ok(())
}

/// A stick that the firmware cannot start would say nothing of why.
fn check_efi(path: &Path) -> Result<()> {
    let header = PeFile64::parse(mmap::map(path)?).map(|file| file.nt_headers());
    let found = header.map(|header| {
        let machine = header.file_header.machine.get(LittleEndian);
        (machine, header.optional_header.subsystem.get(LittleEndian))
    });
    ensure!(
        found == Ok((IMAGE_FILE_MACHINE_AMD64, IMAGE_SUBSYSTEM_EFI_APPLICATION)),
        "{}: not a boot program: expected a UEFI application for x86-64, as BOOTX64.EFI is",
        path.display()
    );
    Ok(())
}

/// The boot program: the one given, or where `cargo xtask build` puts it.
fn find_efi(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_path_buf());
    }
    let built = "target/uefi/BOOTX64.EFI";
    let beside =
        std::env::current_exe().ok().and_then(|exe| Some(exe.ancestors().nth(3)?.join(built)));
    [Some(PathBuf::from(built)), beside]
        .into_iter()
        .flatten()
        .find(|path| path.exists())
        .with_context(|| {
            format!("{built} is not there: run `cargo xtask build`, or give --efi FILE")
        })
}
