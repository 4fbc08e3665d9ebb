//! Reading safetensors: `u64` length of the header, the header in JSON, the tensors' bytes.
//!
//! Every name, shape and place is checked against config.json before memory is taken for weights,
//! so a file cannot ask for more than it has bytes; tensors are then read one by one.

use super::{
    CONFIG_FILE, FILE, INDEX_FILE, MAX_SMALL_BYTES, config, dims, name, names_safetensors, our_row,
    small_file, tokenizer,
};
use crate::error::named;
use crate::{Error, Model};
use ::safetensors::{Dtype, tensor::Metadata};
use half::{bf16, f16};
use llamaboot_checkpoint::{Config, Layout, Role, caps};
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

impl Model {
    /// Reads a folder with model.safetensors (or several files and their index) and config.json, or
    /// the `.safetensors` file in such a folder. F32, F16 and BF16 are taken. `tokenizer` is the
    /// path and the bytes of a tokenizer.bin, tokenizer.json or tokenizer.model; where none is
    /// given, one beside the weights is read, and tokenizer_config.json in any case.
    ///
    /// # Errors
    /// A file that is missing or malformed, a model that is not a plain Llama, no memory.
    pub fn read_safetensors(path: &Path, tokenizer: Option<(&Path, &[u8])>) -> Result<Self, Error> {
        let (folder, files) = files_of(path)?;
        let config_path = folder.join(CONFIG_FILE);
        if !config_path.exists() {
            let adapter = folder.join("adapter_config.json").exists();
            let found = if adapter { "a LoRA adapter, to be merged first" } else { "no such file" };
            let expected = "a model's folder with config.json and safetensors";
            return Err(Error::value(&config_path.display().to_string(), expected, found));
        }
        let config::Described { config, tied, rope_divisors, ids } =
            config::read(&small_file(&config_path, MAX_SMALL_BYTES)?)
                .map_err(|e| e.within(&config_path))?;
        let layout = Layout::new(&config, tied);
        let mut tensors = Tensors::open(&files, tied)?;
        tensors.check(&layout, &config)?;
        let vocabulary = tokenizer::read(&folder, tokenizer, config.vocab_size, ids)?;
        let mut model = Self::zeroed(config, tied, vocabulary)?;
        model.rope_divisors = rope_divisors;
        for (role, range) in layout.iter() {
            let out = &mut model.weights[range];
            tensors.read(role, &model.config, out)?;
        }
        Ok(model)
    }
}

/// The folder, and every file with weights.
fn files_of(path: &Path) -> Result<(PathBuf, Vec<PathBuf>), Error> {
    if names_safetensors(path) && !path.is_dir() {
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        return Ok((folder, vec![path.to_path_buf()]));
    }
    let (folder, index) = (path.to_path_buf(), path.join(INDEX_FILE));
    if !index.exists() {
        if path.join(PYTORCH_FILE).exists() && !path.join(FILE).exists() {
            let expected = "model.safetensors, which save_pretrained writes";
            return Err(Error::value(&path.display().to_string(), expected, PYTORCH_FILE));
        }
        return Ok((folder, vec![path.join(FILE)]));
    }
    let bytes = small_file(&index, MAX_SMALL_BYTES)?;
    let names = shard_names(&bytes).map_err(|e| e.within(&index))?;
    Ok((folder, names.into_iter().map(|name| path.join(name)).collect()))
}

/// The files that an index names, which lie beside it.
fn shard_names(json: &[u8]) -> Result<BTreeSet<String>, Error> {
    let json: serde_json::Value =
        serde_json::from_slice(json).map_err(|e| Error::value("index", "a JSON object", e))?;
    let map = json.get("weight_map").and_then(serde_json::Value::as_object);
    let map = map.ok_or_else(|| Error::value("weight_map", "an object", "another value"))?;
    let mut names = BTreeSet::new();
    for value in map.values() {
        let name = value.as_str().filter(|name| {
            names_safetensors(Path::new(name)) && !name.contains(['/', '\\', ':', '\0'])
        });
        let name = name.ok_or_else(|| Error::value("weight_map", "names of files", value))?;
        names.insert(name.to_string());
    }
    if names.is_empty() || names.len() > MAX_FILES {
        let expected = format!("1 to {MAX_FILES} files");
        return Err(Error::value("weight_map", &expected, names.len()));
    }
    Ok(names)
}

/// Pickled weights, of before safetensors.
const PYTORCH_FILE: &str = "pytorch_model.bin";

/// Most files of one model.
const MAX_FILES: usize = 1024;

/// Where a tensor lies, as its file says.
struct Place {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// From the start of the file.
    offset: u64,
}

/// Every tensor of a model's files.
struct Tensors {
    files: Vec<(PathBuf, File)>,
    places: HashMap<String, Place>,
}

impl Tensors {
    /// Reads the headers. Files may hold tensors that need not be there: rotary frequencies of old
    /// versions, and, where it is tied, the classifier.
    fn open(paths: &[PathBuf], tied: bool) -> Result<Self, Error> {
        let mut all = Self { files: Vec::new(), places: HashMap::new() };
        for path in paths {
            let mut file = File::open(path).map_err(|e| named(path, e))?;
            let (start, metadata) = header(&mut file, path)?;
            for (name, info) in metadata.tensors() {
                if name.ends_with(".rotary_emb.inv_freq")
                    || (tied && name == super::name(Role::Output))
                {
                    continue;
                }
                let place = Place {
                    file: all.files.len(),
                    dtype: info.dtype,
                    shape: info.shape.clone(),
                    offset: start + info.data_offsets.0 as u64,
                };
                if let Some(first) = all.places.insert(name.clone(), place) {
                    let found = format!("a second one, the first in file {}", first.file + 1);
                    return Err(Error::value(&name, "each tensor once", found).within(path));
                }
            }
            all.files.push((path.clone(), file));
        }
        Ok(all)
    }

