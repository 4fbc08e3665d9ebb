//! Between the two ways to say in which order SentencePiece's BPE merges.
//!
//! sentencepiece gives every piece a score, and merges first the pair that makes the piece with the
//! greatest. A tokenizer.json lists pairs, the first one first. transformers makes that list out of
//! a tokenizer.model: for every piece, the greatest score first, all pairs of pieces that make it.
//! Of pieces of equal score, here the first counts.

use crate::Error;
use std::collections::{HashMap, HashSet};

/// All pairs, the first one first. `pieces` are texts with their scores, in order of their ids.
pub(super) fn of_scores<'a>(pieces: &[(&'a str, f32)]) -> Vec<(&'a str, &'a str)> {
    let ids: HashMap<&str, usize> = pieces.iter().enumerate().map(|(n, p)| (p.0, n)).collect();
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by(|&a, &b| pieces[b].1.total_cmp(&pieces[a].1));
    let mut merges = Vec::new();
    for text in order.into_iter().map(|n| pieces[n].0) {
        let first = merges.len();
        merges.extend(splits(text).filter(|(a, b)| ids.contains_key(a) && ids.contains_key(b)));
        merges[first..].sort_by_key(|(a, b)| (ids[a], ids[b]));
    }
    merges
}

/// Scores of `pieces`, texts in order of their ids, that merge as this list does.
///
/// Pieces whose pairs are mixed get the same score: transformers sorted by it alone for years. And
/// it left out the pairs of the piece whose score is 0, the greatest: one piece may have none.
///
/// # Errors
/// A list that no scores make: a pair of pieces that makes a piece is not in it, or makes none.
pub(super) fn to_scores(pieces: &[&str], merges: &[(&str, &str)]) -> Result<Vec<f32>, Error> {
    let ids: HashMap<&str, usize> = pieces.iter().enumerate().map(|(n, &p)| (p, n)).collect();
    let known: HashSet<(&str, &str)> = merges.iter().copied().collect();
    let id_of = |&(a, b): &(&str, &str)| {
        let made = ids.get([a, b].concat().as_str()).copied();
        made.ok_or_else(|| {
            Error::value("merges", "pairs that make a token", format!("{a:?} {b:?}"))
        })
    };
    let made: Vec<usize> = merges.iter().map(id_of).collect::<Result<_, _>>()?;
    let mut last_of = vec![None; pieces.len()];
    made.iter().enumerate().for_each(|(place, &id)| last_of[id] = Some(place));

    let (mut score, mut end) = (-1.0, 0);
    let mut scores = vec![None; pieces.len()];
    for (place, &id) in made.iter().enumerate() {
        if place > end {
            score -= 1.0;
        }
        end = end.max(last_of[id].unwrap_or(place));
        scores[id] = Some(score);
    }
    let mut greatest = None;
    for (id, &text) in pieces.iter().enumerate() {
        let mut all = splits(text).filter(|(a, b)| ids.contains_key(a) && ids.contains_key(b));
        let Some((a, b)) = all.find(|pair| !known.contains(pair)) else { continue };
        if scores[id].is_some() || greatest.replace(id).is_some() {
            let expected = "every pair that makes a token, as sentencepiece merges";
            return Err(Error::value("merges", expected, format!("no {a:?} {b:?}")));
        }
        scores[id] = Some(0.0);
    }
    Ok(scores.into_iter().map(|of| of.unwrap_or(score - 1.0)).collect())
}

/// Every way to cut a text in two.
fn splits(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.char_indices().skip(1).map(|(at, _)| text.split_at(at))
}
