//! Between the two ways to say in which order SentencePiece's BPE merges.
//!
//! sentencepiece gives every piece a score, and merges first the pair that makes the piece with the
//! greatest. A tokenizer.json lists pairs, the first one first. transformers makes that list out of
//! a tokenizer.model: for every piece, the greatest score first, all pairs of pieces that make it.
//! Of pieces of equal score, here the first counts.

use crate::Error;
use llamaboot_tokenizer::VISIBLE_SPACE;
use std::collections::{HashMap, HashSet};

/// The most that the squares of the pieces' lengths in bytes may sum up to: a piece has as many
/// pairs as characters. Llama 2's sum up to two million.
const MAX_SQUARES: usize = 1 << 27;

/// All pairs, the first one first. `pieces` are texts with their scores, in order of their ids.
///
/// # Errors
/// Pieces so long that there would be too many.
pub(super) fn of_scores<'a>(pieces: &[(&'a str, f32)]) -> Result<Vec<(&'a str, &'a str)>, Error> {
    check_lengths(pieces.iter().map(|piece| piece.0))?;
    let ids: HashMap<&str, usize> = pieces.iter().enumerate().map(|(n, p)| (p.0, n)).collect();
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by(|&a, &b| pieces[b].1.total_cmp(&pieces[a].1));
    let mut merges = Vec::new();
    for text in order.into_iter().map(|n| pieces[n].0) {
        let first = merges.len();
        merges.extend(splits(text).filter(|(a, b)| ids.contains_key(a) && ids.contains_key(b)));
        merges[first..].sort_by_key(|(a, b)| (ids[a], ids[b]));
    }
    Ok(merges)
}

/// Scores of `pieces`, texts in order of their ids, that merge as this list does: 0, -1 and so on
/// in the order of the list, then the pieces that nothing makes, as sentencepiece has them.
///
/// Two habits of transformers are followed. Pieces of spaces have one score in Llama 2's vocabulary
/// and were sorted by it alone, so their pairs are mixed. And for years it left out the pairs of
/// the piece whose score is 0, the greatest: one piece may have none.
///
/// # Errors
/// Pieces that are too long, and a list that no scores make: two pieces of pieces make one and are
/// not in it, a pair makes none or is there twice, or pairs of several pieces are mixed.
pub(super) fn to_scores(pieces: &[&str], merges: &[(&str, &str)]) -> Result<Vec<f32>, Error> {
    check_lengths(pieces.iter().copied())?;
    let ids: HashMap<&str, usize> = pieces.iter().enumerate().map(|(n, &p)| (p, n)).collect();
    let known: HashSet<(&str, &str)> = merges.iter().copied().collect();
    if known.len() != merges.len() {
        let found = format!("{} of {} again", merges.len() - known.len(), merges.len());
        return Err(Error::value("merges", "each pair once", found));
    }
    let mut ranks = vec![None; pieces.len()];
    let (mut rank, mut before) = (0, None);
    // The pieces of spaces made last, one behind another.
    let mut spaces = Vec::new();
    for &(a, b) in merges {
        let made = ids.get([a, b].concat().as_str()).copied();
        let id = made.ok_or_else(|| {
            Error::value("merges", "pairs that make a token", format!("{a:?} {b:?}"))
        })?;
        let is_spaces = pieces[id].chars().all(|c| c == VISIBLE_SPACE);
        if !is_spaces {
            spaces.clear();
        }
        if before.replace(id) == Some(id) {
            continue;
        }
        if ranks[id].is_none() {
            ranks[id] = Some(rank);
            rank += 1;
            spaces.extend(is_spaces.then_some(id));
        } else if spaces.contains(&id) {
            // Mixed with each other: all have one score.
            let least = spaces.iter().filter_map(|&id| ranks[id]).min();
            spaces.iter().for_each(|&id| ranks[id] = least);
        } else {
            let found = format!("{a:?} {b:?} behind those of other tokens");
            return Err(Error::value("merges", "the pairs of each token together", found));
        }
    }
    let mut first = None;
    for (id, &text) in pieces.iter().enumerate() {
        let mut all = splits(text).filter(|(a, b)| ids.contains_key(a) && ids.contains_key(b));
        let Some((a, b)) = all.find(|pair| !known.contains(pair)) else { continue };
        if ranks[id].is_some() || first.replace(id).is_some() {
            let expected = "every pair that makes a token, as sentencepiece merges";
            return Err(Error::value("merges", expected, format!("no {a:?} {b:?}")));
        }
    }
    let begin = u32::from(first.is_some());
    let mut last = begin + rank;
    let score = |(id, of): (usize, Option<u32>)| {
        let rank = match of {
            Some(rank) => begin + rank,
            None if first == Some(id) => 0,
            None => {
                last += 1;
                last - 1
            }
        };
        -(rank as f32)
    };
    Ok(ranks.into_iter().enumerate().map(score).collect())
}

fn check_lengths<'a>(pieces: impl Iterator<Item = &'a str>) -> Result<(), Error> {
    let squares = pieces.fold(0_usize, |sum, text| sum.saturating_add(text.len() * text.len()));
    if squares > MAX_SQUARES {
        let expected = format!("tokens whose squared lengths sum up to {MAX_SQUARES} at most");
        return Err(Error::value("tokens to merge", &expected, squares));
    }
    Ok(())
}

/// Every way to cut a text in two.
fn splits(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.char_indices().skip(1).map(|(at, _)| text.split_at(at))
}
