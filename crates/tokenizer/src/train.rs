//! Learns a vocabulary from a text: SentencePiece's BPE, with its defaults.
//!
//! A model of its own needs a vocabulary that fits its text. The one learned here is laid out as
//! Llama's, so that tokenizer.bin and a GGUF can hold it and any program can use it:
//!
//! ```text
//! id 0, 1, 2     <unk>, <s>, </s>
//! id 3..259      the 256 bytes, for characters that the text does not have
//! id 259..       merges in order of learning, score 0, -1, -2, …
//!                then every character of the text, the most frequent first, scores going on down
//! ```
//!
//! The text gets a space before it, as the encoder puts one there, and is cut into words. A word
//! is an optional space with either letters (and the marks on them) or other characters behind it,
//! digits and newlines among these. No piece reaches over the end of a word, so a piece holds a
//! space only at its beginning, no letters beside punctuation, and pieces such as `",\n"` and
//! `":\n\n"` are learned from verse. Of several spaces each but the last is a word.
//!
//! ```text
//! symbols of each different word = its characters
//! while there are fewer pieces than asked for:
//!     best = the pair of neighbours that occurs most often,
//!            of equals the one with fewer characters, then with the smaller text
//!     replace every occurrence of the pair by one symbol, from left to right
//! ```
//!
//! That is what sentencepiece's trainer does (`src/bpe_model_trainer.cc`), ties included; its
//! `split_by_unicode_script` keeps each script apart, which here is only letters from the rest.
//! Every pair keeps its places and how often it occurs, and pairs wait in a heap with a count that
//! may have become too high: it is put right when they come out. A megabyte takes a fraction of a
//! second, whatever the number of pieces.

use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;
use unicode_general_category::{GeneralCategory, get_general_category};

use crate::MAX_TOKENS;
use crate::pieces::{Piece, PieceKind, Pieces};
use crate::sentencepiece::VISIBLE_SPACE;

/// `<unk>`, BOS, EOS and the bytes.
const FIXED: usize = 3 + 256;

/// No symbol.
const END: u32 = u32::MAX;

/// How pieces are learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainOptions {
    /// The longest piece, in characters, its space included.
    pub max_piece_chars: usize,
}

impl Default for TrainOptions {
    /// As sentencepiece: 16 characters.
    fn default() -> Self {
        Self { max_piece_chars: 16 }
    }
}

/// Why a vocabulary of that size cannot be learned from that text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// There is nothing to learn from.
    #[error("the text is empty")]
    Empty,
    /// Not even each character of the text would get a token.
    #[error(
        "vocabulary of {found} tokens: expected at least {min}: 3 special tokens, 256 bytes and \
         the text's {chars} different characters"
    )]
    TooSmall {
        /// The smallest possible number of tokens.
        min: usize,
        /// Different characters of the text.
        chars: usize,
        /// The number asked for.
        found: usize,
    },
    /// No pair of pieces occurs twice any more, or the limit [`MAX_TOKENS`] is reached.
    #[error("vocabulary of {found} tokens: the text supports at most {max}")]
    TooLarge {
        /// The largest possible number of tokens.
        max: usize,
        /// The number asked for.
        found: usize,
    },
}

/// Cuts a text into what is trained on and what is kept for validation: the first nine tenths of
/// its characters, rounded down, and the rest.
#[must_use]
pub fn training_part(text: &str) -> (&str, &str) {
    let chars = text.chars().count();
    let kept = chars / 10 * 9 + chars % 10 * 9 / 10;
    text.split_at(text.char_indices().nth(kept).map_or(text.len(), |(at, _)| at))
}

