//! llama2.c's `.bin` files (<https://github.com/karpathy/llama2.c>, `export.py`).
//!
//! ```text
//! v0  7 × i32 (dim, hidden_dim, n_layers, n_heads, n_kv_heads, ±vocab_size, seq_len), then f32:
//!     token_embd, attn_norm[L], wq[L], wk[L], wv[L], wo[L], ffn_norm[L], w1[L], w2[L], w3[L],
//!     output_norm, two rotary tables (seq_len × head_dim/2, not used here), and the classifier
//!     where vocab_size is negative
//! v1  "ak42" as u32, version, the 7 numbers, u8 shared; from byte 256 f32:
//!     attn_norm[L], ffn_norm[L], output_norm, token_embd, wq[L] … w3[L], classifier unless shared
//! v2  as v1 with i32 group_size behind `shared`; norms in f32, every matrix as its int8 weights
//!     followed by one f32 scale a group
//! ```

use crate::{
    Config, DType, Error, Format, Header, Role, RopeScaling, TensorInfo, caps, config::in_range,
    reader::Reader,
};
use alloc::{format, string::String, vec::Vec};

/// `ak42` read as a little-endian number.
pub const MAGIC: u32 = 0x616b_3432;
/// Versions 1 and 2 pad their header to this many bytes.
pub const HEADER_LEN: u64 = 256;
/// ε inside rmsnorm's root: not in the file, llama2.c has it in its code.
pub const NORM_EPS: f32 = 1e-5;
/// Base of the rotary frequencies, likewise.
pub const ROPE_BASE: f32 = 10_000.0;

type MakeRole = fn(usize) -> Role;

/// Reads a header of any version from the first bytes of a file of `file_len` bytes.
pub(crate) fn parse<'a>(head: &[u8], file_len: u64) -> Result<Header<'a>, Error> {
    let mut reader = Reader::new(head, file_len);
    if reader.clone().u32("magic")? == MAGIC {
        reader.u32("magic")?;
        let offset = reader.offset();
        match reader.u32("version")? {
            version @ (1 | 2) => parse_versioned(reader, version, file_len),
            other => Err(Error::value("llama2.c version", offset, "1 or 2", other)),
        }
    } else {
        parse_v0(reader, file_len)
    }
}

fn parse_v0<'a>(mut reader: Reader<'_>, file_len: u64) -> Result<Header<'a>, Error> {
    let (config, shared) = read_config(&mut reader).map_err(say_that_no_magic_was_found)?;
    let mut places = Places::new(&config, reader.offset(), DType::F32);
    roles_before_tables(config.n_layers).for_each(|role| places.one(role));
    places.skip(rotary_tables_bytes(&config));
    if !shared {
        places.one(Role::Output);
    }
    places.finish(0, file_len)
}

/// The tensors of version 0 that lie before its rotary tables, in order.
pub(crate) fn roles_before_tables(n_layers: usize) -> impl Iterator<Item = Role> {
    let per_layer: [MakeRole; 9] = [
        Role::AttnNorm,
        Role::Wq,
        Role::Wk,
        Role::Wv,
        Role::Wo,
        Role::FfnNorm,
        Role::W1,
        Role::W2,
        Role::W3,
    ];
    let layers = per_layer.into_iter().flat_map(move |role| (0..n_layers).map(role));
    core::iter::once(Role::TokenEmbedding).chain(layers).chain([Role::OutputNorm])
}

/// Length of version 0's tables of cosines and sines, `(seq_len, head_dim / 2)` f32 each.
fn rotary_tables_bytes(config: &Config) -> u64 {
    config.seq_len as u64 * config.head_dim as u64 * 4
}

/// Version 0 has no magic number, so any file that is not a model at all ends up here.
fn say_that_no_magic_was_found(error: Error) -> Error {
    const DOUBT: &str = "is this a model? neither GGUF nor ak42 begins it, and as llama2.c v0: ";
    match error {
        Error::Value { what, offset, expected, found } => {
            Error::Value { what: format!("{DOUBT}{what}"), offset, expected, found }
        }
        Error::Truncated { what, offset, need, have } => {
            Error::Truncated { what: format!("{DOUBT}{what}"), offset, need, have }
        }
        other => other,
    }
}

