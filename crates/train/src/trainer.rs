//! A training run: weights, gradients, the optimizer's moments, and the steps that change them.

use crate::adamw::{Buffers, norm};
use crate::data::consecutive;
use crate::random::hash;
use crate::{
    AdamW, Backend, Batch, Compute, Corpus, Dropout, Error, Network, Parameters, Schedule, Windows,
};
use alloc::{boxed::Box, format, string::ToString, vec::Vec};
use llamaboot_kernels::zeros;

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Everything random follows from it.
    pub seed: u64,
    /// Windows computed together.
    pub windows: usize,
    /// Such batches for each step; their gradients are added up.
    pub accumulate: usize,
    /// Tokens of a window.
    pub context: usize,
    /// Share of the numbers dropped where a branch joins the residual stream.
    pub dropout: f32,
    /// The learning rate of each step.
    pub schedule: Schedule,
    /// The optimizer's constants.
    pub adamw: AdamW,
    /// Decay of the running mean of weights that is validated and exported; 0 for the weights
    /// themselves.
    pub average: f32,
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Mean loss of the step's tokens before the weights changed, nats a token.
    pub loss: f64,
    /// Norm of all gradients before they were clipped.
    pub gradient_norm: f32,
    /// The learning rate.
    pub rate: f32,
    /// Tokens trained on.
    pub tokens: usize,
}

/// A loss this many nats above the usual is a spike.
const SPIKE: f64 = 3.0;
/// Decay of the mean of losses that says what is usual.
const USUAL: f64 = 0.95;

/// A model in training.
pub struct Trainer<'a> {
    pub(crate) settings: Settings,
    parameters: Parameters,
    backend: Box<dyn Backend + 'a>,
    compute: Compute<'a>,
    windows: Windows,
    pub(crate) weights: Vec<f32>,
    gradients: Vec<f32>,
    pub(crate) means: Vec<f32>,
    pub(crate) squares: Vec<f32>,
    /// The running mean of the weights; empty where none is kept.
    pub(crate) average: Vec<f32>,
    /// Steps done.
    pub(crate) step: u64,
    /// Mean of recent losses; 0 before the first.
    pub(crate) usual: f64,
}

impl<'a> Trainer<'a> {
    /// A run on the CPU from these weights, which lie as [`Parameters::layout`] says.
    ///
    /// # Errors
    /// A setting out of range, a corpus too short or with tokens that the model does not have, or
    /// not enough memory.
    ///
    /// # Panics
    /// Where there are not as many weights as parameters: a bug of the caller.
    pub fn new(
        parameters: Parameters,
        weights: Vec<f32>,
        corpus: &Corpus,
        settings: Settings,
        compute: Compute<'a>,
    ) -> Result<Self, Error> {
        Self::on(parameters, weights, corpus, settings, compute, |parameters| {
            Ok(Box::new(Network::new(parameters, settings.windows, settings.context)?))
        })
    }

    /// As [`Trainer::new`], with the passes of another backend, which is made once everything else
    /// is known to be right.
    ///
    /// # Errors
    /// As [`Trainer::new`], and those of `backend`.
    ///
    /// # Panics
    /// As [`Trainer::new`].
    pub fn on(
        parameters: Parameters,
        weights: Vec<f32>,
        corpus: &Corpus,
        settings: Settings,
        compute: Compute<'a>,
        backend: impl FnOnce(Parameters) -> Result<Box<dyn Backend + 'a>, Error>,
    ) -> Result<Self, Error> {
        assert_eq!(weights.len(), parameters.len(), "weights of a model");
        settings.check(parameters.config().seq_len)?;
        check_tokens(corpus, parameters.config().vocab_size)?;
        let least = settings.windows * settings.context + 1;
        if corpus.train.len() < least {
            let (what, found) = ("training text for one batch", corpus.train.len());
            return Err(Error::TooShort { what, expected: least, found });
        }
        if corpus.validation.len() == 1 {
            return Err(Error::TooShort { what: "validation text", expected: 2, found: 1 });
        }
        let windows = Windows::new(corpus.train.len(), settings.context, settings.seed)?;
        let len = weights.len();
        let average = if settings.average > 0.0 { weights.clone() } else { Vec::new() };
        Ok(Self {
            settings,
            compute,
            windows,
            weights,
            average,
            gradients: zeros(len)?,
            means: zeros(len)?,
            squares: zeros(len)?,
            step: 0,
            usual: 0.0,
            backend: backend(parameters.clone())?,
            parameters,
        })
    }

    /// One step on the next windows of the corpus. Where the loss is no number or a spike, nothing
    /// changes.
    ///
    /// # Errors
    /// [`Error::Diverged`], and those of the backend.
    pub fn step(&mut self, corpus: &Corpus) -> Result<StepReport, Error> {
        let Settings { windows, accumulate, .. } = self.settings;
        let passes = accumulate as u64;
        let numbers = self.step * passes..(self.step + 1) * passes;
        let batch = |pass| self.windows.batch(corpus, pass * windows as u64, windows);
        let batches: Vec<Batch> = numbers.map(batch).collect();
        self.step_on(&batches)
    }