/// Learns `vocab_size` pieces from `text`; the same text always gives the same pieces. U+2581 `▁`
/// counts as a space, as for sentencepiece, and U+0000 gets no piece but its byte's.
///
/// `progress` is told the merges learned so far and those wanted.
///
/// # Errors
/// The text is empty, has too many different characters, or repeats itself too little for a
/// vocabulary of that size.
pub fn train(
    text: &str,
    vocab_size: usize,
    options: TrainOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Pieces, TrainError> {
    if text.is_empty() {
        return Err(TrainError::Empty);
    }
    let mut visible = String::from(VISIBLE_SPACE);
    visible.extend(text.chars().map(|c| if c == ' ' { VISIBLE_SPACE } else { c }));
    let words = count_words(&visible);
    let alphabet = count_characters(&words);

    let (chars, min) = (alphabet.len(), FIXED + alphabet.len());
    if vocab_size < min {
        return Err(TrainError::TooSmall { min, chars, found: vocab_size });
    }
    if vocab_size > MAX_TOKENS {
        return Err(TrainError::TooLarge { max: MAX_TOKENS, found: vocab_size });
    }
    let wanted = vocab_size - min;
    let mut trainer = Trainer::new(&words, &alphabet, options.max_piece_chars);
    for merges in 0..wanted {
        progress(merges, wanted);
        if !trainer.merge_best() {
            return Err(TrainError::TooLarge { max: min + merges, found: vocab_size });
        }
    }
    progress(wanted, wanted);
    let (characters, merged) = trainer.texts.split_at(chars);
    Ok(lay_out(merged.iter().chain(characters)))
}

/// The vocabulary with these texts after what every vocabulary has.
fn lay_out<'t>(texts: impl Iterator<Item = &'t String>) -> Pieces {
    let named = |name: &str, kind| Piece { text: name.as_bytes().to_vec(), score: 0.0, kind };
    let mut pieces = vec![
        named("<unk>", PieceKind::Unknown),
        named("<s>", PieceKind::Control),
        named("</s>", PieceKind::Control),
    ];
    let byte = |byte| Piece { text: vec![byte], score: 0.0, kind: PieceKind::Byte };
    pieces.extend((0..=255).map(byte));
    let kind = PieceKind::Normal;
    pieces.extend(texts.zip(0_u32..).map(|(text, rank)| {
        let text = text.replace(VISIBLE_SPACE, " ").into_bytes();
        Piece { text, score: 0.0 - rank as f32, kind }
    }));
    Pieces(pieces)
}

/// What may stand together in a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Letter,
    Other,
    /// U+0000, which llama2.c's strings cannot hold.
    Nothing,
}

impl Class {
    fn of(c: char) -> Class {
        use GeneralCategory as Is;
        match c {
            VISIBLE_SPACE => Class::Space,
            '\0' => Class::Nothing,
            c if c.is_ascii() => {
                if c.is_ascii_alphabetic() {
                    Class::Letter
                } else {
                    Class::Other
                }
            }
            c => match get_general_category(c) {
                Is::UppercaseLetter
                | Is::LowercaseLetter
                | Is::TitlecaseLetter
                | Is::ModifierLetter
                | Is::OtherLetter
                | Is::NonspacingMark
                | Is::SpacingMark
                | Is::EnclosingMark => Class::Letter,
                _ => Class::Other,
            },
        }
    }
}

/// Every different word and how often it occurs.
fn count_words(text: &str) -> BTreeMap<&str, u64> {
    let mut words = BTreeMap::new();
    let (mut start, mut before) = (0, Class::Nothing);
    for (at, c) in text.char_indices() {
        let class = Class::of(c);
        let goes_on = class == before || before == Class::Space && class != Class::Nothing;
        if class == Class::Space || !goes_on {
            if before != Class::Nothing {
                *words.entry(&text[start..at]).or_default() += 1;
            }
            start = at;
        }
        before = class;
    }
    if before != Class::Nothing {
        *words.entry(&text[start..]).or_default() += 1;
    }
    words
}

/// Every different character, the most frequent first, of equals the one with the lower number.
fn count_characters(words: &BTreeMap<&str, u64>) -> Vec<char> {
    let mut counts = BTreeMap::<char, u64>::new();
    for (word, count) in words {
        word.chars().for_each(|c| *counts.entry(c).or_default() += count);
    }
    let mut characters: Vec<(char, u64)> = counts.into_iter().collect();
    characters.sort_by_key(|&(c, count)| (Reverse(count), c));
    characters.into_iter().map(|(c, _)| c).collect()
}

/// The words as they are cut so far. Symbols are numbered: first the characters, then each merge.
struct Trainer {
    /// For each symbol its text and its length in characters.
    texts: Vec<String>,
    lens: Vec<usize>,
    max_chars: usize,
    /// All different words end to end, one place a character. A place that was merged into the one
    /// before it holds the symbol END.
    places: Vec<Place>,
    /// How often each word occurs.
    counts: Vec<u64>,
    pairs: BTreeMap<(u32, u32), Pair>,
    heap: BinaryHeap<Candidate>,
}

/// One place in a word, with its neighbours; END beyond the word.
#[derive(Clone, Copy)]
struct Place {
    symbol: u32,
    prev: u32,
    next: u32,
    word: u32,
}

/// Two symbols that are neighbours somewhere.
#[derive(Default)]
struct Pair {
    /// How often, in the whole text.
    count: u64,
    /// Where the left one is or was, from left to right.
    places: Vec<u32>,
}

/// A pair that waits to be the best; the greatest comes out of the heap first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    count: u64,
    chars: Reverse<usize>,
    text: Reverse<String>,
    pair: (u32, u32),
}

