//! Which ids begin and end a text, as config.json and generation_config.json say it.

use crate::Error;
use serde_json::{Map, Value};

/// `bos_token_id` and `eos_token_id`, checked to be below the number of tokens.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct SpecialIds {
    /// What begins a text.
    pub(super) bos: Option<u32>,
    /// What ends one, the first one first.
    pub(super) eos: Vec<u32>,
}

impl SpecialIds {
    /// Of a file's object.
    pub(super) fn read(json: &Map<String, Value>, vocab_size: usize) -> Result<Self, Error> {
        let bos = ids(json, "bos_token_id", vocab_size)?.first().copied();
        Ok(Self { bos, eos: ids(json, "eos_token_id", vocab_size)? })
    }

    /// Adds what another file says.
    pub(super) fn extend(&mut self, other: Self) {
        self.bos = self.bos.or(other.bos);
        let new = other.eos.into_iter().filter(|id| !self.eos.contains(id));
        self.eos.extend(new.collect::<Vec<_>>());
    }
}

/// An id or a list of them; null, and the -1 of some files, stand for none.
fn ids(json: &Map<String, Value>, key: &str, vocab_size: usize) -> Result<Vec<u32>, Error> {
    let values = match json.get(key) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(values)) => values.as_slice(),
        Some(value) => std::slice::from_ref(value),
    };
    let id = |value: &Value| match value.as_u64() {
        Some(id) if id < vocab_size as u64 => Ok(id as u32),
        _ => Err(Error::value(key, &format!("an id below {vocab_size}"), value)),
    };
    values.iter().filter(|value| value.as_i64() != Some(-1)).map(id).collect()
}
