//! `BOOTX64.EFI`: from firmware to prompt. This shell only provides what the crates behind it ask
//! for (memory, files, keys, a screen, a clock); the conversation itself is `llamaboot-chat`.
//!
//! ```text
//! watchdog off → AVX on → console → other cores → find models → menu → load → session
//!     → leave | power off | reboot
//! ```

#![no_main]
#![no_std]

extern crate alloc;

mod clock;
mod console;
mod cores;
mod cpu;
mod files;
mod keyboard;
mod memory;
mod models;
mod panic;
mod screen;
mod serial;

use alloc::format;
use alloc::vec::Vec;
use llamaboot_chat::{Console as _, Exit, MenuItem, choose};
use llamaboot_kernels::Parallel;
use uefi::prelude::*;
use uefi::runtime::{self, ResetType};

use clock::Tsc;
use console::BootConsole;
use cores::Cores;
use models::Found;

/// What to do without a model: the line a user needs most.
const NO_MODEL: &str = "\
No model found. Put a GGUF, or a llama2.c .bin with its tokenizer.bin, into the folder models/ of
this stick (FAT32) and start again.\n";

#[entry]
fn main() -> Status {
    // The boot manager arms the watchdog for five minutes before it starts us.
    let _ = boot::set_watchdog_timer(0, 0x1_0000, None);
    cpu::note_boot_core();
    cpu::set_float_environment();
    let avx = cpu::Avx::enable();
    let clock = Tsc::calibrate();
    let mut console = BootConsole::open(clock);
    console.write(concat!("llamaboot ", env!("CARGO_PKG_VERSION"), "\n"));
    if !avx.upper_halves_survive(clock) {
        console.write("this firmware overwrites AVX registers: staying on the scalar kernels\n");
        avx.disable();
    }
    let cores = Cores::start(clock);
    if let Some(notice) = cores.notice() {
        console.write(&notice);
    }
    let exit = run(&mut console, clock, cores.threads());
    drop(cores);
    drop(console);
    avx.disable();
    match exit {
        Exit::Leave => Status::SUCCESS,
        Exit::PowerOff => runtime::reset(ResetType::SHUTDOWN, Status::SUCCESS, None),
        Exit::Reboot => runtime::reset(ResetType::COLD, Status::SUCCESS, None),
    }
}

/// Menu and sessions until the user leaves.
fn run(console: &mut BootConsole, clock: Tsc, threads: &dyn Parallel) -> Exit {
    let found = models::find();
    if found.is_empty() {
        console.write(NO_MODEL);
        console.write("Any key leaves.");
        console.read_key();
        return Exit::Leave;
    }
    // A single model starts at once; after a fault the menu comes, and it says what is wrong.
    let mut choice = (found.len() == 1).then_some(0);
    loop {
        let Some(index) = choice.or_else(|| menu(console, &found, threads.threads())) else {
            return Exit::Leave;
        };
        match models::converse(console, &found[index], clock, threads) {
            Ok(exit) => return exit,
            Err(message) => console.write(&format!("{}: {message}\n\n", found[index].path)),
        }
        choice = None;
    }
}

fn menu(console: &mut BootConsole, found: &[Found], threads: usize) -> Option<usize> {
    let available = memory::available();
    let items: Vec<MenuItem> =
        found.iter().map(|model| model.menu_item(available, threads)).collect();
    choose(console, "Models on this machine:", &items)
}
