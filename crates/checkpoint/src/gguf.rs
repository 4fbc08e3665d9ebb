//! GGUF (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>), versions 2 and 3,
//! little-endian.
//!
//! ```text
//! "GGUF"  u32 version  u64 tensor_count  u64 key_count
//! key_count    × { string key, u32 type, value }           string = u64 length + bytes
//! tensor_count × { string name, u32 n_dims, u64 dims[n_dims], u32 ggml_type, u64 offset }
//! padding to `general.alignment`, then tensor data; offsets count from there
//! ```
//! Arrays are kept as places in the file, not copied: a vocabulary of 2^20 entries costs nothing
//! until somebody walks it.

use crate::{
    Config, DType, Error, Format, Header, Role, RopeScaling, TensorInfo, caps, config::in_range,
    reader::Reader,
};
use alloc::{format, string::String, string::ToString, vec::Vec};

/// Type numbers of metadata values.
#[allow(missing_docs, reason = "the names are ggml's")]
pub mod kind {
    pub const U32: u32 = 4;
    pub const I32: u32 = 5;
    pub const F32: u32 = 6;
    pub const BOOL: u32 = 7;
    pub const STRING: u32 = 8;
    pub const ARRAY: u32 = 9;
}

/// A metadata value.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// Any integer type.
    Int(i128),
    /// f32 or f64.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Text.
    Text(&'a str),
    /// An array, still packed.
    Array(Array<'a>),
}

impl core::fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Int(v) => write!(f, "{v}"),
            Self::Float(v) => write!(f, "{v}"),
            Self::Bool(v) => write!(f, "{v}"),
            Self::Text(v) => write!(f, "{v:?}"),
            Self::Array(v) => write!(f, "[{} values]", v.len),
        }
    }
}

/// A checked array of strings or numbers, read on demand.
#[derive(Clone, Debug)]
pub struct Array<'a> {
    kind: u32,
    /// Number of elements.
    pub len: usize,
    offset: u64,
    bytes: &'a [u8],
}

impl<'a> Array<'a> {
    /// The elements in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let mut reader = Reader::new(self.bytes, self.bytes.len() as u64);
        let kind = self.kind;
        (0..self.len).map_while(move |_| read_value(&mut reader, kind, "array element", 1).ok())
    }

    /// The elements as bytes, where they are strings; texts of a vocabulary need not be UTF-8.
    #[must_use]
    pub fn byte_strings(&self) -> Option<Vec<&'a [u8]>> {
        if self.kind != kind::STRING {
            return None;
        }
        let mut reader = Reader::new(self.bytes, self.bytes.len() as u64);
        (0..self.len).map(|_| reader.string(caps::TOKEN_BYTES, "array element").ok()).collect()
    }
}

/// The metadata and tensor directory of a GGUF.
#[derive(Clone, Debug)]
pub struct Gguf<'a> {
    /// 2 or 3.
    pub version: u32,
    entries: Vec<Entry<'a>>,
    tensors: Vec<RawTensor<'a>>,
    data_start: u64,
}

#[derive(Clone, Debug)]
struct Entry<'a> {
    key: &'a str,
    kind: u32,
    offset: u64,
    value: Value<'a>,
    raw: &'a [u8],
}

/// A key as it stands in the file, to be copied into another.
#[derive(Clone, Copy, Debug)]
pub struct RawEntry<'a> {
    /// Its name.
    pub key: &'a str,
    /// Type number of the value, one of [`kind`] among others.
    pub kind: u32,
    /// The value's bytes, behind its type number.
    pub bytes: &'a [u8],
}

#[derive(Clone, Debug)]
struct RawTensor<'a> {
    name: &'a str,
    /// Where the directory speaks of it.
    at: u64,
    dims: [u64; 4],
    /// ggml's type number, not yet looked at: other architectures may use types we cannot read.
    number: u32,
    /// From the start of the file.
    offset: u64,
}

