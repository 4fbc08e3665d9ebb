//! How fast a model runs: fixed pseudo-random tokens from an empty cache, full logits every step,
//! no speculation, so that nothing the model says can flatter it.

use crate::Clock;
use alloc::{format, string::String, vec, vec::Vec};
use llamaboot_engine::{Engine, EngineError, Logits, Random};

/// What was measured. Each rate is the median of passes, the first one, which warms up, left out
/// where there was time for more.
#[derive(Debug, Clone, PartialEq)]
pub struct BenchReport {
    /// Tokens of the prompt, computed in batches.
    pub prompt_tokens: usize,
    /// Tokens computed one by one behind it.
    pub new_tokens: usize,
    /// Prompt tokens a second.
    pub prefill: f64,
    /// New tokens a second.
    pub decode: f64,
    /// Tokens a second if reading the weights, with the same kernels' loads and the same threads,
    /// were all there is to do.
    pub limit: f64,
    /// Bytes of weights that a token reads.
    pub bytes_per_token: u64,
    /// Rows of matrices that each core has multiplied with a token in all passes.
    pub rows_done: Vec<u64>,
}

impl BenchReport {
    /// The figures, a line each.
    #[must_use]
    pub fn text(&self) -> String {
        let rate = |tokens: f64| tokens * self.bytes_per_token as f64 / 1e9;
        let rows: Vec<String> = self.rows_done.iter().map(|rows| format!("{rows}")).collect();
        format!(
            "  prefill  {:>9.1} tokens/s  ({} tokens in batches)\n  \
             decode   {:>9.1} tokens/s  ({} tokens, one by one)\n  \
             weights  {:>9.2} GB/s while decoding, {:.0} % of the {:.2} GB/s of reading alone\n  \
             rows     {} of matrices, core by core\n",
            self.prefill,
            self.prompt_tokens,
            self.decode,
            self.new_tokens,
            rate(self.decode),
            100.0 * self.decode / self.limit,
            rate(self.limit),
            rows.join(", "),
        )
    }
}

/// Measures passes of `prompt_tokens` and `new_tokens` tokens until a second is full, at most ten;
/// `go_on` is told after every step how many tokens of the pass are done, and `false` ends it all
/// without a report. The engine's sequence is lost.
///
/// # Errors
/// More tokens than the context has room for, or none.
pub fn bench(
    engine: &mut Engine<'_>,
    clock: &dyn Clock,
    (prompt_tokens, new_tokens): (usize, usize),
    go_on: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<BenchReport>, EngineError> {
    const ENOUGH_US: u64 = 1_000_000;
    let (needed, context) = (prompt_tokens.saturating_add(new_tokens), engine.context());
    if needed > context {
        return Err(EngineError::ContextFull { needed, context });
    }
    let vocab_size = engine.model().config().vocab_size as u32;
    let mut random = Random::new(1);
    let tokens: Vec<u32> =
        (0..prompt_tokens + new_tokens).map(|_| random.next_u32() % vocab_size).collect();
    let before = engine.rows_done();
    let begin = clock.micros();
    let (mut prefills, mut decodes) = (vec![], vec![]);
    while prefills.len() < 10 && (prefills.is_empty() || clock.micros() - begin < ENOUGH_US) {
        engine.truncate(0);
        let start = clock.micros();
        let done =
            engine.prefill(&tokens[..prompt_tokens], |done| go_on(done).then_some(usize::MAX))?;
        if done < prompt_tokens {
            return Ok(None);
        }
        prefills.push(rate(prompt_tokens, start, clock));
        let start = clock.micros();
        for (done, token) in tokens.iter().enumerate().skip(prompt_tokens) {
            if !go_on(done) {
                return Ok(None);
            }
            engine.forward(core::slice::from_ref(token), Logits::Last)?;
        }
        decodes.push(rate(new_tokens, start, clock));
    }
    let after = engine.rows_done().into_iter();
    let rows_done = after.zip(before).map(|(after, before)| after - before).collect();
    Ok(Some(BenchReport {
        prompt_tokens,
        new_tokens,
        prefill: median(prefills),
        decode: median(decodes),
        limit: reading_limit(engine, clock),
        bytes_per_token: engine.model().bytes_per_token(),
        rows_done,
    }))
}

/// Passes a second of reading all weights.
fn reading_limit(engine: &Engine<'_>, clock: &dyn Clock) -> f64 {
    const ENOUGH_US: u64 = 300_000;
    let begin = clock.micros();
    let mut rates = vec![];
    while rates.len() < 100 && (rates.len() < 2 || clock.micros() - begin < ENOUGH_US) {
        let start = clock.micros();
        core::hint::black_box(engine.read_weights());
        rates.push(rate(1, start, clock));
    }
    median(rates)
}

/// A second, since `start`.
fn rate(count: usize, start: u64, clock: &dyn Clock) -> f64 {
    count as f64 * 1e6 / (clock.micros() - start).max(1) as f64
}

/// The first is left out where there are more.
fn median(mut rates: Vec<f64>) -> f64 {
    if rates.len() > 1 {
        rates.remove(0);
    }
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
