//! Learning a vocabulary: the same pieces as sentencepiece's trainer, which encode what they were
//! learned from. `tools/oracle/sentencepiece_training.py` has written the vectors; its head
//! describes the records.

use crate::common::decode;
use llamaboot_test_support::{read, unescape};
use llamaboot_tokenizer::{
    PieceKind, Pieces, Special, Tokenizer, TrainError, TrainOptions, train, training_part,
};
use proptest::prelude::*;

const VECTORS: &str = include_str!("../data/trained_pieces.txt");

fn learn(text: &str, vocab_size: usize) -> Result<Pieces, TrainError> {
    train(text, vocab_size, TrainOptions::default(), &mut |_, _| ())
}

/// The pieces after `<unk>`, BOS, EOS and the bytes, as text.
fn texts(pieces: &Pieces) -> Vec<&str> {
    pieces.0[259..].iter().map(|piece| str::from_utf8(&piece.text).unwrap()).collect()
}

/// The most tokens that a text supports.
fn most(text: &str) -> usize {
    match learn(text, 1 << 20) {
        Err(TrainError::TooLarge { max, .. }) => max,
        other => panic!("{other:?}"),
    }
}

fn shakespeare() -> Option<String> {
    String::from_utf8(read("tinyshakespeare/input.txt")?).ok()
}

/// Both the order of merges and that of the characters are sentencepiece's, ties included.
#[test]
fn the_pieces_are_sentencepieces() {
    for run in VECTORS.split("\nfile\t").skip(1) {
        let (head, records) = run.split_once('\n').unwrap();
        let [name, characters, vocab_size, hash] = head.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{head}")
        };
        let Some(bytes) = read(name) else { return };
        let text = String::from_utf8(bytes).unwrap();
        let text: String = text.chars().take(characters.parse().unwrap()).collect();
        let pieces = learn(&text, vocab_size.parse().unwrap()).unwrap();
        let learned = texts(&pieces);
        let records = records.lines().map(|record| record.strip_prefix("piece\t").unwrap());
        for (rank, record) in records.enumerate() {
            assert_eq!(learned[rank], unescape(record), "{name}, merge {rank}");
        }
        let everything = learned.iter().flat_map(|piece| piece.bytes().chain([b'\n']));
        let found = everything.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        assert_eq!(format!("{found:016x}"), hash, "{name}");
    }
}

/// `<unk>`, BOS, EOS, bytes, merges, characters; every score below the one before.
#[test]
fn the_layout_is_llamas() {
    // "aa", "ab" and " a" occur three times each; sentencepiece sorts its visible space last.
    let pieces = learn("aab aab\naab ba", 259 + 4 + 2).unwrap();
    assert_eq!(texts(&pieces), ["aa", "aab", "a", "b", " ", "\n"]);
    let start: Vec<&[u8]> = pieces.0[..3].iter().map(|piece| piece.text.as_slice()).collect();
    assert_eq!(start, [b"<unk>".as_slice(), b"<s>", b"</s>"]);
    let kinds = [PieceKind::Unknown, PieceKind::Control, PieceKind::Control];
    assert!(pieces.0.iter().map(|piece| piece.kind).take(3).eq(kinds));
    for (byte, piece) in (0..=255).zip(&pieces.0[3..259]) {
        assert_eq!((piece.kind, piece.text.as_slice()), (PieceKind::Byte, [byte].as_slice()));
    }
    let scores: Vec<f32> = pieces.0[259..].iter().map(|piece| piece.score).collect();
    assert_eq!(scores, [0.0, -1.0, -2.0, -3.0, -4.0, -5.0]);
    assert!(scores[0].is_sign_positive());
}

/// A piece is letters or something else, with at most one space, which begins it.
#[test]
fn pieces_do_not_mix() {
    let Some(text) = shakespeare() else { return };
    let pieces = learn(&text, 4096).unwrap();
    for text in texts(&pieces) {
        let rest = text.strip_prefix(' ').unwrap_or(text);
        assert!(!rest.contains(' '), "{text:?}");
        let letters = rest.chars().filter(|c| c.is_alphabetic()).count();
        assert!(letters == 0 || letters == rest.chars().count(), "{text:?}");
        assert!(text.chars().count() <= 16);
    }
    for verse in [":\n", ",\n", ".\n\n", "\n\n"] {
        assert!(texts(&pieces).contains(&verse), "{verse:?}");
    }
    let short = TrainOptions { max_piece_chars: 3 };
    let pieces = train(&text, 600, short, &mut |_, _| ()).unwrap();
    assert_eq!(texts(&pieces).iter().map(|text| text.chars().count()).max(), Some(3));
}

