//! The header of a model file: its hyperparameters and the place of every tensor, found from the
//! first bytes alone.

use crate::{Config, DType, Error, Regions, gguf::Gguf, llama2c};
use alloc::{format, string::String, vec::Vec};

/// Which file format a model is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// llama2.c, version 0 (f32 without a magic number), 1 (f32) or 2 (int8 groups).
    Llama2c(u32),
    /// GGUF, version 2 or 3.
    Gguf(u32),
}

impl core::fmt::Display for Format {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Llama2c(version) => write!(f, "llama2.c v{version}"),
            Self::Gguf(version) => write!(f, "GGUF v{version}"),
        }
    }
}

/// What a tensor is for, under llama2.c's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Token embeddings, `(vocab_size, dim)`.
    TokenEmbedding,
    /// Weights of the last rmsnorm, `(dim)`.
    OutputNorm,
    /// Classifier, `(vocab_size, dim)`; absent where it is tied to the embeddings.
    Output,
    /// Llama 3's divisors of the rotary frequencies, `(head_dim / 2)`.
    RopeFreqs,
    /// Weights of the rmsnorm before attention, `(dim)`, of a layer.
    AttnNorm(usize),
    /// Query projection, `(q_dim, dim)`.
    Wq(usize),
    /// Key projection, `(kv_dim, dim)`.
    Wk(usize),
    /// Value projection, `(kv_dim, dim)`.
    Wv(usize),
    /// Attention's output projection, `(dim, q_dim)`.
    Wo(usize),
    /// Weights of the rmsnorm before the feed-forward network, `(dim)`.
    FfnNorm(usize),
    /// Gate projection, `(hidden_dim, dim)`.
    W1(usize),
    /// Down projection, `(dim, hidden_dim)`.
    W2(usize),
    /// Up projection, `(hidden_dim, dim)`.
    W3(usize),
}

impl Role {
    /// The shape `(rows, cols)` that `config` asks of this tensor; vectors have one row.
    #[must_use]
    pub fn shape(self, config: &Config) -> (usize, usize) {
        let (dim, hidden) = (config.dim, config.hidden_dim);
        match self {
            Self::TokenEmbedding | Self::Output => (config.vocab_size, dim),
            Self::OutputNorm | Self::AttnNorm(_) | Self::FfnNorm(_) => (1, dim),
            Self::RopeFreqs => (1, config.head_dim / 2),
            Self::Wq(_) => (config.q_dim(), dim),
            Self::Wk(_) | Self::Wv(_) => (config.kv_dim(), dim),
            Self::Wo(_) => (dim, config.q_dim()),
            Self::W1(_) | Self::W3(_) => (hidden, dim),
            Self::W2(_) => (dim, hidden),
        }
    }

    /// The tensors that every model has; a classifier and rotary divisors may be there as well.
    fn required(n_layers: usize) -> impl Iterator<Item = Self> {
        let layer = |l| {
            [
                Self::AttnNorm(l),
                Self::Wq(l),
                Self::Wk(l),
                Self::Wv(l),
                Self::Wo(l),
                Self::FfnNorm(l),
                Self::W1(l),
                Self::W2(l),
                Self::W3(l),
            ]
        };
        [Self::TokenEmbedding, Self::OutputNorm].into_iter().chain((0..n_layers).flat_map(layer))
    }

    /// The layer it belongs to; `None` for tensors of the whole model.
    #[must_use]
    pub fn layer(self) -> Option<usize> {
        match self {
            Self::TokenEmbedding | Self::OutputNorm | Self::Output | Self::RopeFreqs => None,
            Self::AttnNorm(l)
            | Self::Wq(l)
            | Self::Wk(l)
            | Self::Wv(l)
            | Self::Wo(l)
            | Self::FfnNorm(l)
            | Self::W1(l)
            | Self::W2(l)
            | Self::W3(l) => Some(l),
        }
    }

    /// Whether this is a vector kept in full precision rather than a matrix.
    #[must_use]
    pub fn is_vector(self) -> bool {
        matches!(self, Self::OutputNorm | Self::AttnNorm(_) | Self::FfnNorm(_) | Self::RopeFreqs)
    }
}

impl core::fmt::Display for Role {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TokenEmbedding => f.write_str("token_embd"),
            Self::OutputNorm => f.write_str("output_norm"),
            Self::Output => f.write_str("output"),
            Self::RopeFreqs => f.write_str("rope_freqs"),
            Self::AttnNorm(l) => write!(f, "layer {l} attn_norm"),
            Self::Wq(l) => write!(f, "layer {l} wq"),
            Self::Wk(l) => write!(f, "layer {l} wk"),
            Self::Wv(l) => write!(f, "layer {l} wv"),
            Self::Wo(l) => write!(f, "layer {l} wo"),
            Self::FfnNorm(l) => write!(f, "layer {l} ffn_norm"),
            Self::W1(l) => write!(f, "layer {l} w1"),
            Self::W2(l) => write!(f, "layer {l} w2"),
            Self::W3(l) => write!(f, "layer {l} w3"),
        }
    }
}

