//! Screen, keyboard and serial line as one console: what is written goes to both, keys come from
//! either. Waiting is on events, with a timer to look at the serial line, which has none.

use crate::clock::Tsc;
use crate::keyboard::{Keyboard, Pressed};
use crate::screen::Screen;
use crate::serial::SerialPort;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use llamaboot_chat::{
    Clock, Console, Key, KeyDecoder, Layout, Status, Style, Theme, Typist, interruption, queue_key,
};
use uefi::Event;
use uefi::boot::{self, EventType, TimerTrigger, Tpl};

/// Bytes of the serial line that are taken in at once: somebody else must have a turn, too.
const MAX_BYTES: usize = 4096;
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
    typist: Typist,
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
            typist: Typist::new(Layout::default()),
            decoder: KeyDecoder::default(),
            last_byte_us: 0,
            keys: VecDeque::new(),
            timer: periodic_timer(),
        }
    }

    /// Sets the serial line's speed, where it can be set.
    pub(crate) fn set_serial_speed(&mut self, bits_per_second: u32) {
        if let Some(serial) = &mut self.serial {
            serial.set_speed(bits_per_second);
        }
    }

    /// Takes in every key that is ready.
    fn poll(&mut self) {
        while let Some(pressed) = self.keyboard.poll() {
            match pressed {
                Pressed::Key(key) => {
                    self.typist.reset();
                    self.push(key);
                }
                Pressed::Char { us, alt_gr, caps } => {
                    let typed = self.typist.press(us, alt_gr, caps);
                    typed.as_slice().iter().for_each(|&c| self.push(Key::Char(c)));
                }
                Pressed::Control(us) => self.push(control(self.typist.letter(us))),
                Pressed::Alt(us) => self.push(Key::Alt(self.typist.letter(us))),
            }
        }
        for _ in 0..MAX_BYTES {
            let Some(byte) = self.serial.as_mut().and_then(SerialPort::poll) else { break };
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
        match key {
            Key::PageUp | Key::PageDown => {
                self.screen.page(|page| page.scroll(key == Key::PageUp));
            }
            key => queue_key(&mut self.keys, key),
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
        self.screen.write(text, self.clock);
    }

    fn progress(&mut self, line: &str, last: bool) {
        self.screen.progress(line, last);
        if let Some(serial) = self.serial.as_mut().filter(|_| last) {
            serial.write(line);
            serial.write("\n");
        }
    }

    fn key_within(&mut self, micros: Option<u64>) -> Option<Key> {
        let end = micros.map(|micros| self.clock.micros().saturating_add(micros));
        loop {
            self.poll();
            if let Some(key) = self.keys.pop_front() {
                self.screen.scroll_to_end();
                return Some(key);
            }
            if end.is_some_and(|end| self.clock.micros() >= end) {
                return None;
            }
            self.screen.settle();
            self.wait();
        }
    }

    fn put_back(&mut self, key: Key) {
        self.keys.push_front(key);
    }

    fn interrupted(&mut self) -> bool {
        self.poll();
        interruption(&mut self.keys)
    }

    fn style(&mut self, style: Style) {
        self.screen.style(style);
    }

    fn status(&mut self, status: &Status<'_>) {
        self.screen.status(status, self.clock);
    }

    fn set_keyboard(&mut self, layout: Layout) {
        self.typist.set_layout(layout);
    }

    fn set_theme(&mut self, theme: Theme) {
        self.screen.set_theme(theme);
    }

    fn set_wordwrap(&mut self, wordwrap: bool) {
        self.screen.page(|page| page.set_wordwrap(wordwrap));
    }

    fn size(&self) -> (usize, usize) {
        self.screen.size()
    }

    fn wipe(&mut self) {
        self.keys.clear();
        self.screen.clear();
    }
}

/// A letter typed with Ctrl. Some have names of their own.
fn control(letter: char) -> Key {
    match letter {
        'c' => Key::Interrupt,
        'd' => Key::EndOfInput,
        'h' => Key::Backspace,
        'i' => Key::Tab,
        'j' | 'm' => Key::Enter,
        letter => Key::Ctrl(letter),
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
