//! Bitmap fonts of one cell size: PSF version 2, as consoles use, read in place.
//!
//! ```text
//! header   magic, version, header size, flags, glyphs, bytes a glyph, height, width   8 × u32
//! glyphs   height rows of ⌈width/8⌉ bytes, the leftmost pixel in the highest bit
//! table    for each glyph its one character in UTF-8, then ff; ascending
//! ```
//! Ascending characters in UTF-8 are four runs of entries of one length each, so a glyph is found
//! by bisection of the file's own bytes. Nothing is allocated, and the fonts of this crate are
//! checked while it is compiled. `tools/font/console_font.py` makes them.

use core::fmt;

const MAGIC: u32 = 0x864a_b572;
const HEADER: usize = 32;
/// Bit of the flags: a Unicode table follows the glyphs.
const HAS_TABLE: u32 = 1;
/// Largest cell: a row is at most one `u32`.
const MAX_WIDTH: u32 = 32;
const MAX_HEIGHT: u32 = 64;
/// Ends an entry of the table; never part of UTF-8.
const END: u8 = 0xff;

/// The fonts of the product: cells of 8×16, 12×24 and 16×32 pixels.
static FONTS: [Font; 3] = [
    built_in(include_bytes!("../../../../assets/fonts/console16.psf")),
    built_in(include_bytes!("../../../../assets/fonts/console24.psf")),
    built_in(include_bytes!("../../../../assets/fonts/console32.psf")),
];

/// The fonts of the product, by size: cells of 8×16, 12×24 and 16×32 pixels.
#[must_use]
pub(super) fn fonts() -> [Font; 3] {
    FONTS
}

/// A bitmap font of one cell size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Font {
    width: usize,
    height: usize,
    glyphs: &'static [u8],
    table: &'static [u8],
    /// Entries with characters of 1, 2, 3 and 4 bytes.
    runs: [usize; 4],
}

/// Why bytes are no font.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FontError {
    /// Not the header of PSF version 2.
    Header,
    /// No Unicode table, so that no character has a glyph.
    NoTable,
    /// A cell that is empty or above 32×64, or bytes of a glyph that are not its rows.
    Cell,
    /// Fewer bytes than the header says.
    Truncated,
    /// An entry of the table that is not one character above the one before.
    Entry(usize),
    /// Bytes behind the last entry.
    Trailing,
}

impl fmt::Display for FontError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("font: ")?;
        match self {
            Self::Header => f.write_str("expected the header of a PSF version 2"),
            Self::NoTable => f.write_str("expected a Unicode table, found none"),
            Self::Cell => f.write_str("expected a cell of at most 32×64 pixels and its bytes"),
            Self::Truncated => f.write_str("ends before what its header says"),
            Self::Entry(at) => write!(f, "entry {at}: expected one character, ascending"),
            Self::Trailing => f.write_str("expected the end behind the last entry, found bytes"),
        }
    }
}

impl core::error::Error for FontError {}

const fn built_in(bytes: &'static [u8]) -> Font {
    match Font::parse(bytes) {
        Ok(font) => font,
        Err(_) => panic!("a font of this crate is damaged"),
    }
}

impl Font {
    /// Reads a font in PSF version 2 that gives each glyph one character, in ascending order.
    ///
    /// # Errors
    /// [`FontError`] where it is anything else.
    pub(super) const fn parse(bytes: &'static [u8]) -> Result<Self, FontError> {
        if bytes.len() < HEADER {
            return Err(FontError::Truncated);
        }
        if word(bytes, 0) != MAGIC || word(bytes, 1) != 0 || word(bytes, 2) != HEADER as u32 {
            return Err(FontError::Header);
        }
        if word(bytes, 3) & HAS_TABLE == 0 {
            return Err(FontError::NoTable);
        }
        let (count, size) = (word(bytes, 4) as usize, word(bytes, 5) as usize);
        let (height, width) = (word(bytes, 6), word(bytes, 7));
        if width == 0 || height == 0 || width > MAX_WIDTH || height > MAX_HEIGHT {
            return Err(FontError::Cell);
        }
        let (height, width) = (height as usize, width as usize);
        if size != height * width.div_ceil(8) {
            return Err(FontError::Cell);
        }
        let body = bytes.split_at(HEADER).1;
        let pixels = match count.checked_mul(size) {
            Some(pixels) if pixels <= body.len() => pixels,
            _ => return Err(FontError::Truncated),
        };
        let (glyphs, table) = body.split_at(pixels);
        match runs(table, count) {
            Ok(runs) => Ok(Self { width, height, glyphs, table, runs }),
            Err(error) => Err(error),
        }
    }

