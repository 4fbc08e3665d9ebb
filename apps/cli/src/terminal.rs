//! The terminal as a console: raw keys where stdin is a terminal, plain bytes where it is a pipe.
//! A thread reads, so that Esc is seen while the model writes.

use llamaboot_chat::{Console, Key, KeyDecoder, Style, interruption, queue_key};
use std::collections::VecDeque;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Silence after which an Esc was a key and not the start of a sequence.
const ESCAPE: Duration = Duration::from_millis(50);

/// Stdin and stdout as a console; raw mode ends with it.
pub(crate) struct Terminal {
    raw: bool,
    /// Both ends are a terminal: it knows colours and marks pasted text.
    colours: bool,
    bytes: Receiver<u8>,
    decoder: KeyDecoder,
    keys: VecDeque<Key>,
    last_byte: Instant,
    /// The pipe has ended.
    over: bool,
    /// Why nothing is written to stdout any more: the session ends at the next key.
    fault: Option<std::io::Error>,
}

impl Terminal {
    /// Starts reading.
    pub(crate) fn open() -> Self {
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
        let (raw, colours, last_byte) = (false, false, Instant::now());
        Self { raw, colours, bytes, decoder, keys, last_byte, over: false, fault: None }
    }

    /// Switches a terminal to raw mode, for a conversation.
    pub(crate) fn begin(&mut self) {
        self.raw = std::io::stdin().is_terminal() && crossterm::terminal::enable_raw_mode().is_ok();
        self.colours = self.raw && std::io::stdout().is_terminal();
        if self.colours {
            self.write("\x1b[?2004h");
        }
        if self.raw {
            // A bug of ours must not leave the user's shell without an echo.
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                let _ = crossterm::terminal::disable_raw_mode();
                report(info);
            }));
        }
    }

    /// Gives the terminal back.
    pub(crate) fn end(&mut self) {
        if std::mem::take(&mut self.colours) {
            self.write("\x1b[0m\x1b[?2004l");
        }
        if std::mem::take(&mut self.raw) {
            let _ = crossterm::terminal::disable_raw_mode();
        }
    }

    /// Why what was said did not reach stdout, where it did not.
    pub(crate) fn fault(mut self) -> Option<std::io::Error> {
        self.fault.take()
    }

    fn take(&mut self, byte: u8) {
        if let Some(key) = self.decoder.push(byte) {
            queue_key(&mut self.keys, key);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.end();
    }
}

/// The sequence that sets a style's colour (ECMA-48, 8.3.117), in the terminal's own palette.
fn colour(style: Style) -> &'static str {
    match style {
        Style::Text => "\x1b[0m",
        Style::Prompt => "\x1b[0;1;34m",
        Style::Input => "\x1b[0;1m",
        Style::Note => "\x1b[0;2m",
        Style::Error | Style::Likely(0) => "\x1b[0;31m",
        Style::Likely(1) => "\x1b[0;35m",
        Style::Likely(2) => "\x1b[0;33m",
        Style::Likely(3) => "\x1b[0;36m",
        Style::Likely(_) => "\x1b[0;32m",
    }
}

impl Console for Terminal {
    fn write(&mut self, text: &str) {
        if self.fault.is_some() {
            return;
        }
        let text = if self.raw { text.replace('\n', "\r\n") } else { text.to_string() };
        let mut out = std::io::stdout().lock();
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            self.fault = Some(error);
        }
    }

    fn progress(&mut self, line: &str, last: bool) {
        if std::io::stderr().is_terminal() {
            eprint!("\r{line}{}", if last { "\r\n" } else { "" });
        }
    }

    fn key_within(&mut self, micros: Option<u64>) -> Option<Key> {
        let end = micros.map(|micros| Instant::now() + Duration::from_micros(micros));
        loop {
            if let Some(key) = self.keys.pop_front() {
                return Some(key);
            }
            if self.over || self.fault.is_some() {
                return Some(Key::EndOfInput);
            }
            let left = end.map_or(Duration::from_secs(3600), |end| end - Instant::now());
            let wait = if self.decoder.is_waiting() { ESCAPE.min(left) } else { left };
            match self.bytes.recv_timeout(wait) {
                Ok(byte) => self.take(byte),
                Err(RecvTimeoutError::Timeout) => self.keys.extend(self.decoder.idle()),
                Err(RecvTimeoutError::Disconnected) => self.over = true,
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                return self.keys.pop_front();
            }
        }
    }

    fn is_interactive(&self) -> bool {
        self.raw
    }

    fn style(&mut self, style: Style) {
        if self.colours {
            self.write(colour(style));
        }
    }

    fn size(&self) -> (usize, usize) {
        let (columns, rows) = crossterm::terminal::size().unwrap_or((80, 25));
        (columns.into(), rows.into())
    }

    fn clear(&mut self) -> bool {
        if self.colours {
            self.write("\x1b[2J\x1b[H");
        }
        self.colours
    }

    fn wipe(&mut self) {
        self.keys.clear();
        if self.colours {
            self.write("\x1b[3J\x1b[2J\x1b[H");
        }
    }

    fn put_back(&mut self, key: Key) {
        self.keys.push_front(key);
    }

    fn interrupted(&mut self) -> bool {
        // What a pipe holds is the script of what comes next, not somebody's impatience.
        if !self.raw || self.fault.is_some() {
            return self.fault.is_some();
        }
        while let Ok(byte) = self.bytes.try_recv() {
            self.last_byte = Instant::now();
            self.take(byte);
        }
        if self.last_byte.elapsed() > ESCAPE {
            self.keys.extend(self.decoder.idle());
        }
        interruption(&mut self.keys)
    }
}
