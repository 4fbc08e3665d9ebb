//! Logits and greedy tokens against the references: llama2.c's output, float64 numpy, and the
//! recorded values for SmolLM2; and the same bits on every path.

#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_checkpoint::{Checkpoint, Header, Regions};
use llamaboot_engine::{Digest, Engine, KvType, MemoryPlan, Model};
use llamaboot_golden::{greedy, logits_of, with_cache, with_engine};
use llamaboot_kernels::{Isa, Kernels, SingleThread};
use llamaboot_test_support::{read, smollm2};

const STORIES: &str = "stories260K/stories260K.bin";
const TOKENS: [u32; 3] = [1, 403, 407];

/// The greater of two differences; a NaN is the worst of all.
fn worse(a: f32, b: f32) -> f32 {
    if b.is_nan() { f32::INFINITY } else { a.max(b) }
}

fn story_tokens() -> Option<Vec<u32>> {
    let text = String::from_utf8(read("stories260K/expected_greedy_tokens_n256.txt")?).unwrap();
    Some(text.split_whitespace().map(|id| id.parse().unwrap()).collect())
}

/// The greatest difference of a model's logits after [`TOKENS`] from `reference`, little-endian
/// f32s for one position after another.
fn error_of(model: &str, reference: &[u8]) -> Option<f32> {
    let bytes = read(model)?;
    let got = with_engine(&bytes, Kernels::best(), &SingleThread, 3, |e| logits_of(e, &TOKENS));
    let got = got.concat();
    assert_eq!(reference.len(), 4 * got.len());
    let reference = reference.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    let worst = reference.zip(got).map(|(a, b)| (a - b).abs()).fold(0.0, worse);
    println!("{model}: off by {worst:.2e} at most");
    Some(worst)
}

/// The f32 files against the shared float64 logits.
#[test]
fn f32_files_are_near_the_reference() {
    let reference =
        [0, 1, 2].map(|pos| read(&format!("stories260K/logits_f64ref_pos{pos}.f32le.bin")));
    let [Some(a), Some(b), Some(c)] = reference else { return };
    for model in
        [STORIES, "stories260K/formats/stories260K.v1.bin", "stories260K/gguf/stories260K-f32.gguf"]
    {
        let Some(worst) = error_of(model, &[&a[..], &b, &c].concat()) else { return };
        assert!(worst <= 1e-4, "{model}: off by {worst}");
    }
}

/// Every other file against float64 arithmetic on its own dequantised weights, recorded by
/// tools/oracle/story_logits.py. Floats lose only rounding; blocks also lose the 16th bit of the
/// activations.
#[test]
fn quantised_files_are_near_the_reference() {
    let references = include_bytes!("data/story_logits.bin").chunks_exact(3 * 512 * 4);
    let files = [
        ("gguf/stories260K-f16.gguf", 1e-4),
        ("gguf/stories260K-q8_0.gguf", 2e-3),
        ("gguf/stories260K-q4_1.gguf", 2e-3),
        ("gguf/stories260K-q4_0.gguf", 2e-3),
        ("formats/stories260K-q8-gs4.v2.bin", 1e-4),
    ];
    assert_eq!(references.len(), files.len());
    for (reference, (model, tolerance)) in references.zip(files) {
        let Some(worst) = error_of(&format!("stories260K/{model}"), reference) else { return };
        assert!(worst <= tolerance, "{model}: off by {worst}, allowed {tolerance}");
    }
}

/// llama2.c's greedy story, token for token.
#[test]
fn greedy_tokens_are_llama2cs() {
    let (Some(bytes), Some(expected)) = (read(STORIES), story_tokens()) else { return };
    let n = expected.len() - 1;
    let got = with_engine(&bytes, Kernels::best(), &SingleThread, 32, |e| greedy(e, &[1], n));
    assert_eq!(got.iter().map(|&(token, _)| token).collect::<Vec<_>>(), expected[1..]);
}

/// The scalar kernels on rows as the file has them.
fn unpacked_digest(bytes: &[u8], tokens: &[u32]) -> u64 {
    let regions = Regions::whole(bytes);
    let header = Header::parse(&regions).unwrap();
    let model = Model::new(&Checkpoint::attach(&header, &regions).unwrap());
    let plan = MemoryPlan::new(&header, bytes.len() as u64, 512, 1, 1, KvType::F32);
    let kernels = Kernels::new(Isa::Scalar).unwrap();
    let mut engine = Engine::new(&model, &plan, kernels, &SingleThread).unwrap();
    let mut digest = Digest::default();
    logits_of(&mut engine, tokens).iter().for_each(|logits| digest.update(logits));
    digest.value()
}

