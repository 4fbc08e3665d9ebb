//! A text of a megabyte takes less than two seconds, whatever is in it. Each takes 0.05 to 0.6 s
//! on one core of a 2 GHz server; what the limit catches is an algorithm that has become quadratic.

use std::time::{Duration, Instant};

use crate::common;
use llamaboot_tokenizer::{Special, Tokenizer};

const LIMIT: Duration = Duration::from_secs(2);

fn check(name: &str, tokenizer: &Tokenizer, text: &str) {
    // Other programs may take the core for a while, so the best of three counts.
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        let ids = tokenizer.encode(text, Special::Parse);
        best = best.min(start.elapsed());
        assert!(ids.len() <= text.len() + 1);
        if best < LIMIT {
            eprintln!("{}: {name}: {} ids in {best:?}", tokenizer.kind(), ids.len());
            return;
        }
    }
    panic!("{}: {name}: took {best:?}", tokenizer.kind());
}

fn check_all(tokenizer: &Tokenizer) {
    let Some(shakespeare) = llamaboot_test_support::read("tinyshakespeare/input.txt") else {
        return;
    };
    check("tinyshakespeare", tokenizer, &String::from_utf8(shakespeare).unwrap());
    for unit in ["a", " ", "\n", "1", "<", "' ", "é", "🦙", "<|im_", "ab\u{300}"] {
        let text = unit.repeat((1 << 20) / unit.len());
        check(&format!("{unit:?} repeated"), tokenizer, &text);
    }
}

#[test]
fn a_megabyte_of_text_in_llama2c_bpe() {
    common::llama2().iter().for_each(check_all);
}

#[test]
fn a_megabyte_of_text_in_sentencepiece_bpe() {
    common::gguf("gguf-vocab/ggml-vocab-llama-spm.gguf").iter().for_each(check_all);
}

#[test]
fn a_megabyte_of_text_in_byte_level_bpe() {
    common::gguf("gguf-vocab/ggml-vocab-gpt-2.gguf").iter().for_each(check_all);
    common::smollm2().iter().for_each(check_all);
}
