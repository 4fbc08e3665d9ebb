//! What is to be written: a file format, and how it stores the matrices.
//!
//! | | f32 | f16 | q8_0 | q4_0 |
//! | --- | --- | --- | --- | --- |
//! | llama2.c `.bin` | v0 | – | v2 | – |
//! | GGUF | F32 | F16 | Q8_0 | Q4_0 |
//! | safetensors | F32 | F16 | – | – |

use crate::{Error, Model, encode::BLOCK, llama2c};
use llamaboot_checkpoint::{DType, Role};
use std::path::Path;

/// A file format that models are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// llama2.c `.bin`, version 0 or 2.
    Llama2c,
    /// GGUF, version 3.
    Gguf,
    /// Hugging Face's safetensors with a config.json.
    Safetensors,
}

impl Format {
    /// The format that a name asks for: `.bin`, `.gguf`, `.safetensors`, or a folder (one that
    /// exists, or a name with `/` at its end) for safetensors.
    ///
    /// # Errors
    /// Any other name.
    pub fn of_output(path: &Path) -> Result<Self, Error> {
        let text = path.to_string_lossy();
        if path.is_dir() || text.ends_with('/') {
            return Ok(Self::Safetensors);
        }
        let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        match extension.as_deref() {
            Some("bin") => Ok(Self::Llama2c),
            Some("gguf") => Ok(Self::Gguf),
            Some("safetensors") => Ok(Self::Safetensors),
            _ => {
                let expected = "a name that ends with .bin, .gguf, .safetensors or /";
                Err(Error::value("output", expected, text))
            }
        }
    }
}

/// How matrices are stored; the names are ggml's. Vectors stay f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightType {
    /// 32-bit floats: nothing is lost.
    F32,
    /// 16-bit floats.
    F16,
    /// 8 bits a weight and a scale for 32 (GGUF), or for a group (llama2.c v2).
    Q8_0,
    /// 4 bits a weight and a scale for 32.
    Q4_0,
}

impl WeightType {
    /// The dtype of a GGUF.
    pub(crate) fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Q8_0 => DType::Q8_0,
            Self::Q4_0 => DType::Q4_0,
        }
    }

    /// Whether rows are made of blocks of 32.
    pub(crate) fn is_blocked(self) -> bool {
        matches!(self, Self::Q8_0 | Self::Q4_0)
    }
}

/// A format with a type that it can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    format: Format,
    weights: WeightType,
}

impl Target {
    /// A format with how it stores matrices; f32 where that is not said.
    ///
    /// # Errors
    /// A type that the format does not have; the message lists those it has.
    pub fn new(format: Format, weights: Option<WeightType>) -> Result<Self, Error> {
        let weights = weights.unwrap_or(WeightType::F32);
        let (what, expected, can) = match format {
            Format::Gguf => ("GGUF", "f32, f16, q8_0 or q4_0", true),
            Format::Llama2c => {
                let can = matches!(weights, WeightType::F32 | WeightType::Q8_0);
                ("llama2.c .bin", "f32 (version 0) or q8_0 (version 2)", can)
            }
            Format::Safetensors => ("safetensors", "f32 or f16", !weights.is_blocked()),
        };
        if can {
            Ok(Self { format, weights })
        } else {
            let found = weights.dtype().to_string().to_ascii_lowercase();
            Err(Error::value(&format!("type of {what}"), expected, found))
        }
    }

    /// Whether the format has room for all that this model is, its vocabulary included.
    #[must_use]
    pub fn can_hold(self, model: &Model) -> bool {
        let pieces = || model.vocabulary.pieces().is_ok();
        self.format != Format::Llama2c || (llama2c::check(model).is_ok() && pieces())
    }

    /// The file format.
    #[must_use]
    pub fn format(self) -> Format {
        self.format
    }

    /// How matrices are stored.
    #[must_use]
    pub fn weights(self) -> WeightType {
        self.weights
    }

    /// How this tensor is stored: in safetensors every one as said; elsewhere vectors as f32, and
    /// matrices whose rows are not whole blocks as f16.
    pub(crate) fn weights_of(self, role: Role, cols: usize) -> WeightType {
        match self.weights {
            kind if self.format == Format::Safetensors => kind,
            _ if role.is_vector() => WeightType::F32,
            kind if kind.is_blocked() && !cols.is_multiple_of(BLOCK) => WeightType::F16,
            kind => kind,
        }
    }

    /// Bytes that the tensors of a model take, which is nearly all of the file.
    #[must_use]
    pub fn tensor_bytes(self, model: &Model) -> u64 {
        let bytes = |role: Role| {
            let (rows, cols) = role.shape(&model.config);
            let dtype = match (self.format, self.weights) {
                (Format::Llama2c, WeightType::Q8_0) if !role.is_vector() => {
                    DType::I8Groups(llama2c::group_size(&model.config) as u32)
                }
                _ => self.weights_of(role, cols).dtype(),
            };
            (rows * (dtype.row_bytes(cols) + dtype.row_scale_bytes(cols))) as u64
        };
        model.layout.iter().map(|(role, _)| bytes(role)).sum()
    }
}

impl core::fmt::Display for Target {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match (self.format, self.weights) {
            (Format::Llama2c, WeightType::Q8_0) => f.write_str("llama2.c v2, int8"),
            (Format::Llama2c, _) => f.write_str("llama2.c v0, F32"),
            (Format::Gguf, kind) => write!(f, "GGUF v3, {}", kind.dtype()),
            (Format::Safetensors, kind) => write!(f, "safetensors, {}", kind.dtype()),
        }
    }
}
