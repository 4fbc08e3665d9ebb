//! `tokenizer train`: learns a vocabulary from a text and writes it as tokenizer.bin.

use crate::corpus::read_corpus;
use crate::progress::bar;
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use llamaboot_convert::write_atomically;
use llamaboot_tokenizer::{Special, Tokenizer, TrainOptions, train, training_part};
use std::io::{self, Write as _};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum TokenizerCommand {
    /// Learn a vocabulary from a text: SentencePiece's BPE with byte fallback
    Train(Train),
}

#[derive(Args)]
pub(crate) struct Train {
    /// A UTF-8 file, or a folder of .txt files
    #[arg(long, value_name = "TEXT")]
    data: PathBuf,
    /// Tokens in all: 3 special ones, 256 bytes, the text's characters, and the rest merges
    #[arg(long, value_name = "N")]
    vocab: usize,
    /// Where the vocabulary goes, in llama2.c's format
    #[arg(short, long, value_name = "FILE", default_value = "tokenizer.bin")]
    output: PathBuf,
    /// Learn from the whole text [default: the first nine tenths, as `train` does]
    #[arg(long)]
    whole: bool,
}

/// Runs one of the commands.
pub(crate) fn run(command: &TokenizerCommand) -> Result<()> {
    let TokenizerCommand::Train(args) = command;
    let text = read_corpus(&args.data)?;
    let (training, validation) = match args.whole {
        true => (text.as_str(), ""),
        false => training_part(&text),
    };
    let mut progress = None;
    let pieces = train(training, args.vocab, TrainOptions::default(), &mut |done, all| {
        progress.get_or_insert_with(|| bar(all as u64, Some("merges"))).set_position(done as u64);
    });
    progress.inspect(|bar| bar.finish_and_clear());
    let pieces = pieces.with_context(|| args.data.display().to_string())?;
    let tokenizer = Tokenizer::from_pieces(&pieces)?;
    let name = || args.output.display().to_string();
    let bytes = pieces.to_llama2c();
    write_atomically::<io::Error>(&args.output, |out| out.write_all(&bytes))?;
    let mut summary = format!("{}: {} tokens", name(), pieces.0.len());
    for (part, what) in [(training, "learned from"), (validation, "kept for validation")] {
        if part.is_empty() {
            continue;
        }
        let (chars, tokens) = (part.chars().count(), tokenizer.encode(part, Special::Plain).len());
        let ratio = chars as f64 / tokens as f64;
        summary += &format!(", {ratio:.2} characters per token on the {chars} {what}");
    }
    Ok(writeln!(std::io::stdout(), "{summary}")?)
}
