//! What the tests share: tokenizers from the data folder and llama.cpp's test vectors.

use llamaboot_checkpoint::gguf::Gguf;
use llamaboot_tokenizer::{StreamDecoder, Tokenizer};

/// The tokenizer of a GGUF's bytes.
pub(crate) fn tokenizer(gguf: &[u8]) -> Tokenizer {
    Tokenizer::from_metadata(&Gguf::parse(gguf, gguf.len() as u64).unwrap()).unwrap()
}

/// The tokenizer of a GGUF in the data folder.
pub(crate) fn gguf(file: &str) -> Option<Tokenizer> {
    Some(tokenizer(&llamaboot_test_support::read(file)?))
}

/// SmolLM2's tokenizer, from the GGUF that `LLAMABOOT_SMOLLM2` names or setup has fetched.
pub(crate) fn smollm2() -> Option<Tokenizer> {
    let path = std::env::var_os("LLAMABOOT_SMOLLM2").map(Into::into);
    Some(tokenizer(&std::fs::read(path.or_else(llamaboot_test_support::smollm2)?).unwrap()))
}

/// llama2.c's tokenizer for stories260K.
pub(crate) fn stories() -> Option<Tokenizer> {
    let file = llamaboot_test_support::read("stories260K/tok512.bin")?;
    Some(Tokenizer::from_llama2c(&file, 512).unwrap())
}

/// llama2.c's tokenizer for Llama 2.
pub(crate) fn llama2() -> Option<Tokenizer> {
    let file = llamaboot_test_support::read("tokenizers/llama2_tokenizer.bin")?;
    Some(Tokenizer::from_llama2c(&file, 32000).unwrap())
}

/// llama.cpp's test vectors: texts and their ids.
pub(crate) fn vectors(texts: &str, ids: &str) -> Option<Vec<(String, Vec<u32>)>> {
    let read = |file| String::from_utf8(llamaboot_test_support::read(file)?).ok();
    let (texts, ids) = (read(texts)?, read(ids)?);
    let ids = ids.lines().map(|line| line.split_whitespace().map(|id| id.parse().unwrap()));
    let ids: Vec<Vec<u32>> = ids.map(Iterator::collect).collect();
    let mut texts: Vec<String> = texts.split("\n__ggml_vocab_test__\n").map(String::from).collect();
    assert_eq!(texts.pop().as_deref(), Some(""), "the last text ends with a separator as well");
    assert_eq!(texts.len(), ids.len());
    Some(texts.into_iter().zip(ids).collect())
}

/// The text of `ids` as it is printed after `prev`.
pub(crate) fn decode(tokenizer: &Tokenizer, prev: Option<u32>, ids: &[u32]) -> String {
    let mut decoder = StreamDecoder::new(prev);
    let mut text = String::new();
    for &id in ids {
        decoder.push(tokenizer, id, &mut text);
    }
    decoder.finish(&mut text);
    text
}
