//! `checksums.txt`: what the bytes of a stick's models add up to. The writer of an image makes it,
//! and the boot program checks a model against it while loading: sticks wear out, and some firmware
//! cuts long reads without a word.
//!
//! ```text
//! # any number of lines of comment
//! 98123456 models/a.gguf        length in bytes, a space, the path
//! 0c1d2e3f                      CRC-32 of each mebibyte, the last one shorter
//! …
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

/// Bytes of a checksum's line.
const LINE: u64 = 9;

/// Length and checksums of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checksums {
    len: u64,
    pieces: Vec<u32>,
}

/// Bytes of the text about files of these paths and lengths.
#[must_use]
pub fn text_len<'f>(files: impl IntoIterator<Item = (&'f str, u64)>) -> u64 {
    let of = |(path, len): (&str, u64)| {
        head_line(path, len).len() as u64 + LINE * len.div_ceil(PIECE as u64)
    };
    HEAD.len() as u64 + files.into_iter().map(of).sum::<u64>()
}

/// The text about these files, by path.
#[must_use]
pub fn text<'f>(files: impl IntoIterator<Item = (&'f str, &'f Checksums)>) -> String {
    let mut text = String::from(HEAD);
    for (path, sums) in files {
        text += &head_line(path, sums.len);
        sums.pieces.iter().for_each(|crc| text += &format!("{crc:08x}\n"));
    }
    text
}

fn head_line(path: &str, len: u64) -> String {
    format!("{len} {path}\n")
}

impl Checksums {
    /// What a text says of a file; `None` where it says nothing of one of that path and length.
    ///
    /// # Errors
    /// One line: it speaks of the file, but not in full.
    pub fn find(text: &str, path: &str, len: u64) -> Result<Option<Self>, String> {
        let head = head_line(path, len);
        let mut lines = text.lines().zip(1..).skip_while(|(line, _)| *line != head.trim_end());
        if lines.next().is_none() {
            return Ok(None);
        }
        let mut pieces = Vec::new();
        for _ in 0..len.div_ceil(PIECE as u64) {
            let Some((line, number)) = lines.next() else {
                return Err(format!("{FILE}: it ends before the last checksum of {path}"));
            };
            let is_sum =
                line.len() as u64 + 1 == LINE && line.bytes().all(|b| b.is_ascii_hexdigit());
            let crc = u32::from_str_radix(line, 16).ok().filter(|_| is_sum);
            let fault = || {
                let found: String = line.chars().take(40).flat_map(char::escape_debug).collect();
                format!("{FILE}: line {number}: expected a checksum, found {found}")
            };
            pieces.push(crc.ok_or_else(fault)?);
        }
        Ok(Some(Self { len, pieces }))
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
