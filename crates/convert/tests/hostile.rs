//! Files that anybody may have written, and disks that are full: one clear line, no panic, no
//! memory without bound, and the former file as it was.

#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_convert::{Error, Model, write_atomically};
use llamaboot_test_support::root;
use proptest::prelude::*;
use std::fs;
use std::io;
use std::path::Path;

fn recorded(name: &str) -> Vec<u8> {
    fs::read(root().join("crates/convert/tests/data/hf").join(name)).unwrap()
}

fn read_with(weights: &[u8], config: &[u8]) -> Result<Model, Error> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.safetensors"), weights).unwrap();
    fs::write(folder.path().join("config.json"), config).unwrap();
    Model::read_safetensors(folder.path(), None)
}

fn message(weights: &[u8], config: &str) -> String {
    let message = read_with(weights, config.as_bytes()).unwrap_err().to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

/// Each fault of config.json and of the weights is told with its file and what was expected.
#[test]
fn faults_get_one_clear_line() {
    let weights = recorded("model.safetensors");
    let config = String::from_utf8(recorded("config.json")).unwrap();
    let cases = [
        ("\"hidden_size\": 16", "\"hidden_size\": 1e30", "hidden_size: expected a number from 1"),
        ("\"hidden_size\": 16", "\"hidden_size\": 32", "expected [20, 32], found [20, 16]"),
        ("\"hidden_size\": 16", "\"hidden_sizes\": 16", "hidden_size: expected a number from 1"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1000", "no such tensor"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", "tensor name: expected"),
        ("\"num_key_value_heads\": 1", "\"num_key_value_heads\": 0", "num_key_value_heads"),
        ("\"head_dim\": 12", "\"head_dim\": 11", "head_dim: expected an even width"),
        ("\"model_type\": \"llama\"", "\"model_type\": \"mi\\u001b\"", "expected \"llama\""),
        ("\"attention_bias\": false", "\"attention_bias\": true", "attention_bias"),
        ("\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"yarn\"}", "rope_scaling"),
        ("\"rms_norm_eps\": 1e-06", "\"rms_norm_eps\": -1", "norm_eps: expected 0 to 1"),
        ("{", "[", "expected a JSON object"),
    ];
    for (from, to, expected) in cases {
        assert!(config.contains(from), "{from}");
        let message = message(&weights, &config.replacen(from, to, 1));
        assert!(message.contains(expected), "{to}: {message}");
        assert!(message.contains("config.json") || message.contains("model.safetensors"));
    }
    let mut long = weights.clone();
    long[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(message(&long, &config).contains("length of the safetensors header"));
    let cut = &weights[..weights.len() - 1];
    assert!(message(cut, &config).contains("bytes behind the safetensors header"));
    assert!(message(b"", &config).contains("at least 8 bytes"));
    let folder = tempfile::tempdir().unwrap();
    let missing = Model::read_safetensors(folder.path(), None).unwrap_err().to_string();
    assert!(missing.contains("config.json: "), "{missing}");
}

/// An index may name files beside it, and no others.
#[test]
fn an_index_stays_in_its_folder() {
    for name in ["../model.safetensors", "/etc/passwd", "a.bin", "a/b.safetensors"] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), recorded("config.json")).unwrap();
        let index = format!("{{\"weight_map\": {{\"a\": \"{name}\"}}}}");
        fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
        let error = Model::read_safetensors(folder.path(), None).unwrap_err().to_string();
        assert!(error.contains("weight_map: expected names of files"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever bytes change, a model is read or refused.
    #[test]
    fn mutated_files_do_no_harm(
        changes in prop::collection::vec((0usize..3000, any::<u8>()), 1..4),
        in_config in any::<bool>(),
        cut in prop::option::of(0usize..3000),
    ) {
        let mut files = [recorded("model.safetensors"), recorded("config.json")];
        let bytes = &mut files[usize::from(in_config)];
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut);
        }
        if let Err(error) = read_with(&files[0], &files[1]) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Where writing fails half-way, the former file stays and nothing lies beside it.
#[test]
fn a_failed_write_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.bin");
    write_atomically::<io::Error>(&path, |out| out.write_all(b"former")).unwrap();
    let failed = write_atomically(&path, |out| {
        out.write_all(&[7; 3 << 20])?;
        Err(io::Error::from(io::ErrorKind::StorageFull))
    });
    assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(fs::read(&path).unwrap(), b"former");
    assert_eq!(names(folder.path()), ["model.bin"]);
    let bytes = write_atomically::<io::Error>(&path, |out| out.write_all(b"new")).unwrap();
    assert_eq!((bytes, fs::read(&path).unwrap()), (3, b"new".to_vec()));
    assert_eq!(names(folder.path()), ["model.bin"]);
    let nowhere = folder.path().join("no/such/folder/model.bin");
    let error = write_atomically::<io::Error>(&nowhere, |_| Ok(())).unwrap_err();
    assert!(error.to_string().contains("model.bin"), "{error}");
}
