//! `llamaboot.toml`, at the root of the stick: what a session begins with.
//!
//! ```toml
//! model = "SmolLM2-135M-Instruct.Q4_1.gguf"   # starts by itself
//! autostart = 5                               # after so many seconds, 0 at once
//! language = "fr"
//! keyboard = "fr"
//! temperature = 0.8                           # and every other name of /set
//! stop = ["User:", "\n\n"]
//! serial = 115200                             # speed of the serial line
//! ```
//! A mistake costs its own line and nothing else: it is told with the line's number and left out.

use crate::Settings;
use crate::text;
use alloc::{string::String, string::ToString, vec, vec::Vec};
use core::fmt::Display;
use toml::de::{DeTable, DeValue};

/// The file's name, at the root of the stick.
pub const CONFIG_FILE: &str = "llamaboot.toml";

/// What an image's settings file says: everything that can be set, commented out.
pub const SAMPLE_CONFIG: &str = include_str!("llamaboot.toml");

/// Longest file read, in bytes.
pub const MAX_CONFIG_BYTES: u64 = 64 << 10;

/// Longest wait before a model starts by itself.
const MAX_SECONDS: u32 = 600;

/// What the file says beside the settings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// What a session begins with.
    pub settings: Settings,
    /// The model that starts by itself.
    pub model: Option<String>,
    /// Seconds until it does; 0 at once.
    pub autostart_s: u32,
    /// Bits a second of the serial line; `None` leaves firmware's.
    pub serial: Option<u32>,
}

impl Config {
    /// Reads the text of the file `name`; the second part has a line for every mistake.
    #[must_use]
    pub fn parse(name: &str, source: &str) -> (Self, Vec<String>) {
        let mut config = Self::default();
        let (table, errors) = DeTable::parse_recoverable(source);
        let line = |at: usize| {
            1 + source.as_bytes()[..at.min(source.len())].iter().filter(|&&b| b == b'\n').count()
        };
        // The language comes first: the mistakes are told in it.
        if let Some(language) =
            table.get_ref().get("language").and_then(|value| value.get_ref().as_str())
        {
            let _ = config.settings.set("language", language);
        }
        let language = config.settings.language;
        let mut mistakes: Vec<(usize, String)> = vec![];
        for error in errors {
            let at = line(error.span().map_or(0, |span| span.start));
            mistakes.push((at, error.message().replace('\n', " ")));
        }
        for (setting, value) in table.get_ref() {
            if let Err(message) = config.set(setting.get_ref(), value.get_ref()) {
                mistakes.push((line(setting.span().start), message));
            }
        }
        // A broken line has further faults that only follow from the first.
        mistakes.sort_by_key(|(line, _)| *line);
        mistakes.dedup_by_key(|(line, _)| *line);
        let told = |(line, message)| {
            let values: [&dyn Display; 3] = [&name, &line, &message];
            text::CONFIG_LINE.fill(language, &values)
        };
        (config, mistakes.into_iter().map(told).collect())
    }

    fn set(&mut self, name: &str, value: &DeValue<'_>) -> Result<(), String> {
        let language = self.settings.language;
        let found = shown(value);
        let wrong = |text: text::Text| text.fill(language, &[&found]);
        match name {
            "model" => {
                let model = value.as_str().filter(|name| !name.is_empty());
                self.model = Some(model.ok_or_else(|| wrong(text::CONFIG_EXPECTED_MODEL))?.into());
            }
            "autostart" => {
                let seconds = found.parse().ok().filter(|seconds| *seconds <= MAX_SECONDS);
                self.autostart_s = seconds.ok_or_else(|| wrong(text::CONFIG_EXPECTED_SECONDS))?;
            }
            "serial" => {
                let speed = found.parse().ok().filter(|speed| (300..=4_000_000).contains(speed));
                self.serial = Some(speed.ok_or_else(|| wrong(text::CONFIG_EXPECTED_SPEED))?);
            }
            _ => match value {
                DeValue::Array(values) if name == "stop" => {
                    let mut settings = self.settings.clone();
                    for value in values {
                        settings.set(name, &shown(value.get_ref()))?;
                    }
                    self.settings = settings;
                }
                DeValue::Array(_) | DeValue::Table(_) | DeValue::Datetime(_) => {
                    return Err(text::CONFIG_TYPE.fill(language, &[&name, &found]));
                }
                _ => {
                    if self.settings.get(name).is_none() {
                        return Err(text::CONFIG_UNKNOWN.fill(language, &[&name]));
                    }
                    self.settings.set(name, &found)?;
                }
            },
        }
        Ok(())
    }
}