fn digest(bytes: &[u8], kernels: Kernels, batch: usize, tokens: &[u32]) -> u64 {
    with_engine(bytes, kernels, &SingleThread, batch, |engine| {
        let mut digest = Digest::default();
        logits_of(engine, tokens).iter().for_each(|logits| digest.update(logits));
        digest.value()
    })
}

/// The same bits from every instruction set and every batch size, packed into panels; and from
/// the file as it lies.
#[test]
fn every_path_gives_the_same_bits() {
    let Some(tokens) = story_tokens() else { return };
    let models =
        ["f32", "f16", "q8_0", "q4_0", "q4_1"].map(|name| format!("gguf/stories260K-{name}.gguf"));
    let more = ["stories260K.bin", "formats/stories260K-q8-gs4.v2.bin"].map(String::from);
    for model in models.into_iter().chain(more) {
        let Some(bytes) = read(&format!("stories260K/{model}")) else { return };
        let expected = unpacked_digest(&bytes, &tokens[..70]);
        for kernels in Isa::ALL.into_iter().filter_map(|isa| Kernels::new(isa).ok()) {
            for batch in [1, 7, 64] {
                let got = digest(&bytes, kernels, batch, &tokens[..70]);
                assert_eq!(got, expected, "{model} {} batch {batch}", kernels.isa());
            }
        }
    }
}

/// Keys and values rounded to f16: logits stay near those of an f32 cache, and are the same bits
/// from every instruction set and batch.
#[test]
fn an_f16_cache_is_near_and_the_same_everywhere() {
    let (Some(tokens), Some(bytes)) = (story_tokens(), read("stories260K/stories260K.bin")) else {
        return;
    };
    let tokens = &tokens[..70];
    let run = |kernels: Kernels, batch: usize, kv: KvType| {
        with_cache(&bytes, kernels, &SingleThread, batch, kv, |engine| logits_of(engine, tokens))
    };
    let exact = run(Kernels::scalar(), 1, KvType::F32);
    let expected = run(Kernels::scalar(), 1, KvType::F16);
    let pairs = exact.iter().flatten().zip(expected.iter().flatten());
    let off = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off > 0.0 && off < 2e-2, "f16 keys and values: off by {off}");
    for kernels in Isa::ALL.into_iter().filter_map(|isa| Kernels::new(isa).ok()) {
        for batch in [1, 7, 64] {
            let got = run(kernels, batch, KvType::F16);
            assert!(got == expected, "{} batch {batch}", kernels.isa());
        }
    }
}

/// SmolLM2: logits within 1e-2 of f32 activations on dequantised weights, and the same greedy
/// tokens up to the first choice that the reference itself makes by less than 0.05.
#[test]
fn smollm2_is_near_the_reference() {
    let (Some(model), Some(expected)) = (smollm2(), read("smollm2/expected.json")) else { return };
    let bytes = std::fs::read(model).unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
    let ids = |value: &serde_json::Value| -> Vec<u32> {
        value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
    };
    let mut worst = 0.0_f32;
    for case in expected["cases"].as_array().unwrap() {
        let prompt = ids(&case["prompt_tokens"]);
        let wanted = ids(&case["greedy_f32_tokens"]);
        let kernels = Kernels::best();
        let logits = with_engine(&bytes, kernels, &SingleThread, 32, |e| logits_of(e, &prompt));
        let mut compare = |got: &[f32], reference: &serde_json::Value| {
            for (got, reference) in got.iter().zip(reference.as_array().unwrap()) {
                worst = worse(worst, (got - reference.as_f64().unwrap() as f32).abs());
            }
        };
        for pos in 0..3 {
            compare(&logits[pos], &case["logits_first10"][format!("pos{pos}")]);
        }
        compare(logits.last().unwrap(), &case["logits_last_prompt_pos_first10"]);
        let got =
            with_engine(&bytes, kernels, &SingleThread, 32, |e| greedy(e, &prompt, wanted.len()));
        for (i, (&(got, _), &wanted)) in got.iter().zip(&wanted).enumerate() {
            let margin = case["margins"][i].as_f64().unwrap();
            if got != wanted {
                assert!(margin <= 0.05, "token {i}: {got}, expected {wanted} by {margin}");
                break;
            }
        }
    }
    println!("SmolLM2: off by {worst:.2e} at most");
    assert!(worst <= 1e-2, "off by {worst}");
}