    /// One step on batches of the caller's, all of one size.
    ///
    /// # Errors
    /// As [`Trainer::step`].
    ///
    /// # Panics
    /// Where a batch is larger than the settings say, or holds a token that the model does not
    /// have.
    pub fn step_on(&mut self, batches: &[Batch]) -> Result<StepReport, Error> {
        let tokens: usize = batches.iter().map(|batch| batch.inputs.len()).sum();
        self.gradients.fill(0.0);
        let mut loss = 0.0;
        for (number, batch) in batches.iter().enumerate() {
            let pass = self.step * batches.len() as u64 + number as u64;
            let dropout = Dropout {
                key: Some(hash(&[self.settings.seed, 2, pass])),
                rate: self.settings.dropout,
            };
            loss += self.backend.gradients(
                &mut self.compute,
                &self.weights,
                batch,
                1.0 / tokens as f32,
                &mut self.gradients,
                dropout,
            )?;
        }
        let loss = loss / tokens as f64;
        let gradient_norm = norm(&mut self.compute, &self.gradients);
        let usual = if self.step == 0 { loss } else { self.usual };
        if !loss.is_finite() || !gradient_norm.is_finite() || loss > usual + SPIKE {
            return Err(Error::Diverged { step: self.step, loss, gradient_norm, usual });
        }
        self.usual = USUAL * usual + (1.0 - USUAL) * loss;
        let rate = self.settings.schedule.rate(self.step);
        self.step += 1;
        let buffers = Buffers {
            weights: &mut self.weights,
            gradients: &self.gradients,
            means: &mut self.means,
            squares: &mut self.squares,
        };
        let adamw = self.settings.adamw;
        let (compute, parameters) = (&mut self.compute, &self.parameters);
        adamw.update(compute, parameters, buffers, rate, self.step, gradient_norm);
        self.follow();
        Ok(StepReport { loss, gradient_norm, rate, tokens })
    }

    /// Moves the running mean of the weights; it forgets faster in the beginning.
    fn follow(&mut self) {
        if self.average.is_empty() {
            return;
        }
        let grown = (1 + self.step) as f32 / (10 + self.step) as f32;
        let decay = self.settings.average.min(grown);
        let chunk = 1 << 14;
        let items = self.average.chunks_mut(chunk).zip(self.weights.chunks(chunk));
        self.compute.for_each(items, |(average, weights)| {
            for (average, weight) in average.iter_mut().zip(weights.iter()) {
                *average += (weight - *average) * (1.0 - decay);
            }
        });
    }

    /// The mean loss over the validation text, nats a token, as `llamaboot perplexity` measures it
    /// with a window of the context's length; `None` where there is no such text.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn validate(&mut self, corpus: &Corpus) -> Result<Option<f64>, Error> {
        let weights = if self.average.is_empty() { &self.weights } else { &self.average };
        let (mut loss, mut tokens) = (0.0, 0);
        let Settings { windows, context, .. } = self.settings;
        for batch in consecutive(&corpus.validation, context, windows) {
            loss += self.backend.loss(&mut self.compute, weights, &batch)?;
            tokens += batch.inputs.len();
        }
        Ok((tokens > 0).then(|| loss / tokens as f64))
    }

    /// Steps done.
    #[must_use]
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// The model as it is to be used: the mean of weights where one is kept.
    #[must_use]
    pub fn weights(&self) -> &[f32] {
        if self.average.is_empty() { &self.weights } else { &self.average }
    }

    /// Shape and places of the weights.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// How it is trained.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl Settings {
    /// One window of `context` tokens at a time, nothing dropped, the optimizer's defaults.
    #[must_use]
    pub fn plain(context: usize, schedule: Schedule) -> Self {
        Self {
            seed: 1,
            windows: 1,
            accumulate: 1,
            context,
            dropout: 0.0,
            schedule,
            adamw: AdamW::default(),
            average: 0.0,
        }
    }

    /// Checks every number, for a model of `seq_len` positions.
    ///
    /// # Errors
    /// [`Error::Setting`], which names it as the command line does.
    pub fn check(&self, seq_len: usize) -> Result<(), Error> {
        let in_range = [
            ("--batch", self.windows as f32, 1.0, 65536.0),
            ("--accumulate", self.accumulate as f32, 1.0, 65536.0),
            ("--context", self.context as f32, 2.0, seq_len as f32),
            ("--dropout", self.dropout, 0.0, 0.99),
            ("--lr", self.schedule.peak, 0.0, 1.0),
            ("--last-lr", self.schedule.last, 0.0, 1.0),
            ("beta1", self.adamw.beta1, 0.0, 0.9999),
            ("--beta2", self.adamw.beta2, 0.0, 0.9999),
            ("--decay", self.adamw.decay, 0.0, 1.0),
            ("--clip", self.adamw.clip, 0.0, 1e6),
            ("--average", self.average, 0.0, 0.99999),
        ];
        for (name, value, least, most) in in_range {
            if !(least..=most).contains(&value) {
                let expected = format!("{least} to {most}");
                return Err(Error::Setting { name, expected, found: value.to_string() });
            }
        }
        Ok(())
    }
}

/// Every token must be the model's.
fn check_tokens(corpus: &Corpus, vocab_size: usize) -> Result<(), Error> {
    let texts = corpus.openings.iter().chain([&corpus.train, &corpus.validation]);
    match texts.flatten().find(|&&token| token as usize >= vocab_size) {
        Some(&token) => Err(Error::Token { token, vocab_size }),
        None => Ok(()),
    }
}
