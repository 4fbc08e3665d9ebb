//! What `/set`, `llamaboot.toml` and the command line change: one table of names, values and
//! ranges.

use crate::text::{self, Language, Text, entry};
use crate::{Layout, Template, Theme};
use alloc::{format, string::String, string::ToString, vec, vec::Vec};
use core::fmt::Display;
use llamaboot_engine::{KvType, Sampling};
use llamaboot_kernels::{Isa, Kernels};

/// What an answer may consist of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Format {
    /// Anything.
    #[default]
    Text,
    /// A JSON object.
    Json,
    /// What the GBNF grammar in this file allows.
    Grammar(String),
}

/// A text that the model itself may bring along.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Choice {
    /// The model's own, where it has one.
    #[default]
    Auto,
    /// None at all.
    None,
    /// This one.
    Some(String),
}

/// Settings of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How tokens are drawn, but for the next two.
    pub sampling: Sampling,
    /// Divides the logits; `None` what suits the model, see [`Settings::drawn`].
    pub temperature: Option<f32>,
    /// Divides the logits of recent tokens; `None` what suits the model.
    pub repeat_penalty: Option<f32>,
    /// Seed of the next answer; `None` takes one from the clock.
    pub seed: Option<u64>,
    /// Longest answer in tokens; `None` up to the end of the context.
    pub max_tokens: Option<usize>,
    /// Positions of the context; `None` as many as there is memory for.
    pub context: Option<usize>,
    /// Texts that end an answer.
    pub stop: Vec<String>,
    /// The system prompt.
    pub system: Choice,
    /// The chat template, by its name.
    pub template: Choice,
    /// What an answer may consist of.
    pub format: Format,
    /// The keyboard's layout.
    pub keyboard: Layout,
    /// Colours.
    pub theme: Theme,
    /// Whether lines break between words.
    pub wordwrap: bool,
    /// Whether the prompt's cost is told, too.
    pub verbose: bool,
    /// Language of the interface.
    pub language: Language,
    /// Kernels to run on; `None` the best there are.
    pub isa: Option<Isa>,
    /// How keys and values are kept.
    pub kv: KvType,
    /// Whether tokens are guessed from earlier text and checked several at once.
    pub speculation: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sampling: Sampling::default(),
            temperature: None,
            repeat_penalty: None,
            seed: None,
            max_tokens: None,
            context: None,
            stop: Vec::new(),
            system: Choice::Auto,
            template: Choice::Auto,
            format: Format::Text,
            keyboard: Layout::default(),
            theme: Theme::Dark,
            wordwrap: true,
            verbose: false,
            language: Language::En,
            isa: None,
            kv: KvType::F32,
            speculation: true,
        }
    }
}

/// Texts that end an answer: how many, and how long each.
const MAX_STOPS: usize = 8;
const MAX_STOP_CHARS: usize = 64;

/// With fewer positions not even a short question would fit.
const MIN_CONTEXT: usize = 16;

/// One setting: how it is called, what it takes, how it is changed (`None`: not by this value) and
/// told.
struct Setting {
    name: &'static str,
    takes: Text,
    set: fn(&mut Settings, &str) -> Option<()>,
    get: fn(&Settings) -> String,
}

/// A number in a range.
fn number(value: &str, range: core::ops::RangeInclusive<f32>) -> Option<f32> {
    value.parse().ok().filter(|number| range.contains(number))
}

fn switch(value: &str) -> Option<bool> {
    match value {
        "on" | "true" => Some(true),
        "off" | "false" => Some(false),
        _ => None,
    }
}

fn on_off(on: bool) -> String {
    if on { "on" } else { "off" }.to_string()
}

fn choice(value: &str) -> Choice {
    match value {
        "auto" => Choice::Auto,
        "none" | "" => Choice::None,
        text => Choice::Some(text.to_string()),
    }
}

fn told(choice: &Choice) -> String {
    match choice {
        Choice::Auto => "auto".to_string(),
        Choice::None => "none".to_string(),
        Choice::Some(text) => text.clone(),
    }
}