/// The smallest vocabulary has no merges and the largest all that occur twice; sizes beyond are
/// refused with the limit.
#[test]
fn sizes_that_the_text_does_not_support() {
    let text = "the cat and the hat";
    // t h e c a n d, and the space.
    assert_eq!(learn(text, 267).unwrap().0.len(), 267);
    let error = learn(text, 266).unwrap_err();
    assert_eq!(
        error.to_string(),
        "vocabulary of 266 tokens: expected at least 267: 3 special tokens, 256 bytes and the \
         text's 8 different characters"
    );
    // "at", " t", " th", " the".
    assert_eq!(learn(text, 271).unwrap().0.len(), 271);
    let error = learn(text, 5000).unwrap_err();
    assert_eq!(error.to_string(), "vocabulary of 5000 tokens: the text supports at most 271");
    let beyond = learn(text, usize::MAX).unwrap_err();
    assert_eq!(beyond, TrainError::TooLarge { max: 1 << 20, found: usize::MAX });
    assert_eq!(learn("", 300).unwrap_err().to_string(), "the text is empty");
}

/// Progress goes from nothing to everything.
#[test]
fn progress_counts_merges() {
    let mut seen = Vec::new();
    let options = TrainOptions::default();
    train("the cat and the hat", 270, options, &mut |done, all| seen.push((done, all))).unwrap();
    assert_eq!(seen, [(0, 3), (1, 3), (2, 3), (3, 3)]);
}

/// nanoGPT's `data[:int(n * 0.9)]`, in characters.
#[test]
fn nine_tenths_of_the_characters_are_for_training() {
    assert_eq!(training_part("é123456789"), ("é12345678", "9"));
    assert_eq!(training_part("ab🦙"), ("ab", "🦙"));
    assert_eq!(training_part("a"), ("", "a"));
    assert_eq!(training_part(""), ("", ""));
    let Some(text) = shakespeare() else { return };
    assert_eq!(training_part(&text).0.len(), 1_003_854);
}

/// tokenizer.bin holds the whole of it.
#[test]
fn a_learned_vocabulary_survives_its_file() {
    let Some(text) = shakespeare() else { return };
    let pieces = learn(&text, 1024).unwrap();
    assert_eq!(Pieces::from_llama2c(&pieces.to_llama2c()).unwrap(), pieces);
}

fn llama2c(pieces: &Pieces) -> Tokenizer {
    Tokenizer::from_llama2c(&pieces.to_llama2c(), pieces.0.len()).unwrap()
}

/// What a vocabulary must do: every piece becomes one token, every text comes back, and a GGUF with
/// the vocabulary gives the ids that tokenizer.bin gives. They could differ in two ways: llama2.c
/// merges no character without a token, but here every character of a piece has one; and `▁`, which
/// is never learned, is bytes for llama2.c and a space in a GGUF.
fn check(pieces: &Pieces, text: &str) {
    let (tokenizer, gguf) = (llama2c(pieces), Tokenizer::from_pieces(pieces).unwrap());
    for (piece, id) in texts(pieces).into_iter().zip(259..) {
        assert_eq!(tokenizer.encode_continuation(piece), [id], "{piece:?}");
        assert_eq!(gguf.encode_continuation(piece), [id], "{piece:?}");
    }
    let ids = tokenizer.encode(text, Special::Plain);
    assert_eq!(decode(&tokenizer, tokenizer.bos(), &ids), text);
    let text = text.replace('\u{2581}', " ");
    assert_eq!(gguf.encode(&text, Special::Plain), tokenizer.encode(&text, Special::Plain));
}

#[test]
fn shakespeare_comes_back_from_its_own_pieces() {
    let Some(text) = shakespeare() else { return };
    let (training, _) = training_part(&text);
    for vocab_size in [259 + 65, 1024, 4096, most(training)] {
        let pieces = learn(training, vocab_size).unwrap();
        check(&pieces, &text);
        check(&pieces, "naïve: 日本\u{2581} 🦙\0\r\n\t<s> [INST] <0x41>, e\u{301}  \n\n\n ");
    }
}

proptest! {
    /// Also for texts that repeat one character, where places overlap.
    #[test]
    fn any_text_comes_back_from_its_own_pieces(
        text in "[ab]{0,30}[aé \n.1]{1,40}\\PC{0,3}[ab \\x00\u{2581}]{0,20}",
        share in 0.0..1.0,
    ) {
        let (min, max) = match learn(&text, 0) {
            Err(TrainError::TooSmall { min, .. }) => (min, most(&text)),
            other => panic!("{other:?}"),
        };
        let vocab_size = min + ((max - min) as f64 * share) as usize;
        let pieces = learn(&text, vocab_size).unwrap();
        prop_assert_eq!(pieces.0.len(), vocab_size);
        let mut distinct = texts(&pieces);
        distinct.sort_unstable();
        distinct.dedup();
        prop_assert_eq!(distinct.len(), vocab_size - 259, "no piece twice");
        check(&pieces, &text);
    }
}
