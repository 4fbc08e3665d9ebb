//! Keyboard layouts. Firmware delivers the characters of a US keyboard, whatever is printed on the
//! keys; they are mapped back to keys and forward to the user's layout.
//!
//! ```text
//! US character ─▶ key, Shift ─┬─▶ level: plain, Shift, AltGr, both ─▶ character or dead key
//!            AltGr, Caps Lock ┘      dead key, then character ─▶ accented character, or both
//! ```
//! The tables are those of Debian's xkb-data, the default variant of each layout. For French that
//! is AZERTY as printed on keys and known from Windows, with more characters behind AltGr.
//!
//! Caps Lock acts as with libxkbcommon. On the key of a letter in both cases it exchanges plain and
//! Shift; on other keys it makes the character upper case where it has one, so é è ç à of fr give
//! É È Ç À, and with Shift the digits still. It never acts as Shift on punctuation, so the case
//! that firmware gave US letters is undone first. Where firmware does not tell of Caps Lock, it
//! cannot be told from Shift on these keys.
//!
//! # What firmware does not tell
//!
//! The number pad: its characters are those of other keys. So with fr its digits are & é " and so
//! on, as they are on the upper row without Shift, and its / is an exclamation mark.
//!
//! The key between the left Shift and Z of European keyboards, the 102nd: EDK2's drivers give
//! nothing for it, others `\` and `|` as for the key at Return. Its characters are elsewhere:
//! ```text
//!          <  >                                         in its place          gives way
//! fr       AltGr+W, AltGr+Shift+W                       – (ł is at L too)
//!          also AltGr+Shift+Z, AltGr+Shift+X            published
//! de       AltGr+Y, AltGr+Shift+Y                       » to AltGr+Shift+X    › ‹
//!          | at AltGr+^                                                       ′
//! es it pt AltGr+Shift+Z, AltGr+Shift+X                 published
//! uk       \ at AltGr+-, | at AltGr+`                   published
//! ```
//! What it types with AltGr and Shift (`¦`, or a line below) is given up.

mod accents;
mod layouts;

use accents::{ACCENTS, Accent};
use layouts::{TABLES, Table, US};

/// The layout of a keyboard.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// English of the United States: what firmware gives.
    #[default]
    Us,
    /// The same with dead keys.
    UsIntl,
    /// English of the United Kingdom.
    Uk,
    /// French, AZERTY.
    Fr,
    /// German, QWERTZ.
    De,
    /// Spanish.
    Es,
    /// Italian.
    It,
    /// Portuguese of Portugal.
    Pt,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Self; 8] =
        [Self::Us, Self::UsIntl, Self::Uk, Self::Fr, Self::De, Self::Es, Self::It, Self::Pt];

    /// What the layouts are called in settings, in the order of [`Layout::ALL`].
    pub const NAMES: [&'static str; 8] = ["us", "us-intl", "uk", "fr", "de", "es", "it", "pt"];

    /// The layout of a name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.name() == name)
    }

    /// One of [`Layout::NAMES`].
    #[must_use]
    pub fn name(self) -> &'static str {
        self.table().name
    }

    /// What its users call it.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.table().title
    }

    fn table(self) -> &'static Table {
        &TABLES[self as usize]
    }

    /// What a key types; `None` for what no US keyboard types.
    fn types(self, us: char, alt_gr: bool, caps: bool) -> Option<char> {
        if us == ' ' {
            return Some(us);
        }
        let (shift, row, column) = key_of(us)?;
        let shift = shift != (caps && us.is_ascii_alphabetic());
        let at = |alt_gr: bool, shift: bool| {
            let level = usize::from(alt_gr) * 2 + usize::from(shift);
            self.table().levels[level][row].chars().nth(column)
        };
        let cases = |alt_gr: bool| {
            let (plain, shift) = (at(alt_gr, false), at(alt_gr, true));
            plain != shift && plain.map(upper) == shift
        };
        if caps && cases(false) && cases(alt_gr) {
            return at(alt_gr, !shift);
        }
        let typed = at(alt_gr, shift)?;
        Some(if caps { upper(typed) } else { typed })
    }

    /// What a dead key types where it meets no letter. A keyboard with quotes for dead keys types
    /// these.
    fn alone(self, accent: &Accent) -> char {
        match (self, accent.alone) {
            (Self::UsIntl, '´') => '\'',
            (Self::UsIntl, '¨') => '"',
            (_, alone) => alone,
        }
    }
}

