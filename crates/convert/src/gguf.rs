//! GGUF version 3, written front to back: keys, the directory of tensors, their data.
//!
//! The layout stands in `llamaboot_checkpoint::gguf`, which reads it. Norms are always F32; a
//! matrix whose rows are not whole blocks is F16.

use crate::encode::encode;
use crate::save::too_large;
use crate::vocabulary::{BOS, EOS, UNKNOWN, gguf_text};
use crate::{Error, Model, Target, Vocabulary, WeightType};
use llamaboot_checkpoint::gguf::kind;
use llamaboot_checkpoint::{Config, DType, Role, RopeScaling};
use llamaboot_tokenizer::Pieces;
use std::io::Write;

/// Where tensors begin: at multiples of this, the default of `general.alignment`.
const ALIGNMENT: u64 = 32;

/// Writes the whole file.
pub(crate) fn write(model: &Model, target: Target, out: &mut dyn Write) -> Result<(), Error> {
    let keys = keys(model, target);
    let mut head = Vec::from(*b"GGUF");
    head.extend(3_u32.to_le_bytes());
    let tensors: Vec<Entry<'_>> = entries(model, target);
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend(keys.n.to_le_bytes());
    head.extend(keys.bytes);
    let mut offset = 0_u64;
    for tensor in &tensors {
        text(&mut head, tensor.role.gguf_name().as_bytes());
        let (rows, cols) = tensor.shape;
        let dims: &[usize] = if tensor.role.is_vector() { &[cols] } else { &[cols, rows] };
        head.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|&dim| head.extend((dim as u64).to_le_bytes()));
        let number = tensor.kind.dtype().to_ggml();
        head.extend(number.unwrap_or_default().to_le_bytes());
        head.extend(offset.to_le_bytes());
        offset += tensor.bytes().next_multiple_of(ALIGNMENT);
    }
    out.write_all(&head)?;
    pad(out, head.len() as u64)?;
    let mut bytes = Vec::new();
    for tensor in &tensors {
        for row in tensor.weights.chunks_exact(tensor.shape.1) {
            bytes.clear();
            encode(tensor.kind, row, &mut bytes).map_err(|e| too_large(tensor.role, e))?;
            out.write_all(&bytes)?;
        }
        pad(out, tensor.bytes())?;
    }
    Ok(())
}

fn pad(out: &mut dyn Write, written: u64) -> Result<(), Error> {
    let padding = written.next_multiple_of(ALIGNMENT) - written;
    Ok(out.write_all(&[0; ALIGNMENT as usize][..padding as usize])?)
}

/// One tensor of the file.
struct Entry<'a> {
    role: Role,
    kind: WeightType,
    shape: (usize, usize),
    weights: &'a [f32],
}

impl Entry<'_> {
    fn bytes(&self) -> u64 {
        (self.shape.0 * self.kind.dtype().row_bytes(self.shape.1)) as u64
    }
}

/// Every tensor in the order of the file.
fn entries(model: &Model, target: Target) -> Vec<Entry<'_>> {
    let entry = |role: Role, weights| {
        let shape = role.shape(&model.config);
        Entry { role, kind: target.weights_of(role, shape.1), shape, weights }
    };
    let places = model.layout.iter();
    let tensors = places.map(|(role, range)| entry(role, &model.weights[range]));
    let divisors = model.rope_divisors.as_deref();
    tensors.chain(divisors.map(|weights| entry(Role::RopeFreqs, weights))).collect()
}

/// Keys with their values, packed.
#[derive(Default)]
struct Keys {
    bytes: Vec<u8>,
    n: u64,
}

impl Keys {
    fn raw(&mut self, key: &str, kind: u32, value: &[u8]) {
        text(&mut self.bytes, key.as_bytes());
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend(value);
        self.n += 1;
    }

    fn text(&mut self, key: &str, value: &str) {
        let mut bytes = Vec::new();
        text(&mut bytes, value.as_bytes());
        self.raw(key, kind::STRING, &bytes);
    }

    fn u32(&mut self, key: &str, value: usize) {
        self.raw(key, kind::U32, &(value as u32).to_le_bytes());
    }

    fn f32(&mut self, key: &str, value: f32) {
        self.raw(key, kind::F32, &value.to_le_bytes());
    }

    fn bool(&mut self, key: &str, value: bool) {
        self.raw(key, kind::BOOL, &[u8::from(value)]);
    }

