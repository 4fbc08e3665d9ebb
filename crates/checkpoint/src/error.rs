//! What can be wrong with a model file. Each message says where, what was expected and what was
//! found; the shells put the file's name in front.

use alloc::string::{String, ToString};

/// A fault of a model file. Offsets count bytes from the start of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file ends before something that must be there.
    #[error("byte {offset}: {what} needs {need} bytes, the file has {have} there")]
    Truncated {
        /// What was being read.
        what: String,
        /// Where it starts.
        offset: u64,
        /// Bytes it needs.
        need: u64,
        /// Bytes the file has from there on.
        have: u64,
    },
    /// Only the first part of the file was given and the header goes on behind it.
    #[error("byte {offset}: the header goes on past the {have} bytes read so far")]
    NeedMore {
        /// Where the next thing starts.
        offset: u64,
        /// Bytes given.
        have: u64,
    },
    /// A number or name is not what it can be.
    #[error("byte {offset}: {what}: expected {expected}, found {found}")]
    Value {
        /// Which field.
        what: String,
        /// Where it stands.
        offset: u64,
        /// What is allowed.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A metadata key or a tensor that every model of this kind has is not there.
    #[error("{what} is missing")]
    Missing {
        /// Which.
        what: String,
    },
    /// A tensor lies across two memory regions (a fault of the loader, not of the file).
    #[error("byte {offset}: {what} ({need} bytes) is not held in one memory region")]
    Split {
        /// Which tensor.
        what: String,
        /// Where it starts.
        offset: u64,
        /// Its length in bytes.
        need: u64,
    },
}

impl Error {
    /// A [`Error::Value`] from anything that prints. Names and values may come from the file.
    pub(crate) fn value(
        what: impl Into<String>,
        offset: u64,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        let (what, found) = (printable(&what.into()), printable(&found.to_string()));
        Self::Value { what, offset, expected: expected.into(), found }
    }
}

/// Text from a file, fit for one line on any terminal: control characters escaped, and cut where
/// it is long.
pub(crate) fn printable(text: &str) -> String {
    const MAX_CHARS: usize = 120;
    let mut out: String = text.chars().flat_map(escape).take(MAX_CHARS).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        out.push_str("...");
    }
    out
}

fn escape(c: char) -> impl Iterator<Item = char> {
    let plain = (!c.is_control()).then_some(c);
    plain.into_iter().chain(c.escape_default().filter(move |_| plain.is_none()))
}
