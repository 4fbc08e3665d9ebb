//! How rotary embeddings are stretched to longer contexts: `rope_scaling` of config.json.

use super::config::{Fields, shortest};
use crate::Error;
use llamaboot_checkpoint::Config;
use serde_json::{Value, json};

/// How a config.json stretches rotary embeddings.
pub(super) enum Scaling {
    None,
    Linear(f32),
    Llama3(Llama3),
}

/// Llama 3.1's stretching: slow rotations are divided by `factor`, fast ones stay, and between the
/// two the divisor goes over (`_compute_llama3_parameters` of transformers'
/// modeling_rope_utils.py).
#[derive(Clone, Copy)]
pub(super) struct Llama3 {
    factor: f64,
    low_freq_factor: f64,
    high_freq_factor: f64,
    /// `original_max_position_embeddings`, in positions.
    original: f64,
}

impl Llama3 {
    fn read(scaling: &Fields<'_>) -> Result<Self, Error> {
        let number = |key: &str| {
            let x = f64::from(scaling.float(key, None)?);
            let expected = "0.001 to 1e9";
            if (1e-3..=1e9).contains(&x) { Ok(x) } else { Err(Error::value(key, expected, x)) }
        };
        let read = Self {
            factor: number("factor")?,
            low_freq_factor: number("low_freq_factor")?,
            high_freq_factor: number("high_freq_factor")?,
            original: number("original_max_position_embeddings")?,
        };
        if read.low_freq_factor >= read.high_freq_factor {
            let expected = format!("more than low_freq_factor, {}", read.low_freq_factor);
            return Err(Error::value("high_freq_factor", &expected, read.high_freq_factor));
        }
        Ok(read)
    }

    /// What each pair's frequency is divided by, `(head_dim / 2)`.
    pub(super) fn divisors(self, config: &Config) -> Vec<f32> {
        let (low, high) = (self.low_freq_factor, self.high_freq_factor);
        let divisor = |pair: usize| {
            let exponent = (2 * pair) as f64 / config.head_dim as f64;
            let wavelength = std::f64::consts::TAU * f64::from(config.rope_base).powf(exponent);
            let turns = self.original / wavelength;
            // At `low` turns the whole factor, at `high` none.
            let share = ((turns - low) / (high - low)).clamp(0.0, 1.0);
            (1.0 / ((1.0 - share) / self.factor + share)) as f32
        };
        (0..config.head_dim / 2).map(divisor).collect()
    }

    /// The parameters of these divisors, where they are those of Meta's models: a GGUF keeps no
    /// others.
    pub(super) fn of(divisors: &[f32], config: &Config) -> Option<Self> {
        let factor = f64::from(divisors.last().copied()?);
        let metas = Self { factor, low_freq_factor: 1.0, high_freq_factor: 4.0, original: 8192.0 };
        let close = |(a, b): (&f32, f32)| (a - b).abs() <= 1e-5 * b;
        divisors.iter().zip(metas.divisors(config)).all(close).then_some(metas)
    }

    /// As config.json has them.
    pub(super) fn json(self) -> Value {
        json!({
            "rope_type": "llama3",
            "factor": shortest(self.factor as f32),
            "low_freq_factor": self.low_freq_factor,
            "high_freq_factor": self.high_freq_factor,
            "original_max_position_embeddings": self.original as u64,
        })
    }
}

/// `rope_theta` and `rope_scaling`; transformers 5 writes both in `rope_parameters`, and reads both
/// from whichever of the two objects there is, the first one first.
pub(super) fn read(fields: &Fields<'_>) -> Result<(f32, Scaling), Error> {
    let inner = |key: &str| match fields.get(key) {
        None => Ok(None),
        Some(Value::Object(map)) => Ok(Some(Fields(map)).filter(|_| !map.is_empty())),
        Some(other) => Err(Error::value(key, "an object or null", other)),
    };
    let (scaling, parameters) = (inner("rope_scaling")?, inner("rope_parameters")?);
    let Some(scaling) = scaling.or(parameters) else {
        return Ok((fields.float("rope_theta", Some(10_000.0))?, Scaling::None));
    };
    let holder = if scaling.get("rope_theta").is_some() { &scaling } else { fields };
    let base = holder.float("rope_theta", Some(10_000.0))?;
    let kind = scaling.get("rope_type").or_else(|| scaling.get("type"));
    match kind.map_or(Some("default"), Value::as_str) {
        Some("default") => Ok((base, Scaling::None)),
        Some("llama3") => Ok((base, Scaling::Llama3(Llama3::read(&scaling)?))),
        Some("linear") => {
            let factor = scaling.float("factor", None)?;
            if !(1e-3..=1e6).contains(&factor) {
                return Err(Error::value("factor of rope_scaling", "0.001 to 1000000", factor));
            }
            Ok((base, Scaling::Linear(factor)))
        }
        _ => {
            let found = kind.map(Value::to_string).unwrap_or_default();
            Err(Error::value("rope_scaling", "none, linear or llama3", found))
        }
    }
}
