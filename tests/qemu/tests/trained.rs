//! Models that we trained, on the booted machine: the one that an image holds by default, a
//! fine-tuned one, and a new one with Llama 2's vocabulary; each says what it says on the host.

#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_checkpoint::{Header, Regions};
use llamaboot_convert::{Format, Model, Target, Vocabulary, save};
use llamaboot_golden::{greedy, with_engine};
use llamaboot_kernels::{Kernels, SingleThread};
use llamaboot_qemu_tests::{Prompt, file, host_logits, image};
use llamaboot_test_support::{data, read, root};
use llamaboot_tokenizer::{Pieces, Special, StreamDecoder, Tokenizer, training_part};
use llamaboot_train::{
    Compute, Corpus, Parameters, Preset, Schedule, Settings, Trainer, initial_weights,
};
use std::path::Path;
use xtask::qemu::Machine;

/// What the engine says from nothing on this machine, the likeliest token each time.
fn host_text(model: &Path, tokenizer: &Tokenizer, tokens: usize) -> String {
    let bytes = std::fs::read(model).unwrap();
    let bos = tokenizer.bos().unwrap();
    let mut decoder = StreamDecoder::new(Some(bos));
    let mut text = String::new();
    with_engine(&bytes, Kernels::best(), &SingleThread, 1, |engine| {
        for (token, _) in greedy(engine, &[bos], tokens) {
            decoder.push(tokenizer, token, &mut text);
        }
    });
    decoder.finish(&mut text);
    text
}

/// Boots a model and compares logits and text with the host's.
fn boots(model: &Path, beside: Option<&Path>, tokenizer: &Tokenizer, tokens: usize) {
    let name = |path: &Path| format!("models/{}", path.file_name().unwrap().to_string_lossy());
    let files = [Some(model), beside].into_iter().flatten().map(|path| file(&name(path), path));
    let disk = image(files.collect());
    let mut prompt = Prompt::boot(&Machine::new(&disk.path));
    assert_eq!(prompt.ask("/logits"), host_logits(model));
    prompt.ask("/set temperature 0");
    prompt.ask(&format!("/set max_tokens {tokens}"));
    let said = prompt.ask("");
    let (text, _) = said.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(text, host_text(model, tokenizer, tokens).trim_end_matches('\n'));
}

/// A few steps on the beginning of TinyShakespeare.
fn trained(model: &mut Model, tokenizer: &Tokenizer, context: usize) -> Option<()> {
    let text = String::from_utf8(read("tinyshakespeare/input.txt")?).unwrap();
    let (text, _) = training_part(&text);
    let train = tokenizer.encode(&text[..20_000], Special::Plain);
    let corpus = Corpus { train, ..Corpus::default() };
    let schedule = Schedule { peak: 1e-3, last: 0.1, warmup: 1, steps: 4 };
    let parameters = Parameters::new(model.config.clone(), model.layout.is_tied());
    let compute = Compute::new(Kernels::best(), &SingleThread, context).unwrap();
    let settings = Settings::plain(context, schedule);
    let weights = model.weights.clone();
    let mut trainer = Trainer::new(parameters, weights, &corpus, settings, compute).unwrap();
    for _ in 0..4 {
        trainer.step(&corpus).unwrap();
    }
    assert_ne!(model.weights, trainer.weights());
    model.weights.copy_from_slice(trainer.weights());
    Some(())
}

/// Exports a model as llama2.c's file with its tokenizer, and boots it.
fn boots_as_bin(model: &Model, tokenizer: &Tokenizer, tokens: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trained.bin");
    save(model, &path, Target::new(Format::Llama2c, None).unwrap(), &mut |_| ()).unwrap();
    let beside = folder.path().join("trained.tokenizer.bin");
    boots(&path, Some(&beside), tokenizer, tokens);
}

#[test]
fn our_own_model_boots() {
    let path = root().join("assets/shakespeare/shakespeare.gguf");
    let bytes = std::fs::read(&path).unwrap();
    let header = Header::parse(&Regions::whole(&bytes)).unwrap();
    let tokenizer = Tokenizer::from_metadata(header.gguf.as_ref().unwrap()).unwrap();
    boots(&path, None, &tokenizer, 60);
}

#[test]
fn a_fine_tuned_model_boots() {
    let files = read("stories260K/stories260K.bin").zip(read("stories260K/tok512.bin"));
    let Some((bytes, tokenizer_bytes)) = files else { return };
    let regions = Regions::whole(&bytes);
    let header = Header::parse(&regions).unwrap();
    let mut model = Model::read_checkpoint(&header, &regions, Some(&tokenizer_bytes)).unwrap();
    let tokenizer = Tokenizer::from_llama2c(&tokenizer_bytes, 512).unwrap();
    if trained(&mut model, &tokenizer, 256).is_some() {
        boots_as_bin(&model, &tokenizer, 100);
    }
}

/// The seed path: a new model of stories15M's shape with Llama 2's vocabulary.
#[test]
fn a_new_model_with_llama_2s_vocabulary_boots() {
    let Some(path) = data("tokenizers/llama2_tokenizer.model") else { return };
    let pieces = Pieces::from_file(&std::fs::read(path).unwrap()).unwrap();
    let config = Preset::named("15M").unwrap().config(pieces.0.len());
    let tokenizer = Tokenizer::from_llama2c(&pieces.to_llama2c(), pieces.0.len()).unwrap();
    let mut model = Model::zeroed(config.clone(), true, Vocabulary::Pieces(pieces)).unwrap();
    model.weights = initial_weights(&Parameters::new(config, true), 1);
    if trained(&mut model, &tokenizer, 64).is_some() {
        boots_as_bin(&model, &tokenizer, 10);
    }
}
