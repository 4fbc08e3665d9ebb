//! One module for each command.

mod bench;
mod chat;
pub(crate) mod convert;
mod generate;
mod image;
mod inspect;
mod logits;
mod perplexity;
mod tokenize;
mod train;

pub(crate) use train::{DeviceName, Train, TrainType};
pub(crate) mod tokenizer;

use crate::args::Command;
use anyhow::Result;

/// Runs a command.
pub(crate) fn run(command: Command) -> Result<()> {
    match command {
        Command::Generate(args) => generate::run(&args),
        Command::Chat(args) => chat::run(&args),
        Command::Logits(args) => logits::run(&args),
        Command::Tokenize(args) => tokenize::run(&args),
        Command::Tokenizer(command) => tokenizer::run(&command),
        Command::Inspect(args) => inspect::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Perplexity(args) => perplexity::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Image(args) => image::run(&args),
        Command::Train(args) => train::run(&args),
    }
}
