//! What can be wrong with a conversion. Each message is one line: where, what, expected, found.

use llamaboot_tokenizer::MetadataError;
use std::io;
use std::path::{Path, PathBuf};

/// Why a model cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system's fault; the message names the file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A fault of a `.bin` or a GGUF.
    #[error(transparent)]
    Checkpoint(#[from] llamaboot_checkpoint::Error),
    /// A fault of a tokenizer.bin.
    #[error(transparent)]
    Tokenizer(#[from] llamaboot_tokenizer::Error),
    /// A value that cannot be, or that the format to be written cannot hold.
    #[error("{what}: expected {expected}, found {found}")]
    Value {
        /// Which, with the file where there is one.
        what: String,
        /// What is allowed.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A fault of a file with a name.
    #[error("{path}: {fault}", path = path.display())]
    In {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: Box<Error>,
    },
    /// The model does not fit this machine.
    #[error("the weights as f32: no memory for {bytes} bytes")]
    Memory {
        /// How many were asked for.
        bytes: u64,
    },
}

impl From<MetadataError> for Error {
    fn from(error: MetadataError) -> Self {
        match error {
            MetadataError::Metadata(error) => Self::Checkpoint(error),
            MetadataError::Vocabulary(error) => Self::Tokenizer(error),
        }
    }
}

impl Error {
    /// An [`Error::Value`]; texts may come from a file.
    pub(crate) fn value(what: &str, expected: &str, found: impl ToString) -> Self {
        let (what, found) = (one_line(what), one_line(&found.to_string()));
        Self::Value { what, expected: one_line(expected), found }
    }

    /// The same with the file's name in front, where it does not have one already.
    pub(crate) fn within(self, path: &Path) -> Self {
        match self {
            Self::Value { what, expected, found } => {
                Self::Value { what: format!("{}: {what}", path.display()), expected, found }
            }
            Self::Checkpoint(_) | Self::Tokenizer(_) => {
                Self::In { path: path.into(), fault: Box::new(self) }
            }
            Self::Io(_) | Self::In { .. } | Self::Memory { .. } => self,
        }
    }
}

/// The same fault with the file's name in front.
pub(crate) fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Text fit for one line on any terminal: control characters escaped, cut where it is long.
fn one_line(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    let escape = |c: char| {
        if c.is_control() { c.escape_default().to_string() } else { String::from(c) }
    };
    let mut line: String = text.chars().take(MAX_CHARS).map(escape).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        line.push_str("...");
    }
    line
}
