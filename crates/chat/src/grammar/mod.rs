//! Grammars that a text has to keep to, in llama.cpp's GBNF.
//!
//! ```text
//! source ─ parse ─▶ rules ─ compile: checks, then ─▶ program ─ machine ─▶ may this piece follow?
//!                                                       └─── ends ──────▶ how to end from here?
//!
//! rule     = name "::=" choice                    the text is one `root`
//! choice   = sequence ("|" sequence)*             a new line may follow "|" and "::="
//! sequence = (symbol repeat?)*                    and any blank inside parentheses
//! symbol   = "text" | [class] | [^class] | . | name | (choice)
//! repeat   = * | + | ? | {m} | {m,} | {m,n}
//! escapes    \n \r \t \\ \" \[ \] \- \^ \xHH \uHHHH \UHHHHHHHH;    "# …" is a comment
//! ```
//! Symbols are characters, never bytes: `\xe9` is é. Not built in is llama.cpp's `<token>`. What
//! llama.cpp lets pass and cannot be meant is refused: empty classes, backward ranges, rules that
//! are given twice, a new line inside quotes, a repetition of a repetition without parentheses.

mod class;
mod compile;
mod ends;
mod json;
mod machine;
mod parse;
mod seen;
mod stacks;

pub use machine::GrammarState;

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use machine::Program;

/// The longest source, in bytes.
pub const MAX_GRAMMAR_BYTES: usize = 64 << 10;

/// The most steps that a grammar may have once repetitions are written out.
pub const MAX_GRAMMAR_STEPS: usize = 64 << 10;

/// A parsed grammar, checked: every rule it names exists, there is no left recursion, some text is
/// complete, and its size is bounded. Clones share what they hold.
#[derive(Debug, Clone)]
pub struct Grammar {
    program: Arc<Program>,
}

impl Grammar {
    /// Reads GBNF.
    ///
    /// # Errors
    /// The first thing that is wrong, and its line.
    pub fn parse(source: &str) -> Result<Self, GrammarError> {
        let program = compile::compile(parse::parse(source)?)?;
        Ok(Self { program: Arc::new(program) })
    }

    /// JSON by RFC 8259, an object or an array, with few blanks and numbers of bounded length, so
    /// that a model cannot go on with either for ever. After the last bracket nothing may follow.
    #[must_use]
    pub fn json() -> Self {
        match Self::parse(json::SOURCE) {
            Ok(grammar) => grammar,
            Err(error) => unreachable!("built-in grammar: {error}"),
        }
    }
}

/// Why a grammar is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrammarError {
    /// The line in which it is wrong, from 1.
    pub line: usize,
    /// What would have been right.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl fmt::Display for GrammarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "grammar: line {}: expected {}, found {}", self.line, self.expected, self.found)
    }
}

impl core::error::Error for GrammarError {}
