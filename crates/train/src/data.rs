//! What is trained on: the tokens of a text, and in which order its windows are taken.
//!
//! ```text
//! epoch e    an offset o(e) below the context and a permutation π(e), both from the seed
//! sample s   epoch s / n, window π(s mod n): tokens o + π · context .. + context + 1
//! ```
//!
//! Every epoch reads nearly all of the text once, cut elsewhere. One sample in eight is an opening:
//! BOS and a text that begins there, as the model is asked later. Where a sample comes from depends
//! on its number alone, so that a run can be taken up anywhere.

use crate::Error;
use crate::random::{Random, hash};
use alloc::vec::Vec;

/// A tokenised text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Corpus {
    /// All tokens of the training text.
    pub train: Vec<u32>,
    /// Sequences that begin with BOS, each at most one token longer than a window; may be none.
    pub openings: Vec<Vec<u32>>,
    /// All tokens of the validation text; may be none.
    pub validation: Vec<u32>,
}

/// Windows of equal length: inputs, and for each the token that follows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// `(windows, context)`.
    pub inputs: Vec<u32>,
    /// `(windows, context)`.
    pub targets: Vec<u32>,
    /// Tokens of a window.
    pub context: usize,
}

impl Batch {
    /// Appends a window of which each token but the last is an input.
    fn push(&mut self, tokens: &[u32]) {
        self.inputs.extend(&tokens[..tokens.len() - 1]);
        self.targets.extend(&tokens[1..]);
    }
}

/// One sample in this many is an opening, where the corpus has any.
const OPENING_EVERY: u64 = 8;

/// Hands out the samples of a corpus in an order that the seed determines.
#[derive(Debug, Clone)]
pub struct Windows {
    seed: u64,
    context: usize,
    /// Windows of an epoch.
    count: usize,
    /// Tokens of the text.
    len: usize,
    epoch: Option<Epoch>,
}

#[derive(Debug, Clone)]
struct Epoch {
    number: u64,
    offset: usize,
    order: Vec<u32>,
}

impl Windows {
    /// Windows of `context` tokens of a text of `len` tokens.
    ///
    /// # Errors
    /// Where the text is shorter than a window and the token behind it.
    pub fn new(len: usize, context: usize, seed: u64) -> Result<Self, Error> {
        if len < context + 1 {
            let what = "training text";
            return Err(Error::TooShort { what, expected: context + 1, found: len });
        }
        let count = ((len - 1) / context).saturating_sub(1).max(1);
        Ok(Self { seed, context, count, len, epoch: None })
    }

    /// Samples of an epoch.
    #[must_use]
    pub fn per_epoch(&self) -> usize {
        self.count
    }

    /// The samples `first .. first + windows`.
    pub fn batch(&mut self, corpus: &Corpus, first: u64, windows: usize) -> Batch {
        let mut batch = Batch { context: self.context, ..Batch::default() };
        for sample in first..first + windows as u64 {
            let start = self.start(sample);
            let draw = hash(&[self.seed, 1, sample]);
            let opening = (draw.is_multiple_of(OPENING_EVERY) && !corpus.openings.is_empty())
                .then(|| &corpus.openings[(draw / OPENING_EVERY) as usize % corpus.openings.len()])
                .filter(|opening| opening.len() > self.context);
            match opening {
                Some(opening) => batch.push(&opening[..=self.context]),
                None => batch.push(&corpus.train[start..=start + self.context]),
            }
        }
        batch
    }

    /// Where a sample's window begins.
    fn start(&mut self, sample: u64) -> usize {
        let (number, index) = (sample / self.count as u64, sample % self.count as u64);
        let (seed, count, spare) = (self.seed, self.count, self.len - self.count * self.context);
        if self.epoch.as_ref().is_none_or(|epoch| epoch.number != number) {
            let mut random = Random::new(&[seed, 0, number]);
            let offset = random.below(spare);
            let mut order: Vec<u32> = (0..count as u32).collect();
            for end in (1..count).rev() {
                order.swap(end, random.below(end + 1));
            }
            self.epoch = Some(Epoch { number, offset, order });
        }
        let epoch = self.epoch.as_ref();
        epoch.map_or(0, |e| e.offset + e.order[index as usize] as usize * self.context)
    }
}

/// A text cut into consecutive windows of `window` tokens, in which every token but the first is
/// predicted: what `llamaboot perplexity` measures. Batches hold at most `windows` of them; the
/// last window may be shorter and is then a batch of its own.
pub(crate) fn consecutive(
    tokens: &[u32],
    window: usize,
    windows: usize,
) -> impl Iterator<Item = Batch> {
    let (whole, rest) = tokens.split_at(tokens.len() / window * window);
    let batch = move |tokens: &[u32], window: usize| {
        let mut batch = Batch { context: window - 1, ..Batch::default() };
        tokens.chunks_exact(window).for_each(|tokens| batch.push(tokens));
        batch
    };
    let last = (rest.len() > 1).then(|| batch(rest, rest.len()));
    whole.chunks(window * windows).map(move |tokens| batch(tokens, window)).chain(last)
}
