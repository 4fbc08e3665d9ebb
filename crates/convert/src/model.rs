//! The one form that every model file is read into and written from.

use crate::{Error, GgufVocabulary, Vocabulary};
use llamaboot_checkpoint::{Checkpoint, Config, Header, Layout, Regions, Role, Tensor};
use llamaboot_kernels::Kernels;
use llamaboot_tokenizer::Pieces;

/// A model with all its weights as f32.
#[derive(Debug, Clone)]
pub struct Model {
    /// Hyperparameters.
    pub config: Config,
    /// Where each tensor lies in `weights`; knows whether the classifier is tied.
    pub layout: Layout,
    /// `(layout.n_params())`, in llama2.c's order; rows of `wq` and `wk` as llama2.c and llama.cpp
    /// have them (rotary pairs side by side).
    pub weights: Vec<f32>,
    /// Llama 3's divisors of the rotary frequencies, `(head_dim / 2)`. A llama2.c `.bin` holds
    /// none.
    pub rope_divisors: Option<Vec<f32>>,
    /// What the ids stand for.
    pub vocabulary: Vocabulary,
}

impl Model {
    /// A model of this shape with the vocabulary given and all weights zero.
    ///
    /// # Errors
    /// A vocabulary of another size than `config.vocab_size`, or no memory for the weights.
    pub fn zeroed(config: Config, tied: bool, vocabulary: Vocabulary) -> Result<Self, Error> {
        if let Ok(pieces) = vocabulary.pieces()
            && pieces.0.len() != config.vocab_size
        {
            let expected = format!("{} tokens, as the model has", config.vocab_size);
            return Err(Error::value("tokenizer", &expected, pieces.0.len()));
        }
        let layout = Layout::new(&config, tied);
        let mut weights = Vec::new();
        let n = layout.n_params();
        if weights.try_reserve_exact(n).is_err() {
            return Err(Error::Memory { bytes: 4 * n as u64 });
        }
        weights.resize(n, 0.0);
        Ok(Self { config, layout, weights, rope_divisors: None, vocabulary })
    }

    /// Reads a llama2.c `.bin` or a GGUF, whatever its dtypes. `tokenizer` is the bytes of a
    /// `.bin`'s tokenizer.bin; a GGUF's own vocabulary goes before it.
    ///
    /// # Errors
    /// Tensors that the regions do not hold, a malformed tokenizer, no memory.
    pub fn read_checkpoint(
        header: &Header<'_>,
        regions: &Regions<'_>,
        tokenizer: Option<&[u8]>,
    ) -> Result<Self, Error> {
        let checkpoint = Checkpoint::attach(header, regions)?;
        let vocabulary = match (&header.gguf, tokenizer) {
            (Some(gguf), _) => Vocabulary::Gguf(GgufVocabulary::read(gguf)?),
            (None, Some(bytes)) => Vocabulary::Pieces(Pieces::from_file(bytes)?),
            (None, None) => Vocabulary::None,
        };
        let tied = !header.tensors.iter().any(|tensor| tensor.role == Role::Output);
        let mut model = Self::zeroed(header.config.clone(), tied, vocabulary)?;
        for (role, range) in model.layout.iter() {
            dequantize(&tensor(&checkpoint, role), &mut model.weights[range]);
        }
        model.rope_divisors = checkpoint.rope_freqs.map(|tensor| {
            let mut divisors = vec![0.0; tensor.cols];
            dequantize(&tensor, &mut divisors);
            divisors
        });
        Ok(model)
    }

    /// The weights of one tensor, row after row, where the model has that tensor.
    #[must_use]
    pub fn tensor(&self, role: Role) -> Option<&[f32]> {
        Some(&self.weights[self.layout.range(role)?])
    }
}

/// A tensor of the layout, which every checkpoint has: its header was checked for it.
fn tensor<'a>(checkpoint: &Checkpoint<'a>, role: Role) -> Tensor<'a> {
    let layers = &checkpoint.layers;
    match role {
        Role::TokenEmbedding => checkpoint.token_embedding,
        Role::OutputNorm => checkpoint.output_norm,
        Role::Output => checkpoint.output,
        Role::RopeFreqs => unreachable!("no layout has rotary divisors"),
        Role::AttnNorm(l) => layers[l].attn_norm,
        Role::Wq(l) => layers[l].wq,
        Role::Wk(l) => layers[l].wk,
        Role::Wv(l) => layers[l].wv,
        Role::Wo(l) => layers[l].wo,
        Role::FfnNorm(l) => layers[l].ffn_norm,
        Role::W1(l) => layers[l].w1,
        Role::W2(l) => layers[l].w2,
        Role::W3(l) => layers[l].w3,
    }
}

/// All rows as f32; `out` is `(rows, cols)`.
fn dequantize(tensor: &Tensor<'_>, out: &mut [f32]) {
    let kernels = Kernels::best();
    for (row, out) in out.chunks_exact_mut(tensor.cols).enumerate() {
        kernels.dequantize_row(tensor, row, out);
    }
}
