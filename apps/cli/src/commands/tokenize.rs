//! `tokenize`: text to ids, with any GGUF's vocabulary, a tokenizer.bin or a tokenizer.model.

use crate::args::{ModelFile, Tokenize};
use crate::mmap::map;
use crate::model::{Loaded, read_text, tell_notes};
use anyhow::{Context as _, Result, bail};
use llamaboot_checkpoint::gguf::Gguf;
use llamaboot_tokenizer::{Special, Tokenizer};
use serde_json::json;
use std::io::Write as _;
use std::path::Path;

pub(crate) fn run(args: &Tokenize) -> Result<()> {
    let tokenizer = open(&args.model)?;
    let text = match (&args.text, &args.file) {
        (Some(text), _) => text.clone(),
        (None, Some(file)) => read_text(file)?,
        (None, None) => bail!("nothing to encode: give --text or --file"),
    };
    let special = if args.special { Special::Parse } else { Special::Plain };
    let mut tokens: Vec<u32> = tokenizer.bos().filter(|_| args.bos).into_iter().collect();
    tokens.extend(tokenizer.encode(&text, special));
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", json!({"tokens": tokens}))?;
        return Ok(());
    }
    for token in tokens {
        let bytes = tokenizer.token_bytes(token).unwrap_or_default();
        writeln!(out, "{token:>6}  {:?}", String::from_utf8_lossy(bytes))?;
    }
    Ok(())
}

/// A GGUF needs no tensors and may be of any architecture; a `.bin` is a tokenizer unless it is a
/// model, whose tokenizer then lies beside it.
fn open(path: &Path) -> Result<Tokenizer> {
    let bytes = map(path)?;
    let name = || path.display().to_string();
    if bytes.starts_with(b"GGUF") {
        let gguf = Gguf::parse(bytes, bytes.len() as u64).with_context(name)?;
        return Tokenizer::from_metadata(&gguf).with_context(name);
    }
    let file = ModelFile { model: path.to_path_buf(), tokenizer: None };
    match Loaded::open(&file) {
        Ok(model) => model.tokenizer(),
        Err(_) => {
            let tokenizer = Tokenizer::from_file_alone(bytes).with_context(name)?;
            tell_notes(path, &tokenizer);
            Ok(tokenizer)
        }
    }
}
