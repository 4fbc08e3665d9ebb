//! Screen, keyboard and serial line as one console: what is written goes to both, keys come from
//! either. Waiting is on events, with a timer to look at the serial line, which has none.

use crate::clock::Tsc;
use crate::keyboard::Keyboard;
use crate::screen::Screen;
use crate::serial::SerialPort;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use llamaboot_chat::{Clock, Console, Key, KeyDecoder};
use uefi::Event;
use uefi::boot::{self, EventType, TimerTrigger, Tpl};

/// Keys kept while nobody reads them; more are dropped.
const MAX_KEYS: usize = 64 * 1024;
/// How often the serial line is looked at while waiting: firmware's own tick.
const POLL: Duration = Duration::from_millis(10);
/// Silence after which an Esc on the serial line was a key and not the start of a sequence.
const ESCAPE_US: u64 = 50_000;

/// The console of a booted machine.
pub(crate) struct BootConsole {
    clock: Tsc,
    screen: Screen,
    serial: Option<SerialPort>,
    keyboard: Keyboard,
    decoder: KeyDecoder,
    last_byte_us: u64,
    keys: VecDeque<Key>,
    timer: Option<Event>,
}

impl BootConsole {
    /// Opens everything that is there.
    pub(crate) fn open(clock: Tsc) -> Self {
        // The serial port first: taking it detaches firmware's terminal from the screen's output.
        let serial = SerialPort::open();
        Self {
            clock,
            screen: Screen::open(),
            serial,
            keyboard: Keyboard::open(),
            decoder: KeyDecoder::default(),
            last_byte_us: 0,
            keys: VecDeque::new(),
            timer: periodic_timer(),
        }
    }

    /// Takes in every key that is ready.
    fn poll(&mut self) {
        while let Some(key) = self.keyboard.poll() {
            self.push(key);
        }
        while let Some(byte) = self.serial.as_mut().and_then(SerialPort::poll) {
            self.last_byte_us = self.clock.micros();
            if let Some(key) = self.decoder.push(byte) {
                self.push(key);
            }
        }
        if self.decoder.is_waiting()
            && self.clock.micros() - self.last_byte_us > ESCAPE_US
            && let Some(key) = self.decoder.idle()
        {
            self.push(key);
        }
    }

    fn push(&mut self, key: Key) {
        if self.keys.len() < MAX_KEYS {
            self.keys.push_back(key);
        }
    }

    fn wait(&self) {
        // SAFETY: the copy is only waited for, while `self` keeps the event.
        let timer = self.timer.iter().map(|event| unsafe { event.unsafe_clone() });
        let events: Vec<Event> = timer.chain(self.keyboard.events()).collect();
        if events.is_empty() || boot::wait_for_event(&events).is_err() {
            boot::stall(POLL);
        }
    }
}

impl Console for BootConsole {
    fn write(&mut self, text: &str) {
        if let Some(serial) = &mut self.serial {
            serial.write(text);
        }
        self.screen.write(text);
    }

    fn progress(&mut self, line: &str, last: bool) {
        self.screen.progress(line, last);
        if let Some(serial) = self.serial.as_mut().filter(|_| last) {
            serial.write(line);
            serial.write("\n");
        }
    }

    fn read_key(&mut self) -> Key {
        loop {
            self.poll();
            if let Some(key) = self.keys.pop_front() {
                return key;
            }
            self.wait();
        }
    }

    fn interrupted(&mut self) -> bool {
        self.poll();
        let before = self.keys.len();
        self.keys.retain(|key| !matches!(key, Key::Escape | Key::Interrupt));
        self.keys.len() < before
    }
}

impl Drop for BootConsole {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            let _ = boot::close_event(timer);
        }
    }
}

fn periodic_timer() -> Option<Event> {
    // SAFETY: without a notification function there is nothing that exit from boot services could
    // surprise.
    let timer = unsafe { boot::create_event(EventType::TIMER, Tpl::APPLICATION, None, None).ok()? };
    boot::set_timer(&timer, TimerTrigger::Periodic(POLL)).ok()?;
    Some(timer)
}