    /// Checks that every tensor is there with its shape, and no other that would change results.
    fn check(&self, layout: &Layout, config: &Config) -> Result<(), Error> {
        let first = self.files.first().map(|(path, _)| path.as_path()).unwrap_or(Path::new(""));
        let mut known = BTreeSet::new();
        for (role, _) in layout.iter() {
            let name = name(role);
            let expected = format!("{:?}", dims(role, config));
            let Some(place) = self.places.get(&name) else {
                return Err(Error::value(&name, &expected, "no such tensor").within(first));
            };
            let path = &self.files[place.file].0;
            if place.shape != dims(role, config) {
                let found = format!("{:?}", place.shape);
                return Err(
                    Error::value(&format!("shape of {name}"), &expected, found).within(path)
                );
            }
            if !matches!(place.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
                let found = format!("{:?}", place.dtype);
                return Err(Error::value(&format!("type of {name}"), "F32, F16 or BF16", found)
                    .within(path));
            }
            known.insert(name);
        }
        match self.places.iter().find(|(name, _)| !known.contains(*name)) {
            Some((name, place)) => {
                let expected = "the tensors of a plain Llama model";
                let path = &self.files[place.file].0;
                Err(Error::value("tensor name", expected, format!("{name:?}")).within(path))
            }
            None => Ok(()),
        }
    }

    /// The weights of a checked tensor, rows in our order.
    fn read(&mut self, role: Role, config: &Config, out: &mut [f32]) -> Result<(), Error> {
        let place = &self.places[&name(role)];
        let (path, file) = &mut self.files[place.file];
        file.seek(SeekFrom::Start(place.offset)).map_err(|e| named(path, e))?;
        let cols = role.shape(config).1;
        let width = place.dtype.bitsize() / 8;
        let rows = out.len() / cols;
        let rows_at_once = (READ_BYTES / (cols * width)).max(1);
        let mut bytes = vec![0; rows_at_once.min(rows) * cols * width];
        for first in (0..rows).step_by(rows_at_once) {
            let n = rows_at_once.min(rows - first);
            let bytes = &mut bytes[..n * cols * width];
            file.read_exact(bytes).map_err(|e| named(path, e))?;
            for (row, bytes) in bytes.chunks_exact(cols * width).enumerate() {
                let row = our_row(role, first + row, config.head_dim);
                widen(place.dtype, bytes, &mut out[row * cols..][..cols]);
            }
        }
        Ok(())
    }
}

/// Bytes of one read.
const READ_BYTES: usize = 1 << 20;

/// Where the data begins, and the header, checked against the file's length.
fn header(file: &mut File, path: &Path) -> Result<(u64, Metadata), Error> {
    let io = |e| Error::Io(named(path, e));
    let wrong = |what: &str, expected: &str, found: String| {
        Error::value(what, expected, found).within(path)
    };
    let file_len = file.metadata().map_err(io)?.len();
    let mut raw = [0; 8];
    if file_len < 8 {
        return Err(wrong("safetensors", "at least 8 bytes", file_len.to_string()));
    }
    file.read_exact(&mut raw).map_err(io)?;
    let len = u64::from_le_bytes(raw);
    if len > MAX_SMALL_BYTES.min(file_len - 8) {
        let expected = format!("at most {}", MAX_SMALL_BYTES.min(file_len - 8));
        return Err(wrong("length of the safetensors header", &expected, len.to_string()));
    }
    let mut json = vec![0; len as usize];
    file.read_exact(&mut json).map_err(io)?;
    let metadata: Metadata = serde_json::from_slice(&json)
        .map_err(|e| wrong("safetensors header", "tensors one behind another", e.to_string()))?;
    if metadata.offset_keys().len() as u64 > caps::TENSORS {
        let expected = format!("at most {}", caps::TENSORS);
        let found = metadata.offset_keys().len().to_string();
        return Err(wrong("number of tensors", &expected, found));
    }
    let (start, data) = (8 + len, metadata.data_len() as u64);
    if data != file_len - start {
        let found = format!("{}", file_len - start);
        return Err(wrong("bytes behind the safetensors header", &data.to_string(), found));
    }
    Ok((start, metadata))
}

/// One row as f32; both are checked to be of one length.
fn widen(dtype: Dtype, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        Dtype::F32 => {
            for (out, &raw) in out.iter_mut().zip(bytes.as_chunks().0) {
                *out = f32::from_le_bytes(raw);
            }
        }
        Dtype::F16 => {
            for (out, &raw) in out.iter_mut().zip(bytes.as_chunks().0) {
                *out = f16::from_le_bytes(raw).to_f32();
            }
        }
        _ => {
            for (out, &raw) in out.iter_mut().zip(bytes.as_chunks().0) {
                *out = bf16::from_le_bytes(raw).to_f32();
            }
        }
    }
}
