//! What can be wrong with a model file. Each message says where, what was expected and what was
//! found; the shells put the file's name in front.

use alloc::string::String;

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
    /// A [`Error::Value`] from anything that prints.
    pub(crate) fn value(
        what: impl Into<String>,
        offset: u64,
        expected: impl Into<String>,
        found: impl alloc::string::ToString,
    ) -> Self {
        Self::Value {
            what: what.into(),
            offset,
            expected: expected.into(),
            found: found.to_string(),
        }
    }
}
