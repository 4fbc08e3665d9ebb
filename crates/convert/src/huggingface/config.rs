//! config.json: the hyperparameters under `LlamaConfig`'s names, read with the defaults of
//! configuration_llama.py where it has some, and written in full.

use super::rope::{self, Llama3, Scaling};
use super::special::SpecialIds;
use crate::{Error, Model, Target, WeightType};
use llamaboot_checkpoint::{Config, RopeScaling, caps};
use serde_json::{Map, Value, json};

/// What a config.json says, checked.
pub(super) struct Described {
    pub(super) config: Config,
    /// Whether the classifier is the embeddings.
    pub(super) tied: bool,
    /// As [`Model::rope_divisors`].
    pub(super) rope_divisors: Option<Vec<f32>>,
    pub(super) ids: SpecialIds,
}

/// Reads a config.json.
pub(super) fn read(json: &[u8]) -> Result<Described, Error> {
    let root: Value = serde_json::from_slice(json)
        .map_err(|e| Error::value("config.json", "a JSON object", e))?;
    let Value::Object(root) = &root else {
        return Err(Error::value("config.json", "a JSON object", "another value"));
    };
    let fields = Fields(root);
    fields.only("model_type", &json!("llama"))?;
    fields.only("hidden_act", &json!("silu"))?;
    fields.only("attention_bias", &json!(false))?;
    fields.only("mlp_bias", &json!(false))?;
    let dim = fields.count("hidden_size", caps::DIM, None)?;
    let n_heads = fields.count("num_attention_heads", caps::HEADS, None)?;
    if fields.float("partial_rotary_factor", Some(1.0))? != 1.0 {
        return Err(Error::value("partial_rotary_factor", "1", "another number"));
    }
    let (rope_base, scaling) = rope::read(&fields)?;
    let rope_scaling = match scaling {
        Scaling::Linear(factor) => RopeScaling::Linear(factor),
        Scaling::None | Scaling::Llama3(_) => RopeScaling::None,
    };
    let config = Config {
        dim,
        hidden_dim: fields.count("intermediate_size", caps::DIM, None)?,
        n_layers: fields.count("num_hidden_layers", caps::LAYERS, None)?,
        n_heads,
        n_kv_heads: fields.count("num_key_value_heads", caps::HEADS, Some(n_heads))?,
        head_dim: fields.count("head_dim", caps::DIM, Some(dim / n_heads))?,
        vocab_size: fields.count("vocab_size", caps::VOCAB, None)?,
        seq_len: fields.count("max_position_embeddings", caps::CONTEXT, Some(2048))?,
        norm_eps: fields.float("rms_norm_eps", Some(1e-6))?,
        rope_base,
        rope_scaling,
    };
    config.validate().map_err(without_offset)?;
    let tied = fields.get("tie_word_embeddings").is_some_and(|tied| tied == &json!(true));
    let rope_divisors = match scaling {
        Scaling::Llama3(scaling) => Some(scaling.divisors(&config)),
        Scaling::None | Scaling::Linear(_) => None,
    };
    let ids = SpecialIds::read(root, config.vocab_size)?;
    Ok(Described { config, tied, rope_divisors, ids })
}

/// A checked config's fault without the offset, which means nothing in JSON.
fn without_offset(error: llamaboot_checkpoint::Error) -> Error {
    match error {
        llamaboot_checkpoint::Error::Value { what, expected, found, .. } => {
            Error::value(&what, &expected, found)
        }
        other => Error::Checkpoint(other),
    }
}

/// An object's fields; null counts as absent.
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Fields<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// A field that, where it is there, has the one value that we can run.
    fn only(&self, key: &str, expected: &Value) -> Result<(), Error> {
        match self.get(key) {
            Some(found) if found != expected => {
                Err(Error::value(key, &expected.to_string(), found))
            }
            _ => Ok(()),
        }
    }

    /// A number from 1 to `cap`.
    fn count(&self, key: &str, cap: u64, default: Option<usize>) -> Result<usize, Error> {
        let expected = || format!("a number from 1 to {cap}");
        match (self.get(key), default) {
            (Some(value), _) => match value.as_u64() {
                Some(n) if n >= 1 && n <= cap => Ok(n as usize),
                _ => Err(Error::value(key, &expected(), value)),
            },
            (None, Some(default)) => Ok(default),
            (None, None) => Err(Error::value(key, &expected(), "nothing")),
        }
    }

    pub(super) fn float(&self, key: &str, default: Option<f32>) -> Result<f32, Error> {
        match (self.get(key), default) {
            (Some(value), _) => {
                value.as_f64().map(|x| x as f32).ok_or_else(|| Error::value(key, "a number", value))
            }
            (None, Some(default)) => Ok(default),
            (None, None) => Err(Error::value(key, "a number", "nothing")),
        }
    }
}

/// The config.json of a model.
///
/// # Errors
/// Rotary divisors that are not Llama 3's, whose parameters a GGUF does not keep.
pub(crate) fn config_json(model: &Model, target: Target) -> Result<String, Error> {
    let c = &model.config;
    let scaling = match (model.rope_divisors.as_deref(), c.rope_scaling) {
        (Some(_), RopeScaling::Linear(_)) => {
            let found = "a linear factor and divisors (a GGUF can keep both)";
            return Err(Error::value("rope_scaling in safetensors", "one rule", found));
        }
        (Some(divisors), RopeScaling::None) => {
            let found = "divisors that are not those of Meta's models (a GGUF can keep them)";
            let llama3 = Llama3::of(divisors, c).ok_or_else(|| {
                Error::value("rope_scaling in safetensors", "none, linear or llama3", found)
            })?;
            llama3.json()
        }
        (None, RopeScaling::None) => Value::Null,
        (None, RopeScaling::Linear(factor)) => {
            json!({"type": "linear", "rope_type": "linear", "factor": shortest(factor)})
        }
    };
    let dtype = if target.weights() == WeightType::F16 { "float16" } else { "float32" };
    let config = json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": c.dim,
        "intermediate_size": c.hidden_dim,
        "num_hidden_layers": c.n_layers,
        "num_attention_heads": c.n_heads,
        "num_key_value_heads": c.n_kv_heads,
        "head_dim": c.head_dim,
        "vocab_size": c.vocab_size,
        "max_position_embeddings": c.seq_len,
        "rms_norm_eps": shortest(c.norm_eps),
        "rope_theta": shortest(c.rope_base),
        "rope_scaling": scaling,
        "hidden_act": "silu",
        "attention_bias": false,
        "mlp_bias": false,
        "tie_word_embeddings": model.layout.is_tied(),
        "bos_token_id": model.vocabulary.bos(),
        "eos_token_id": model.vocabulary.eos(),
        "torch_dtype": dtype,
    });
    Ok(format!("{config:#}\n"))
}

/// The f64 that prints as the f32 does: 1e-5, not 9.999999747378752e-6.
pub(super) fn shortest(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}