impl<'a> Gguf<'a> {
    /// Reads metadata and tensor directory from the first bytes of a file of `file_len` bytes.
    /// Works for any architecture, and for files without tensors.
    ///
    /// # Errors
    /// Any fault of the header; [`Error::NeedMore`] where `head` ends inside it.
    pub fn parse(head: &'a [u8], file_len: u64) -> Result<Self, Error> {
        let mut reader = Reader::new(head, file_len);
        if reader.take(4, "magic")? != b"GGUF" {
            let found = format!("{:02x?}", &head[..4]);
            return Err(Error::value("magic", 0, "GGUF", found));
        }
        let version = reader.u32("version")?;
        if !matches!(version, 2 | 3) {
            let found = if version != 0 && version.swap_bytes() <= 3 {
                String::from("a big-endian file")
            } else {
                version.to_string()
            };
            return Err(Error::value("GGUF version", 4, "2 or 3", found));
        }
        let n_tensors = capped(&mut reader, "tensor count", caps::TENSORS)?;
        let n_keys = capped(&mut reader, "metadata key count", caps::KEYS)?;
        let mut entries: Vec<Entry<'a>> = Vec::new();
        for _ in 0..n_keys {
            entries.push(read_entry(&mut reader)?);
        }
        entries.sort_by_key(|entry| entry.key);
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].key == pair[1].key) {
            return Err(Error::value("metadata key", pair[1].offset, "each key once", pair[1].key));
        }
        let mut gguf = Self { version, entries, tensors: Vec::new(), data_start: 0 };
        gguf.read_tensors(&mut reader, n_tensors)?;
        Ok(gguf)
    }

    fn read_tensors(&mut self, reader: &mut Reader<'a>, n_tensors: u64) -> Result<(), Error> {
        for _ in 0..n_tensors {
            self.tensors.push(read_tensor(reader)?);
        }
        let alignment = self.uint("general.alignment", 1 << 20)?.unwrap_or(32);
        if !alignment.is_power_of_two() {
            let offset = self.offset("general.alignment");
            return Err(Error::value("general.alignment", offset, "a power of two", alignment));
        }
        self.data_start = reader.offset().next_multiple_of(alignment);
        for tensor in &mut self.tensors {
            let relative = tensor.offset;
            tensor.offset = relative.checked_add(self.data_start).ok_or_else(|| {
                Error::value(
                    format!("offset of {}", tensor.name),
                    tensor.at,
                    "inside the file",
                    relative,
                )
            })?;
        }
        Ok(())
    }

    /// Every key with its value, in alphabetical order.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, &Value<'a>)> {
        self.entries.iter().map(|entry| (entry.key, &entry.value))
    }

    /// Every key with its value as it stands in the file, in alphabetical order.
    pub fn raw_entries(&self) -> impl Iterator<Item = RawEntry<'a>> {
        self.entries.iter().map(|e| RawEntry { key: e.key, kind: e.kind, bytes: e.raw })
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The text of a key, where it is there.
    ///
    /// # Errors
    /// The key holds something else.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(key, "text")),
        }
    }

    /// The integer of a key, 0 to `cap`, where it is there.
    ///
    /// # Errors
    /// The key holds something else, or a number out of range.
    pub fn uint(&self, key: &str, cap: u64) -> Result<Option<u64>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(&Value::Int(v)) if v >= 0 && v <= i128::from(cap) => Ok(Some(v as u64)),
            Some(_) => Err(self.wrong(key, &format!("an integer from 0 to {cap}"))),
        }
    }

    /// The truth value of a key, where it is there.
    ///
    /// # Errors
    /// The key holds something else.
    pub fn bool(&self, key: &str) -> Result<Option<bool>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(&Value::Bool(v)) => Ok(Some(v)),
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    /// The number of a key, where it is there.
    ///
    /// # Errors
    /// The key holds something else.
    pub fn float(&self, key: &str) -> Result<Option<f32>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(&Value::Float(v)) => Ok(Some(v as f32)),
            Some(_) => Err(self.wrong(key, "a float")),
        }
    }

    /// The array of a key, where it is there.
    ///
    /// # Errors
    /// The key holds something else.
    pub fn array(&self, key: &str) -> Result<Option<&Array<'a>>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Array(array)) => Ok(Some(array)),
            Some(_) => Err(self.wrong(key, "an array")),
        }
    }

    /// File offset of a key's value; 0 where there is no such key.
    #[must_use]
    pub fn offset(&self, key: &str) -> u64 {
        self.entry(key).map_or(0, |entry| entry.offset)
    }

    fn entry(&self, key: &str) -> Option<&Entry<'a>> {
        let at = self.entries.binary_search_by_key(&key, |entry| entry.key).ok()?;
        self.entries.get(at)
    }

    fn wrong(&self, key: &str, expected: &str) -> Error {
        let found = self.get(key).map_or_else(String::new, ToString::to_string);
        Error::value(key, self.offset(key), expected, found)
    }

    fn need<T>(&self, key: &str, value: Option<T>) -> Result<T, Error> {
        value.ok_or_else(|| Error::Missing { what: format!("metadata key {key}") })
    }

    fn count(&self, key: &str, cap: u64) -> Result<usize, Error> {
        let value = self.need(key, self.uint(key, u64::MAX)?)?;
        in_range(key, value, cap, self.offset(key))?;
        Ok(value as usize)
    }

    /// The header of a `llama` model.
    pub(crate) fn into_header(self) -> Result<Header<'a>, Error> {
        let architecture = self.need("general.architecture", self.text("general.architecture")?)?;
        if architecture != "llama" {
            let offset = self.offset("general.architecture");
            return Err(Error::value(
                "general.architecture",
                offset,
                "llama",
                format!("{architecture:?}"),
            ));
        }
        let config = self.config()?;
        let mut tensors: Vec<TensorInfo> =
            self.tensors.iter().map(|raw| tensor_info(raw, &config)).collect::<Result<_, _>>()?;
        tensors.sort_by_key(|tensor| tensor.role);
        if let Some(pair) = tensors.windows(2).find(|pair| pair[0].role == pair[1].role) {
            let what = format!("tensor {}", pair[1].role);
            return Err(Error::value(what, pair[1].offset, "each tensor once", "a second one"));
        }
        Ok(Header { format: Format::Gguf(self.version), config, tensors, gguf: Some(self) })
    }

    fn config(&self) -> Result<Config, Error> {
        let dim = self.count("llama.embedding_length", caps::DIM)?;
        let n_heads = self.count("llama.attention.head_count", caps::HEADS)?;
        let key = "llama.attention.head_count_kv";
        let n_kv_heads =
            if self.get(key).is_some() { self.count(key, caps::HEADS)? } else { n_heads };
        let config = Config {
            dim,
            hidden_dim: self.count("llama.feed_forward_length", caps::DIM)?,
            n_layers: self.count("llama.block_count", caps::LAYERS)?,
            n_heads,
            n_kv_heads,
            head_dim: self.head_dim(dim, n_heads)?,
            vocab_size: self.vocab_size()?,
            seq_len: self.count("llama.context_length", caps::CONTEXT)?,
            norm_eps: self.need(KEY_EPS, self.float(KEY_EPS)?)?,
            rope_base: self.float("llama.rope.freq_base")?.unwrap_or(10_000.0),
            rope_scaling: self.rope_scaling()?,
        };
        config.check(&|name| self.offset(key_of_field(name)))?;
        Ok(config)
    }

    fn head_dim(&self, dim: usize, n_heads: usize) -> Result<usize, Error> {
        let mut head_dim = dim / n_heads;
        if self.get("llama.attention.key_length").is_some() {
            head_dim = self.count("llama.attention.key_length", caps::DIM)?;
        } else if !dim.is_multiple_of(n_heads) {
            let key = "llama.attention.head_count";
            return Err(Error::value(
                key,
                self.offset(key),
                format!("a divisor of {dim}"),
                n_heads,
            ));
        }
        for key in ["llama.attention.value_length", "llama.rope.dimension_count"] {
            if self.get(key).is_some() && self.count(key, caps::DIM)? != head_dim {
                return Err(self.wrong(key, &format!("the width of a head, {head_dim}")));
            }
        }
        Ok(head_dim)
    }

    /// Entries of the vocabulary: the rows of the embeddings, which the tokenizer must agree with.
    fn vocab_size(&self) -> Result<usize, Error> {
        let embedding = self.tensors.iter().find(|t| t.name == "token_embd.weight");
        let embedding = embedding.ok_or_else(|| match self.tensors.len() {
            0 => Error::value("number of tensors", 8, "a model's", "none: a vocabulary alone"),
            _ => Error::Missing { what: String::from("tensor token_embd.weight") },
        })?;
        let rows = embedding.dims[1];
        in_range("rows of token_embd.weight", rows, caps::VOCAB, embedding.at)?;
        if let Some(tokens) = self.array("tokenizer.ggml.tokens")?
            && tokens.len as u64 != rows
        {
            let expected = format!("{rows} entries, one a row of token_embd.weight");
            return Err(Error::value("tokenizer.ggml.tokens", tokens.offset, expected, tokens.len));
        }
        Ok(rows as usize)
    }

    fn rope_scaling(&self) -> Result<RopeScaling, Error> {
        let key = "llama.rope.scaling.type";
        match self.text(key)? {
            None | Some("none") => Ok(RopeScaling::None),
            Some("linear") => {
                let key = "llama.rope.scaling.factor";
                match self.need(key, self.float(key)?)? {
                    factor if ROPE_FACTORS.contains(&factor) => Ok(RopeScaling::Linear(factor)),
                    _ => Err(self.wrong(key, "a factor from 0.001 to 1000000")),
                }
            }
            Some(_) => {
                Err(self.wrong(key, "none or linear (llama-3 scaling comes as rope_freqs.weight)"))
            }
        }
    }
}