/// The key that types a character on a US keyboard: with Shift, its row, its place in the row.
fn key_of(us: char) -> Option<(bool, usize, usize)> {
    let mut places = US.iter().enumerate().flat_map(|(level, rows)| {
        let rows = rows.iter().enumerate();
        rows.filter_map(move |(row, keys)| Some((level == 1, row, keys.find(us)?)))
    });
    places.next()
}

/// The upper case where it is one character, else the character. The micro sign is a unit and
/// would become a Greek letter; the dotless i is typed to be seen, and would become a plain I.
fn upper(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (c, upper.next(), upper.next()) {
        ('µ' | 'ı', ..) => c,
        ('ß', ..) => 'ẞ',
        (_, Some(upper), None) => upper,
        _ => c,
    }
}

/// What pressing a key has typed: at most two characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Typed {
    chars: [char; 2],
    len: usize,
}

impl Typed {
    /// The characters, in their order.
    #[must_use]
    pub fn as_slice(&self) -> &[char] {
        &self.chars[..self.len]
    }

    const NOTHING: Self = Self { chars: ['\0'; 2], len: 0 };

    fn one(c: char) -> Self {
        Self { chars: [c, '\0'], len: 1 }
    }

    fn two(first: char, second: char) -> Self {
        Self { chars: [first, second], len: 2 }
    }
}

/// Turns the characters of firmware into those of a layout, dead keys included.
#[derive(Debug, Default, Clone)]
pub struct Typist {
    layout: Layout,
    pending: Option<&'static Accent>,
}

impl Typist {
    /// A typist for a layout.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self { layout, pending: None }
    }

    /// The layout in use.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Changes the layout, and forgets a pending dead key.
    pub fn set_layout(&mut self, layout: Layout) {
        *self = Self::new(layout);
    }

    /// Forgets a pending dead key.
    pub fn reset(&mut self) {
        self.pending = None;
    }

    /// The letter on a key, for use with Ctrl and Alt.
    #[must_use]
    pub fn letter(&self, us: char) -> char {
        let us = us.to_ascii_lowercase();
        self.layout.types(us, false, false).unwrap_or(us)
    }

    /// Takes in what a US keyboard would have typed with that key, Shift and Caps Lock.
    ///
    /// - `alt_gr`: AltGr is held, which is the right Alt, or Ctrl and Alt
    /// - `caps`: Caps Lock is on, where firmware tells
    ///
    /// A dead key types nothing until the next key, and then what both make: the accented
    /// character; the accent alone before the space bar or where it is pressed twice; else the
    /// accent and the character. A control character is none of a layout's: it passes, and a
    /// pending dead key is forgotten. So does, as a character, what no US keyboard types.
    pub fn press(&mut self, us: char, alt_gr: bool, caps: bool) -> Typed {
        let pending = self.pending.take();
        if us.is_control() {
            return Typed::one(us);
        }
        let c = self.layout.types(us, alt_gr, caps).unwrap_or(us);
        let dead = ACCENTS.iter().find(|accent| accent.mark == c);
        match (pending, dead) {
            (None, None) => Typed::one(c),
            (Some(accent), None) => {
                let alone = self.layout.alone(accent);
                match accent.on(c) {
                    Some(composed) => Typed::one(composed),
                    None if c == ' ' => Typed::one(alone),
                    None => Typed::two(alone, c),
                }
            }
            (Some(first), Some(second)) if first.mark == second.mark => Typed::one(first.alone),
            (first, second) => {
                self.pending = second;
                first.map_or(Typed::NOTHING, |accent| Typed::one(self.layout.alone(accent)))
            }
        }
    }
}
