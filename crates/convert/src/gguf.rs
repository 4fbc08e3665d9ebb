//! GGUF version 3, written front to back: keys, the directory of tensors, their data.
//!
//! The layout stands in `llamaboot_checkpoint::gguf`, which reads it. Norms are always F32; a
//! matrix whose rows are not whole blocks is F16.

use crate::encode::encode;
use crate::keys::{Keys, push_text};
use crate::save::too_large;
use crate::{Error, Model, Target, WeightType};
use llamaboot_checkpoint::{Config, DType, Role, RopeScaling};
use std::io::Write;

/// Where tensors begin: at multiples of this, the default of `general.alignment`.
const ALIGNMENT: u64 = 32;

/// Writes the whole file.
pub(crate) fn write(model: &Model, target: Target, out: &mut dyn Write) -> Result<(), Error> {
    let keys = keys(model, target);
    let tensors: Vec<Entry<'_>> = entries(model, target);
    let mut head = keys.head(tensors.len());
    let mut offset = 0_u64;
    for tensor in &tensors {
        push_text(&mut head, tensor.role.gguf_name().as_bytes());
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
    model.vocabulary.push_keys(&mut keys);
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
