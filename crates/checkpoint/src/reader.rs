//! A cursor over a header: little-endian numbers and strings, each read checked against the end.

use crate::{Error, error::printable};

/// Reads forward through `bytes`, which begin at the start of a file of `file_len` bytes.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    file_len: u64,
}

macro_rules! number {
    ($name:ident, $type:ty) => {
        pub(crate) fn $name(&mut self, what: &str) -> Result<$type, Error> {
            let mut raw = [0; size_of::<$type>()];
            raw.copy_from_slice(self.take(size_of::<$type>() as u64, what)?);
            Ok(<$type>::from_le_bytes(raw))
        }
    };
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], file_len: u64) -> Self {
        Self { bytes, at: 0, file_len }
    }

    /// Bytes read so far, which is the file offset of what comes next.
    pub(crate) fn offset(&self) -> u64 {
        self.at as u64
    }

    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: u64, what: &str) -> Result<&'a [u8], Error> {
        let have = self.file_len.saturating_sub(self.offset());
        if len > have {
            let offset = self.offset();
            return Err(Error::Truncated { what: printable(what), offset, need: len, have });
        }
        let piece = usize::try_from(len)
            .ok()
            .and_then(|len| self.at.checked_add(len))
            .and_then(|end| self.bytes.get(self.at..end))
            .ok_or(Error::NeedMore { offset: self.offset(), have: self.bytes.len() as u64 })?;
        self.at += piece.len();
        Ok(piece)
    }

    number!(u8, u8);
    number!(u32, u32);
    number!(i32, i32);
    number!(u64, u64);

    /// A GGUF string: a 64-bit length, then that many bytes.
    pub(crate) fn string(&mut self, cap: u64, what: &str) -> Result<&'a [u8], Error> {
        let offset = self.offset();
        let len = self.u64(what)?;
        if len > cap {
            let expected = alloc::format!("at most {cap} bytes");
            return Err(Error::value(alloc::format!("length of {what}"), offset, expected, len));
        }
        self.take(len, what)
    }

    /// [`Reader::string`] that must be UTF-8.
    pub(crate) fn text(&mut self, cap: u64, what: &str) -> Result<&'a str, Error> {
        let offset = self.offset();
        let bytes = self.string(cap, what)?;
        core::str::from_utf8(bytes)
            .map_err(|e| Error::value(what, offset, "UTF-8 text", alloc::format!("{e}")))
    }
}