macro_rules! sampling {
    ($name:literal, $takes:ident, $field:ident, $range:expr) => {
        Setting {
            name: $name,
            takes: text::$takes,
            set: |s, v| number(v, $range).map(|v| s.sampling.$field = v),
            get: |s| s.sampling.$field.to_string(),
        }
    };
}

/// A number that is the model's to say where it is not set.
macro_rules! by_model {
    ($name:literal, $takes:ident, $field:ident, $range:expr) => {
        Setting {
            name: $name,
            takes: text::$takes,
            set: |s, v| {
                s.$field = if v == "auto" { None } else { Some(number(v, $range)?) };
                Some(())
            },
            get: |s| s.$field.map_or_else(|| "auto".to_string(), |v| v.to_string()),
        }
    };
}

macro_rules! count {
    ($name:literal, $takes:ident, $field:ident, $range:expr) => {
        Setting {
            name: $name,
            takes: text::$takes,
            set: |s, v| {
                let count = v.parse().ok().filter(|count| ($range).contains(count));
                count.map(|count| s.sampling.$field = count)
            },
            get: |s| s.sampling.$field.to_string(),
        }
    };
}

/// Those of how tokens are drawn come first, the seed last of them.
static TABLE: [Setting; 30] = [
    by_model!("temperature", SET_TEMPERATURE, temperature, 0.0..=5.0),
    sampling!("top_p", SET_TOP_P, top_p, 0.0..=1.0),
    count!("top_k", SET_TOP_K, top_k, 0..=usize::MAX),
    sampling!("min_p", SET_MIN_P, min_p, 0.0..=1.0),
    sampling!("typical", SET_TYPICAL, typical_p, 0.0..=1.0),
    by_model!("repeat_penalty", SET_REPEAT, repeat_penalty, 0.5..=2.0),
    count!("repeat_last_n", SET_REPEAT_LAST_N, repeat_last_n, 0..=4096),
    sampling!("frequency_penalty", SET_FREQUENCY, frequency_penalty, -2.0..=2.0),
    sampling!("presence_penalty", SET_PRESENCE, presence_penalty, -2.0..=2.0),
    sampling!("dry", SET_DRY, dry_multiplier, 0.0..=5.0),
    sampling!("dry_base", SET_DRY_BASE, dry_base, 1.0..=4.0),
    count!("dry_allowed_length", SET_DRY_LENGTH, dry_allowed_length, 1..=64),
    count!("mirostat", SET_MIROSTAT, mirostat, 0..=2),
    sampling!("mirostat_tau", SET_MIROSTAT_TAU, mirostat_tau, 0.0..=20.0),
    sampling!("mirostat_eta", SET_MIROSTAT_ETA, mirostat_eta, 0.0..=1.0),
    Setting {
        name: "seed",
        takes: text::SET_SEED,
        set: |s, v| {
            s.seed = if v == "random" { None } else { Some(v.parse().ok()?) };
            Some(())
        },
        get: |s| s.seed.map_or_else(|| "random".to_string(), |v| v.to_string()),
    },
    Setting {
        name: "max_tokens",
        takes: text::SET_MAX_TOKENS,
        set: |s, v| v.parse().ok().map(|v| s.max_tokens = Some(v).filter(|&v: &usize| v > 0)),
        get: |s| s.max_tokens.unwrap_or(0).to_string(),
    },
    Setting {
        name: "context",
        takes: text::SET_CONTEXT,
        set: |s, v| {
            let positions = v.parse().ok().filter(|v| *v == 0 || *v >= MIN_CONTEXT)?;
            s.context = Some(positions).filter(|&v| v > 0);
            Some(())
        },
        get: |s| s.context.unwrap_or(0).to_string(),
    },
    Setting {
        name: "stop",
        takes: text::SET_STOP,
        set: |s, v| {
            if v == "none" {
                s.stop.clear();
                return Some(());
            }
            let stop = v.trim_matches('"').replace("\\n", "\n");
            let fits = !stop.is_empty() && stop.chars().count() <= MAX_STOP_CHARS;
            (fits && s.stop.len() < MAX_STOPS).then(|| s.stop.push(stop))
        },
        get: |s| match s.stop.as_slice() {
            [] => "none".to_string(),
            stops => stops.iter().map(|stop| format!("{stop:?}")).collect::<Vec<_>>().join(" "),
        },
    },
    Setting {
        name: "system",
        takes: text::SET_SYSTEM,
        set: |s, v| {
            s.system = choice(v);
            Some(())
        },
        get: |s| told(&s.system),
    },
    Setting {
        name: "template",
        takes: text::SET_TEMPLATE,
        set: |s, v| {
            let known = v == "auto" || Template::NAMES.contains(&v);
            known.then(|| s.template = choice(v))
        },
        get: |s| told(&s.template),
    },
    Setting {
        name: "format",
        takes: text::SET_FORMAT,
        set: |s, v| {
            s.format = match v {
                "text" => Format::Text,
                "json" => Format::Json,
                file => Format::Grammar(file.to_string()),
            };
            Some(())
        },
        get: |s| match &s.format {
            Format::Text => "text".to_string(),
            Format::Json => "json".to_string(),
            Format::Grammar(file) => file.clone(),
        },
    },
    Setting {
        name: "keyboard",
        takes: text::SET_KEYBOARD,
        set: |s, v| Layout::by_name(v).map(|v| s.keyboard = v),
        get: |s| s.keyboard.name().to_string(),
    },
    Setting {
        name: "theme",
        takes: text::SET_THEME,
        set: |s, v| Theme::by_name(v).map(|v| s.theme = v),
        get: |s| s.theme.name().to_string(),
    },
    Setting {
        name: "wordwrap",
        takes: text::SET_WORDWRAP,
        set: |s, v| switch(v).map(|v| s.wordwrap = v),
        get: |s| on_off(s.wordwrap),
    },
    Setting {
        name: "verbose",
        takes: text::SET_VERBOSE,
        set: |s, v| switch(v).map(|v| s.verbose = v),
        get: |s| on_off(s.verbose),
    },
    Setting {
        name: "language",
        takes: text::SET_LANGUAGE,
        set: |s, v| Language::by_name(v).map(|v| s.language = v),
        get: |s| s.language.name().to_string(),
    },
    Setting {
        name: "isa",
        takes: text::SET_ISA,
        set: |s, v| {
            s.isa = if v == "best" { None } else { Some(Isa::from_name(v)?) };
            Some(())
        },
        get: |s| s.kernels().isa().to_string(),
    },
    Setting {
        name: "kv",
        takes: text::SET_KV,
        set: |s, v| {
            s.kv = match v {
                "f32" => KvType::F32,
                "f16" => KvType::F16,
                _ => return None,
            };
            Some(())
        },
        get: |s| match s.kv {
            KvType::F32 => "f32".to_string(),
            KvType::F16 => "f16".to_string(),
        },
    },
    Setting {
        name: "speculation",
        takes: text::SET_SPECULATION,
        set: |s, v| switch(v).map(|v| s.speculation = v),
        get: |s| on_off(s.speculation),
    },
];

