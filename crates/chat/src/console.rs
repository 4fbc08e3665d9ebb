//! What a shell provides: somewhere to write, keys to read, a clock.

/// A key, from whatever keyboard or terminal it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A character to insert.
    Char(char),
    /// Ends the line.
    Enter,
    /// Deletes to the left.
    Backspace,
    /// Deletes to the right.
    Delete,
    /// One character left.
    Left,
    /// One character right.
    Right,
    /// Up, in menus.
    Up,
    /// Down, in menus.
    Down,
    /// To the start of the line.
    Home,
    /// To the end of the line.
    End,
    /// Esc.
    Escape,
    /// Ctrl-C.
    Interrupt,
    /// The input is over (Ctrl-D, or the end of a pipe).
    EndOfInput,
}

/// A screen with a keyboard, a serial line, or both at once.
pub trait Console {
    /// Writes text where the last write ended; `\n` starts a new line and `\u{8}` steps one
    /// character back.
    fn write(&mut self, text: &str);

    /// Shows a line that the next call replaces, where that is possible; append-only lines show
    /// only the one that is `last`.
    fn progress(&mut self, line: &str, last: bool);

    /// Waits for a key, without spinning.
    fn read_key(&mut self) -> Key;

    /// Whether Esc or Ctrl-C was pressed since this was last asked. Other keys pressed meanwhile
    /// are kept for [`Console::read_key`].
    fn interrupted(&mut self) -> bool;
}

/// Time since some fixed moment.
pub trait Clock {
    /// Microseconds.
    fn micros(&self) -> u64;
}
