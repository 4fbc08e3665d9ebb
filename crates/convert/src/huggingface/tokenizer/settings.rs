//! tokenizer_config.json and chat_template.jinja: which tokens are special, and how a chat is
//! written out.

use super::{SETTINGS_FILE, TEMPLATE_FILE};
use crate::Error;
use crate::huggingface::{MAX_JSON_BYTES, small_file};
use serde_json::{Value, json};
use std::path::Path;

/// What a folder says beside its vocabulary; empty where it says nothing.
#[derive(Default)]
pub(super) struct Settings {
    /// The text of the token that begins a sequence.
    pub(super) bos_token: Option<String>,
    /// The text of the token that ends one.
    pub(super) eos_token: Option<String>,
    /// Whether BOS goes before every text.
    pub(super) add_bos_token: Option<bool>,
    /// Jinja.
    pub(super) chat_template: Option<String>,
}

impl Settings {
    /// Reads what there is.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let mut settings = Self::default();
        let path = folder.join(SETTINGS_FILE);
        if path.exists() {
            let json: Value = serde_json::from_slice(&small_file(&path, MAX_JSON_BYTES)?)
                .map_err(|e| Error::value("settings", "a JSON object", e).within(&path))?;
            settings.bos_token = token(&json["bos_token"]);
            settings.eos_token = token(&json["eos_token"]);
            settings.add_bos_token = json["add_bos_token"].as_bool();
            settings.chat_template = template(&json["chat_template"]);
        }
        let path = folder.join(TEMPLATE_FILE);
        if path.exists() {
            let text = String::from_utf8(small_file(&path, MAX_JSON_BYTES)?);
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