fn templates() -> String {
    Template::NAMES.join(", ")
}

fn find(name: &str) -> Option<&'static Setting> {
    TABLE.iter().find(|setting| setting.name == name)
}

impl Setting {
    /// What it takes, in words.
    fn takes(&self, language: Language) -> String {
        self.takes.fill(language, &[&templates()])
    }
}

/// The line about a name that no setting has.
pub(crate) fn not_a_setting(name: &str, language: Language) -> String {
    let names = names().collect::<Vec<_>>().join(", ");
    text::NOT_A_SETTING.fill(language, &[&format!("{name:?}"), &names])
}

/// The line about a setting that was given no value.
pub(crate) fn needs(name: &str, language: Language) -> String {
    let Some(setting) = find(name) else { return not_a_setting(name, language) };
    text::SET_NEEDS.fill(language, &[&name, &setting.takes(language)])
}

/// Every setting's name.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|setting| setting.name)
}

/// The name of each setting, and what it takes.
pub(crate) fn help(language: Language) -> String {
    TABLE.iter().map(|setting| entry(setting.name, &setting.takes(language))).collect()
}

impl Settings {
    /// Whether a setting says how tokens are drawn, or guessed: all that a text without a
    /// conversation knows.
    #[must_use]
    pub fn draws(name: &str) -> bool {
        let at = |name: &str| TABLE.iter().position(|setting| setting.name == name);
        name == "speculation" || at(name).is_some_and(|place| Some(place) <= at("seed"))
    }