/// What rotary frequencies may be divided by.
pub(crate) const ROPE_FACTORS: core::ops::RangeInclusive<f32> = 1e-3..=1e6;

const KEY_EPS: &str = "llama.attention.layer_norm_rms_epsilon";

fn key_of_field(name: &str) -> &'static str {
    match name {
        "dim" => "llama.embedding_length",
        "hidden_dim" => "llama.feed_forward_length",
        "n_layers" => "llama.block_count",
        "n_heads" => "llama.attention.head_count",
        "n_kv_heads" => "llama.attention.head_count_kv",
        "head_dim" => "llama.attention.key_length",
        "seq_len" => "llama.context_length",
        "norm_eps" => KEY_EPS,
        _ => "llama.rope.freq_base",
    }
}

fn capped(reader: &mut Reader<'_>, what: &str, cap: u64) -> Result<u64, Error> {
    let offset = reader.offset();
    let count = reader.u64(what)?;
    if count > cap {
        return Err(Error::value(what, offset, format!("at most {cap}"), count));
    }
    Ok(count)
}

fn read_entry<'a>(reader: &mut Reader<'a>) -> Result<Entry<'a>, Error> {
    let key = reader.text(caps::NAME_BYTES, "a metadata key")?;
    let kind = reader.u32("a metadata type")?;
    let offset = reader.offset();
    let mut start = reader.clone();
    let value = read_value(reader, kind, key, 0)?;
    let raw = start.take(reader.offset() - offset, key)?;
    Ok(Entry { key, kind, offset, value, raw })
}