/// A value as `/set` takes it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(on) => if *on { "on" } else { "off" }.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "[…]".to_string(),
        DeValue::Table(_) => "{…}".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use proptest::prelude::*;

    #[test]
    fn a_file_sets_everything() {
        let (config, mistakes) = Config::parse(
            CONFIG_FILE,
            "# mine\nmodel = \"a.gguf\"\nautostart = 5\nserial = 9_600\nkeyboard = \"de\"\n\
             temperature = 0.25\nwordwrap = false\nstop = [\"User:\", \"\\n\\n\"]\n\
             system = \"\"\"Be\nkind.\"\"\"\n",
        );
        assert_eq!(mistakes, [""; 0]);
        assert_eq!(config.model.as_deref(), Some("a.gguf"));
        assert_eq!((config.autostart_s, config.serial), (5, Some(9600)));
        let settings = config.settings;
        assert_eq!((settings.keyboard.name(), settings.temperature), ("de", Some(0.25)));
        assert_eq!(
            (settings.wordwrap, &*settings.stop),
            (false, &["User:".into(), "\n\n".into()][..])
        );
        assert_eq!(settings.get("system").as_deref(), Some("Be\nkind."));
    }

    /// The file on the stick sets nothing as it is, and makes no mistake when it is used.
    #[test]
    fn the_sample_is_right() {
        assert_eq!(Config::parse(CONFIG_FILE, SAMPLE_CONFIG), (Config::default(), vec![]));
        let used: Vec<&str> = SAMPLE_CONFIG
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| line.contains(" = "))
            .collect();
        let (config, mistakes) = Config::parse(CONFIG_FILE, &used.join("\n"));
        assert_eq!(mistakes, [""; 0]);
        assert_eq!((config.autostart_s, config.settings.keyboard.name()), (5, "fr"));
        assert!(used.len() > 10);
    }

    #[test]
    fn mistakes_name_their_lines_and_cost_nothing_else() {
        let (config, mistakes) = Config::parse(
            CONFIG_FILE,
            "temperature = 9\nkeyboard = \"fr\"\ncolour = \"red\"\n\nautostart = -1\n\
             theme = = 3\nseed = 7\n",
        );
        assert_eq!(config.settings.keyboard.name(), "fr");
        assert_eq!(config.settings.seed, Some(7));
        let lines = [
            "line 1: temperature: expected 0 to 5",
            "line 3: colour",
            "line 5: autostart",
            "line 6: ",
        ];
        assert_eq!(mistakes.len(), 4, "{mistakes:?}");
        for (mistake, line) in mistakes.iter().zip(lines) {
            assert!(mistake.starts_with(&format!("llamaboot.toml: {line}")), "{mistake}");
        }
    }

    #[test]
    fn mistakes_are_told_in_the_language_of_the_file() {
        let (_, mistakes) = Config::parse(CONFIG_FILE, "top_p = 2\nlanguage = \"fr\"\n");
        assert!(
            mistakes[0].starts_with("llamaboot.toml : ligne 1 : top_p : attendu"),
            "{mistakes:?}"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_harmless(text in "[a-z=\"\\[\\]0-9.\n #']{0,120}") {
            let _ = Config::parse(CONFIG_FILE, &text);
        }
    }
}
