//! The same ids as SentencePiece, from its tokenizer.model, and with Llama 2's vocabulary from
//! llama2.c's tokenizer.bin and a GGUF as well. `tools/oracle/sentencepiece_ids.py` has written the
//! vectors; its head describes the records.

use crate::common::{self, decode};
use llamaboot_checkpoint::gguf::Gguf;
use llamaboot_test_support::{read, unescape};
use llamaboot_tokenizer::{Error, MAX_MODEL_BYTES, Pieces, Special, Tokenizer};
use proptest::prelude::*;

const VECTORS: &str = include_str!("../data/sentencepiece_ids.txt");
const LLAMA2: &str = "tokenizers/llama2_tokenizer.model";
const STORIES: &str = "stories260K/tok512.model";

fn fnv1a(ids: &[u32]) -> u64 {
    ids.iter().flat_map(|id| id.to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Compares with what sentencepiece gave with `model`; `spaces` says that it keeps all of them.
fn check(tokenizer: &Tokenizer, model: &str, spaces: bool) {
    let records = VECTORS.split("model\t").find_map(|part| part.strip_prefix(model)).unwrap();
    for record in records.lines().skip(1) {
        match record.split('\t').collect::<Vec<_>>()[..] {
            ["text", text, ids] => {
                let text = unescape(text);
                let ids: Vec<u32> = ids.split_whitespace().map(|id| id.parse().unwrap()).collect();
                assert_eq!(tokenizer.encode(&text, Special::Plain), ids, "{text:?}");
                assert!(!spaces || decode(tokenizer, Some(1), &ids) == text, "{text:?}");
            }
            ["file", name, count, hash] => {
                let Some(text) = read(name) else { return };
                let ids = tokenizer.encode(&String::from_utf8(text).unwrap(), Special::Plain);
                let found = (ids.len().to_string(), format!("{:016x}", fnv1a(&ids)));
                assert_eq!(found, (count.into(), hash.into()), "{name}");
            }
            _ => panic!("{record}"),
        }
    }
}

#[test]
fn llama2cs_file_gives_sentencepieces_ids() {
    common::llama2().iter().for_each(|tokenizer| check(tokenizer, LLAMA2, true));
}

#[test]
fn a_gguf_gives_sentencepieces_ids() {
    let tokenizer = common::gguf("gguf-vocab/ggml-vocab-llama-spm.gguf");
    tokenizer.iter().for_each(|tokenizer| check(tokenizer, LLAMA2, true));
}

#[test]
fn its_own_file_gives_sentencepieces_ids() {
    for (model, spaces, vocab_size) in [(LLAMA2, true, 32000), (STORIES, false, 512)] {
        let Some(file) = read(model) else { return };
        check(&Tokenizer::from_file(&file, vocab_size).unwrap(), model, spaces);
        let tokenizer = Tokenizer::from_file_alone(&file).unwrap();
        check(&tokenizer, model, spaces);
        assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(1), Some(2)));
        assert_eq!((tokenizer.kind(), tokenizer.notes()), ("SentencePiece BPE", [].as_slice()));
        assert!(tokenizer.adds_bos() && !tokenizer.is_text_end(2) && tokenizer.is_end(2));
    }
}

/// A tokenizer.model, a tokenizer.bin and a GGUF of the same vocabulary hold the same pieces, and
/// tokenizer.bin is written byte for byte as llama2.c wrote it.
#[test]
fn all_files_hold_the_same_pieces() {
    for (model, bin, gguf) in [
        (LLAMA2, "tokenizers/llama2_tokenizer.bin", "gguf-vocab/ggml-vocab-llama-spm.gguf"),
        (STORIES, "stories260K/tok512.bin", "stories260K/gguf/stories260K-f32.gguf"),
    ] {
        let (Some(model), Some(bin), Some(gguf)) = (read(model), read(bin), read(gguf)) else {
            return;
        };
        let pieces = Pieces::from_llama2c(&bin).unwrap();
        assert!(pieces.to_llama2c() == bin);
        assert_eq!(Pieces::from_sentencepiece(&model).unwrap(), pieces);
        let gguf = Gguf::parse(&gguf, gguf.len() as u64).unwrap();
        assert_eq!(Pieces::from_metadata(&gguf).unwrap(), pieces);
    }
}

/// A field of a protocol buffer with a number below 128: a varint, or bytes after their length.
fn varint(field: u8, value: u8) -> Vec<u8> {
    let key = [field << 3 & 0x7f | 0x80, field >> 4];
    [&key[..], &[value]].concat()
}

fn bytes(field: u8, value: &[u8]) -> Vec<u8> {
    [&[field << 3 | 2, value.len() as u8], value].concat()
}

