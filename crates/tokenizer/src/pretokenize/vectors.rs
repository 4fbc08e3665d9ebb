//! Every pre-tokenizer against a regex engine, with the vectors that
//! `tools/oracle/pretokenizer_splits.py` has written. Its head describes the records.

extern crate std;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use llamaboot_test_support::unescape;

use super::PreTokenizer;

const VECTORS: &str = include_str!("../../tests/data/splits.txt");

/// Lines of [`VECTORS`] that begin with `kind`, as their other fields.
fn records(kind: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = VECTORS.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    lines.filter(move |fields| fields[0] == kind).map(|fields| fields[1..].to_vec())
}

fn pre_tokenizers() -> Vec<(&'static str, PreTokenizer)> {
    let names = records("pre").next().unwrap();
    names.into_iter().map(|name| (name, PreTokenizer::from_name(name).unwrap())).collect()
}

/// A SPLITS field for what a pre-tokenizer makes of `text`.
fn splits(pre: PreTokenizer, text: &str) -> String {
    let mut out = String::new();
    pre.split(text, &mut |word| match word.chars().count() {
        len @ 0..36 => out.push(char::from_digit(len as u32, 36).unwrap()),
        len => out.push_str(&format!("({len})")),
    });
    out
}

/// Compares one text under all pre-tokenizers with its SPLITS fields; returns how many.
fn check(text: &str, fields: &[&str]) -> usize {
    let mut expected = "";
    let pre_tokenizers = pre_tokenizers();
    assert_eq!(pre_tokenizers.len(), fields.len());
    for ((name, pre), &field) in pre_tokenizers.iter().zip(fields) {
        expected = if field == "=" { expected } else { field };
        assert_eq!(splits(*pre, text), expected, "{name}: {text:?}");
    }
    fields.len()
}

#[test]
fn random_texts_split_as_a_regex_engine_splits_them() {
    let checked: usize = records("text").map(|r| check(&unescape(r[0]), &r[1..])).sum();
    assert_eq!(checked, 2000 * pre_tokenizers().len());
}

#[test]
fn llama_cpp_test_texts_split_as_a_regex_engine_splits_them() {
    let Some(texts) = llamaboot_test_support::read("gguf-vocab/ggml-vocab-gpt-2.gguf.inp") else {
        return;
    };
    let texts = String::from_utf8(texts).unwrap();
    let texts: Vec<&str> = texts.split("\n__ggml_vocab_test__\n").collect();
    assert_eq!(records("input").count(), texts.len());
    for record in records("input") {
        check(texts[record[0].parse::<usize>().unwrap()], &record[1..]);
    }
}

#[test]
fn a_whole_file_splits_as_a_regex_engine_splits_it() {
    for record in records("file") {
        let [file, name, pieces, hash] = record[..] else { panic!("{record:?}") };
        let Some(text) = llamaboot_test_support::read(file) else { return };
        let text = String::from_utf8(text).unwrap();
        let (mut count, mut fnv) = (0, 0xcbf2_9ce4_8422_2325_u64);
        PreTokenizer::from_name(name).unwrap().split(&text, &mut |word| {
            count += 1;
            for byte in (word.len() as u32).to_le_bytes() {
                fnv = (fnv ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        });
        let expected = (String::from(pieces), String::from(hash));
        assert_eq!((format!("{count}"), format!("{fnv:016x}")), expected, "{file} {name}");
    }
}
