//! The commands of the prompt. `/help` prints this table, so it cannot fall behind.

use alloc::{format, string::String};

/// A line that is a command rather than text for the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command<'l> {
    Help,
    Show,
    Clear,
    Set { name: &'l str, value: &'l str },
    Logits { tokens: &'l str },
    Bench { tokens: usize },
    Leave,
    PowerOff,
    Reboot,
}

/// How a command is typed, and what it does.
const TABLE: [(&str, &str); 10] = [
    ("/help", "lists the commands and the settings"),
    ("/set NAME VALUE", "changes a setting"),
    ("/show", "shows the model, the memory in use and the settings"),
    ("/clear", "forgets the conversation"),
    ("/logits [ID,ID,...]", "logits after these tokens (1,403,407), to compare machines"),
    ("/bench [TOKENS]", "speed with that many tokens (32) in the prompt and behind it"),
    ("/bye, exit, quit", "leaves"),
    ("/reboot", "restarts the machine"),
    ("/poweroff", "switches the machine off"),
    ("Esc or Ctrl-C", "stops an answer"),
];

/// The tokens of [`Command::Logits`] where none are given: valid in every vocabulary of 408 and
/// more, and those of the recorded references.
pub(crate) const LOGIT_TOKENS: &str = "1,403,407";

/// The tokens of [`Command::Bench`] where no number is given: a second or two on an old laptop.
const BENCH_TOKENS: usize = 32;

impl<'l> Command<'l> {
    /// The command a line is; `None` where it is text for the model.
    ///
    /// # Errors
    /// One line where it looks like a command but is none.
    pub(crate) fn parse(line: &'l str) -> Option<Result<Self, String>> {
        let line = line.trim();
        if matches!(line, "exit" | "quit") {
            return Some(Ok(Self::Leave));
        }
        let (name, rest) = line.strip_prefix('/')?.split_once(' ').unwrap_or((&line[1..], ""));
        let rest = rest.trim();
        let command = match (name, rest) {
            ("help", "") => Self::Help,
            ("show", "") => Self::Show,
            ("clear", "") => Self::Clear,
            ("bye", "") => Self::Leave,
            ("poweroff", "") => Self::PowerOff,
            ("reboot", "") => Self::Reboot,
            ("logits", "") => Self::Logits { tokens: LOGIT_TOKENS },
            ("logits", tokens) => Self::Logits { tokens },
            ("bench", "") => Self::Bench { tokens: BENCH_TOKENS },
            ("bench", tokens) => match tokens.parse() {
                Ok(tokens @ 1..) => Self::Bench { tokens },
                _ => {
                    return Some(Err(format!(
                        "/bench: expected a number of tokens, found {tokens:?}"
                    )));
                }
            },
            ("set", rest) => match rest.split_once(char::is_whitespace) {
                Some((name, value)) => Self::Set { name, value: value.trim() },
                None => {
                    return Some(Err(String::from(
                        "/set NAME VALUE, for example: /set temperature 0.7",
                    )));
                }
            },
            _ => return Some(Err(format!("{line:?} is not a command; /help lists them"))),
        };
        Some(Ok(command))
    }
}

/// What `/help` prints.
pub(crate) fn help() -> String {
    let mut text = String::new();
    for (usage, does) in TABLE {
        text += &format!("  {usage:20} {does}\n");
    }
    text += "settings:\n";
    for (name, takes) in crate::SETTING_NAMES {
        text += &format!("  {name:20} {takes}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_commands_or_text() {
        let parse = |line| Command::parse(line).map(Result::unwrap);
        assert_eq!(parse("Once upon a time"), None);
        assert_eq!(parse(""), None);
        assert_eq!(parse("exit now"), None);
        assert_eq!(parse(" quit "), Some(Command::Leave));
        assert_eq!(parse("/set top_p  0.5 "), Some(Command::Set { name: "top_p", value: "0.5" }));
        assert_eq!(parse("/logits"), Some(Command::Logits { tokens: "1,403,407" }));
        assert_eq!(parse("/logits 1,2"), Some(Command::Logits { tokens: "1,2" }));
    }

    #[test]
    fn a_mistyped_command_is_not_sent_to_the_model() {
        for line in
            ["/hlep", "/", "/set", "/set temperature", "/show me", "/bench 0", "/bench much"]
        {
            assert!(Command::parse(line).unwrap().is_err(), "{line}");
        }
    }

    #[test]
    fn help_names_every_command_that_parses() {
        for name in ["help", "set", "show", "clear", "logits", "bench", "bye", "reboot", "poweroff"]
        {
            assert!(help().contains(&format!("/{name}")), "{name}");
        }
    }
}
