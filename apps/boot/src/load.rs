//! A model's or a tokenizer's file into memory, checked against the stick's checksums of it. What
//! is wrong is read again, into memory below 4 GiB: some controllers' drivers go wrong above.

use crate::console::BootConsole;
use crate::files::OpenFile;
use crate::memory::{MAX_PIECE, Pages};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use llamaboot_chat::{Console as _, Language, Progress, bytes_text, text};
use llamaboot_checkpoint::Header;
use llamaboot_checksums::{Checksums, Fault, PIECE, Summing};

/// How often a piece is read again before it counts as damaged.
const TRIES: usize = 3;

/// Reads a model into pieces that no tensor crosses. `head` is what its header was read from.
pub(crate) fn load(
    console: &mut BootConsole,
    (file, name): (&mut OpenFile, &str),
    (header, head): (&Header<'_>, &[u8]),
    sums: Option<&Checksums>,
    (progress, language): (&mut Progress<'_>, Language),
) -> Result<Vec<Pages>, String> {
    let mut pieces = Vec::new();
    for cut in header.cuts(file.len, MAX_PIECE).windows(2) {
        let len = cut[1] - cut[0];
        let piece = Pages::allocate(len as usize)
            .ok_or_else(|| format!("firmware has no block of {} left", bytes_text(len)))?;
        pieces.push(piece);
    }
    let stretches = pieces.iter_mut().map(Pages::bytes_mut).collect();
    let show = |console: &mut BootConsole, done| progress.show(console, done);
    read_checked(console, (file, name), stretches, sums, show, language)?;
    let first = pieces.iter().flat_map(|piece| piece.bytes());
    match first.zip(head).position(|(now, before)| now != before) {
        Some(byte) => Err(text::READ_TWICE.fill(language, &[&byte])),
        None => Ok(pieces),
    }
}

/// Reads a file of the length of all `stretches` into them, one after the other, and again where
/// `sums` say that a mebibyte is another one than was written. `show` is told how far it is.
pub(crate) fn read_checked(
    console: &mut BootConsole,
    (file, name): (&mut OpenFile, &str),
    mut stretches: Vec<&mut [u8]>,
    sums: Option<&Checksums>,
    mut show: impl FnMut(&mut BootConsole, u64),
    language: Language,
) -> Result<(), String> {
    let (mut read, mut start) = (Summing::default(), 0);
    for stretch in &mut stretches {
        file.fill(stretch, start, |new, done| {
            if sums.is_some() {
                read.update(new);
            }
            show(console, done);
            !console.interrupted()
        })?;
        start += stretch.len() as u64;
    }
    let Some(sums) = sums else { return Ok(()) };
    let wrong = sums.wrong(&read.finish());
    if wrong.is_empty() {
        return Ok(());
    }
    console.write(&(text::READ_AGAIN.fill(language, &[&name, &wrong.len()]) + "\n"));
    mend(console, file, &mut stretches, sums, &wrong, language)
}

/// Reads mebibytes again, and puts them where they belong.
fn mend(
    console: &mut BootConsole,
    file: &mut OpenFile,
    stretches: &mut [&mut [u8]],
    sums: &Checksums,
    wrong: &[usize],
    language: Language,
) -> Result<(), String> {
    let mut low = Pages::allocate_low(PIECE)
        .ok_or_else(|| format!("firmware has no block of {} left", bytes_text(PIECE as u64)))?;
    let read = |start: u64, buffer: &mut [u8]| {
        file.seek(start).map_err(|status| format!("byte {start}: reading failed ({status})"))?;
        file.fill(buffer, start, |_, _| !console.interrupted())
    };
    sums.mend(stretches, wrong, TRIES, low.bytes_mut(), read).map_err(|fault| match fault {
        Fault::Reading(message) => message,
        Fault::Damaged { byte } => text::DAMAGED.fill(language, &[&byte]),
    })
}
