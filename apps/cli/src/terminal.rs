//! The terminal as a console: raw keys where stdin is a terminal, plain bytes where it is a pipe.
//! A thread reads, so that Esc is seen while the model writes.

use llamaboot_chat::{Console, Key, KeyDecoder};
use std::collections::VecDeque;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Silence after which an Esc was a key and not the start of a sequence.
const ESCAPE: Duration = Duration::from_millis(50);

/// Stdin and stdout as a console; raw mode ends with it.
pub(crate) struct Terminal {
    raw: bool,
    bytes: Receiver<u8>,
    decoder: KeyDecoder,
    keys: VecDeque<Key>,
    last_byte: Instant,
    /// The pipe has ended, or stdout has gone.
    over: bool,
}

impl Terminal {
    /// Switches a terminal to raw mode and starts reading.
    pub(crate) fn open() -> Self {
        let raw = std::io::stdin().is_terminal() && crossterm::terminal::enable_raw_mode().is_ok();
        let (sender, bytes) = sync_channel(1 << 16);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = std::io::stdin().lock().read(&mut buffer) {
                if buffer[..n].iter().any(|&byte| sender.send(byte).is_err()) {
                    return;
                }
            }
        });
        let (decoder, keys) = (KeyDecoder::default(), VecDeque::new());
        Self { raw, bytes, decoder, keys, last_byte: Instant::now(), over: false }
    }

    fn take(&mut self, byte: u8) {
        self.keys.extend(self.decoder.push(byte));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.raw {
            let _ = crossterm::terminal::disable_raw_mode();
        }
    }
}

impl Console for Terminal {
    fn write(&mut self, text: &str) {
        let text = if self.raw { text.replace('\n', "\r\n") } else { text.to_string() };
        let mut out = std::io::stdout().lock();
        // Where nobody reads any more, the session ends at the next key.
        self.over |= out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err();
    }

    fn progress(&mut self, line: &str, last: bool) {
        if std::io::stderr().is_terminal() {
            eprint!("\r{line}{}", if last { "\r\n" } else { "" });
        }
    }

    fn read_key(&mut self) -> Key {
        loop {
            if let Some(key) = self.keys.pop_front() {
                return key;
            }
            if self.over {
                return Key::EndOfInput;
            }
            let wait = if self.decoder.is_waiting() { ESCAPE } else { Duration::from_secs(3600) };
            match self.bytes.recv_timeout(wait) {
                Ok(byte) => self.take(byte),
                Err(RecvTimeoutError::Timeout) => self.keys.extend(self.decoder.idle()),
                Err(RecvTimeoutError::Disconnected) => self.over = true,
            }
        }
    }

    fn interrupted(&mut self) -> bool {
        // What a pipe holds is the script of what comes next, not somebody's impatience.
        if !self.raw {
            return self.over;
        }
        while let Ok(byte) = self.bytes.try_recv() {
            self.last_byte = Instant::now();
            self.take(byte);
        }
        if self.last_byte.elapsed() > ESCAPE {
            self.keys.extend(self.decoder.idle());
        }
        let before = self.keys.len();
        self.keys.retain(|key| !matches!(key, Key::Escape | Key::Interrupt));
        self.keys.len() < before
    }
}
