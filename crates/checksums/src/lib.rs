//! `checksums.txt`: what the bytes of a stick's models add up to. The writer of an image makes it,
//! and the boot program checks a model against it while loading: sticks wear out, and some firmware
//! cuts long reads without a word.
//!
//! ```text
//! # any number of lines of comment
//! 98123456 models/a.gguf        length in bytes, a space, the path
//! 0c1d2e3f                      CRC-32 of each mebibyte, the last one shorter
//! …
//! 4b5a6978 is the CRC-32 of the lines above
//! ```
//! CRC-32 is that of IEEE 802.3, as in zip and GPT. It finds every fault that lies within 32 bits,
//! and others but for one in four thousand million.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::{format, string::String, vec::Vec};
use core::ops::Range;

/// The file's name, at the root of the volume.
pub const FILE: &str = "checksums.txt";

/// Longest file that is read: enough for models of 200 GB.
pub const MAX_LEN: u64 = 2 << 20;

/// Bytes with a checksum of their own.
pub const PIECE: usize = 1 << 20;

const HEAD: &str = "# CRC-32 of each mebibyte of the models, as they were written.\n\
                    # Without this file they are not checked.\n";

/// What follows the list's own checksum in its last line.
const OWN: &str = " is the CRC-32 of the lines above\n";

/// Characters of a checksum.
const DIGITS: usize = 8;

/// Length and checksums of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checksums {
    len: u64,
    pieces: Vec<u32>,
}

/// What a `checksums.txt` says: of which files, by path, and what their bytes add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    files: Vec<(String, Checksums)>,
}

impl List {
    /// Adds a file.
    pub fn push(&mut self, path: impl Into<String>, sums: Checksums) {
        self.files.push((path.into(), sums));
    }

    /// Bytes of the text about files of these paths and lengths.
    #[must_use]
    pub fn text_len<'f>(files: impl IntoIterator<Item = (&'f str, u64)>) -> u64 {
        let of = |(path, len): (&str, u64)| {
            head_line(path, len).len() as u64 + (DIGITS as u64 + 1) * len.div_ceil(PIECE as u64)
        };
        let files: u64 = files.into_iter().map(of).sum();
        HEAD.len() as u64 + files + (DIGITS + OWN.len()) as u64
    }

    /// The text about all files.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from(HEAD);
        for (path, sums) in &self.files {
            text += &head_line(path, sums.len);
            sums.pieces.iter().for_each(|crc| text += &format!("{crc:08x}\n"));
        }
        let own = crc32fast::hash(text.as_bytes());
        text + &format!("{own:08x}{OWN}")
    }

    /// Reads a text, which is what was written: its own checksum says so.
    ///
    /// # Errors
    /// One line: it is another text, or no such list.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let text = str::from_utf8(text).map_err(|e| {
            format!("{FILE}: byte {}: expected text, found another byte", e.valid_up_to())
        })?;
        let end = text.strip_suffix(OWN).and_then(|rest| {
            let (above, own) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
            Some((above, checksum(own)?))
        });
        let (above, own) = end.ok_or_else(|| {
            format!("{FILE}: expected the list's own checksum in its last line; is it cut off?")
        })?;
        let found = crc32fast::hash(above.as_bytes());
        if own != found {
            return Err(format!(
                "{FILE}: expected lines with the checksum {own:08x}, found {found:08x}"
            ));
        }
        let mut lines = above.lines().zip(1..).filter(|(line, _)| !line.starts_with('#'));
        let mut list = Self::default();
        while let Some((line, number)) = lines.next() {
            let head = line.split_once(' ').and_then(|(len, path)| Some((len.parse().ok()?, path)));
            let (len, path) = head.ok_or_else(|| fault(number, "a length and a path", line))?;
            let mut sums = Checksums { len, pieces: Vec::new() };
            for _ in 0..len.div_ceil(PIECE as u64) {
                let (line, number) = lines.next().unwrap_or(("", number));
                let crc = checksum(line).ok_or_else(|| fault(number, "a checksum", line))?;
                sums.pieces.push(crc);
            }
            list.push(path, sums);
        }
        Ok(list)
    }

    /// What it says of the file of this path and length, where it says something of one.
    #[must_use]
    pub fn of(&self, path: &str, len: u64) -> Option<&Checksums> {
        let mut files = self.files.iter();
        files.find(|(name, sums)| name == path && sums.len == len).map(|(_, sums)| sums)
    }
}

