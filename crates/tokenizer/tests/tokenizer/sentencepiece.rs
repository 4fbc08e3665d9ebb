//! The same ids as SentencePiece with Llama 2's vocabulary, read from llama2.c's tokenizer.bin and
//! from a GGUF. `tools/oracle/sentencepiece_ids.py` has written the vectors; its head describes
//! the records.

use crate::common::{self, decode};
use llamaboot_test_support::unescape;
use llamaboot_tokenizer::{Special, Tokenizer};

const VECTORS: &str = include_str!("../data/llama2_ids.txt");

fn fnv1a(ids: &[u32]) -> u64 {
    ids.iter().flat_map(|id| id.to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn check(tokenizer: &Tokenizer) {
    let mut texts = 0;
    for record in VECTORS.lines() {
        match record.split('\t').collect::<Vec<_>>()[..] {
            ["text", text, ids] => {
                let text = unescape(text);
                let ids: Vec<u32> = ids.split(' ').map(|id| id.parse().unwrap()).collect();
                assert_eq!(tokenizer.encode(&text, Special::Plain), ids, "{text:?}");
                assert_eq!(decode(tokenizer, Some(1), &ids), text);
                texts += 1;
            }
            ["file", name, count, hash] => {
                let Some(text) = llamaboot_test_support::read(name) else { return };
                let ids = tokenizer.encode(&String::from_utf8(text).unwrap(), Special::Plain);
                assert_eq!(
                    (ids.len().to_string(), format!("{:016x}", fnv1a(&ids))),
                    (count.into(), hash.into())
                );
            }
            _ => assert!(record.starts_with('#'), "{record}"),
        }
    }
    assert_eq!(texts, 412);
}

#[test]
fn llama2cs_file_gives_sentencepieces_ids() {
    common::llama2().iter().for_each(check);
}

#[test]
fn a_gguf_gives_sentencepieces_ids() {
    common::gguf("gguf-vocab/ggml-vocab-llama-spm.gguf").iter().for_each(check);
}