fn read_value<'a>(
    reader: &mut Reader<'a>,
    kind: u32,
    key: &str,
    depth: u8,
) -> Result<Value<'a>, Error> {
    let offset = reader.offset();
    let mut raw = [0; 8];
    let width = scalar_width(kind);
    if let Some(width) = width {
        raw[..width].copy_from_slice(reader.take(width as u64, key)?);
    }
    let unsigned = u64::from_le_bytes(raw);
    let unused_bits = 64 - 8 * width.unwrap_or(8) as u32;
    let signed = unsigned.wrapping_shl(unused_bits).cast_signed() >> unused_bits;
    Ok(match kind {
        0 | 2 | 4 | 10 => Value::Int(i128::from(unsigned)),
        1 | 3 | 5 | 11 => Value::Int(i128::from(signed)),
        6 => Value::Float(f64::from(f32::from_bits(unsigned as u32))),
        12 => Value::Float(f64::from_bits(unsigned)),
        kind::BOOL => match unsigned {
            0 | 1 => Value::Bool(unsigned == 1),
            other => return Err(Error::value(key, offset, "0 or 1", other)),
        },
        kind::STRING => Value::Text(reader.text(caps::STRING_BYTES, key)?),
        kind::ARRAY if depth == 0 => Value::Array(read_array(reader, key)?),
        kind::ARRAY => return Err(Error::value(key, offset, "no array inside an array", "one")),
        other => return Err(Error::value(format!("type of {key}"), offset, "0 to 12", other)),
    })
}

