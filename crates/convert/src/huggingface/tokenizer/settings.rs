//! tokenizer_config.json and chat_template.jinja: which tokens are special, and how a chat is
//! written out.

use super::{GENERATION_FILE, SETTINGS_FILE, TEMPLATE_FILE};
use crate::Error;
use crate::huggingface::special::SpecialIds;
use crate::huggingface::{MAX_SMALL_BYTES, small_file};
use crate::vocabulary::Special;
use serde_json::{Map, Value, json};
use std::path::Path;

/// What a folder says beside its vocabulary and config.json; empty where it says nothing.
#[derive(Default)]
pub(super) struct Settings {
    /// The text of the token that begins a sequence.
    pub(super) bos_token: Option<String>,
    /// The text of the token that ends one.
    pub(super) eos_token: Option<String>,
    /// The text of the token that fills up a batch.
    pub(super) pad_token: Option<String>,
    /// Whether BOS goes before every text.
    pub(super) add_bos_token: Option<bool>,
    /// Jinja.
    pub(super) chat_template: Option<String>,
    /// What config.json and generation_config.json say.
    pub(super) ids: SpecialIds,
}

impl Settings {
    /// With the ids of texts, what a post-processor puts before a text, and whether BOS goes there
    /// where nothing says it.
    pub(super) fn special(
        &self,
        id_of: impl Fn(&str) -> Option<u32>,
        before: Option<&str>,
        adds_bos: bool,
    ) -> Special {
        let named = |text: &Option<String>| id_of(text.as_deref()?);
        let before = before.and_then(&id_of);
        let bos = named(&self.bos_token).or(before).or(self.ids.bos);
        let ends = named(&self.eos_token).into_iter().chain(self.ids.eos.iter().copied());
        let ends: Vec<u32> = ends.collect();
        let eos = ends.first().copied();
        let mut others = ends.into_iter().filter(|&end| Some(end) != eos);
        let adds_bos = self.add_bos_token.unwrap_or(adds_bos || before.is_some() && before == bos);
        let (eot, eom) = (others.next(), others.next());
        Special { bos, eos, eot, eom, pad: named(&self.pad_token), adds_bos }
    }

    /// Reads what there is, beside the `ids` of config.json.
    pub(super) fn read(folder: &Path, vocab_size: usize, ids: SpecialIds) -> Result<Self, Error> {
        let mut settings = Self { ids, ..Self::default() };
        if let Some(json) = object(&folder.join(SETTINGS_FILE))? {
            let json = Value::Object(json);
            settings.bos_token = token(&json["bos_token"]);
            settings.eos_token = token(&json["eos_token"]);
            settings.pad_token = token(&json["pad_token"]);
            settings.add_bos_token = json["add_bos_token"].as_bool();
            settings.chat_template = template(&json["chat_template"]);
        }
        let path = folder.join(GENERATION_FILE);
        if let Some(json) = object(&path)? {
            let more = SpecialIds::read(&json, vocab_size).map_err(|e| e.within(&path))?;
            settings.ids.extend(more);
        }
        let path = folder.join(TEMPLATE_FILE);
        if path.exists() {
            let text = String::from_utf8(small_file(&path, MAX_SMALL_BYTES)?);
            let text = text.map_err(|e| Error::value("text", "UTF-8", e).within(&path))?;
            settings.chat_template = Some(text);
        }
        Ok(settings)
    }

    /// As transformers reads them. The class is the one that takes tokenizer.json as it stands.
    pub(super) fn json(&self, context: usize) -> String {
        let mut json = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": context,
            "clean_up_tokenization_spaces": false,
        });
        let texts = [
            ("bos_token", &self.bos_token),
            ("eos_token", &self.eos_token),
            ("pad_token", &self.pad_token),
            ("chat_template", &self.chat_template),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                json[key] = text.as_str().into();
            }
        }
        if let Some(adds) = self.add_bos_token {
            json["add_bos_token"] = adds.into();
        }
        format!("{json:#}\n")
    }
}

/// The object in a file, where there is one.
fn object(path: &Path) -> Result<Option<Map<String, Value>>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    let json = serde_json::from_slice(&small_file(path, MAX_SMALL_BYTES)?)
        .map_err(|e| Error::value("JSON", "an object", e).within(path))?;
    Ok(Some(json))
}

/// A token's text, which may stand in an object with its properties.
fn token(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value["content"].as_str()).map(String::from)
}

/// The template, of several the one that is called "default".
fn template(value: &Value) -> Option<String> {
    let of_several = || {
        let named = value.as_array()?.iter().find(|item| item["name"] == "default")?;
        named["template"].as_str()
    };
    value.as_str().or_else(of_several).map(String::from)
}
