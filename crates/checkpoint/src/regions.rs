//! A file's bytes in one or more pieces of memory. Firmware often cannot give one huge block, so
//! a large model is loaded into several regions whose borders lie between tensors.

use crate::Error;
use alloc::vec::Vec;

/// Pieces of one file, each with the offset it was read from. Pieces do not overlap and are in
/// ascending order.
#[derive(Debug, Clone)]
pub struct Regions<'a> {
    parts: Vec<(u64, &'a [u8])>,
    file_len: u64,
}

impl<'a> Regions<'a> {
    /// The whole file in one piece.
    #[must_use]
    pub fn whole(bytes: &'a [u8]) -> Self {
        Self { parts: alloc::vec![(0, bytes)], file_len: bytes.len() as u64 }
    }

    /// The first part of a file of `file_len` bytes.
    #[must_use]
    pub fn prefix(bytes: &'a [u8], file_len: u64) -> Self {
        Self { parts: alloc::vec![(0, bytes)], file_len }
    }

    /// Pieces that follow each other without gaps from offset 0.
    #[must_use]
    pub fn consecutive(pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut start = 0;
        let parts = pieces
            .into_iter()
            .map(|piece| {
                let part = (start, piece);
                start += piece.len() as u64;
                part
            })
            .collect();
        Self { parts, file_len: start }
    }

    /// Length of the whole file in bytes.
    #[must_use]
    pub fn file_len(&self) -> u64 {
        self.file_len
    }

    /// The piece that begins the file: the header must lie in it.
    pub(crate) fn head(&self) -> &'a [u8] {
        self.parts.first().map_or(&[], |&(_, bytes)| bytes)
    }

    /// The `len` bytes at `offset`.
    ///
    /// # Errors
    /// [`Error::Truncated`] where the file is shorter, [`Error::Split`] where they do not lie in
    /// one piece.
    pub(crate) fn slice(&self, offset: u64, len: u64, what: &str) -> Result<&'a [u8], Error> {
        let have = self.file_len.saturating_sub(offset);
        if len > have {
            return Err(Error::Truncated { what: what.into(), offset, need: len, have });
        }
        let split = || Error::Split { what: what.into(), offset, need: len };
        let at = self.parts.partition_point(|&(start, _)| start <= offset);
        let &(start, bytes) =
            at.checked_sub(1).and_then(|i| self.parts.get(i)).ok_or_else(split)?;
        let from = usize::try_from(offset - start).map_err(|_| split())?;
        let len = usize::try_from(len).map_err(|_| split())?;
        let to = from.checked_add(len).ok_or_else(split)?;
        bytes.get(from..to).ok_or_else(split)
    }
}