    /// Changes one setting.
    ///
    /// # Errors
    /// One line that says what the setting takes.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let setting = find(name).ok_or_else(|| not_a_setting(name, self.language))?;
        let before = self.isa;
        if (setting.set)(self, value).is_none() {
            let takes = setting.takes(self.language);
            let values: [&dyn Display; 3] = [&name, &takes, &format!("{value:?}")];
            return Err(text::EXPECTED.fill(self.language, &values));
        }
        if let Some(isa) = self.isa
            && let Err(unavailable) = Kernels::new(isa)
        {
            self.isa = before;
            return Err(unavailable.to_string());
        }
        Ok(())
    }

    /// A setting's value, as [`Settings::set`] takes it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        find(name).map(|setting| (setting.get)(self))
    }

    /// The values that a setting of few values takes.
    pub(crate) fn values(name: &str) -> Vec<String> {
        let names: Vec<&str> = match name {
            "keyboard" => Layout::NAMES.to_vec(),
            "theme" => Theme::NAMES.map(|(name, _)| name).to_vec(),
            "language" => Language::NAMES.map(|(name, _)| name).to_vec(),
            "template" => Template::NAMES.iter().copied().chain(["auto"]).collect(),
            "format" => vec!["text", "json"],
            "system" => vec!["auto", "none"],
            "temperature" | "repeat_penalty" => vec!["auto"],
            "kv" => vec!["f32", "f16"],
            "isa" => {
                let there = Isa::ALL.into_iter().filter(|isa| isa.is_available());
                ["best"].into_iter().chain(there.map(Isa::name)).collect()
            }
            "seed" => vec!["random"],
            "stop" => vec!["none"],
            "wordwrap" | "verbose" | "speculation" => vec!["on", "off"],
            _ => vec![],
        };
        names.into_iter().map(String::from).collect()
    }

    /// How tokens are drawn from a model that chats, or from one that only goes on with a text.
    /// Answers are to be right, and small models wander off at the temperature that suits stories:
    /// of 32 answers to four plain questions SmolLM2-135M had 30 right at 0.2 with a penalty of
    /// 1.05, 28 without it, which turned in circles seven times instead of twice, and 25 at 0.7.
    /// Of twelve others, asked six times each, 51 of 72 were right so, 41 to 49 with a `min_p` of
    /// a half, and eight of the twelve greedily: what is left is the model's. Greedy is greedy: no
    /// penalty then.
    #[must_use]
    pub fn drawn(&self, chats: bool) -> Sampling {
        const CHAT_TEMPERATURE: f32 = 0.2;
        const CHAT_PENALTY: f32 = 1.05;
        let mut sampling = self.sampling.clone();
        if chats {
            sampling.temperature = CHAT_TEMPERATURE;
        }
        sampling.temperature = self.temperature.unwrap_or(sampling.temperature);
        if chats && !sampling.is_greedy() {
            sampling.repeat_penalty = CHAT_PENALTY;
        }
        sampling.repeat_penalty = self.repeat_penalty.unwrap_or(sampling.repeat_penalty);
        sampling
    }

    /// The kernels that these settings ask for.
    #[must_use]
    pub fn kernels(&self) -> Kernels {
        self.isa.and_then(|isa| Kernels::new(isa).ok()).unwrap_or_else(Kernels::best)
    }

    /// One line for each setting with its value.
    #[must_use]
    pub fn describe(&self) -> String {
        TABLE.iter().map(|setting| format!("{} {}\n", setting.name, (setting.get)(self))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_explained() {
        for (_, language) in Language::NAMES {
            let help = help(language);
            assert!(names().all(|name| help.contains(&format!("  {name} "))), "{help}");
            assert!(help.lines().all(|line| line.chars().count() <= text::COLUMNS), "{help}");
            assert!(names().all(|name| needs(name, language).contains(name)));
        }
        assert_eq!(
            needs("top_p", Language::En),
            "/set top_p needs a value: 0 to 1; keeps the likeliest tokens that together reach this \
             probability"
        );
        assert!(needs("nope", Language::En).contains("is not a setting"));
    }

    #[test]
    fn what_is_set_is_told() {
        let mut settings = Settings::default();
        for (name, value) in [
            ("temperature", "0"),
            ("top_p", "0.5"),
            ("top_k", "40"),
            ("min_p", "0.05"),
            ("typical", "0.9"),
            ("repeat_penalty", "1.1"),
            ("temperature", "auto"),
            ("frequency_penalty", "-0.5"),
            ("dry", "0.8"),
            ("mirostat", "2"),
            ("seed", "42"),
            ("max_tokens", "100"),
            ("context", "512"),
            ("system", "You are a pirate."),
            ("template", "chatml"),
            ("format", "json"),
            ("keyboard", "fr"),
            ("theme", "light"),
            ("wordwrap", "off"),
            ("verbose", "on"),
            ("isa", "scalar"),
            ("kv", "f16"),
            ("speculation", "off"),
            ("language", "fr"),
        ] {
            assert_eq!(settings.set(name, value), Ok(()), "{name}");
            assert_eq!(settings.get(name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(settings.sampling.min_p, 0.05);
        settings.set("max_tokens", "0").unwrap();
        settings.set("seed", "random").unwrap();
        assert_eq!((settings.max_tokens, settings.seed), (None, None));
    }

    #[test]
    fn what_is_not_set_suits_the_model() {
        let drawn = |settings: &Settings, chats| {
            let sampling = settings.drawn(chats);
            (sampling.temperature, sampling.repeat_penalty)
        };
        let mut settings = Settings::default();
        assert_eq!((drawn(&settings, true), drawn(&settings, false)), ((0.2, 1.05), (0.7, 1.0)));
        settings.set("temperature", "0").unwrap();
        assert_eq!((drawn(&settings, true), drawn(&settings, false)), ((0.0, 1.0), (0.0, 1.0)));
        settings.set("temperature", "0.9").unwrap();
        settings.set("repeat_penalty", "1.2").unwrap();
        assert_eq!((drawn(&settings, true), drawn(&settings, false)), ((0.9, 1.2), (0.9, 1.2)));
    }

    #[test]
    fn stop_texts_add_up() {
        let mut settings = Settings::default();
        settings.set("stop", "\"\\n\\n\"").unwrap();
        settings.set("stop", "User:").unwrap();
        assert_eq!(settings.stop, ["\n\n", "User:"]);
        assert!(settings.set("stop", &"x".repeat(65)).is_err());
        settings.set("stop", "none").unwrap();
        assert!(settings.stop.is_empty());
    }

    #[test]
    fn wrong_values_name_what_is_taken_and_change_nothing() {
        let mut settings = Settings::default();
        for (name, value) in [
            ("temperature", "-1"),
            ("top_p", "nan"),
            ("top_k", "x"),
            ("mirostat", "3"),
            ("isa", "mmx"),
            ("keyboard", "dvorak"),
            ("speculation", "maybe"),
        ] {
            let error = settings.set(name, value).unwrap_err();
            assert!(
                error.starts_with(name) && error.ends_with(&format!("found {value:?}")),
                "{error}"
            );
        }
        assert!(
            settings.set("colour", "red").unwrap_err().contains("there are temperature, top_p")
        );
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn every_offered_value_is_taken() {
        for name in names() {
            for value in &Settings::values(name) {
                assert_eq!(Settings::default().set(name, value), Ok(()), "{name} {value}");
            }
        }
    }
}
