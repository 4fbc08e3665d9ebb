//! What holds for every text and every file. proptest prints the seed of a failure and keeps it in
//! proptest-regressions/.

use std::sync::LazyLock;

use crate::common::{self, decode};
use llamaboot_tokenizer::{GgufVocab, Special, StreamDecoder, Tokenizer};
use proptest::prelude::*;

static LLAMA2C: LazyLock<Option<Tokenizer>> = LazyLock::new(common::llama2);
static SENTENCEPIECE: LazyLock<Option<Tokenizer>> =
    LazyLock::new(|| common::gguf("gguf-vocab/ggml-vocab-llama-spm.gguf"));
static GPT2: LazyLock<Option<Tokenizer>> =
    LazyLock::new(|| common::gguf("gguf-vocab/ggml-vocab-gpt-2.gguf"));

const ODDITIES: &[&str] = &["<s>", "</s>", "<|endoftext|>", "<0x41>", "🦙", "e\u{301}"];

/// Texts with what tokenizers care about, and any other character now and then.
fn texts() -> impl Strategy<Value = String> {
    let unit = prop_oneof![
        4 => "[a-zA-Z]{1,6}",
        3 => "[ \t\r\n]{1,4}",
        2 => "[0-9]{1,4}",
        2 => "'(s|t|re|ve|m|ll|d|S|LL)",
        2 => "\\PC",
        1 => any::<char>().prop_map(String::from),
        1 => prop::sample::select(ODDITIES).prop_map(String::from),
    ];
    prop::collection::vec(unit, 0..20).prop_map(|units| units.concat())
}

/// The text comes back, and decoding in one go gives the same as token by token.
fn round_trip(tokenizer: &Option<Tokenizer>, text: &str) {
    let Some(tokenizer) = tokenizer else { return };
    let ids = tokenizer.encode(text, Special::Plain);
    assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
    assert!(!ids.iter().any(|&id| tokenizer.is_control(id)), "no control token from plain text");
    assert_eq!(decode(tokenizer, tokenizer.bos(), &ids), text);
    tokenizer.encode(text, Special::Parse);
}

proptest! {
    #[test]
    fn llama2c_gives_every_text_back(text in texts()) {
        round_trip(&LLAMA2C, &text);
    }

    #[test]
    fn sentencepiece_gives_every_text_back(text in texts()) {
        // It has one character for a space and for U+2581.
        round_trip(&SENTENCEPIECE, &text.replace('\u{2581}', " "));
    }

    #[test]
    fn byte_level_gives_every_text_back(text in texts()) {
        round_trip(&GPT2, &text);
    }

    /// Whatever ids a model picks, what is printed is what the bytes are, read leniently.
    #[test]
    fn any_ids_decode_as_their_bytes_do(ids in prop::collection::vec(0_u32..60_000, 0..30)) {
        for tokenizer in [&*LLAMA2C, &*SENTENCEPIECE, &*GPT2].into_iter().flatten() {
            let mut bytes = Vec::new();
            let mut prev = None;
            for &id in &ids {
                bytes.extend_from_slice(tokenizer.decode_piece(prev, id));
                prev = Some(id);
            }
            prop_assert_eq!(decode(tokenizer, None, &ids), String::from_utf8_lossy(&bytes));
        }
    }

    /// Byte tokens one by one: each incomplete character is held back, each invalid one replaced.
    #[test]
    fn any_bytes_decode_as_the_standard_library_does(
        bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), 0x80_u8..=0xbf, 0xe0_u8..=0xf4, Just(b'a')],
            0..24,
        ),
    ) {
        let Some(tokenizer) = &*LLAMA2C else { return Ok(()) };
        let ids: Vec<u32> = bytes.iter().map(|&byte| u32::from(byte) + 3).collect();
        prop_assert_eq!(decode(tokenizer, None, &ids), String::from_utf8_lossy(&bytes));
        let mut decoder = StreamDecoder::new(None);
        for &id in &ids {
            let mut text = String::new();
            decoder.push(tokenizer, id, &mut text);
            prop_assert!(text.len() <= 12, "at most four characters become certain at once");
        }
    }

    #[test]
    fn no_tokenizer_bin_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        lens in prop::collection::vec(0_u8..8, 20),
        size in 0_usize..20,
    ) {
        let mut bytes = bytes;
        // Purely random lengths are nearly always refused; make some of them plausible.
        let mut at = 8;
        for len in lens {
            let Some(field) = bytes.get_mut(at..at + 4) else { break };
            field.copy_from_slice(&[len, 0, 0, 0]);
            at += 8 + usize::from(len);
        }
        if let Ok(tokenizer) = Tokenizer::from_llama2c(&bytes, size) {
            tokenizer.encode("some text", Special::Parse);
        }
    }

    /// Vocabularies of short random pieces, so that pieces collide, overlap and lack characters.
    #[test]
    fn small_random_vocabularies_never_panic(
        pieces in prop::collection::vec(("[abé ▁<>]{0,4}", -3_i32..3, 0_i32..8), 1..40),
        merges in prop::collection::vec("[abĠ]{1,2} [abĠ]{1,2}", 0..20),
        model in prop::sample::select(vec!["llama", "gpt2", "bert"]),
        text in "[abé ▁<>]{0,30}",
    ) {
        let vocab = GgufVocab {
            model,
            pre: "llama-bpe",
            tokens: pieces.iter().map(|piece| piece.0.as_bytes()).collect(),
            scores: Some(pieces.iter().map(|piece| piece.1 as f32).collect()),
            token_types: Some(pieces.iter().map(|piece| piece.2).collect()),
            merges: Some(merges.iter().map(|merge| merge.as_bytes()).collect()),
            ..GgufVocab::default()
        };
        let Ok(tokenizer) = Tokenizer::from_gguf(&vocab) else { return Ok(()) };
        for special in [Special::Plain, Special::Parse] {
            let ids = tokenizer.encode(&text, special);
            prop_assert!(ids.iter().all(|&id| (id as usize) < pieces.len()));
            decode(&tokenizer, tokenizer.bos(), &ids);
        }
    }
}
