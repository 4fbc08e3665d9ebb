//! The names of tensors in a GGUF and ggml's numbers for how they are stored: both ways, for
//! reading and for writing.
//!
//! ```text
//! token_embd.weight  output_norm.weight  output.weight  rope_freqs.weight  blk.N.PART.weight
//! ```

use crate::{DType, Role};
use alloc::{format, string::String};

type MakeRole = fn(usize) -> Role;

/// Tensors of the whole model.
const WHOLE: [(&str, Role); 4] = [
    ("token_embd", Role::TokenEmbedding),
    ("output_norm", Role::OutputNorm),
    ("output", Role::Output),
    ("rope_freqs", Role::RopeFreqs),
];

/// Tensors of a layer.
const PARTS: [(&str, MakeRole); 9] = [
    ("attn_norm", Role::AttnNorm),
    ("attn_q", Role::Wq),
    ("attn_k", Role::Wk),
    ("attn_v", Role::Wv),
    ("attn_output", Role::Wo),
    ("ffn_norm", Role::FfnNorm),
    ("ffn_gate", Role::W1),
    ("ffn_down", Role::W2),
    ("ffn_up", Role::W3),
];

/// ggml's numbers of the dtypes that we read.
const NUMBERS: [(u32, DType); 13] = [
    (0, DType::F32),
    (1, DType::F16),
    (2, DType::Q4_0),
    (3, DType::Q4_1),
    (6, DType::Q5_0),
    (7, DType::Q5_1),
    (8, DType::Q8_0),
    (10, DType::Q2K),
    (11, DType::Q3K),
    (12, DType::Q4K),
    (13, DType::Q5K),
    (14, DType::Q6K),
    (30, DType::BF16),
];

impl Role {
    /// The tensor of this name in a GGUF of `n_layers` layers.
    pub(crate) fn from_gguf_name(name: &str, n_layers: usize) -> Option<Self> {
        let name = name.strip_suffix(".weight")?;
        if let Some(&(_, role)) = WHOLE.iter().find(|(whole, _)| *whole == name) {
            return Some(role);
        }
        let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
        let layer = layer.parse().ok().filter(|&layer: &usize| layer < n_layers)?;
        PARTS.iter().find(|(known, _)| *known == part).map(|(_, role)| role(layer))
    }

    /// This tensor's name in a GGUF.
    #[must_use]
    pub fn gguf_name(self) -> String {
        if let Some((name, _)) = WHOLE.iter().find(|(_, role)| *role == self) {
            return format!("{name}.weight");
        }
        let layer = self.layer().unwrap_or(0);
        let part = PARTS.iter().find(|(_, role)| role(layer) == self);
        format!("blk.{layer}.{}.weight", part.map_or("", |(name, _)| name))
    }
}

impl DType {
    /// The dtype of ggml's type number, where it is one we read.
    #[must_use]
    pub fn from_ggml(number: u32) -> Option<Self> {
        NUMBERS.iter().find(|(known, _)| *known == number).map(|&(_, dtype)| dtype)
    }

    /// ggml's type number; `None` for llama2.c's int8 groups, which ggml has not.
    #[must_use]
    pub fn to_ggml(self) -> Option<u32> {
        NUMBERS.iter().find(|(_, dtype)| *dtype == self).map(|&(number, _)| number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written under a name is read back from it.
    #[test]
    fn names_go_both_ways() {
        let parts = PARTS.iter().map(|(_, role)| role(12));
        for role in parts.chain(WHOLE.map(|(_, role)| role)) {
            assert_eq!(Role::from_gguf_name(&role.gguf_name(), 13), Some(role), "{role}");
        }
        assert_eq!(Role::Wo(3).gguf_name(), "blk.3.attn_output.weight");
        assert_eq!(Role::from_gguf_name("blk.3.attn_output.weight", 3), None);
    }
}
