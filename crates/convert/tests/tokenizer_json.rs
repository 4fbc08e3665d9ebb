//! tokenizer.json against Hugging Face's `tokenizers`: recorded vocabularies and the ids that they give
//! (tools/oracle/tokenizer_json.py), real vocabularies that go out and come back, and whatever else
//! may stand in such a file.

#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_checkpoint::gguf::Gguf;
use llamaboot_checkpoint::{Config, Header, Regions, RopeScaling};
use llamaboot_convert::{
    Error, Format, GgufVocabulary, Model, Target, Vocabulary, WeightType, save,
};
use llamaboot_test_support::{read, root, smollm2, unescape};
use llamaboot_tokenizer::{Pieces, Special, Tokenizer};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const FILES: [&str; 3] = ["llama3.json", "smollm.json", "sentencepiece.json"];

fn recorded(name: &str) -> String {
    let folder = root().join("crates/convert/tests/data/tokenizer_json");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// The least model with so many tokens.
fn small(vocab_size: usize, vocabulary: Vocabulary) -> Model {
    let config = Config {
        dim: 2,
        hidden_dim: 2,
        n_layers: 1,
        n_heads: 1,
        n_kv_heads: 1,
        head_dim: 2,
        vocab_size,
        seq_len: 64,
        norm_eps: 1e-5,
        rope_base: 10_000.0,
        rope_scaling: RopeScaling::None,
    };
    Model::zeroed(config, true, vocabulary).unwrap()
}

fn saved(model: &Model, folder: &Path) -> Vec<String> {
    let target = Target::new(Format::Safetensors, Some(WeightType::F16)).unwrap();
    save(model, folder, target, &mut |_| {}).unwrap().notes
}

/// A folder with a model of 512 tokens and these files beside it.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    saved(&small(512, Vocabulary::None), folder.path());
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn read_back(files: &[(&str, &str)]) -> Result<Model, Error> {
    Model::read_safetensors(folder(files).path(), None)
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Every text gets the ids that `tokenizers` gives it.
#[test]
fn encodes_as_hugging_face_does() {
    let ids = recorded("ids.tsv");
    for name in FILES {
        let model = read_back(&[("tokenizer.json", &recorded(name))]).unwrap();
        let tokenizer = model.vocabulary.tokenizer().unwrap();
        assert!(tokenizer.adds_bos(), "{name}: the post-processor puts it before");
        let mut texts = 0;
        for line in ids.lines() {
            let mut fields = line.split('\t');
            if fields.next() != Some(name) {
                continue;
            }
            let text = unescape(fields.next().unwrap());
            let expected: Vec<u32> = fields
                .next()
                .unwrap()
                .split_terminator(' ')
                .map(|id| id.parse().unwrap())
                .collect();
            assert_eq!(tokenizer.encode(&text, Special::Parse), expected, "{name}: {text:?}");
            texts += 1;
        }
        assert_eq!(texts, 71, "{name}");
    }
}

/// What is read is written as `tokenizers` wrote it.
#[test]
fn files_come_back_as_they_were() {
    for name in FILES {
        let was: Value = serde_json::from_str(&recorded(name)).unwrap();
        let settings =
            r#"{"bos_token": {"content": "<|begin_of_text|>"}, "eos_token": "<|eot_id|>"}"#;
        let settings = if name == "sentencepiece.json" { "{}" } else { settings };
        let model =
            read_back(&[("tokenizer.json", &recorded(name)), ("tokenizer_config.json", settings)]);
        let out = tempfile::tempdir().unwrap();
        assert_eq!(saved(&model.unwrap(), out.path()), [""; 0]);
        let mut is = json_of(&out.path().join("tokenizer.json"));
        // Ids without a token, up to 512, are named.
        let vocab = is["model"]["vocab"].as_object_mut().unwrap();
        vocab.retain(|text, _| !text.starts_with("[PAD"));
        for part in ["model", "added_tokens", "normalizer", "decoder", "post_processor"] {
            // The pair of `tokenizers` own making is of another form.
            let (mut was, mut is) = (was[part].clone(), is[part].clone());
            for value in [&mut was, &mut is] {
                if let Some(object) = value.as_object_mut() {
                    object.remove("pair");
                }
            }
            assert_eq!(is, was, "{name}: {part}");
        }
        let words = |json: &Value| match &json["pre_tokenizer"]["pretokenizers"] {
            Value::Null => json["pre_tokenizer"].clone(),
            steps => steps.clone(),
        };
        assert_eq!(words(&is), words(&was), "{name}");
    }
}

/// Real vocabularies go out as tokenizer.json and come back the same: tokens, merges, ends, the
/// chat template.
#[test]
fn real_vocabularies_go_round() {
    let smollm2 = smollm2().map(|path| fs::read(path).unwrap());
    let others = ["gguf-vocab/ggml-vocab-gpt-2.gguf", "gguf-vocab/ggml-vocab-llama-spm.gguf"];
    let files = others.iter().filter_map(|file| read(file)).chain(smollm2);
    let inputs = ["smollm2/smollm2.tokenizer.inp", "tinyshakespeare/input.txt"];
    let Some(texts) = inputs.iter().map(|file| read(file)).collect::<Option<Vec<_>>>() else {
        return;
    };
    let texts: Vec<String> = texts.into_iter().map(|t| String::from_utf8(t).unwrap()).collect();
    for bytes in files {
        let gguf = Gguf::parse(&bytes, bytes.len() as u64).unwrap();
        let expected = Tokenizer::from_metadata(&gguf).unwrap();
        let vocabulary = Vocabulary::Gguf(GgufVocabulary::read(&gguf).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let notes = saved(&small(expected.vocab_size(), vocabulary), folder.path());
        assert_eq!(notes, [""; 0]);
        let back = Model::read_safetensors(folder.path(), None).unwrap().vocabulary;
        let got = back.tokenizer().unwrap();
        assert_eq!((got.bos(), got.eos()), (expected.bos(), expected.eos()));
        assert_eq!((got.kind(), got.adds_bos()), (expected.kind(), expected.adds_bos()));
        for token in 0..expected.vocab_size() as u32 {
            assert_eq!(got.token_bytes(token), expected.token_bytes(token));
            assert_eq!(got.is_control(token), expected.is_control(token), "{token}");
            assert_eq!(got.is_end(token), expected.is_end(token), "{token}");
        }
        for text in &texts {
            let text = &text[..text.floor_char_boundary(50_000)];
            for special in [Special::Plain, Special::Parse] {
                assert!(got.encode(text, special) == expected.encode(text, special));
            }
        }
        let Vocabulary::Gguf(back) = back else { panic!("of another kind") };
        let template = back.entries.iter().find(|entry| entry.key == "tokenizer.chat_template");
        let template = template.map(|entry| String::from_utf8_lossy(&entry.bytes[8..]));
        assert_eq!(template.as_deref(), gguf.text("tokenizer.chat_template").unwrap());
    }
}

/// Of several files the first counts: tokenizer.json, tokenizer.model, tokenizer.bin; one that is
/// given goes before all. Template and ends go with each.
#[test]
fn one_file_counts() {
    let Some(bin) = read("stories260K/tok512.bin") else { return };
    let model = read("stories260K/tok512.model").unwrap();
    let json = recorded("llama3.json");
    let template = "{{ messages[0]['content'] }}";
    let folder = folder(&[("tokenizer.json", &json), ("chat_template.jinja", template)]);
    let place = |name: &str| folder.path().join(name);
    let read = |given: Option<&[u8]>| {
        let given = given.map(|bytes| (Path::new("given"), bytes));
        Model::read_safetensors(folder.path(), given).unwrap()
    };
    let kind = |given| read(given).vocabulary.tokenizer().unwrap().kind().to_string();
    fs::write(place("tokenizer.model"), &model).unwrap();
    assert_eq!(kind(None), "byte-level BPE (llama-bpe)");
    fs::remove_file(place("tokenizer.json")).unwrap();
    assert_eq!(kind(None), "SentencePiece BPE");
    let Vocabulary::Gguf(vocabulary) = read(None).vocabulary else { panic!("has no template") };
    assert_eq!(vocabulary.pieces.unwrap(), Pieces::from_sentencepiece(&model).unwrap());
    let has = |key: &str| vocabulary.entries.iter().any(|entry| entry.key == key);
    assert!(has("tokenizer.chat_template"));
    fs::remove_file(place("tokenizer.model")).unwrap();
    fs::write(place("tokenizer.bin"), &bin).unwrap();
    assert_eq!(kind(None), "SentencePiece BPE");
    assert_eq!(kind(Some(json.as_bytes())), "byte-level BPE (llama-bpe)");
    let settings = r#"{"eos_token": "ed", "add_bos_token": false}"#;
    fs::write(place("tokenizer_config.json"), settings).unwrap();
    let tokenizer = read(None).vocabulary.tokenizer().unwrap();
    let ed = tokenizer.encode_continuation("ed");
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(1), Some(ed[0])));
    assert!(ed.len() == 1 && !tokenizer.adds_bos());
    // Its longest token has as many bytes as `{` is.
    let mut bin = bin;
    bin[0] = b'{';
    assert_eq!(kind(Some(&bin)), "SentencePiece BPE");
}

/// Ends and templates, in every way that tokenizer_config.json and config.json say them.
#[test]
fn settings_are_followed() {
    let json = recorded("llama3.json");
    let tokenizer = |settings: &str| {
        let model =
            read_back(&[("tokenizer.json", &json), ("tokenizer_config.json", settings)]).unwrap();
        model.vocabulary.tokenizer().unwrap()
    };
    let named =
        tokenizer(r#"{"bos_token": "<|begin_of_text|>", "eos_token": {"content": "<|eot_id|>"}}"#);
    assert_eq!((named.bos(), named.eos(), named.adds_bos()), (Some(0), Some(2), true));
    let without = tokenizer(r#"{"bos_token": "<|begin_of_text|>", "add_bos_token": false}"#);
    assert_eq!((without.bos(), without.eos(), without.adds_bos()), (Some(0), None, false));

    let several = r#"{"chat_template": [{"name": "tool_use", "template": "no"},
        {"name": "default", "template": "yes"}]}"#;
    let model = read_back(&[("tokenizer.json", &json), ("tokenizer_config.json", several)]);
    let Vocabulary::Gguf(vocabulary) = model.unwrap().vocabulary else { panic!("no GGUF's") };
    let template = vocabulary.entries.iter().find(|e| e.key == "tokenizer.chat_template").unwrap();
    assert_eq!(&template.bytes[8..], b"yes");

    let folder = folder(&[("tokenizer.json", &json)]);
    let path = folder.path().join("config.json");
    let mut config = json_of(&path);
    config["bos_token_id"] = json!(0);
    config["eos_token_id"] = json!(300);
    fs::write(&path, config.to_string()).unwrap();
    let more = r#"{"eos_token_id": [300, 301, 302], "bos_token_id": -1}"#;
    fs::write(folder.path().join("generation_config.json"), more).unwrap();
    let model = Model::read_safetensors(folder.path(), None).unwrap();
    let tokenizer = model.vocabulary.tokenizer().unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(0), Some(300)));
    assert!(tokenizer.is_end(301) && tokenizer.is_end(302) && !tokenizer.is_end(303));
    config["eos_token_id"] = json!(99_999);
    fs::write(&path, config.to_string()).unwrap();
    let message = Model::read_safetensors(folder.path(), None).unwrap_err().to_string();
    assert!(message.contains("config.json: eos_token_id: expected an id below 512"), "{message}");

    // transformers wrote 1 into every config.json; what goes before a text is another token here.
    config["eos_token_id"] = json!(2);
    config["bos_token_id"] = json!(1);
    fs::write(&path, config.to_string()).unwrap();
    let model = Model::read_safetensors(folder.path(), None).unwrap();
    assert_eq!(model.vocabulary.tokenizer().unwrap().bos(), Some(0));
}

