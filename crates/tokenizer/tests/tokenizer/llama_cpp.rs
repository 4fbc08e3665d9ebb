//! The same ids as llama.cpp, on its own test texts, and the same treatment of special tokens.

use crate::common::{self, decode, vectors};
use llamaboot_tokenizer::{Special, Tokenizer};

fn check(tokenizer: &Tokenizer, texts: &str, ids: &str) {
    let Some(vectors) = vectors(texts, ids) else { return };
    assert_eq!(vectors.len(), 46);
    for (text, ids) in vectors {
        assert_eq!(tokenizer.encode(&text, Special::Plain), ids, "{text:?}");
        assert_eq!(tokenizer.encode(&text, Special::Parse), ids, "{text:?}");
        let prev = tokenizer.bos();
        assert_eq!(decode(tokenizer, prev, &ids), text);
    }
}

#[test]
fn gpt_2_vectors() {
    let Some(tokenizer) = common::gguf("gguf-vocab/ggml-vocab-gpt-2.gguf") else { return };
    assert_eq!(tokenizer.kind(), "byte-level BPE (gpt-2)");
    let (texts, ids) = ("ggml-vocab-gpt-2.gguf.inp", "ggml-vocab-gpt-2.gguf.out");
    check(&tokenizer, &format!("gguf-vocab/{texts}"), &format!("gguf-vocab/{ids}"));
}

#[test]
fn llama_spm_vectors() {
    let Some(tokenizer) = common::gguf("gguf-vocab/ggml-vocab-llama-spm.gguf") else { return };
    assert_eq!(tokenizer.kind(), "SentencePiece BPE");
    let (texts, ids) = ("ggml-vocab-llama-spm.gguf.inp", "ggml-vocab-llama-spm.gguf.out");
    check(&tokenizer, &format!("gguf-vocab/{texts}"), &format!("gguf-vocab/{ids}"));
}

#[test]
fn smollm2_vectors() {
    let Some(tokenizer) = common::smollm2() else { return };
    assert_eq!(tokenizer.kind(), "byte-level BPE (smollm)");
    let (texts, ids) = ("smollm2.tokenizer.inp", "smollm2.tokenizer.llamacpp.out");
    check(&tokenizer, &format!("smollm2/{texts}"), &format!("smollm2/{ids}"));
}

/// The chat prompt of smollm2/expected.json.
#[test]
fn control_tokens_are_parsed_only_on_request() {
    let Some(tokenizer) = common::smollm2() else { return };
    let prompt = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by \
                  Hugging Face<|im_end|>\n<|im_start|>user\nWhat is the capital of France?\
                  <|im_end|>\n<|im_start|>assistant\n";
    let expected = [
        1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28, 7018, 411,
        407, 19712, 8182, 2, 198, 1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1,
        520, 9531, 198,
    ];
    assert_eq!(tokenizer.encode(prompt, Special::Parse), expected);
    // What node-llama-cpp gives for the same text without and with special tokens.
    let text = "Hello <|im_start|>world 123";
    let plain = [19556, 2067, 108, 306, 79, 3738, 108, 46, 6693, 216, 33, 34, 35];
    assert_eq!(tokenizer.encode(text, Special::Plain), plain);
    assert_eq!(tokenizer.encode(text, Special::Parse), [19556, 216, 1, 6693, 216, 33, 34, 35]);
    assert_eq!(decode(&tokenizer, None, &plain), text);

    assert_eq!(tokenizer.control_id("<|im_start|>"), Some(1));
    assert_eq!(tokenizer.control_id("<|im_begin|>"), None);
    assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.adds_bos()), (Some(1), Some(2), false));
    let ends: Vec<u32> = (0..49152).filter(|&id| tokenizer.is_end(id)).collect();
    assert_eq!(ends, [0, 2], "<|endoftext|> and <|im_end|>");
    assert!(tokenizer.is_control(1) && !tokenizer.is_control(9690));
    assert_eq!(tokenizer.token_bytes(1), Some(b"<|im_start|>".as_slice()));
    assert_eq!(tokenizer.decode_piece(None, 1), b"", "control tokens print nothing");
    assert_eq!(tokenizer.token_bytes(49152), None);
}

#[test]
fn llama_2s_control_tokens() {
    let Some(tokenizer) = common::gguf("gguf-vocab/ggml-vocab-llama-spm.gguf") else { return };
    assert!(tokenizer.adds_bos());
    assert_eq!(tokenizer.control_id("</s>"), Some(2));
    assert!(tokenizer.is_end(2) && !tokenizer.is_end(1));
    assert!(tokenizer.is_text_end(2) && tokenizer.is_text_end(1));
    // llama.cpp puts the dummy prefix before each text that follows a special token.
    let hello = tokenizer.encode("Hello", Special::Parse);
    let parsed = tokenizer.encode("<s>Hello</s>Hello", Special::Parse);
    assert_eq!(parsed, [&[1], hello.as_slice(), &[2], &hello].concat());
    assert!(!tokenizer.encode("<s>Hello</s>", Special::Plain).contains(&2));
}
