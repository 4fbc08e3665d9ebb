//! What `/set` changes: sampling, seed, length, kernels, cache, speculation. One
//! table holds names, ranges and help.

use alloc::{format, string::String, string::ToString};
use llamaboot_engine::{KvType, Sampling};
use llamaboot_kernels::{Isa, Kernels};

/// Settings of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Seed of the next answer; `None` takes one from the clock.
    pub seed: Option<u64>,
    /// Longest answer in tokens; `None` up to the end of the context.
    pub max_tokens: Option<usize>,
    /// Kernels to run on; `None` the best there are.
    pub isa: Option<Isa>,
    /// How keys and values are kept.
    pub kv: KvType,
    /// Whether tokens are guessed from earlier text and checked several at once.
    pub speculation: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let sampling = Sampling::default();
        let (isa, kv) = (None, KvType::F32);
        Self { sampling, seed: None, max_tokens: None, isa, kv, speculation: true }
    }
}

/// Every setting: its name and what it takes.
pub const SETTING_NAMES: [(&str, &str); 10] = [
    ("temperature", "0 to 5; 0 always takes the likeliest token"),
    ("top_p", "0 to 1; keeps the likeliest tokens that together reach this probability"),
    ("top_k", "a count; keeps that many of the likeliest tokens, 0 keeps all"),
    ("min_p", "0 to 1; keeps tokens this likely relative to the likeliest"),
    ("repeat_penalty", "0.5 to 2; above 1 makes recent tokens less likely"),
    ("seed", "a number for repeatable answers, or random"),
    ("max_tokens", "longest answer in tokens, or 0 for the rest of the context"),
    ("isa", "the kernels: scalar, avx2, avx512, or best; the answers are the same"),
    ("kv", "f32 or f16; f16 takes half the memory of the context, and rounds a little"),
    ("speculation", "on or off; guesses from earlier text, the answers are the same"),
];

impl Settings {
    /// Changes one setting.
    ///
    /// # Errors
    /// One line that says what the setting takes.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let wrong = |expected: &str| Err(format!("{name}: expected {expected}, found {value:?}"));
        let float = |least: f32, most: f32| {
            value.parse().ok().filter(|v| (least..=most).contains(v)).ok_or(())
        };
        let Some((_, takes)) = SETTING_NAMES.iter().find(|(known, _)| *known == name) else {
            let names = SETTING_NAMES.map(|(name, _)| name).join(", ");
            return Err(format!("{name:?} is not a setting; there are {names}"));
        };
        let changed = match name {
            "temperature" => float(0.0, 5.0).map(|v| self.sampling.temperature = v),
            "top_p" => float(0.0, 1.0).map(|v| self.sampling.top_p = v),
            "min_p" => float(0.0, 1.0).map(|v| self.sampling.min_p = v),
            "repeat_penalty" => float(0.5, 2.0).map(|v| self.sampling.repeat_penalty = v),
            "top_k" => value.parse().map(|v| self.sampling.top_k = v).map_err(|_| ()),
            "max_tokens" => value
                .parse()
                .map(|v| self.max_tokens = Some(v).filter(|&v: &usize| v > 0))
                .map_err(|_| ()),
            "seed" if value == "random" => {
                self.seed = None;
                Ok(())
            }
            "kv" => match value {
                "f32" => {
                    self.kv = KvType::F32;
                    Ok(())
                }
                "f16" => {
                    self.kv = KvType::F16;
                    Ok(())
                }
                _ => Err(()),
            },
            "speculation" => match value {
                "on" | "off" => {
                    self.speculation = value == "on";
                    Ok(())
                }
                _ => Err(()),
            },
            "seed" => value.parse().map(|v| self.seed = Some(v)).map_err(|_| ()),
            _ => return self.set_isa(value).or_else(|e| e.map_or_else(|| wrong(takes), Err)),
        };
        changed.or_else(|()| wrong(takes))
    }

    /// The error is a line of its own where the name is right but the CPU lacks it.
    fn set_isa(&mut self, value: &str) -> Result<(), Option<String>> {
        let isa = match value {
            "best" => None,
            name => Some(Isa::from_name(name).ok_or(None)?),
        };
        if let Some(isa) = isa {
            Kernels::new(isa).map_err(|unavailable| Some(unavailable.to_string()))?;
        }
        self.isa = isa;
        Ok(())
    }

    /// The kernels that these settings ask for.
    #[must_use]
    pub fn kernels(&self) -> Kernels {
        self.isa.and_then(|isa| Kernels::new(isa).ok()).unwrap_or_else(Kernels::best)
    }

    /// One line for each setting with its value.
    #[must_use]
    pub fn describe(&self) -> String {
        let Sampling { temperature, top_p, top_k, min_p, repeat_penalty, .. } = &self.sampling;
        let seed = self.seed.map_or_else(|| "random".to_string(), |v| v.to_string());
        let max = self
            .max_tokens
            .map_or_else(|| "to the end of the context".to_string(), |v| v.to_string());
        format!(
            "temperature {temperature}\ntop_p {top_p}\ntop_k {top_k}\nmin_p {min_p}\n\
             repeat_penalty {repeat_penalty}\nseed {seed}\nmax_tokens {max}\nisa {}\n\
             kv {}\nspeculation {}\n",
            self.kernels().isa(),
            self.kv,
            if self.speculation { "on" } else { "off" },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_can_be_set() {
        let mut settings = Settings::default();
        for (name, value) in [
            ("temperature", "0"),
            ("top_p", "0.5"),
            ("top_k", "40"),
            ("min_p", "0.05"),
            ("repeat_penalty", "1.1"),
            ("seed", "42"),
            ("max_tokens", "100"),
            ("isa", "scalar"),
            ("kv", "f16"),
            ("speculation", "off"),
        ] {
            assert_eq!(settings.set(name, value), Ok(()), "{name}");
        }
        let sampling = Sampling {
            temperature: 0.0,
            top_p: 0.5,
            top_k: 40,
            min_p: 0.05,
            repeat_penalty: 1.1,
            ..Sampling::default()
        };
        let isa = Some(Isa::Scalar);
        let (seed, max_tokens) = (Some(42), Some(100));
        let kv = KvType::F16;
        let expected = Settings { sampling, seed, max_tokens, isa, kv, speculation: false };
        assert_eq!(settings, expected);
        settings.set("max_tokens", "0").unwrap();
        settings.set("seed", "random").unwrap();
        assert_eq!((settings.max_tokens, settings.seed), (None, None));
    }

    #[test]
    fn wrong_values_name_what_is_taken_and_change_nothing() {
        let mut settings = Settings::default();
        for (name, value) in [
            ("temperature", "-1"),
            ("top_p", "nan"),
            ("top_k", "x"),
            ("isa", "mmx"),
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
}
