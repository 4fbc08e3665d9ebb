//! Every format written and read again, against files that others wrote: gguf-py's GGUFs,
//! llama2.c's `.bin`s, and a Hugging Face model whose logits numpy computed.

#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_checkpoint::{Checkpoint, Header, Regions, Role, RopeScaling};
use llamaboot_convert::{Format, Model, Target, Vocabulary, WeightType, save, write};
use llamaboot_golden::{logits_of, with_engine};
use llamaboot_kernels::{Kernels, SingleThread};
use llamaboot_test_support::{read, root, smollm2};
use llamaboot_tokenizer::{Special, Tokenizer};
use std::path::{Path, PathBuf};

const STORIES: &str = "stories260K/stories260K.bin";
const TOKENIZER: &str = "stories260K/tok512.bin";

fn model_of(bytes: &[u8], tokenizer: Option<&[u8]>) -> Model {
    let regions = Regions::whole(bytes);
    Model::read_checkpoint(&Header::parse(&regions).unwrap(), &regions, tokenizer).unwrap()
}

fn stories() -> Option<Model> {
    Some(model_of(&read(STORIES)?, Some(&read(TOKENIZER)?)))
}

fn written(model: &Model, format: Format, kind: WeightType) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(model, Target::new(format, Some(kind)).unwrap(), &mut bytes).unwrap();
    bytes
}

fn saved(model: &Model, path: &Path, kind: WeightType) -> Vec<String> {
    let target = Target::new(Format::of_output(path).unwrap(), Some(kind)).unwrap();
    save(model, path, target, &mut |_| {}).unwrap().notes
}

fn logits(bytes: &[u8], tokens: &[u32]) -> Vec<f32> {
    with_engine(bytes, Kernels::best(), &SingleThread, 4, |e| logits_of(e, tokens)).concat()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&raw| f32::from_le_bytes(raw)).collect()
}

/// Every tensor of every type has gguf-py's bytes, and the vocabulary its values.
#[test]
fn ggufs_are_gguf_pys() {
    let Some(model) = stories() else { return };
    let kinds = [
        (WeightType::F32, "f32"),
        (WeightType::F16, "f16"),
        (WeightType::Q8_0, "q8_0"),
        (WeightType::Q4_0, "q4_0"),
    ];
    for (kind, name) in kinds {
        let expected = read(&format!("stories260K/gguf/stories260K-{name}.gguf")).unwrap();
        let got = written(&model, Format::Gguf, kind);
        let [want, have] = [&expected, &got].map(|b| Header::parse(&Regions::whole(b)).unwrap());
        assert_eq!(have.config, want.config);
        assert_eq!(have.tensors.len(), want.tensors.len());
        for (a, b) in want.tensors.iter().zip(&have.tensors) {
            assert_eq!((a.role, a.dtype, a.len), (b.role, b.dtype, b.len), "{name}");
            let place = |at: u64| at as usize..(at + a.len) as usize;
            assert!(expected[place(a.offset)] == got[place(b.offset)], "{name} {}", a.role);
        }
        let (want, have) = (want.gguf.unwrap(), have.gguf.unwrap());
        for entry in want.raw_entries() {
            if ["general.name", "general.license"].contains(&entry.key) {
                continue;
            }
            let same = have.raw_entries().find(|other| other.key == entry.key);
            let same = same.unwrap_or_else(|| panic!("{name}: {} is missing", entry.key));
            assert!((entry.kind, entry.bytes) == (same.kind, same.bytes), "{}", entry.key);
        }
    }
}

/// Version 0 is llama2.c's file, byte for byte but for rotary tables, which torch computed with a
/// cosine of its own: they differ by at most one unit in the last place.
#[test]
fn v0_is_llama2cs_file() {
    let Some(model) = stories() else { return };
    let original = read(STORIES).unwrap();
    let got = written(&model, Format::Llama2c, WeightType::F32);
    let tables = original.len() - 2 * 512 * 4 * 4;
    assert_eq!(got.len(), original.len());
    assert!(got[..tables] == original[..tables]);
    let pairs = f32s(&got[tables..]).into_iter().zip(f32s(&original[tables..]));
    let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= 6e-8, "{worst:e}");
}

/// Version 2 is what llama2.c's export.py makes, byte for byte.
#[test]
fn v2_is_llama2cs_file() {
    let Some(model) = stories() else { return };
    let expected = read("stories260K/formats/stories260K-q8-gs4.v2.bin").unwrap();
    assert!(written(&model, Format::Llama2c, WeightType::Q8_0) == expected);
}

