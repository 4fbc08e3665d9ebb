//! What the golden tests share: a model loaded from a file's bytes, and greedy decoding by ids.

#![forbid(unsafe_code)]

use llamaboot_checkpoint::{Checkpoint, Header, Regions};
use llamaboot_engine::{Engine, KvType, Logits, MemoryPlan, Model, pack};
use llamaboot_kernels::{Kernels, Parallel, argmax};

/// Runs `job` with an engine for the model in `bytes`, its matrices packed as in the product.
///
/// # Panics
/// Where the bytes are no model.
pub fn with_engine<R>(
    bytes: &[u8],
    kernels: Kernels,
    threads: &dyn Parallel,
    batch: usize,
    job: impl FnOnce(&mut Engine<'_>) -> R,
) -> R {
    with_cache(bytes, kernels, threads, batch, KvType::F32, job)
}

/// As [`with_engine`], with keys and values kept as `kv` says.
///
/// # Panics
/// Where the bytes are no model.
pub fn with_cache<R>(
    bytes: &[u8],
    kernels: Kernels,
    threads: &dyn Parallel,
    batch: usize,
    kv: KvType,
    job: impl FnOnce(&mut Engine<'_>) -> R,
) -> R {
    let mut header = Header::parse(&Regions::whole(bytes)).unwrap_or_else(|e| panic!("{e}"));
    let mut packed = bytes.to_vec();
    pack(&mut header, [(0, &mut packed[..])], threads).unwrap_or_else(|e| panic!("{e}"));
    let regions = Regions::whole(&packed);
    let checkpoint = Checkpoint::attach(&header, &regions).unwrap_or_else(|e| panic!("{e}"));
    let plan = MemoryPlan::new(&header, bytes.len() as u64, 512, batch, threads.threads(), kv);
    let model = Model::new(&checkpoint);
    let engine = Engine::new(&model, &plan, kernels, threads);
    job(&mut engine.unwrap_or_else(|e| panic!("{e}")))
}

/// Logits after each of `tokens`, computed in batches.
///
/// # Panics
/// Where the engine refuses a token.
pub fn logits_of(engine: &mut Engine<'_>, tokens: &[u32]) -> Vec<Vec<f32>> {
    let vocab_size = engine.model().config().vocab_size;
    let mut all = Vec::new();
    for batch in tokens.chunks(engine.batch()) {
        let logits = engine.forward(batch, Logits::All).unwrap_or_else(|e| panic!("{e}"));
        all.extend(logits.chunks(vocab_size).map(<[f32]>::to_vec));
    }
    all
}

/// The greedy continuation of `prompt`, and the margin of each choice over the runner-up.
///
/// # Panics
/// Where the engine refuses a token.
pub fn greedy(engine: &mut Engine<'_>, prompt: &[u32], n: usize) -> Vec<(u32, f32)> {
    engine.prefill(prompt, |_| Some(usize::MAX)).unwrap_or_else(|e| panic!("{e}"));
    let mut out = Vec::new();
    while out.len() < n {
        let logits = engine.last_logits();
        let best = argmax(logits);
        let others = logits.iter().enumerate().filter(|&(i, _)| i != best).map(|(_, &x)| x);
        out.push((best as u32, logits[best] - others.fold(f32::MIN, f32::max)));
        engine.forward(&[best as u32], Logits::Last).unwrap_or_else(|e| panic!("{e}"));
    }
    out
}
