//! `cargo xtask demo` and `cargo xtask qemu`: a booted chat in this terminal. The serial line is
//! the terminal, so QEMU needs no window.

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use llamaboot_chat::{CHATS_BYTES, CHATS_FILE, CONFIG_FILE, SAMPLE_CONFIG};
use llamaboot_image::{Content, Entry, boot_entries, write_image};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::Command;
use xtask::qemu::{Bus, Machine, Writes};
use xtask::{build, root, setup};

/// How to run it.
#[derive(Args)]
pub(crate) struct Options {
    /// Also open a window with the machine's screen
    #[arg(long)]
    window: bool,
    /// Do not use KVM, even where it works
    #[arg(long)]
    no_kvm: bool,
}

/// An image to boot.
#[derive(Args)]
pub(crate) struct Qemu {
    /// A disk image, such as `llamaboot image` writes
    image: PathBuf,
    /// Attach it as a SATA disk and not as a USB stick
    #[arg(long)]
    ahci: bool,
    /// Keep what the machine writes, such as chats, in the image
    #[arg(long)]
    keep: bool,
    /// Memory, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    memory: u32,
    /// Cores, up to 255 [default: this machine's with KVM, else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    cores: Option<u8>,
    /// QEMU's name of a CPU, where KVM is not used
    #[arg(long, value_name = "NAME", default_value = "max")]
    cpu: String,
    #[command(flatten)]
    options: Options,
}

/// Sets everything up, writes an image with the chat model, boots it.
pub(crate) fn demo(options: &Options) -> Result<()> {
    let model = setup::setup_demo()?;
    let efi = build::build()?;
    let image = root().join("target/demo.img");
    let texts = [(CONFIG_FILE, SAMPLE_CONFIG)];
    let mut entries = boot_entries(efi, &texts, &[(CHATS_FILE, CHATS_BYTES)]);
    entries.push(Entry::new(format!("models/{}", setup::MODEL), Content::File(model)));
    let bar = indicatif::ProgressBar::new(0);
    write_image(&image, &entries, "LLAMABOOT", &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    eprintln!("the image is {}", image.display());
    boot(&Machine::new(image), None, options)
}

/// Boots an image of the user's.
pub(crate) fn qemu(options: &Qemu) -> Result<()> {
    ensure!(options.image.exists(), "{}: no such file", options.image.display());
    let bus = if options.ahci { Bus::Ahci } else { Bus::Usb };
    let cpu: &'static str = options.cpu.clone().leak();
    let writes = if options.keep { Writes::Kept(0) } else { Writes::Forgotten };
    let machine =
        Machine { bus, cpu, writes, memory_mib: options.memory, ..Machine::new(&options.image) };
    boot(&machine, options.cores, &options.options)
}

fn boot(machine: &Machine, cores: Option<u8>, options: &Options) -> Result<()> {
    let kvm = !options.no_kvm && machine.runs_on_kvm();
    // Emulated cores are threads of this machine, which has other work.
    let own = if kvm { std::thread::available_parallelism().map_or(1, NonZero::get) } else { 1 };
    let cores = cores.map_or(own.min(255) as u32, u32::from);
    let machine = Machine { cores, ..machine.clone() };
    let speed =
        if kvm { "on this CPU, with KVM" } else { "emulated, a few tokens a second: be patient" };
    eprintln!("booting ({speed}); /poweroff ends it, and so does Ctrl-A, then X");
    if machine.writes == Writes::Forgotten {
        eprintln!("the image stays as it is: chats and settings are gone at the end");
    }
    let mut command = machine.command(kvm)?;
    // Keys go to the machine one by one; Ctrl-C too, since it stops an answer there.
    let at = command.get_args().position(|arg| arg == "stdio").context("no serial line")?;
    let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let mut qemu = Command::new(command.get_program());
    qemu.args(&args[..at]).arg("mon:stdio").args(&args[at + 1..]);
    command = qemu;
    if !options.window {
        command.args(["-display", "none"]);
    }
    xtask::run(&mut command)
}
