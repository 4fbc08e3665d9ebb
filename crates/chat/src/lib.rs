//! The conversation at the prompt, the same on a booted stick and in a terminal.
//!
//! ```text
//! bytes of a terminal ─ KeyDecoder ─▶ Key ─ read_input ─▶ line ─┬─ command ─▶ answer
//! firmware's keys ───── Typist ─────▶                           └─ Template ─ generate ─▶ text
//! ```
//! Both shells provide a [`Console`], a [`Clock`] and a [`Storage`]; this crate knows text and
//! tokens, never UEFI and never a host. [`Screen`] is the console of a machine that has nothing
//! but pixels.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bench;
mod chats;
mod commands;
mod config;
mod console;
mod conversation;
mod editor;
mod generate;
mod grammar;
mod keyboard;
mod keys;
mod menu;
mod model_files;
mod pace;
mod progress;
mod qr;
mod screen;
mod session;
mod settings;
mod storage;
mod template;
pub mod text;

pub use bench::{BenchReport, bench};
pub use chats::{CHATS_BYTES, CHATS_FILE};
pub use config::{CONFIG_FILE, Config, MAX_CONFIG_BYTES, SAMPLE_CONFIG};
pub use console::{Clock, Console, Key, Status, Style, interruption, queue_key};
pub use editor::{History, Input, read_input};
pub use generate::{Ending, Generated, Generator, Sink, Stop, base_prompt};
pub use grammar::{Grammar, GrammarError, GrammarState, MAX_GRAMMAR_BYTES, MAX_GRAMMAR_STEPS};
pub use keyboard::{Layout, Typed, Typist};
pub use keys::KeyDecoder;
pub use menu::{MenuItem, choose, starts_by_itself};
pub use model_files::{is_model_name, template_for, tokenizer_for, tokenizer_names};
pub use progress::{Progress, bytes_text};
pub use screen::{Screen, Surface, Theme};
pub use session::{Chat, Exit, ModelInfo, Session, without_controls};
pub use settings::{Choice, Format, Settings};
pub use storage::{NoStorage, Storage, StorageError};
pub use template::Template;
pub use text::{Language, Text};
