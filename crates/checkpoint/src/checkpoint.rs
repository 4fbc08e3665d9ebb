//! A header with its tensors' data: what the engine is built from.

use crate::gguf::ROPE_FACTORS;
use crate::{Block32, Config, DType, Error, Header, PANEL_ROWS, Regions, Role, TensorInfo, panel};
use alloc::{format, vec::Vec};

/// A tensor that borrows its data: `rows` rows of `cols` weights, row after row.
#[derive(Debug, Clone, Copy)]
pub struct Tensor<'a> {
    /// How the weights are stored.
    pub dtype: DType,
    /// Rows; 1 for vectors.
    pub rows: usize,
    /// Weights in a row.
    pub cols: usize,
    /// `rows * dtype.row_bytes(cols)` bytes.
    pub data: &'a [u8],
    /// For int8 groups the f32 scales, one a group; empty otherwise.
    pub scales: &'a [u8],
    /// Rows, from the first on, that lie in panels (see [`Header::pack`]); the others lie row after
    /// row.
    pub packed_rows: usize,
}

impl<'a> Tensor<'a> {
    /// The bytes of row `row` (without group scales), where rows lie one after another.
    #[must_use]
    #[inline]
    pub fn row(&self, row: usize) -> &'a [u8] {
        let len = self.dtype.row_bytes(self.cols);
        &self.data[row * len..(row + 1) * len]
    }

    /// The group scales of row `row`; empty where the dtype keeps scales in its blocks.
    #[must_use]
    pub fn row_scales(&self, row: usize) -> &'a [u8] {
        let len = self.scales.len() / self.rows;
        &self.scales[row * len..(row + 1) * len]
    }

    /// The bytes of panel `index`: rows `8 * index ..`, which must be packed.
    #[must_use]
    #[inline]
    pub fn panel(&self, index: usize) -> &'a [u8] {
        let len = PANEL_ROWS * self.dtype.row_bytes(self.cols);
        &self.data[index * len..][..len]
    }

    /// The group scales of panel `index`, `(groups, 8)` f32; empty but for int8 groups.
    #[must_use]
    #[inline]
    pub fn panel_scales(&self, index: usize) -> &'a [u8] {
        let len = PANEL_ROWS * self.dtype.row_scale_bytes(self.cols);
        &self.scales[index * len..][..len]
    }

    /// Weights `32 * index ..` of row `row`, however the data lies; the dtype must be
    /// [blocked](DType::is_blocked).
    #[must_use]
    pub fn block(&self, row: usize, index: usize) -> Block32 {
        if row < self.packed_rows {
            panel::read(self, row, index)
        } else {
            Block32::read(self.dtype, self.row(row), self.row_scales(row), index)
        }
    }

    /// Bytes of weights and scales.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.len() + self.scales.len()
    }
}

/// The tensors of one transformer block; [`Role`] has their shapes.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "each field is the role of the same name")]
pub struct Layer<'a> {
    pub attn_norm: Tensor<'a>,
    pub wq: Tensor<'a>,
    pub wk: Tensor<'a>,
    pub wv: Tensor<'a>,
    pub wo: Tensor<'a>,
    pub ffn_norm: Tensor<'a>,
    pub w1: Tensor<'a>,
    pub w2: Tensor<'a>,
    pub w3: Tensor<'a>,
}

/// A whole model, every tensor present and shaped as [`Config`] says.
#[derive(Debug, Clone)]
pub struct Checkpoint<'a> {
    /// Hyperparameters.
    pub config: Config,
    /// Token embeddings, `(vocab_size, dim)`.
    pub token_embedding: Tensor<'a>,
    /// Transformer blocks.
    pub layers: Vec<Layer<'a>>,
    /// Last rmsnorm, `(dim)`.
    pub output_norm: Tensor<'a>,
    /// Classifier, `(vocab_size, dim)`; the embeddings where the file ties the two.
    pub output: Tensor<'a>,
    /// Llama 3's divisors of the rotary frequencies.
    pub rope_freqs: Option<Tensor<'a>>,
}

impl<'a> Checkpoint<'a> {
    /// Borrows every tensor's data from `regions`.
    ///
    /// # Errors
    /// A missing tensor, or one that is not held in one region.
    pub fn attach(header: &Header<'_>, regions: &Regions<'a>) -> Result<Self, Error> {
        let mut infos: Vec<&TensorInfo> = header.tensors.iter().collect();
        infos.sort_unstable_by_key(|info| info.role);
        let optional = |role: Role| -> Result<Option<Tensor<'a>>, Error> {
            let found = infos.binary_search_by_key(&role, |info| info.role);
            found.ok().map(|at| attach_one(infos[at], regions)).transpose()
        };
        let get =
            |role| optional(role)?.ok_or_else(|| Error::Missing { what: format!("tensor {role}") });
        let layers = (0..header.config.n_layers)
            .map(|l| {
                Ok(Layer {
                    attn_norm: get(Role::AttnNorm(l))?,
                    wq: get(Role::Wq(l))?,
                    wk: get(Role::Wk(l))?,
                    wv: get(Role::Wv(l))?,
                    wo: get(Role::Wo(l))?,
                    ffn_norm: get(Role::FfnNorm(l))?,
                    w1: get(Role::W1(l))?,
                    w2: get(Role::W2(l))?,
                    w3: get(Role::W3(l))?,
                })
            })
            .collect::<Result<_, Error>>()?;
        let token_embedding = get(Role::TokenEmbedding)?;
        Ok(Self {
            config: header.config.clone(),
            token_embedding,
            layers,
            output_norm: get(Role::OutputNorm)?,
            output: optional(Role::Output)?.unwrap_or(token_embedding),
            rope_freqs: optional(Role::RopeFreqs)?.map(checked_rope_freqs).transpose()?,
        })
    }
}

/// Refuses divisors that would make every angle, and with them every logit, not a number.
fn checked_rope_freqs(tensor: Tensor<'_>) -> Result<Tensor<'_>, Error> {
    let values = tensor.data.as_chunks().0.iter().map(|&raw| f32::from_le_bytes(raw));
    match values.into_iter().find(|value| !ROPE_FACTORS.contains(value)) {
        None => Ok(tensor),
        Some(value) => Err(Error::value("rope_freqs", 0, "0.001 to 1000000", value)),
    }
}

fn attach_one<'a>(info: &TensorInfo, regions: &Regions<'a>) -> Result<Tensor<'a>, Error> {
    let bytes = regions.slice(info.offset, info.len, &format!("{}", info.role))?;
    let weights = info.rows * info.dtype.row_bytes(info.cols);
    let (data, scales) = bytes.split_at(weights);
    let TensorInfo { dtype, rows, cols, packed_rows, .. } = *info;
    Ok(Tensor { dtype, rows, cols, data, scales, packed_rows })
}
