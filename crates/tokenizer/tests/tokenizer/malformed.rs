//! GGUF vocabularies that are refused, each with a message that says what to look at.

use llamaboot_tokenizer::{Error, GgufVocab, Special, Tokenizer};

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