    /// An array of `n` values, packed in `values`.
    fn array(&mut self, key: &str, of: u32, n: usize, values: &[u8]) {
        let mut bytes = of.to_le_bytes().to_vec();
        bytes.extend((n as u64).to_le_bytes());
        bytes.extend(values);
        self.raw(key, kind::ARRAY, &bytes);
    }
}

fn text(out: &mut Vec<u8>, value: &[u8]) {
    out.extend((value.len() as u64).to_le_bytes());
    out.extend(value);
}

fn keys(model: &Model, target: Target) -> Keys {
    let mut keys = Keys::default();
    keys.text("general.architecture", "llama");
    // The numbers are llama.cpp's enum llama_ftype.
    let file_type = match target.weights() {
        WeightType::F32 => 0,
        WeightType::F16 => 1,
        WeightType::Q4_0 => 2,
        WeightType::Q8_0 => 7,
    };
    keys.u32("general.file_type", file_type);
    keys.u32("general.quantization_version", 2);
    shape_keys(&mut keys, &model.config);
    match &model.vocabulary {
        // llama.cpp's name for a model that has none.
        Vocabulary::None => keys.text("tokenizer.ggml.model", "none"),
        Vocabulary::Pieces(pieces) => piece_keys(&mut keys, pieces),
        Vocabulary::Gguf(gguf) => {
            gguf.entries.iter().for_each(|e| keys.raw(&e.key, e.kind, &e.bytes));
        }
    }
    keys
}

fn shape_keys(keys: &mut Keys, config: &Config) {
    keys.u32("llama.vocab_size", config.vocab_size);
    keys.u32("llama.context_length", config.seq_len);
    keys.u32("llama.embedding_length", config.dim);
    keys.u32("llama.block_count", config.n_layers);
    keys.u32("llama.feed_forward_length", config.hidden_dim);
    keys.u32("llama.attention.head_count", config.n_heads);
    keys.u32("llama.attention.head_count_kv", config.n_kv_heads);
    keys.u32("llama.attention.key_length", config.head_dim);
    keys.u32("llama.attention.value_length", config.head_dim);
    keys.f32("llama.attention.layer_norm_rms_epsilon", config.norm_eps);
    keys.u32("llama.rope.dimension_count", config.head_dim);
    keys.f32("llama.rope.freq_base", config.rope_base);
    if let RopeScaling::Linear(factor) = config.rope_scaling {
        keys.text("llama.rope.scaling.type", "linear");
        keys.f32("llama.rope.scaling.factor", factor);
    }
}

fn piece_keys(keys: &mut Keys, Pieces(pieces): &Pieces) {
    let (mut texts, mut scores, mut types) = (Vec::new(), Vec::new(), Vec::new());
    for piece in pieces {
        text(&mut texts, &gguf_text(piece));
        scores.extend(piece.score.to_le_bytes());
        types.extend((piece.kind as i32).to_le_bytes());
    }
    keys.text("tokenizer.ggml.model", "llama");
    keys.text("tokenizer.ggml.pre", "default");
    keys.array("tokenizer.ggml.tokens", kind::STRING, pieces.len(), &texts);
    keys.array("tokenizer.ggml.scores", kind::F32, pieces.len(), &scores);
    keys.array("tokenizer.ggml.token_type", kind::I32, pieces.len(), &types);
    keys.u32("tokenizer.ggml.bos_token_id", BOS as usize);
    keys.u32("tokenizer.ggml.eos_token_id", EOS as usize);
    keys.u32("tokenizer.ggml.unknown_token_id", UNKNOWN as usize);
    keys.bool("tokenizer.ggml.add_bos_token", true);
    keys.bool("tokenizer.ggml.add_eos_token", false);
    keys.bool("tokenizer.ggml.add_space_prefix", true);
}

/// What `target` stores otherwise than it says, for people.
pub(crate) fn note(model: &Model, target: Target) -> Option<String> {
    let others = entries(model, target);
    let mut others =
        others.iter().filter(|tensor| !tensor.role.is_vector() && tensor.kind != target.weights());
    let first = others.next()?;
    Some(format!(
        "{} matrices stay {}, {} for one: rows of {} weights are not whole blocks of {}",
        1 + others.count(),
        DType::F16,
        first.role.gguf_name(),
        first.shape.1,
        target.weights().dtype(),
    ))
}