/// Bytes of a value of a fixed-width type.
fn scalar_width(kind: u32) -> Option<usize> {
    match kind {
        0 | 1 | kind::BOOL => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

fn read_array<'a>(reader: &mut Reader<'a>, key: &str) -> Result<Array<'a>, Error> {
    let kind = reader.u32(key)?;
    let len = capped(reader, &format!("length of {key}"), caps::ARRAY)?;
    let offset = reader.offset();
    let mut walk = reader.clone();
    if let Some(width) = scalar_width(kind) {
        walk.take(len * width as u64, key)?;
    } else if kind == kind::STRING {
        for _ in 0..len {
            walk.string(caps::TOKEN_BYTES, key)?;
        }
    } else {
        return Err(Error::value(
            format!("element type of {key}"),
            offset,
            "numbers or strings",
            kind,
        ));
    }
    let bytes = reader.take(walk.offset() - offset, key)?;
    if kind == kind::BOOL && bytes.iter().any(|&b| b > 1) {
        return Err(Error::value(key, offset, "truth values of 0 or 1", "another byte"));
    }
    Ok(Array { kind, len: len as usize, offset, bytes })
}

fn read_tensor<'a>(reader: &mut Reader<'a>) -> Result<RawTensor<'a>, Error> {
    let at = reader.offset();
    let name = reader.text(caps::NAME_BYTES, "a tensor name")?;
    let dims_at = reader.offset();
    let n_dims = reader.u32(name)?;
    if n_dims == 0 || n_dims > 4 {
        return Err(Error::value(format!("dimensions of {name}"), dims_at, "1 to 4", n_dims));
    }
    let mut dims = [1; 4];
    for dim in dims.iter_mut().take(n_dims as usize) {
        *dim = reader.u64(name)?;
    }
    let number = reader.u32(name)?;
    let offset = reader.u64(name)?;
    Ok(RawTensor { name, at, dims, number, offset })
}

/// Turns a directory entry into a place, its name into a role.
fn tensor_info(raw: &RawTensor<'_>, config: &Config) -> Result<TensorInfo, Error> {
    let role = Role::from_gguf_name(raw.name, config.n_layers).ok_or_else(|| {
        Error::value(
            "tensor name",
            raw.at,
            "a tensor of a plain Llama model",
            format!("{:?}", raw.name),
        )
    })?;
    let dtype = DType::from_ggml(raw.number).ok_or_else(|| {
        let expected = "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 or Q2_K to Q6_K";
        let found = format!("ggml type {}", raw.number);
        Error::value(format!("type of {}", raw.name), raw.at, expected, found)
    })?;
    let [cols, rows, ..] = raw.dims;
    if raw.dims[2..] != [1, 1] {
        let found = format!("{:?}", raw.dims);
        return Err(Error::value(
            format!("dimensions of {}", raw.name),
            raw.at,
            "at most 2",
            found,
        ));
    }
    for (name, dim) in [("row length", cols), ("rows", rows)] {
        in_range(&format!("{name} of {}", raw.name), dim, caps::VOCAB, raw.at)?;
    }
    let (block, cols, rows) = (dtype.block_len(), cols as usize, rows as usize);
    if !cols.is_multiple_of(block) {
        let expected = format!("a multiple of {block}, the block of {dtype}");
        return Err(Error::value(format!("row length of {}", raw.name), raw.at, expected, cols));
    }
    if role.is_vector() && dtype != DType::F32 {
        return Err(Error::value(format!("type of {}", raw.name), raw.at, "F32", dtype));
    }
    let len = rows as u64 * dtype.row_bytes(cols) as u64;
    Ok(TensorInfo { role, dtype, rows, cols, offset: raw.offset, len, packed_rows: 0 })
}