/// The smallest tokenizer.model: `<unk>`, `<s>`, `</s>`, bytes and two pieces of text.
fn model(trainer: &[Vec<u8>], normalizer: &[Vec<u8>]) -> Vec<u8> {
    let piece = |text: &str, kind| bytes(1, &[bytes(1, text.as_bytes()), varint(3, kind)].concat());
    let mut file = [piece("<unk>", 2), piece("<s>", 3), piece("</s>", 3)].concat();
    file.extend((0..=255).flat_map(|byte| piece(&format!("<0x{byte:02X}>"), 6)));
    file.extend([piece("\u{2581}", 1), piece("ab", 1)].concat());
    file.extend(bytes(2, &trainer.concat()));
    file.extend(bytes(3, &normalizer.concat()));
    file
}

/// What the model's fields say, by the numbers of sentencepiece's ModelProto.
#[test]
fn other_rules_are_refused_or_told() {
    let bpe = [varint(3, 2), varint(35, 1)];
    let file = |field, value| model(&bpe, &[varint(4, 0), varint(field, value)]);
    let tokenizer = Tokenizer::from_file_alone(&model(&bpe, &[varint(4, 0)])).unwrap();
    assert_eq!(tokenizer.encode("  abc", Special::Plain), [259, 259, 259, 260, 3 + 99]);
    // sentencepiece's default.
    let tokenizer = Tokenizer::from_file_alone(&model(&bpe, &[])).unwrap();
    assert_eq!(tokenizer.encode("  abc", Special::Plain), [259, 260, 3 + 99]);
    let charsmap = model(&bpe, &[bytes(2, b"a map")]);
    let tokenizer = Tokenizer::from_file_alone(&charsmap).unwrap();
    assert!(matches!(tokenizer.notes(), [note] if note.contains("charsmap")));
    let mut user_defined = model(&bpe, &[]);
    let at = user_defined.windows(6).position(|name| name == b"ab\x98\x00\x01\x12").unwrap();
    user_defined[at + 4] = 4;
    let tokenizer = Tokenizer::from_file_alone(&user_defined).unwrap();
    assert!(matches!(tokenizer.notes(), [note] if note.contains("user-defined")));

    let refused = |file: &[u8]| Tokenizer::from_file_alone(file).unwrap_err().to_string();
    for (file, message) in [
        (model(&[varint(35, 1)], &[]), "expected a BPE model, found a unigram model"),
        (
            model(&[varint(3, 4), varint(35, 1)], &[]),
            "expected a BPE model, found a character model",
        ),
        (model(&[varint(3, 2)], &[]), "byte_fallback: expected true, found false"),
        (file(3, 0), "add_dummy_prefix: expected true, found false"),
        (file(5, 0), "escape_whitespaces: expected true, found false"),
        (
            model(&[varint(24, 1), varint(3, 2), varint(35, 1)], &[]),
            "treat_whitespace_as_suffix: expected false, found true",
        ),
    ] {
        assert_eq!(refused(&file), format!("tokenizer.model: {message}"));
    }
    let mut swapped = model(&bpe, &[]);
    let at = swapped.windows(4).position(|name| name == b"0x10").unwrap();
    swapped[at + 3] = b'1';
    assert_eq!(
        refused(&swapped),
        "tokenizer.model, token 19: expected the byte's, as Llama's vocabularies have, found a \
         byte's"
    );
    assert_eq!(
        Tokenizer::from_file(&model(&bpe, &[]), 262).unwrap_err(),
        Error::VocabSize { expected: 262, found: 261 }
    );
    let long = vec![b'\n'; MAX_MODEL_BYTES + 1];
    assert!(refused(&long).ends_with("expected at most 16777216 bytes, found 16777217"));
    let text = refused(b"\n\n\n\nnot a model");
    assert!(text.starts_with("tokenizer.model: expected sentencepiece's ModelProto, found a "));
}

proptest! {
    /// Damaged files, cut short or not, are read or refused in one line.
    #[test]
    fn mutated_models_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        near_end in any::<bool>(),
        keep in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let Some(mut file) = read(STORIES) else { return Ok(()) };
        // The trainer's and the normalizer's settings lie behind the pieces.
        let start = if near_end { file.len() - 300 } else { 4 };
        for (at, byte) in edits {
            let at = start + at.index(file.len() - start);
            file[at] = byte;
        }
        if let Some(keep) = keep {
            file.truncate(4 + keep.index(file.len() - 4));
        }
        match Tokenizer::from_file_alone(&file) {
            Ok(tokenizer) => {
                let ids = tokenizer.encode("Hello <s>, it's été 🦙\n", Special::Parse);
                prop_assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
            }
            Err(error) => prop_assert_eq!(error.to_string().lines().count(), 1, "{}", error),
        }
    }
}
