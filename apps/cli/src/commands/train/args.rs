//! What `train` can be told.

use crate::args::isa_name;
use clap::{Args, ValueEnum, value_parser};
use llamaboot_kernels::{Isa, Kernels, Precision};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a run follows from, and `--resume` takes from its recipe.
const RECIPE: [&str; 24] = [
    "data",
    "preset",
    "init",
    "tokenizer",
    "vocab",
    "out",
    "name",
    "dtype",
    "steps",
    "seed",
    "batch",
    "accumulate",
    "context",
    "lr",
    "last_lr",
    "warmup",
    "dropout",
    "decay",
    "beta2",
    "clip",
    "average",
    "every",
    "save_every",
    "patience",
];

/// Train a model from a text, or go on with one: `train --data FILE` is enough to begin
#[derive(Args)]
#[command(after_help = "\
Examples:
  llamaboot train --data tinyshakespeare --out runs/shakespeare
  llamaboot train --data poems/ --init stories260K.bin --tokenizer tok512.bin --lr 3e-4
  llamaboot train --resume runs/shakespeare

DIR gets NAME.bin with its tokenizer, or NAME.gguf where a .bin cannot hold the model (the best by \
validation loss; `llamaboot convert` makes a GGUF of it, `llamaboot image` a stick), loss.csv, \
report.html, samples.txt, validation.txt and checkpoints/. docs/training.md tells more.")]
pub(crate) struct Train {
    /// UTF-8 text to learn: a file, a folder of .txt files, or `tinyshakespeare`
    #[arg(long, value_name = "TEXT", required_unless_present = "resume")]
    pub(super) data: Option<PathBuf>,
    /// Shape of a new model: 260K, shakespeare, 15M, 42M, 110M [default: shakespeare]
    #[arg(long, value_name = "P", conflicts_with = "init")]
    pub(super) preset: Option<String>,
    /// Go on with this model: a llama2.c .bin, a GGUF, or a safetensors folder
    #[arg(long, value_name = "CHECKPOINT")]
    pub(super) init: Option<PathBuf>,
    /// tokenizer.bin or tokenizer.model, with a folder also tokenizer.json [default: --init's own;
    /// else one learned from the text]
    #[arg(long, value_name = "FILE", conflicts_with = "vocab")]
    pub(super) tokenizer: Option<PathBuf>,
    /// Tokens of a learned tokenizer [default: the preset's]
    #[arg(long, value_name = "N", conflicts_with = "init")]
    pub(super) vocab: Option<usize>,
    /// Where everything goes
    #[arg(long, value_name = "DIR", default_value = "run")]
    pub(super) out: PathBuf,
    /// Go on with the run in DIR as if it had never stopped
    #[arg(long, value_name = "DIR", conflicts_with_all = RECIPE)]
    pub(super) resume: Option<PathBuf>,
    #[command(flatten)]
    pub(super) plan: Plan,
    /// What computes losses and gradients; gpu wants a build with --features gpu
    #[arg(long, value_enum, default_value = "cpu")]
    pub(super) device: DeviceName,
    /// Threads [default: all cores]; the result is the same
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
    /// Kernels [default: the best this CPU has]; the result is the same, but of bf16 with AMX
    #[arg(long, value_name = "ISA", value_parser = isa_name())]
    pub(super) isa: Option<Isa>,
    /// One line of JSON a step
    #[arg(long)]
    pub(super) json: bool,
}

/// Where a trainer computes losses and gradients.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeviceName {
    /// On all cores.
    Cpu,
    /// On a GPU that Vulkan, Metal or DirectX 12 can use.
    Gpu,
}

/// Numbers that a trainer computes with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TrainType {
    /// 32 bits everywhere.
    #[default]
    F32,
    /// Products of bf16 numbers, summed in f32; everything else, and validation, as with f32.
    Bf16,
}

impl TrainType {
    /// What products are computed with.
    pub(crate) fn precision(self) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
        }
    }

    /// As `--dtype` takes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// A remark on what it is multiplied with.
    pub(crate) fn remark(self, kernels: Kernels) -> String {
        match (self, kernels.bf16_instructions()) {
            (Self::F32, _) => String::new(),
            (Self::Bf16, Some(instructions)) => format!(" with {}", instructions.name()),
            (Self::Bf16, None) => {
                " (without instructions of its own for it here: slower than f32)".to_owned()
            }
        }
    }
}

/// How long and how fast to learn. What is not said is chosen by the preset.
#[derive(Args, Clone)]
pub(super) struct Plan {
    /// Name of the model's files [default: the preset's, or --init's]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Numbers to multiply; bf16 is less exact, and faster on CPUs with AVX512-BF16 or AMX
    #[arg(long, value_enum, default_value = "f32")]
    pub(super) dtype: TrainType,
    /// Updates of the weights
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub(super) steps: u64,
    /// Everything random follows from it
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(super) seed: u64,
    /// Windows of text computed together
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(super) batch: usize,
    /// Such batches for each step
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) accumulate: usize,
    /// Tokens of a window [default: the model's context, at most 256]
    #[arg(long, value_name = "N")]
    pub(super) context: Option<usize>,
    /// Greatest learning rate [default: 1e-3; with --init 3e-4]
    #[arg(long, value_name = "X")]
    pub(super) lr: Option<f32>,
    /// Learning rate at the end, as a share of the greatest
    #[arg(long, value_name = "X", default_value_t = 0.1)]
    pub(super) last_lr: f32,
    /// Steps until the greatest learning rate
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(super) warmup: u64,
    /// Share of the numbers dropped where a branch joins the residual stream
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub(super) dropout: f32,
    /// Weight decay of matrices
    #[arg(long, value_name = "X", default_value_t = 0.1)]
    pub(super) decay: f32,
    /// AdamW's decay of the mean of squared gradients
    #[arg(long, value_name = "X", default_value_t = 0.95)]
    pub(super) beta2: f32,
    /// Greatest norm of the gradients; 0 for any
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub(super) clip: f32,
    /// Decay of a running mean of the weights, which then is the model; 0 for none
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    pub(super) average: f32,
    /// Steps between validations, samples and reports [default: a tenth of --steps]
    #[arg(long, value_name = "N")]
    pub(super) every: Option<u64>,
    /// Steps between checkpoints [default: as --every]
    #[arg(long, value_name = "N")]
    pub(super) save_every: Option<u64>,
    /// Stop after this many validations without a better one; 0 never stops
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) patience: u64,
}
