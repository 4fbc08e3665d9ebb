//! The same ids and text as llama2.c, and clear errors for tokenizers that do not fit.

use crate::common::{self, decode};
use llamaboot_tokenizer::{Error, Special, Tokenizer};

/// A tokenizer.bin with these pieces and scores.
fn tokenizer_bin(tokens: &[(&[u8], f32)]) -> Vec<u8> {
    let mut file = 27_u32.to_le_bytes().to_vec();
    for (text, score) in tokens {
        file.extend(score.to_le_bytes());
        file.extend((text.len() as u32).to_le_bytes());
        file.extend(*text);
    }
    file
}

/// llama2.c's own run: the ids that went into the model, and what it printed.
#[test]
fn a_greedy_run_decodes_to_the_text_that_llama2c_printed_and_back() {
    let Some(tokenizer) = common::stories() else { return };
    let read = |file: &str| String::from_utf8(llamaboot_test_support::read(file)?).ok();
    let Some(ids) = read("stories260K/expected_greedy_tokens_n256.txt") else { return };
    let Some(text) = read("stories260K/expected_greedy_n256.txt") else { return };
    let ids: Vec<u32> = ids.split_whitespace().map(|id| id.parse().unwrap()).collect();
    let (bos, ids) = ids.split_first().unwrap();
    assert_eq!(Some(*bos), tokenizer.bos());

    // The last id was printed but not fed: it is "." and then the run ends with a newline.
    let printed = decode(&tokenizer, Some(*bos), ids);
    assert_eq!(format!("{printed}.\n"), text);
    assert_eq!(tokenizer.encode(&printed, Special::Plain), ids);
}

#[test]
fn llama2c_conventions() {
    let Some(tokenizer) = common::stories() else { return };
    assert_eq!(tokenizer.kind(), "llama2.c BPE");
    assert_eq!(tokenizer.vocab_size(), 512);
    assert!(tokenizer.adds_bos());
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(1), Some(2)));
    // generate() stops at BOS only and prints EOS; chat() ends an answer at EOS.
    assert!(tokenizer.is_text_end(1) && !tokenizer.is_text_end(2));
    assert!(tokenizer.is_end(1) && tokenizer.is_end(2));
    assert_eq!(tokenizer.decode_piece(Some(403), 2), b"\n</s>\n");
    assert_eq!(tokenizer.control_id("</s>"), Some(2));
    assert_eq!(tokenizer.encode("", Special::Plain), []);
    // Byte tokens: 3 + 0xF0, 0x9F, 0xA6, 0x99.
    let llama = tokenizer.encode("🦙", Special::Plain);
    assert!(llama.ends_with(&[0xf3, 0xa2, 0xa9, 0x9c]), "{llama:?}");
    assert_eq!(decode(&tokenizer, Some(1), &llama), "🦙");
}

/// A character that has no token of its own stays apart, even if a longer token contains it.
#[test]
fn llama2c_merges_no_character_without_a_token() {
    let file =
        tokenizer_bin(&[(b"<unk>", 0.0), (b" ", -1.0), ("é!".as_bytes(), -1.0), (b"!", -1.0)]);
    let tokenizer = Tokenizer::from_llama2c(&file, 4).unwrap();
    // The two bytes of é have no tokens in so small a vocabulary, so they are <unk>.
    assert_eq!(tokenizer.encode("é!", Special::Plain), [1, 0, 0, 3]);
}

#[test]
fn a_tokenizer_for_another_model_is_refused() {
    let Some(file) = llamaboot_test_support::read("stories260K/tok512.bin") else { return };
    let error = Tokenizer::from_llama2c(&file, 32000).unwrap_err();
    assert_eq!(error, Error::Truncated { token: 512, offset: 6227, expected: 32000 });
    assert_eq!(
        error.to_string(),
        "tokenizer.bin: ends at byte 6227 in token 512: expected 32000 tokens, found 512; the \
         tokenizer belongs to a smaller model, or the file is cut short"
    );
    let error = Tokenizer::from_llama2c(&file, 511).unwrap_err();
    let (offset, extra) = (6227 - 11, 11);
    assert_eq!(error, Error::TrailingBytes { offset, tokens: 511, extra });
    for len in 0..file.len() {
        let error = Tokenizer::from_llama2c(&file[..len], 512).unwrap_err();
        assert!(matches!(error, Error::Truncated { .. }), "{len}: {error}");
    }
}

#[test]
fn odd_lengths_and_scores_are_refused() {
    let negative = [&[0; 8], (-1_i32).to_le_bytes().as_slice()].concat();
    let error = Tokenizer::from_llama2c(&negative, 1).unwrap_err();
    assert_eq!(error, Error::TokenLength { token: 0, offset: 8, max: 4096, found: -1 });
    let empty = tokenizer_bin(&[(b"", 0.0)]);
    let error = Tokenizer::from_llama2c(&empty, 1).unwrap_err();
    assert_eq!(error, Error::TokenLength { token: 0, offset: 8, max: 4096, found: 0 });
    let nan = tokenizer_bin(&[(b"a", 0.0), (b"b", f32::NAN)]);
    let error = Tokenizer::from_llama2c(&nan, 2).unwrap_err();
    assert_eq!(error, Error::Score { what: "tokenizer.bin", token: 1 });
    for vocab_size in [0, usize::MAX] {
        let error = Tokenizer::from_llama2c(&nan, vocab_size).unwrap_err();
        assert!(matches!(error, Error::TokenCount { .. }), "{error}");
    }
}