impl Trainer {
    fn new(words: &BTreeMap<&str, u64>, alphabet: &[char], max_chars: usize) -> Trainer {
        let numbers: BTreeMap<char, u32> = alphabet.iter().copied().zip(0..).collect();
        let mut trainer = Trainer {
            texts: alphabet.iter().map(char::to_string).collect(),
            lens: vec![1; alphabet.len()],
            max_chars,
            places: Vec::new(),
            counts: words.values().copied().collect(),
            pairs: BTreeMap::new(),
            heap: BinaryHeap::new(),
        };
        for (text, word) in words.keys().zip(0..) {
            let start = trainer.places.len() as u32;
            for (symbol, at) in text.chars().map(|c| numbers[&c]).zip(start..) {
                let prev = if at == start { END } else { at - 1 };
                trainer.places.push(Place { symbol, prev, next: at + 1, word });
                if prev != END {
                    trainer.count_pair(prev, at);
                }
            }
            if let Some(last) = trainer.places.last_mut() {
                last.next = END;
            }
        }
        let pairs: Vec<(u32, u32)> = trainer.pairs.keys().copied().collect();
        pairs.into_iter().for_each(|pair| trainer.push_candidate(pair));
        trainer
    }

    /// Makes the best pair a symbol; `false` if no pair occurs twice.
    fn merge_best(&mut self) -> bool {
        let Some((text, pair)) = self.pop_best() else { return false };
        let merged = self.texts.len() as u32;
        self.lens.push(text.chars().count());
        self.texts.push(text);
        let old = self.pairs.remove(&pair).unwrap_or_default();
        let mut new_pairs = Vec::new();
        for left in old.places {
            let place = self.places[left as usize];
            if place.symbol != pair.0 || place.next == END {
                continue;
            }
            let absorbed = self.places[place.next as usize];
            if absorbed.symbol != pair.1 {
                continue;
            }
            if place.prev != END {
                self.discount_pair(place.prev, left);
            }
            if absorbed.next != END {
                self.discount_pair(place.next, absorbed.next);
                self.places[absorbed.next as usize].prev = left;
            }
            self.places[place.next as usize].symbol = END;
            self.places[left as usize] = Place { symbol: merged, next: absorbed.next, ..place };
            for (a, b) in [(place.prev, left), (left, absorbed.next)] {
                if a != END && b != END {
                    new_pairs.extend(self.count_pair(a, b));
                }
            }
        }
        new_pairs.sort_unstable();
        new_pairs.dedup();
        new_pairs.into_iter().for_each(|pair| self.push_candidate(pair));
        true
    }

    /// The pair that occurs most often. A count in the heap can only be too high, since a pair gets
    /// new places only while one of its symbols is made.
    fn pop_best(&mut self) -> Option<(String, (u32, u32))> {
        while let Some(Candidate { count, text, pair, .. }) = self.heap.pop() {
            match self.pairs.get(&pair) {
                Some(found) if found.count == count => return Some((text.0, pair)),
                _ => self.push_candidate(pair),
            }
        }
        None
    }

    fn push_candidate(&mut self, pair: (u32, u32)) {
        let Some(&Pair { count, .. }) = self.pairs.get(&pair).filter(|pair| pair.count > 1) else {
            return;
        };
        let [left, right] = [pair.0, pair.1].map(|symbol| symbol as usize);
        let text = Reverse([self.texts[left].as_str(), &self.texts[right]].concat());
        let chars = Reverse(self.lens[left] + self.lens[right]);
        self.heap.push(Candidate { count, chars, text, pair });
    }

    /// The symbols at two neighbouring places, unless their text would be too long.
    fn pair_at(&self, left: u32, right: u32) -> Option<(u32, u32)> {
        let [a, b] = [left, right].map(|at| self.places[at as usize].symbol);
        let chars = self.lens[a as usize] + self.lens[b as usize];
        (chars <= self.max_chars).then_some((a, b))
    }

    /// Counts two places that have become neighbours.
    fn count_pair(&mut self, left: u32, right: u32) -> Option<(u32, u32)> {
        let symbols = self.pair_at(left, right)?;
        let pair = self.pairs.entry(symbols).or_default();
        pair.count += self.counts[self.places[left as usize].word as usize];
        pair.places.push(left);
        Some(symbols)
    }

    /// Counts two places that are neighbours no more.
    fn discount_pair(&mut self, left: u32, right: u32) {
        let Some(symbols) = self.pair_at(left, right) else { return };
        if let Some(pair) = self.pairs.get_mut(&symbols) {
            pair.count -= self.counts[self.places[left as usize].word as usize];
            if pair.count == 0 {
                self.pairs.remove(&symbols);
            }
        }
    }
}