/// Where one tensor lies in the file, checked against the file's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorInfo {
    /// What it is for.
    pub role: Role,
    /// How its weights are stored.
    pub dtype: DType,
    /// Rows; 1 for vectors.
    pub rows: usize,
    /// Weights in a row.
    pub cols: usize,
    /// First byte, from the start of the file.
    pub offset: u64,
    /// Length in bytes; for int8 groups the scales, which follow the weights, are included.
    pub len: u64,
    /// Rows, from the first on, that [`Header::pack`] has rearranged into panels.
    pub packed_rows: usize,
}

/// A checked header. It borrows names and vocabulary from the bytes it was read from.
#[derive(Debug, Clone)]
pub struct Header<'a> {
    /// File format and version.
    pub format: Format,
    /// Hyperparameters.
    pub config: Config,
    /// Every tensor's place.
    pub tensors: Vec<TensorInfo>,
    /// GGUF metadata; `None` for llama2.c files.
    pub gguf: Option<Gguf<'a>>,
}

impl<'a> Header<'a> {
    /// Reads a header from regions whose first piece holds all of it.
    ///
    /// # Errors
    /// Any fault of the header; [`Error::NeedMore`] where the first piece is too short for it.
    pub fn parse(regions: &Regions<'a>) -> Result<Self, Error> {
        let head = regions.head();
        if head.len() < 4 {
            return Err(Error::Truncated {
                what: String::from("a model file's header"),
                offset: 0,
                need: 28,
                have: regions.file_len(),
            });
        }
        let header = if head.starts_with(b"GGUF") {
            Gguf::parse(head, regions.file_len())?.into_header()?
        } else {
            llama2c::parse(head, regions.file_len())?
        };
        header.check_tensors(regions.file_len())?;
        Ok(header)
    }

    /// Checks that every tensor is there, has the shape its role asks for, ends inside the file,
    /// and shares no byte with another.
    fn check_tensors(&self, file_len: u64) -> Result<(), Error> {
        let mut roles: Vec<Role> = self.tensors.iter().map(|tensor| tensor.role).collect();
        roles.sort_unstable();
        for role in Role::required(self.config.n_layers) {
            if roles.binary_search(&role).is_err() {
                return Err(Error::Missing { what: format!("tensor {role}") });
            }
        }
        let mut places: Vec<&TensorInfo> = self.tensors.iter().collect();
        places.sort_unstable_by_key(|tensor| tensor.offset);
        let mut free_from = 0;
        for tensor in places {
            let (role, offset) = (tensor.role, tensor.offset);
            let (rows, cols) = role.shape(&self.config);
            if (tensor.rows, tensor.cols) != (rows, cols) {
                let found = format!("{} x {}", tensor.rows, tensor.cols);
                let what = format!("shape of {role}");
                return Err(Error::value(what, offset, format!("{rows} x {cols}"), found));
            }
            let (need, have) = (tensor.len, file_len.saturating_sub(offset));
            if need > have {
                return Err(Error::Truncated { what: format!("{role}"), offset, need, have });
            }
            if offset < free_from {
                let expected = format!("byte {free_from} or later, behind another tensor");
                return Err(Error::value(format!("offset of {role}"), offset, expected, offset));
            }
            free_from = offset + need;
        }
        Ok(())
    }

    /// Offsets that cut the file into pieces of at most `max_len` bytes with no tensor across a
    /// cut; a tensor longer than `max_len` gets a piece of its own. Starts with 0, ends with the
    /// file's length.
    #[must_use]
    pub fn cuts(&self, file_len: u64, max_len: u64) -> Vec<u64> {
        let mut starts: Vec<(u64, u64)> =
            self.tensors.iter().map(|t| (t.offset, t.offset + t.len)).collect();
        starts.sort_unstable();
        let mut cuts = alloc::vec![0];
        let mut piece_start = 0;
        for (start, end) in starts {
            if end - piece_start > max_len && start > piece_start {
                cuts.push(start);
                piece_start = start;
            }
        }
        cuts.push(file_len);
        cuts
    }

    /// Every dtype with the tensors and the bytes stored in it, the most bytes first.
    #[must_use]
    pub fn dtypes(&self) -> Vec<(DType, usize, u64)> {
        let mut totals: Vec<(DType, usize, u64)> = Vec::new();
        for tensor in &self.tensors {
            match totals.iter_mut().find(|(dtype, ..)| *dtype == tensor.dtype) {
                Some((_, count, bytes)) => (*count, *bytes) = (*count + 1, *bytes + tensor.len),
                None => totals.push((tensor.dtype, 1, tensor.len)),
            }
        }
        totals.sort_by_key(|&(.., bytes)| core::cmp::Reverse(bytes));
        totals
    }

    /// The dtype that most bytes are stored in, for lists: `Q4_1`.
    #[must_use]
    pub fn dtype_name(&self) -> String {
        self.dtypes().first().map_or_else(String::new, |(dtype, ..)| format!("{dtype}"))
    }

    /// Number of weights in all tensors.
    #[must_use]
    pub fn n_params(&self) -> u64 {
        self.tensors.iter().map(|t| t.rows as u64 * t.cols as u64).sum()
    }
}
