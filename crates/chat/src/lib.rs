//! The conversation at the prompt, the same on a booted stick and in a terminal.
//!
//! ```text
//! bytes of a terminal ─ KeyDecoder ─▶ Key ─ LineEditor ─▶ line ─┬─ Command ─▶ answer
//!                                                               └─ Template ─ generate ─▶ text
//! ```
//! Both shells provide a [`Console`] and a [`Clock`]; this crate knows text and tokens, never
//! UEFI and never a host.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bench;
mod commands;
mod console;
mod generate;
mod grammar;
pub mod keyboard;
mod keys;
mod line_editor;
mod menu;
mod model_files;
mod progress;
pub mod screen;
mod session;
mod settings;
mod template;

pub use bench::{BenchReport, bench};
pub use console::{Clock, Console, Key};
pub use generate::{Ending, Generated, Generator, Sink, Stop, base_prompt};
pub use grammar::{Grammar, GrammarError, GrammarState, MAX_GRAMMAR_BYTES, MAX_GRAMMAR_STEPS};
pub use keys::KeyDecoder;
pub use line_editor::{LineEnd, read_line};
pub use menu::{MenuItem, choose};
pub use model_files::{is_model_name, template_for, tokenizer_for, tokenizer_names};
pub use progress::{Progress, bytes_text};
pub use session::{Exit, ModelInfo, Session, without_controls};
pub use settings::{SETTING_NAMES, Settings};
pub use template::Template;