/// From format to format, the logits stay the same to the last bit.
#[test]
fn f32_files_have_the_same_logits() {
    let Some(model) = stories() else { return };
    let tokens = [1, 403, 407, 261, 378];
    let expected = bits(&logits(&read(STORIES).unwrap(), &tokens));
    let v0 = written(&model, Format::Llama2c, WeightType::F32);
    assert_eq!(bits(&logits(&v0, &tokens)), expected);
    let gguf = written(&model, Format::Gguf, WeightType::F32);
    assert_eq!(bits(&logits(&gguf, &tokens)), expected);
    let folder = tempfile::tempdir().unwrap();
    saved(&model_of(&gguf, None), folder.path(), WeightType::F32);
    let back = Model::read_safetensors(folder.path(), None).unwrap();
    assert_eq!(back.config, model.config);
    assert!(back.layout.is_tied());
    assert!(bits(&back.weights) == bits(&model.weights));
    assert!(written(&back, Format::Llama2c, WeightType::F32) == v0);
    let tokenizer = std::fs::read(folder.path().join("tokenizer.bin")).unwrap();
    assert!(tokenizer == read(TOKENIZER).unwrap());
    // tokenizer.json, which is read first, says as much of this vocabulary.
    assert!(back.vocabulary.pieces().unwrap().to_llama2c() == tokenizer);
}

/// The folder tests/data/hf: made by tools/oracle/huggingface.py.
fn recorded() -> PathBuf {
    root().join("crates/convert/tests/data/hf")
}

/// A model in Hugging Face's form, in F32, F16 and BF16, gives the logits that numpy computes the
/// way transformers does, which knows nothing of the order of rows that we use.
#[test]
fn hugging_faces_model_has_its_logits() {
    let model = Model::read_safetensors(&recorded(), None).unwrap();
    assert!(!model.layout.is_tied());
    assert_eq!((model.config.head_dim, model.config.norm_eps), (12, 1e-6));
    let expected = f32s(&std::fs::read(recorded().join("logits.f32")).unwrap());
    let gguf = written(&model, Format::Gguf, WeightType::F32);
    let got = logits(&gguf, &[3, 1, 7, 7, 19, 0, 5, 11]);
    assert_eq!(got.len(), expected.len());
    let worst = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("off by {worst:.2e} at most");
    assert!(worst < 1e-5, "{worst:e}");
    // And back: the same values in the same order, untied.
    let folder = tempfile::tempdir().unwrap();
    saved(&model_of(&gguf, None), folder.path(), WeightType::F32);
    let back = Model::read_safetensors(folder.path(), None).unwrap();
    assert_eq!((&back.config, &back.layout), (&model.config, &model.layout));
    assert!(bits(&back.weights) == bits(&model.weights));
}

