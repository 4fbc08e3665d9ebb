//! GGUF vocabularies that are refused, each with a message that says what to look at.

use llamaboot_checkpoint::gguf::Gguf;
use llamaboot_test_support::read;
use llamaboot_tokenizer::{Error, GgufVocab, Special, Tokenizer};
use proptest::prelude::*;

/// A vocabulary that works: three tokens, one merge.
fn vocab(model: &str) -> GgufVocab<'_> {
    GgufVocab {
        model,
        pre: "gpt-2",
        tokens: vec![b"a", b"b", b"ab"],
        scores: Some(vec![-1.0, -2.0, -3.0]),
        merges: Some(vec![b"a b"]),
        ..GgufVocab::default()
    }
}

fn refused(vocab: &GgufVocab) -> String {
    Tokenizer::from_gguf(vocab).unwrap_err().to_string()
}

#[test]
fn the_smallest_vocabularies_work() {
    for (model, expected) in [("llama", [0, 2].as_slice()), ("gpt2", &[2, 0])] {
        let mut vocab = vocab(model);
        vocab.add_space_prefix = Some(false);
        let tokenizer = Tokenizer::from_gguf(&vocab).unwrap();
        let text = if model == "llama" { "aab" } else { "aba" };
        assert_eq!(tokenizer.encode(text, Special::Plain), expected, "{model}");
    }
}

#[test]
fn unknown_names_list_what_is_supported() {
    let error = refused(&vocab("bert"));
    assert_eq!(error, "tokenizer.ggml.model: expected one of \"llama\", \"gpt2\", found \"bert\"");
    let error = refused(&GgufVocab { pre: "tekken", ..vocab("gpt2") });
    assert!(error.starts_with("tokenizer.ggml.pre: expected one of default, gpt-2,"), "{error}");
    assert!(error.ends_with("found \"tekken\""), "{error}");
}

#[test]
fn missing_keys_are_named() {
    let error = refused(&GgufVocab { scores: None, ..vocab("llama") });
    let because = "expected, because tokenizer.ggml.model is \"llama\", found nothing";
    assert_eq!(error, format!("tokenizer.ggml.scores: {because}"));
    let error = Tokenizer::from_gguf(&GgufVocab { merges: None, ..vocab("gpt2") }).unwrap_err();
    assert_eq!(error, Error::MissingKey { key: "tokenizer.ggml.merges", model: "gpt2" });
}

#[test]
fn arrays_have_one_entry_a_token() {
    let error = refused(&GgufVocab { scores: Some(vec![0.0]), ..vocab("llama") });
    assert_eq!(error, "tokenizer.ggml.scores: expected 3 entries, one a token, found 1");
    let error = refused(&GgufVocab { token_types: Some(vec![1; 4]), ..vocab("gpt2") });
    assert_eq!(error, "tokenizer.ggml.token_type: expected 3 entries, one a token, found 4");
    let error = refused(&GgufVocab { tokens: vec![], ..vocab("llama") });
    assert_eq!(error, "tokenizer.ggml.tokens: expected from 1 to 1048576 tokens, found 0");
}

#[test]
fn ids_are_in_the_vocabulary() {
    let error = refused(&GgufVocab { eos: Some(3), ..vocab("gpt2") });
    assert_eq!(error, "tokenizer.ggml.eos_token_id: expected a token id below 3, found 3");
    let none = GgufVocab { eos: Some(u32::MAX), ..vocab("gpt2") };
    assert_eq!(Tokenizer::from_gguf(&none).unwrap().eos(), None, "-1 is converters' \"none\"");
}

#[test]
fn tokens_and_merges_are_what_they_should_be() {
    let long = vec![b'a'; 4097];
    let error = refused(&GgufVocab { tokens: vec![b"a", &long, b"b"], ..vocab("gpt2") });
    assert_eq!(error, "tokenizer.ggml.tokens, token 1: expected at most 4096 bytes, found 4097");
    let error = refused(&GgufVocab { merges: Some(vec![b"a b", b"ab"]), ..vocab("gpt2") });
    assert_eq!(
        error,
        "tokenizer.ggml.merges, entry 1: expected two texts and a space, found \"ab\""
    );
    let error = refused(&GgufVocab { scores: Some(vec![0.0, f32::NAN, 0.0]), ..vocab("llama") });
    assert_eq!(error, "tokenizer.ggml.scores, token 1: expected a number as score, found NaN");
}

/// A tokenizer that was made of a damaged file either works on any text, or was refused.
fn try_it(tokenizer: Result<Tokenizer, impl std::fmt::Display>) {
    match tokenizer {
        Ok(tokenizer) => {
            let ids = tokenizer.encode("Hello <s>, it's été 🦙\n", Special::Parse);
            assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
        }
        Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{error}"),
    }
}

/// More than the header of the GGUF that is mutated below.
const HEADER: usize = 24 * 1024;

#[test]
fn the_file_that_is_mutated_works_as_it_is() {
    let Some(bytes) = read("stories260K/gguf/stories260K-q4_0.gguf") else { return };
    let gguf = Gguf::parse(&bytes[..HEADER], HEADER as u64).unwrap();
    assert_eq!(Tokenizer::from_metadata(&gguf).unwrap().vocab_size(), 512);
}

proptest! {
    /// Real files, overwritten at some places and cut short.
    #[test]
    fn mutated_files_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        keep in any::<prop::sample::Index>(),
        cut in any::<bool>(),
        gguf in any::<bool>(),
    ) {
        let file = if gguf { "stories260K/gguf/stories260K-q4_0.gguf" } else { "stories260K/tok512.bin" };
        let Some(mut bytes) = read(file) else { return Ok(()) };
        // Behind its header a GGUF is weights, which no tokenizer reads.
        bytes.truncate(HEADER);
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut {
            bytes.truncate(keep.index(bytes.len()));
        }
        if !gguf {
            try_it(Tokenizer::from_llama2c(&bytes, 512));
            try_it(Tokenizer::from_file_alone(&bytes));
        } else if let Ok(gguf) = Gguf::parse(&bytes, bytes.len() as u64) {
            try_it(Tokenizer::from_metadata(&gguf));
        }
    }
}