fn head_line(path: &str, len: u64) -> String {
    format!("{len} {path}\n")
}

/// A checksum as it is written.
fn checksum(text: &str) -> Option<u32> {
    let is_one =
        text.len() == DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    u32::from_str_radix(text, 16).ok().filter(|_| is_one)
}

fn fault(number: usize, expected: &str, line: &str) -> String {
    let found: String = line.chars().take(40).collect();
    format!("{FILE}: line {number}: expected {expected}, found {found:?}")
}

impl Checksums {
    /// CRC-32 of the file as a whole.
    #[must_use]
    pub fn whole(&self) -> u32 {
        let mut whole = crc32fast::Hasher::new();
        for (number, &crc) in self.pieces.iter().enumerate() {
            let Range { start, end } = self.range(number);
            whole.combine(&crc32fast::Hasher::new_with_initial_len(crc, end - start));
        }
        whole.finalize()
    }

    /// Numbers of the pieces that are other ones in `read`, which is as long.
    #[must_use]
    pub fn wrong(&self, read: &Self) -> Vec<usize> {
        let pairs = self.pieces.iter().zip(&read.pieces).enumerate();
        pairs.filter(|(_, (own, read))| own != read).map(|(number, _)| number).collect()
    }

    /// Where piece `number` lies in the file.
    #[must_use]
    pub fn range(&self, number: usize) -> Range<u64> {
        let start = number as u64 * PIECE as u64;
        start..self.len.min(start + PIECE as u64)
    }

    /// Reads each of the pieces `wrong` again, into `buffer`, which has room for a [`PIECE`], until
    /// it is right, at most `tries` times, and puts it where it belongs in `file`: stretches that
    /// follow each other. `read` fills a slice from a byte of the file on.
    ///
    /// # Errors
    /// The first of `read`'s, or the piece that stays wrong.
    pub fn mend(
        &self,
        file: &mut [&mut [u8]],
        wrong: &[usize],
        tries: usize,
        buffer: &mut [u8],
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), String>,
    ) -> Result<(), Fault> {
        for &number in wrong {
            let Range { start, end } = self.range(number);
            let buffer = &mut buffer[..(end - start) as usize];
            let mut is_right = false;
            for _ in 0..tries {
                read(start, buffer).map_err(Fault::Reading)?;
                is_right = crc32fast::hash(buffer) == self.pieces[number];
                if is_right {
                    break;
                }
            }
            if !is_right {
                return Err(Fault::Damaged { byte: start });
            }
            put(file, start as usize, buffer);
        }
        Ok(())
    }
}

/// Bytes `start ..` of a file that lies in stretches.
fn put(file: &mut [&mut [u8]], start: usize, bytes: &[u8]) {
    let end = start + bytes.len();
    let mut at = 0;
    for stretch in file {
        let stretch_end = at + stretch.len();
        let (from, to) = (start.max(at), end.min(stretch_end));
        if from < to {
            stretch[from - at..to - at].copy_from_slice(&bytes[from - start..to - start]);
        }
        at = stretch_end;
    }
}

/// Why [`Checksums::mend`] gave up.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// Reading failed; what it said.
    Reading(String),
    /// From this byte on there is something else than was written.
    Damaged {
        /// The first one of the piece.
        byte: u64,
    },
}

/// Checksums of a file that goes by, front to back.
#[derive(Debug, Default)]
pub struct Summing {
    done: Checksums,
    crc: crc32fast::Hasher,
}

impl Summing {
    /// Takes in the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = PIECE - (self.done.len % PIECE as u64) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.crc.update(now);
            self.done.len += now.len() as u64;
            if now.len() == room {
                self.end_piece();
            }
            bytes = later;
        }
    }

    /// The checksums of all that went by.
    #[must_use]
    pub fn finish(mut self) -> Checksums {
        if !self.done.len.is_multiple_of(PIECE as u64) {
            self.end_piece();
        }
        self.done
    }

    fn end_piece(&mut self) {
        self.done.pieces.push(core::mem::take(&mut self.crc).finalize());
    }
}