/// `w.view(8, 4, 2, 64).transpose(1, 2)` of transformers' conversion script, written out.
#[test]
fn rows_are_permuted_as_transformers_does() {
    let Some(model) = stories() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.safetensors");
    saved(&model, &file, WeightType::F32);
    let bytes = std::fs::read(&file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let (wq, wv) = (model.tensor(Role::Wq(2)).unwrap(), model.tensor(Role::Wv(2)).unwrap());
    let theirs = f32s(tensors.tensor("model.layers.2.self_attn.q_proj.weight").unwrap().data());
    for (row, ours) in [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11].into_iter().enumerate() {
        assert_eq!(theirs[row * 64..][..64], wq[ours * 64..][..64], "row {row}");
    }
    let v = f32s(tensors.tensor("model.layers.2.self_attn.v_proj.weight").unwrap().data());
    assert_eq!(v, wv);
}

/// Half floats are the nearest ones, and several files with an index are one model.
#[test]
fn halves_and_shards_are_read() {
    let model = Model::read_safetensors(&recorded(), None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    saved(&model, folder.path(), WeightType::F16);
    let half = Model::read_safetensors(folder.path(), None).unwrap();
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= a.abs() / 2048.0 + 1e-7;
    assert!(model.weights.iter().zip(&half.weights).all(near));
    shard(folder.path());
    let shards = Model::read_safetensors(folder.path(), None).unwrap();
    assert!(bits(&shards.weights) == bits(&half.weights));
}

/// Cuts model.safetensors in two, with an index.
fn shard(folder: &Path) {
    let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut map = serde_json::Map::new();
    for (n, name) in ["model-1-of-2.safetensors", "model-2-of-2.safetensors"].iter().enumerate() {
        let all = tensors.iter().enumerate();
        let part: Vec<_> = all.filter(|(i, _)| i % 2 == n).map(|(_, tensor)| tensor).collect();
        part.iter().for_each(|(tensor, _)| {
            map.insert((*tensor).to_string(), (*name).into());
        });
        std::fs::write(folder.join(name), safetensors::serialize(part, None).unwrap()).unwrap();
    }
    let index = serde_json::json!({"weight_map": map}).to_string();
    std::fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
    std::fs::remove_file(folder.join("model.safetensors")).unwrap();
}

/// A GGUF's vocabulary makes the tokenizer.bin that it came from; one of another kind makes none,
/// and says so; a GGUF of a GGUF has all its keys.
#[test]
fn vocabularies_go_along() {
    let Some(gguf) = read("stories260K/gguf/stories260K-q8_0.gguf") else { return };
    let model = model_of(&gguf, None);
    let folder = tempfile::tempdir().unwrap();
    assert!(saved(&model, &folder.path().join("a.bin"), WeightType::F32).is_empty());
    let tokenizer = std::fs::read(folder.path().join("a.tokenizer.bin")).unwrap();
    assert!(tokenizer == read(TOKENIZER).unwrap());
    let Some(path) = smollm2() else { return };
    let bytes = std::fs::read(path).unwrap();
    let header = Header::parse(&Regions::whole(&bytes)).unwrap();
    let mut model = model_of(&bytes, None);
    assert!(model.vocabulary.pieces().unwrap_err().contains("gpt2"));
    // The file's weights are large and not looked at here.
    model.config.n_layers = 1;
    let mut small = Model::zeroed(model.config, true, model.vocabulary).unwrap();
    let copy = written(&small, Format::Gguf, WeightType::Q4_0);
    let copy = Header::parse(&Regions::whole(&copy)).unwrap().gguf.unwrap().clone();
    let kept = |e: &llamaboot_checkpoint::gguf::RawEntry<'_>| e.key.starts_with("tokenizer.");
    for entry in header.gguf.as_ref().unwrap().raw_entries().filter(kept) {
        let same = copy.raw_entries().find(|other| other.key == entry.key).unwrap();
        assert!((entry.kind, entry.bytes) == (same.kind, same.bytes), "{}", entry.key);
    }
    let tokenizer = Tokenizer::from_metadata(&copy).unwrap();
    assert_eq!(tokenizer.encode("Hello there", Special::Plain).len(), 2);
    small.config.norm_eps = 1e-5;
    small.config.rope_base = 10_000.0;
    let note = saved(&small, &folder.path().join("b.bin"), WeightType::Q8_0);
    assert!(note[0].starts_with("no tokenizer.bin is written:"), "{note:?}");
    assert!(!folder.path().join("b.tokenizer.bin").exists());
}

/// What only a GGUF holds stays from GGUF to GGUF, and other formats refuse it in one line.
#[test]
fn what_a_format_cannot_hold_is_refused() {
    let mut model = Model::read_safetensors(&recorded(), None).unwrap();
    let refused = |model: &Model, format| {
        let target = Target::new(format, None).unwrap();
        let path = Path::new(if format == Format::Llama2c { "x.bin" } else { "x.safetensors" });
        let folder = tempfile::tempdir().unwrap();
        let error = save(model, &folder.path().join(path), target, &mut |_| {}).unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
        error.to_string()
    };
    assert!(refused(&model, Format::Llama2c).contains("norm_eps"));
    model.config.norm_eps = 1e-5;
    let message = refused(&model, Format::Llama2c);
    assert!(message.contains("rope_base") && message.contains("found 500"), "{message}");
    model.config.rope_base = 10_000.0;
    assert!(refused(&model, Format::Llama2c).contains("expected dim / n_heads = 16 / 2, found 12"));

    model.config.rope_scaling = RopeScaling::Linear(4.0);
    model.rope_divisors = Some(vec![1.0, 1.5, 2.0, 2.5, 3.0, 3.5]);
    assert!(refused(&model, Format::Safetensors).contains("divisors"));
    let gguf = written(&model, Format::Gguf, WeightType::F16);
    let back = model_of(&gguf, None);
    assert_eq!(back.rope_divisors, model.rope_divisors);
    assert_eq!(back.config, model.config);
    let regions = Regions::whole(&gguf);
    let checkpoint = Checkpoint::attach(&Header::parse(&regions).unwrap(), &regions).unwrap();
    assert!(checkpoint.rope_freqs.is_some());

    model.rope_divisors = None;
    let folder = tempfile::tempdir().unwrap();
    saved(&model, folder.path(), WeightType::F32);
    let back = Model::read_safetensors(folder.path(), None).unwrap();
    assert_eq!(back.config.rope_scaling, RopeScaling::Linear(4.0));
    model.weights[7] = 1e6;
    let mut out = Vec::new();
    let target = Target::new(Format::Gguf, Some(WeightType::F16)).unwrap();
    let message = write(&model, target, &mut out).unwrap_err().to_string();
    assert!(message.contains("token_embd.weight") && message.contains("found 1000000"));
}

/// A tokenizer of another size is not taken.
#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let Some(model) = stories() else { return };
    let Vocabulary::Pieces(mut pieces) = model.vocabulary.clone() else { panic!("it has one") };
    pieces.0.pop();
    let error = Model::zeroed(model.config, true, Vocabulary::Pieces(pieces)).unwrap_err();
    assert!(error.to_string().contains("expected 512 tokens"), "{error}");
}
