//! The merge loop against the definition, on random vocabularies: look at every pair, merge the
//! best one, the leftmost of equals, and start over.

use llamaboot_tokenizer::{GgufVocab, Special, Tokenizer};
use proptest::prelude::*;

/// Merges `symbols` as long as `priority` has a number for two neighbours; the lowest goes first.
fn merge_all(
    mut symbols: Vec<String>,
    priority: impl Fn(&str, &str) -> Option<i64>,
) -> Vec<String> {
    loop {
        let pairs = symbols.windows(2).enumerate();
        let best = pairs.filter_map(|(at, two)| Some((priority(&two[0], &two[1])?, at))).min();
        let Some((_, at)) = best else { return symbols };
        let right = symbols.remove(at + 1);
        symbols[at].push_str(&right);
    }
}

fn characters(text: &str) -> Vec<String> {
    text.chars().map(String::from).collect()
}

fn find(pieces: &[String], text: &str) -> Option<u32> {
    pieces.iter().position(|piece| piece == text).map(|id| id as u32)
}

/// Every character of the alphabet, and longer pieces.
fn vocabulary(alphabet: &str, longer: &[String]) -> Vec<String> {
    characters(alphabet).into_iter().chain(longer.iter().cloned()).collect()
}

proptest! {
    #[test]
    fn merges_by_score_follow_the_definition(
        longer in prop::collection::vec("[abé ]{2,6}", 0..30),
        scores in prop::collection::vec(-4_i8..0, 40),
        text in "[abé ]{0,40}",
    ) {
        let pieces = vocabulary("abé ", &longer);
        let score = |id: u32| scores[id as usize % scores.len()];
        let vocab = GgufVocab {
            model: "llama",
            tokens: pieces.iter().map(|piece| piece.as_bytes()).collect(),
            scores: Some((0..pieces.len() as u32).map(|id| f32::from(score(id))).collect()),
            add_space_prefix: Some(false),
            ..GgufVocab::default()
        };
        let ids = Tokenizer::from_gguf(&vocab).unwrap().encode(&text, Special::Plain);
        let symbols = merge_all(characters(&text), |left, right| {
            find(&pieces, &[left, right].concat()).map(|id| -i64::from(score(id)))
        });
        let expected: Vec<u32> = symbols.iter().map(|s| find(&pieces, s).unwrap()).collect();
        prop_assert_eq!(ids, expected);
    }

    #[test]
    fn merges_by_rank_follow_the_definition(
        longer in prop::collection::vec("[abc]{2,6}", 0..30),
        cuts in prop::collection::vec(1_usize..6, 60),
        text in "[abc]{0,40}",
    ) {
        let pieces = vocabulary("abc", &longer);
        // Each longer piece is cut in two at random: that is its merge.
        let merges = pieces.iter().filter(|piece| piece.len() > 1).zip(&cuts);
        let merges: Vec<(&str, &str)> =
            merges.map(|(piece, cut)| piece.split_at(1 + cut % (piece.len() - 1))).collect();
        let known = |text: &str| find(&pieces, text).is_some();
        let entries: Vec<String> =
            merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
        let vocab = GgufVocab {
            model: "gpt2",
            pre: "gpt-2",
            tokens: pieces.iter().map(|piece| piece.as_bytes()).collect(),
            merges: Some(entries.iter().map(|entry| entry.as_bytes()).collect()),
            ..GgufVocab::default()
        };
        let ids = Tokenizer::from_gguf(&vocab).unwrap().encode(&text, Special::Plain);
        let symbols = merge_all(characters(&text), |left, right| {
            let rank = merges.iter().position(|&merge| merge == (left, right))?;
            (known(left) && known(right)).then_some(rank as i64)
        });
        let expected: Vec<u32> = symbols.iter().map(|s| find(&pieces, s).unwrap()).collect();
        prop_assert_eq!(ids, expected);
    }
}
