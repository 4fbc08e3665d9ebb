//! A model's file into memory, checked against the stick's checksums of it. What is wrong is read
//! again, into memory below 4 GiB: some controllers' drivers go wrong above.

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

/// Reads the file into pieces that no tensor crosses. `head` is what its header was read from.
pub(crate) fn load(
    console: &mut BootConsole,
    file: &mut OpenFile,
    (header, head): (&Header<'_>, &[u8]),
    sums: Option<&Checksums>,
    (progress, language): (&mut Progress<'_>, Language),
) -> Result<Vec<Pages>, String> {
    let mut pieces = Vec::new();
    let mut read = Summing::default();
    for cut in header.cuts(file.len, MAX_PIECE).windows(2) {
        let (start, len) = (cut[0], cut[1] - cut[0]);
        let mut piece = Pages::allocate(len as usize)
            .ok_or_else(|| format!("firmware has no block of {} left", bytes_text(len)))?;
        file.fill(piece.bytes_mut(), start, |new, done| {
            if sums.is_some() {
                read.update(new);
            }
            progress.show(console, done);
            !console.interrupted()
        })?;
        pieces.push(piece);
    }
    let wrong = sums.map(|sums| sums.wrong(&read.finish())).unwrap_or_default();
    if let Some(sums) = sums
        && !wrong.is_empty()
    {
        let count = wrong.len();
        console.write(&(text::READ_AGAIN.fill(language, &[&count]) + "\n"));
        mend(console, file, &mut pieces, sums, &wrong, language)?;
    }
    let first = pieces.iter().flat_map(|piece| piece.bytes());
    match first.zip(head).position(|(now, before)| now != before) {
        Some(byte) => Err(text::READ_TWICE.fill(language, &[&byte])),
        None => Ok(pieces),
    }
}

/// Reads mebibytes again, and puts them where they belong.
fn mend(
    console: &mut BootConsole,
    file: &mut OpenFile,
    pieces: &mut [Pages],
    sums: &Checksums,
    wrong: &[usize],
    language: Language,
) -> Result<(), String> {
    let mut low = Pages::allocate_low(PIECE)
        .ok_or_else(|| format!("firmware has no block of {} left", bytes_text(PIECE as u64)))?;
    let mut pieces: Vec<&mut [u8]> = pieces.iter_mut().map(Pages::bytes_mut).collect();
    let read = |start: u64, buffer: &mut [u8]| {
        file.seek(start).map_err(|status| format!("byte {start}: reading failed ({status})"))?;
        file.fill(buffer, start, |_, _| !console.interrupted())
    };
    sums.mend(&mut pieces, wrong, TRIES, low.bytes_mut(), read).map_err(|fault| match fault {
        Fault::Reading(message) => message,
        Fault::Damaged { byte } => text::DAMAGED.fill(language, &[&byte]),
    })
}
