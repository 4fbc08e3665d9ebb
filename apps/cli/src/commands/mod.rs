//! One module for each command.

mod bench;
mod chat;
mod generate;
mod image;
mod inspect;
mod logits;
mod perplexity;
mod tokenize;

use crate::args::Command;
use anyhow::Result;

/// Runs a command.
pub(crate) fn run(command: Command) -> Result<()> {
    match command {
        Command::Generate(args) => generate::run(&args),
        Command::Chat(args) => chat::run(&args),
        Command::Logits(args) => logits::run(&args),
        Command::Tokenize(args) => tokenize::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Perplexity(args) => perplexity::run(&args),
        Command::Image(args) => image::run(&args),
    }
}