    /// Pixels a cell is wide, 32 at most.
    #[must_use]
    pub(super) const fn width(&self) -> usize {
        self.width
    }

    /// Pixels a cell is high, 64 at most.
    #[must_use]
    pub(super) const fn height(&self) -> usize {
        self.height
    }

    /// Bytes of a row: 1 to 4.
    #[must_use]
    pub(super) const fn row_bytes(&self) -> usize {
        self.width.div_ceil(8)
    }

    /// The rows of a glyph, [`Font::row_bytes`] each, the leftmost pixel in the highest bit of the
    /// first byte; `None` where the font lacks the character.
    #[must_use]
    pub(super) fn glyph(&self, c: char) -> Option<&'static [u8]> {
        let size = self.height * self.row_bytes();
        let index = self.index(c)?;
        self.glyphs.get(index * size..(index + 1) * size)
    }

    #[cfg(test)]
    /// The characters of the font, ascending.
    pub(super) fn chars(&self) -> impl Iterator<Item = char> {
        self.table
            .split(|&byte| byte == END)
            .filter_map(|entry| core::str::from_utf8(entry).ok()?.chars().next())
    }

    /// Draws the marked box of a character that the font lacks: its code point in hexadecimal,
    /// two digits in a line, in a frame where the cell has room for one. The rows are those of
    /// [`Font::glyph`]; what does not fit into `out` is left away.
    pub(super) fn marked_box(&self, c: char, out: &mut [u8]) {
        out.fill(0);
        let scale = (self.width / 8).min(self.height / 16).max(1);
        let (width, height) = (self.width / scale, self.height / scale);
        let lines = if c as u32 > 0xffff { 3 } else { 2 };
        // Digits are 3 wide and 5 high, or 4 high without a frame where even that is too much.
        let frame = height >= lines * 6 + 3;
        let digit_height = if frame { 5 } else { 4 };
        let mut canvas = Canvas { font: self, scale, out };
        let text = (7, lines * (digit_height + 1) - 1);
        let (left, top) = (width.saturating_sub(text.0) / 2, height.saturating_sub(text.1) / 2);
        if frame {
            canvas.frame(left, top, text);
        }
        for digit in 0..lines * 2 {
            let value = c as usize >> (4 * (lines * 2 - 1 - digit)) & 15;
            let (x, y) = (left + digit % 2 * 4, top + digit / 2 * (digit_height + 1));
            for pixel in 0..3 * digit_height {
                // The row that digits can do without is their fourth.
                let line = pixel / 3 + usize::from(digit_height == 4 && pixel / 3 == 3);
                if DIGITS[value] >> (14 - line * 3 - pixel % 3) & 1 == 1 {
                    canvas.put(x + pixel % 3, y + pixel / 3);
                }
            }
        }
    }

    /// The number of a character's glyph.
    fn index(&self, c: char) -> Option<usize> {
        let mut utf8 = [0; 4];
        let wanted = c.encode_utf8(&mut utf8).as_bytes();
        let (mut first, mut start) = (0, 0);
        for bytes in 1..wanted.len() {
            first += self.runs[bytes - 1];
            start += self.runs[bytes - 1] * (bytes + 1);
        }
        // UTF-8 sorts as its characters do.
        let entry = |n: usize| {
            let at = start + n * (wanted.len() + 1);
            self.table.get(at..at + wanted.len())
        };
        let (mut low, mut high) = (0, self.runs[wanted.len() - 1]);
        while low < high {
            let middle = low.midpoint(high);
            match entry(middle)?.cmp(wanted) {
                core::cmp::Ordering::Less => low = middle + 1,
                core::cmp::Ordering::Equal => return Some(first + middle),
                core::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}

/// The n-th number of the header.
const fn word(bytes: &[u8], n: usize) -> u32 {
    u32::from_le_bytes([bytes[4 * n], bytes[4 * n + 1], bytes[4 * n + 2], bytes[4 * n + 3]])
}

/// Checks a whole table and counts its entries by the length of their characters.
const fn runs(table: &[u8], count: usize) -> Result<[usize; 4], FontError> {
    let mut runs = [0; 4];
    let (mut entry, mut at, mut least) = (0, 0, 0);
    while entry < count {
        if at >= table.len() {
            return Err(FontError::Truncated);
        }
        let lead = table[at] as u32;
        let (len, mut code) = match lead {
            0..0x80 => (1, lead),
            0xc0..0xe0 => (2, lead & 0x1f),
            0xe0..0xf0 => (3, lead & 0xf),
            0xf0..0xf8 => (4, lead & 7),
            _ => return Err(FontError::Entry(entry)),
        };
        if table.len() - at <= len {
            return Err(FontError::Truncated);
        }
        let mut i = 1;
        while i < len {
            if table[at + i] & 0xc0 != 0x80 {
                return Err(FontError::Entry(entry));
            }
            code = code << 6 | (table[at + i] & 0x3f) as u32;
            i += 1;
        }
        match char::from_u32(code) {
            Some(c) if c.len_utf8() == len && code >= least && table[at + len] == END => {}
            _ => return Err(FontError::Entry(entry)),
        }
        runs[len - 1] += 1;
        least = code + 1;
        at += len + 1;
        entry += 1;
    }
    if at < table.len() { Err(FontError::Trailing) } else { Ok(runs) }
}

/// Hexadecimal digits of 3×5 pixels, the top row in the highest bits. They stay apart from one
/// another without their fourth row as well.
const DIGITS: [u16; 16] = [
    0b111_101_101_101_111,
    0b010_110_010_010_111,
    0b110_001_010_100_111,
    0b110_001_010_001_110,
    0b101_101_111_001_001,
    0b111_100_110_001_110,
    0b100_100_111_101_111,
    0b111_001_010_010_010,
    0b111_101_111_101_111,
    0b111_101_111_001_001,
    0b010_101_111_101_101,
    0b110_101_110_101_110,
    0b011_100_100_100_011,
    0b110_101_101_101_110,
    0b111_100_110_100_111,
    0b111_100_110_100_100,
];

/// Rows of a glyph in the making; a point is a square of `scale` pixels.
struct Canvas<'a> {
    font: &'a Font,
    scale: usize,
    out: &'a mut [u8],
}

impl Canvas<'_> {
    fn put(&mut self, x: usize, y: usize) {
        for y in y * self.scale..(y + 1) * self.scale {
            for x in x * self.scale..(x + 1) * self.scale {
                let byte = y * self.font.row_bytes() + x / 8;
                if let (true, Some(bits)) = (x < self.font.width, self.out.get_mut(byte)) {
                    *bits |= 0x80 >> (x % 8);
                }
            }
        }
    }

    /// A frame around text at a distance of one point, without sides where the cell is narrow.
    fn frame(&mut self, left: usize, top: usize, text: (usize, usize)) {
        let margin = if left >= 2 { 2 } else { 0 };
        for x in left - margin..left + text.0 + margin {
            self.put(x, top.saturating_sub(2));
            self.put(x, top + text.1 + 1);
        }
        for y in top.saturating_sub(2)..top + text.1 + 2 {
            if margin > 0 {
                self.put(left - margin, y);
                self.put(left + text.0 + margin - 1, y);
            }
        }
    }
}

#[cfg(test)]
mod tests;