/// A model is not written beside what belongs to another, which would be read with it.
#[test]
fn other_models_files_are_not_mixed() {
    let pieces = read_back(&[("tokenizer.json", &recorded("sentencepiece.json"))]).unwrap();
    let bytes = read_back(&[("tokenizer.json", &recorded("smollm.json"))]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    saved(&pieces, folder.path());
    saved(&pieces, folder.path());
    let before = fs::read(folder.path().join("tokenizer.json")).unwrap();
    let target = Target::new(Format::Safetensors, Some(WeightType::F16)).unwrap();
    let refused = |path: &Path| save(&bytes, path, target, &mut |_| {}).unwrap_err().to_string();
    let error = refused(folder.path());
    assert!(error.contains("without other models' files") && error.contains("tokenizer.bin"));
    assert_eq!(fs::read(folder.path().join("tokenizer.json")).unwrap(), before);
    fs::remove_file(folder.path().join("tokenizer.bin")).unwrap();
    let beside = refused(&folder.path().join("second.safetensors"));
    assert!(beside.contains("model.safetensors"), "{beside}");
}

/// transformers left out the pairs of the first piece for years: sentencepiece's encoding is taken.
#[test]
fn a_first_piece_without_merges_is_sentencepieces() {
    let mut file: Value = serde_json::from_str(&recorded("sentencepiece.json")).unwrap();
    let whole = read_back(&[("tokenizer.json", &file.to_string())]).unwrap();
    let merges = file["model"]["merges"].as_array_mut().unwrap();
    let first = merges.remove(0);
    assert_eq!(first, json!(["▁", "t"]));
    let cut = read_back(&[("tokenizer.json", &file.to_string())]).unwrap();
    let [whole, cut] = [whole, cut].map(|model| model.vocabulary.tokenizer().unwrap());
    let Some(text) = read("tinystories/val.txt") else { return };
    let text = String::from_utf8(text).unwrap();
    let text = &text[..text.floor_char_boundary(50_000)];
    assert!(whole.encode(text, Special::Plain) == cut.encode(text, Special::Plain));
}

/// The rotary divisors of Llama 3.2 as numpy computes them (`tools/oracle/huggingface.py divisors
/// 500000 16 32 1 4 8192`), through a GGUF and back into config.json.
#[test]
fn llama_3s_rotary_scaling_is_read_and_written() {
    let folder = folder(&[]);
    let path = folder.path().join("config.json");
    let mut config = json_of(&path);
    config["rope_theta"] = json!(500_000.0);
    config["hidden_size"] = json!(16);
    config["head_dim"] = json!(16);
    config["rope_scaling"] = json!({
        "rope_type": "llama3",
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    });
    let scaling = config["rope_scaling"].clone();
    let shape = Config { dim: 16, head_dim: 16, ..small(512, Vocabulary::None).config };
    saved(&Model::zeroed(shape, true, Vocabulary::None).unwrap(), folder.path());
    fs::write(&path, config.to_string()).unwrap();
    let model = Model::read_safetensors(folder.path(), None).unwrap();
    let divisors = model.rope_divisors.as_ref().unwrap();
    let expected = [1.0, 1.0, 1.0, 1.0, 3.292_262, 32.0, 32.0, 32.0];
    assert_eq!(divisors.len(), expected.len());
    assert!(divisors.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5 * b), "{divisors:?}");

    // Through a GGUF, which keeps the divisors alone.
    let mut gguf = Vec::new();
    let target = Target::new(Format::Gguf, Some(WeightType::F32)).unwrap();
    llamaboot_convert::write(&model, target, &mut gguf).unwrap();
    let regions = Regions::whole(&gguf);
    let header = Header::parse(&regions).unwrap();
    let model = Model::read_checkpoint(&header, &regions, None).unwrap();
    assert_eq!(model.rope_divisors.as_deref(), Some(&divisors[..]));
    let back = tempfile::tempdir().unwrap();
    saved(&model, back.path());
    assert_eq!(json_of(&back.path().join("config.json"))["rope_scaling"], scaling);
    // As transformers 5 has it, base and all.
    config["rope_parameters"] = scaling.clone();
    config["rope_parameters"]["rope_theta"] = config["rope_theta"].take();
    config["rope_scaling"].take();
    fs::write(&path, config.to_string()).unwrap();
    let newer = Model::read_safetensors(folder.path(), None).unwrap();
    assert_eq!(newer.rope_divisors, model.rope_divisors);
    assert_eq!(newer.config.rope_base, 500_000.0);
    config["rope_scaling"] = scaling;
    config["rope_scaling"]["high_freq_factor"] = json!(1.0);
    fs::write(&path, config.to_string()).unwrap();
    let message = Model::read_safetensors(folder.path(), None).unwrap_err().to_string();
    assert!(
        message.contains("high_freq_factor: expected more than low_freq_factor, 1"),
        "{message}"
    );
}

