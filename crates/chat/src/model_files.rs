//! Which files are models, which tokenizer belongs to one, and how it is read: the same rules on
//! the stick and on a host.

use crate::Template;
use alloc::{format, string::String, string::ToString};
use llamaboot_checkpoint::Header;
use llamaboot_tokenizer::Tokenizer;

/// Whether a file of this name is taken for a model: `.gguf`, or `.bin` that is no tokenizer.
#[must_use]
pub fn is_model_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // macOS leaves ._ files on every FAT volume that it writes to.
    let hidden = name.starts_with('.');
    let tokenizer = name == "tokenizer.bin" || name.ends_with(".tokenizer.bin");
    !hidden && (name.ends_with(".gguf") || (name.ends_with(".bin") && !tokenizer))
}

/// Where the tokenizer of a llama2.c model is looked for, in its folder, in this order.
#[must_use]
pub fn tokenizer_names(model: &str) -> [String; 2] {
    let stem = model
        .get(..model.len().saturating_sub(4))
        .filter(|_| model.to_ascii_lowercase().ends_with(".bin"));
    [format!("{}.tokenizer.bin", stem.unwrap_or(model)), "tokenizer.bin".to_string()]
}

/// The tokenizer of a model: from the GGUF itself, or, for llama2.c models, from the bytes of its
/// `tokenizer.bin` or `tokenizer.model`.
///
/// # Errors
/// One line: no tokenizer, or one that is malformed or of another size than the model's vocabulary.
pub fn tokenizer_for(header: &Header<'_>, bin: Option<&[u8]>) -> Result<Tokenizer, String> {
    if let Some(gguf) = &header.gguf {
        return Tokenizer::from_metadata(gguf).map_err(|e| e.to_string());
    }
    let bytes = bin.ok_or("no tokenizer: put its tokenizer.bin beside the model")?;
    let vocab_size = header.config.vocab_size;
    Tokenizer::from_file(bytes, vocab_size).map_err(|e| format!("its tokenizer: {e}"))
}

/// The chat template of a model, and a line to show where it has one that is not known.
#[must_use]
pub fn template_for(
    header: &Header<'_>,
    tokenizer: &Tokenizer,
) -> (Option<Template>, Option<&'static str>) {
    match header.gguf.as_ref().map(|gguf| Template::of(gguf, tokenizer)) {
        None => (None, None),
        Some(Ok(template)) => (template, None),
        Some(Err(message)) => (None, Some(message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_and_tokenizers_are_told_apart() {
        for name in ["stories15M.bin", "SmolLM2.Q4_1.gguf", "MODEL.GGUF", "tok512.bin"] {
            assert!(is_model_name(name), "{name}");
        }
        for name in
            ["tokenizer.bin", "stories15M.tokenizer.bin", "readme.txt", "._stories.bin", "gguf"]
        {
            assert!(!is_model_name(name), "{name}");
        }
    }

    #[test]
    fn a_tokenizer_of_its_own_comes_first() {
        assert_eq!(
            tokenizer_names("stories15M.bin"),
            ["stories15M.tokenizer.bin", "tokenizer.bin"]
        );
    }
}