fn parse_versioned<'a>(
    mut reader: Reader<'_>,
    version: u32,
    file_len: u64,
) -> Result<Header<'a>, Error> {
    let (config, _) = read_config(&mut reader)?;
    let shared_at = reader.offset();
    let shared = match reader.u8("shared classifier flag")? {
        flag @ (0 | 1) => flag == 1,
        other => return Err(Error::value("shared classifier flag", shared_at, "0 or 1", other)),
    };
    let dtype = if version == 2 { read_group_size(&mut reader, &config)? } else { DType::F32 };
    let mut places = Places::new(&config, HEADER_LEN, dtype);
    places.all_layers(Role::AttnNorm);
    places.all_layers(Role::FfnNorm);
    places.one(Role::OutputNorm);
    places.one(Role::TokenEmbedding);
    let matrices: [MakeRole; 7] =
        [Role::Wq, Role::Wk, Role::Wv, Role::Wo, Role::W1, Role::W2, Role::W3];
    matrices.into_iter().for_each(|role| places.all_layers(role));
    if !shared {
        places.one(Role::Output);
    }
    places.finish(version, file_len)
}

/// The group size of version 2, which must divide every row: `runq.c` drops the tail of a row
/// otherwise, and what it then computes is not what was quantised.
fn read_group_size(reader: &mut Reader<'_>, config: &Config) -> Result<DType, Error> {
    let offset = reader.offset();
    let group_size = reader.i32("group size")?;
    let n = u32::try_from(group_size).unwrap_or(0);
    in_range("group size", u64::from(n), caps::DIM, offset)?;
    for (name, width) in [("dim", config.dim), ("hidden_dim", config.hidden_dim)] {
        if !width.is_multiple_of(n as usize) {
            let expected =
                format!("a divisor of {name} = {width} (a row would end inside a group)");
            return Err(Error::value("group size", offset, expected, n));
        }
    }
    Ok(DType::I8Groups(n))
}

/// The seven numbers that every version has; the second result is version 0's "classifier is
/// shared", which it writes as the sign of `vocab_size`.
fn read_config(reader: &mut Reader<'_>) -> Result<(Config, bool), Error> {
    let names = ["dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "seq_len"];
    let start = reader.offset();
    let at = |name: &str| start + 4 * names.iter().position(|&n| n == name).unwrap_or(0) as u64;
    let mut values = [0_u32; 7];
    let mut shared = true;
    for (value, name) in values.iter_mut().zip(names) {
        let raw = reader.i32(name)?;
        shared &= name != "vocab_size" || raw > 0;
        let allowed = raw > 0 || (name == "vocab_size" && raw != 0);
        if !allowed {
            return Err(Error::value(name, at(name), "a positive number", raw));
        }
        *value = raw.unsigned_abs();
    }
    let [dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len] =
        values.map(|v| v as usize);
    in_range("dim", dim as u64, caps::DIM, at("dim"))?;
    if !dim.is_multiple_of(n_heads) {
        return Err(Error::value(
            "n_heads",
            at("n_heads"),
            format!("a divisor of dim = {dim}"),
            n_heads,
        ));
    }
    let config = Config {
        dim,
        hidden_dim,
        n_layers,
        n_heads,
        n_kv_heads,
        head_dim: dim / n_heads,
        vocab_size,
        seq_len,
        norm_eps: NORM_EPS,
        rope_base: ROPE_BASE,
        rope_scaling: RopeScaling::None,
    };
    config.check(&at)?;
    Ok((config, shared))
}

/// Hands out places one after another in file order.
struct Places<'c> {
    config: &'c Config,
    offset: u64,
    matrix_dtype: DType,
    tensors: Vec<TensorInfo>,
}

impl<'c> Places<'c> {
    fn new(config: &'c Config, offset: u64, matrix_dtype: DType) -> Self {
        Self { config, offset, matrix_dtype, tensors: Vec::new() }
    }

    fn one(&mut self, role: Role) {
        let (rows, cols) = role.shape(self.config);
        let dtype = if role.is_vector() { DType::F32 } else { self.matrix_dtype };
        let len = rows as u64 * (dtype.row_bytes(cols) + dtype.row_scale_bytes(cols)) as u64;
        let offset = self.offset;
        self.tensors.push(TensorInfo { role, dtype, rows, cols, offset, len, packed_rows: 0 });
        self.skip(len);
    }

    fn all_layers(&mut self, role: MakeRole) {
        (0..self.config.n_layers).for_each(|layer| self.one(role(layer)));
    }

    fn skip(&mut self, len: u64) {
        self.offset += len;
    }

    fn finish<'a>(self, version: u32, file_len: u64) -> Result<Header<'a>, Error> {
        let Self { config, offset: end, tensors, .. } = self;
        if file_len != end {
            let what = String::from("length of the file for this header");
            return Err(Error::value(
                what,
                file_len,
                format!("{end} bytes"),
                format!("{file_len} bytes"),
            ));
        }
        Ok(Header { format: Format::Llama2c(version), config: config.clone(), tensors, gguf: None })
    }
}