fn message(json: &str) -> String {
    let error = read_back(&[("tokenizer.json", json)]).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    assert_eq!(error.matches("tokenizer.json").count(), 1, "{error}");
    error
}

/// What we cannot follow is refused by name.
#[test]
fn other_tokenizers_are_refused() {
    let bytes = recorded("smollm.json");
    let pieces = recorded("sentencepiece.json");
    let cases = [
        (&bytes, r#""type": "BPE""#, r#""type": "Unigram""#, r#"expected "BPE", found "Unigram""#),
        (&bytes, r#""dropout": null"#, r#""dropout": 0.1"#, "dropout of the tokenizer"),
        (&bytes, r#""end_of_word_suffix": null"#, r#""end_of_word_suffix": "</w>""#, "</w>"),
        (&bytes, r#""normalizer": null"#, r#""normalizer": {"type": "Lowercase"}"#, "normalizer"),
        (&bytes, r#""individual_digits": true"#, r#""individual_digits": false"#, "pre_tokenizer"),
        (&bytes, r#""add_prefix_space": false"#, r#""add_prefix_space": true"#, "SmolLM, Llama 3"),
        (&bytes, r#""ignore_merges": false"#, r#""ignore_merges": true"#, "pre_tokenizer"),
        (&bytes, r#""merges": ["#, r#""merges": ["ab","#, "expected two texts without spaces"),
        (&bytes, r#""<|eot_id|>": 2"#, r#""<|eot_id|>": 1"#, "token 1: expected one text"),
        (&bytes, r#""<|eot_id|>": 2"#, r#""<|eot_id|>": 512"#, "expected an id below 512"),
        (&bytes, r#""model": {"#, r#""model": 7, "m": {"#, "format of Hugging Face's tokenizers"),
        (&pieces, r#""prepend": "▁""#, r#""prepend": "_""#, "Llama 2's rules for spaces"),
        (&pieces, r#"["▁t", "h"]"#, r#"["▁t", "q"]"#, "expected pairs that make a token"),
        (&pieces, r#"["h", "e"], "#, r#"["h", "e"], ["▁", "t"], "#, "expected each pair once"),
        (&pieces, r#"["▁th", "e"], ["e", "d"], "#, r#"["e", "d"], ["▁th", "e"], "#, "together"),
        (&pieces, r#"["▁th", "e"], "#, "", r#"found no "▁th" "e""#),
        (&pieces, r#"["▁", "t"], ["h", "e"], "#, "", r#"found no "h" "e""#),
    ];
    for (file, from, to, expected) in cases {
        assert!(file.contains(from), "{from}");
        let message = message(&file.replacen(from, to, 1));
        assert!(message.contains(expected), "{to}: {message}");
    }
    assert!(message("[]").contains("format of Hugging Face's tokenizers, found"));
    let bin = read("stories260K/stories260K.bin").unwrap_or_default();
    if let Ok(header) = Header::parse(&Regions::whole(&bin)) {
        let regions = Regions::whole(&bin);
        let json = Model::read_checkpoint(&header, &regions, Some(bytes.as_bytes()));
        assert!(json.unwrap_err().to_string().contains("found JSON; a tokenizer.json goes with"));
    }
    let long = pieces.replacen(r#""▁t":"#, &format!("\"{}\":", "a".repeat(400_000)), 1);
    assert!(message(&long).contains("expected at most 4096 bytes"));
    let deep = format!("{{\"model\": {}", "[".repeat(100_000));
    assert!(message(&deep).contains("format of Hugging Face's tokenizers"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever bytes change, a vocabulary is read or refused.
    #[test]
    fn mutated_files_do_no_harm(
        file in 0usize..3,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = recorded(FILES[file]).into_bytes();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let folder = folder(&[]);
        fs::write(folder.path().join("tokenizer.json"), &bytes).unwrap();
        match Model::read_safetensors(folder.path(), None) {
            Ok(model) => drop(model.vocabulary.tokenizer().unwrap().encode("a b", Special::Plain)),
            Err(error) => prop_assert!(!error.to_string().contains('\n'), "{error}"),
        }
    }
}
