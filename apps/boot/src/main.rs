//! `BOOTX64.EFI`: from firmware to prompt. This shell only provides what the crates behind it ask
//! for (memory, files, keys, a screen, a clock); the conversation itself is `llamaboot-chat`.
//!
//! ```text
//! watchdog off → AVX on → console → other cores → find models → menu → load → session
//!     → leave | power off | reboot | firmware's settings | the installed system
//! ```

#![no_main]
#![no_std]

extern crate alloc;

mod clock;
mod console;
mod cores;
mod cpu;
mod files;
mod firmware;
mod installed;
mod keyboard;
mod load;
mod memory;
mod models;
mod panic;
mod screen;
mod serial;
mod stick;
mod text_screen;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use llamaboot_chat::{
    CONFIG_FILE, Chat, Config, Console as _, Exit, Language, MAX_CONFIG_BYTES, MenuItem, Session,
    Settings, Storage as _, StorageError, Text, choose, starts_by_itself, text,
};
use uefi::prelude::*;
use uefi::runtime::{self, ResetType};

use clock::Tsc;
use console::BootConsole;
use cores::Cores;
use files::Place;
use models::{Company, Found, Next};
use stick::Stick;

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
        console.write("this firmware overwrites AVX registers: staying on the SSE2 kernels\n");
        avx.disable();
    }
    let cores = Cores::start(clock);
    if let Some(notice) = cores.notice() {
        console.write(&notice);
    }
    let mut stick = Stick::find();
    let end = {
        let company = Company { clock, threads: cores.threads(), stick: &mut stick };
        run(&mut console, company)
    };
    drop(cores);
    if end.incognito {
        console.wipe();
    }
    drop(console);
    avx.disable();
    match end.exit {
        Exit::Leave | Exit::Models => Status::SUCCESS,
        Exit::PowerOff => runtime::reset(ResetType::SHUTDOWN, Status::SUCCESS, None),
        Exit::Reboot | Exit::Firmware => runtime::reset(ResetType::COLD, Status::SUCCESS, None),
        Exit::Installed => match end.installed.map(|place| installed::start(&place)) {
            Some(Err(error)) => error.status(),
            _ => Status::SUCCESS,
        },
    }
}

/// How it ended.
struct End {
    exit: Exit,
    /// Nothing of what was said may stay in memory.
    incognito: bool,
    /// What [`Exit::Installed`] starts.
    installed: Option<Place>,
}

/// Menu and sessions until the user leaves.
fn run(console: &mut BootConsole, mut company: Company<'_>) -> End {
    let config = configure(console, company.stick);
    let mut chat = Chat::new(config.settings);
    let language = chat.settings.language;
    console.set_keyboard(chat.settings.keyboard);
    console.set_theme(chat.settings.theme);
    let found = models::find();
    let mut end = End { exit: Exit::Leave, incognito: false, installed: None };
    if found.is_empty() {
        console.write(&format!("{}\n", text::NO_MODEL.get(language)));
        console.write(text::ANY_KEY_LEAVES.get(language));
        console.read_key();
        return end;
    }
    let threads = company.threads.threads();
    // A single model starts at once; after a fault the menu comes, and it says what is wrong.
    let mut choice = match config.model {
        None => (found.len() == 1).then_some(0),
        Some(name) => named(console, language, &found, &name, config.autostart_s),
    };
    loop {
        let chosen = choice.take().or_else(|| {
            menu(console, (&found, 0), memory::available(), threads, &mut chat.settings)
        });
        let Some(index) = chosen else {
            end.incognito = chat.incognito;
            return end;
        };
        let installed = &mut end.installed;
        let mut next =
            |console: &mut BootConsole, stick: &Stick, exit: Exit, session: &mut Session<'_>| {
                if exit == Exit::Models {
                    // What this model takes will be free for the next one.
                    let available = memory::available() + session.memory();
                    let chosen =
                        menu(console, (&found, index), available, threads, session.settings_mut());
                    return chosen.filter(|&chosen| chosen != index).map(Next::Model);
                }
                match can(exit, stick, installed) {
                    Ok(()) => Some(Next::Leave(exit)),
                    Err(why) => {
                        console.write(&format!("{}\n", why.get(session.language())));
                        None
                    }
                }
            };
        match models::converse(console, &found[index], &mut company, &mut chat, &mut next) {
            Ok(Next::Model(next)) => choice = Some(next),
            Ok(Next::Leave(exit)) => {
                (end.exit, end.incognito) = (exit, chat.incognito);
                return end;
            }
            Err(message) => console.write(&format!("{}: {message}\n\n", found[index].path)),
        }
    }
}

/// The model that starts by itself: `None` where a key was pressed, or where it is not there.
fn named(
    console: &mut BootConsole,
    language: Language,
    found: &[Found],
    name: &str,
    seconds: u32,
) -> Option<usize> {
    let Some(index) = found.iter().position(|model| model.name == name) else {
        console.write(&(text::NO_SUCH_MODEL.fill(language, &[&name]) + "\n"));
        return None;
    };
    let starts = seconds == 0 || starts_by_itself(console, language, name, seconds);
    starts.then_some(index)
}

/// Whether what the user asks for can be done here; notes what is to be started.
fn can(exit: Exit, stick: &Stick, installed: &mut Option<Place>) -> Result<(), Text> {
    match exit {
        Exit::Installed => {
            *installed = installed::find(stick.volume());
            installed.as_ref().map(|_| ()).ok_or(text::NO_SYSTEM_INSTALLED)
        }
        Exit::Firmware => firmware::ask_for_settings().map_err(|_| text::NO_FIRMWARE_SETTINGS),
        _ => Ok(()),
    }
}

/// What the settings file says; every mistake in it is shown.
fn configure(console: &mut BootConsole, stick: &mut Stick) -> Config {
    let source = match stick.read(CONFIG_FILE, MAX_CONFIG_BYTES) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(StorageError::Missing | StorageError::NoPlace) => return Config::default(),
        Err(error) => {
            let config = Config::default();
            let line = error.line(config.settings.language);
            console.write(&format!("{CONFIG_FILE}: {line}\n"));
            return config;
        }
    };
    let (config, mistakes) = Config::parse(CONFIG_FILE, &source);
    for mistake in mistakes {
        console.write(&format!("{mistake}\n"));
    }
    if let Some(speed) = config.serial {
        console.set_serial_speed(speed);
    }
    config
}

/// The choice of a model; Enter takes the `current` one.
fn menu(
    console: &mut BootConsole,
    (found, current): (&[Found], usize),
    available: u64,
    threads: usize,
    settings: &mut Settings,
) -> Option<usize> {
    let item = |model: &Found| model.menu_item(available, threads, settings);
    let items: Vec<MenuItem> = found.iter().map(item).collect();
    choose(console, settings, &items, current)
}
