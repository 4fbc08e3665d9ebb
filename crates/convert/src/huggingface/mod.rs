//! Hugging Face's form of a Llama model: a folder with model.safetensors (or several such files and
//! their index), config.json, and the vocabulary ([`tokenizer`]).
//!
//! Tensors are llama2.c's under other names, but for the rows of `wq` and `wk`. A rotary pair,
//! which llama2.c and llama.cpp's `llama` keep side by side, is there torn apart, the first members
//! in one half of a head and the second in the other, because `rotate_half` of modeling_llama.py
//! rotates halves:
//!
//! ```text
//! row of a head, here              0  1  2  3  …
//! row of a head, Hugging Face's    0  hd/2  1  hd/2 + 1  …
//! ```

mod config;
mod read;
mod rope;
mod special;
pub(crate) mod tokenizer;
mod write;

pub(crate) use config::config_json;
pub(crate) use write::write;

use crate::Error;
use crate::error::named;
use llamaboot_checkpoint::{Config, Role};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The one file of weights in a folder.
pub(crate) const FILE: &str = "model.safetensors";
/// Which file holds which tensor, where there are several.
const INDEX_FILE: &str = "model.safetensors.index.json";
/// The hyperparameters, beside the weights.
pub(crate) const CONFIG_FILE: &str = "config.json";
/// llama2.c's tokenizer, which llamaboot puts and looks for beside the weights.
pub(crate) const TOKENIZER_FILE: &str = "tokenizer.bin";
/// Longest of a folder's small files that is read, in bytes, and longest header of safetensors.
const MAX_SMALL_BYTES: u64 = 16 << 20;

/// A file that is meant to be short.
fn small_file(path: &Path, max: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = |bytes: &mut Vec<u8>| File::open(path)?.take(max + 1).read_to_end(bytes);
    read(&mut bytes).map_err(|e| named(path, e))?;
    if bytes.len() as u64 > max {
        let expected = format!("at most {max} bytes");
        return Err(Error::value("length", &expected, "more").within(path));
    }
    Ok(bytes)
}

/// Whether [`crate::Model::read_safetensors`] is the way to read this: a folder, or a name that
/// ends with `.safetensors`.
#[must_use]
pub fn is_safetensors(path: &Path) -> bool {
    path.is_dir() || names_safetensors(path)
}

/// Whether the name ends with `.safetensors`.
#[must_use]
pub fn names_safetensors(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors"))
}

/// A tensor's name in modeling_llama.py.
fn name(role: Role) -> String {
    let part = match role {
        Role::TokenEmbedding => return String::from("model.embed_tokens.weight"),
        Role::OutputNorm => return String::from("model.norm.weight"),
        Role::Output => return String::from("lm_head.weight"),
        Role::RopeFreqs => unreachable!("no layout has rotary divisors"),
        Role::AttnNorm(_) => "input_layernorm",
        Role::Wq(_) => "self_attn.q_proj",
        Role::Wk(_) => "self_attn.k_proj",
        Role::Wv(_) => "self_attn.v_proj",
        Role::Wo(_) => "self_attn.o_proj",
        Role::FfnNorm(_) => "post_attention_layernorm",
        Role::W1(_) => "mlp.gate_proj",
        Role::W2(_) => "mlp.down_proj",
        Role::W3(_) => "mlp.up_proj",
    };
    format!("model.layers.{}.{part}.weight", role.layer().unwrap_or(0))
}

/// The shape in a file: vectors have one dimension.
fn dims(role: Role, config: &Config) -> Vec<usize> {
    let (rows, cols) = role.shape(config);
    if role.is_vector() { vec![cols] } else { vec![rows, cols] }
}

/// The row of our order that is row `row` of Hugging Face's.
fn our_row(role: Role, row: usize, head_dim: usize) -> usize {
    if !matches!(role, Role::Wq(_) | Role::Wk(_)) {
        return row;
    }
    let (head, in_head) = (row / head_dim * head_dim, row % head_dim);
    let half = head_dim / 2;
    head + if in_head < half { 2 * in_head } else { 2 * (in_head - half) + 1 }
}
