//! The commands of the prompt: one table, from which parsing, `/help` and Tab all come.

use crate::text::{self, Language, Text, entry};
use crate::{Settings, settings};
use alloc::{format, string::String, vec::Vec};

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Help,
    Set,
    Show,
    Regen,
    Undo,
    Edit,
    Clear,
    System,
    Save,
    Load,
    Chats,
    Delete,
    Incognito,
    Read,
    Models,
    Context,
    Stats,
    Why,
    Logits,
    Bench,
    Qr,
    Boot,
    Firmware,
    Reboot,
    PowerOff,
    Leave,
}

/// What stands behind a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Maybe(&'static str),
    Needs(&'static str),
}

/// A row of the table.
struct Row {
    name: &'static str,
    verb: Verb,
    takes: Takes,
    does: Text,
}

const fn row(name: &'static str, verb: Verb, takes: Takes, does: Text) -> Row {
    Row { name, verb, takes, does }
}

use Takes::{Maybe, Needs, Nothing};

const TABLE: [Row; 26] = [
    row("help", Verb::Help, Nothing, text::HELP_HELP),
    row("set", Verb::Set, Maybe("NAME VALUE"), text::HELP_SET),
    row("show", Verb::Show, Maybe("NAME"), text::HELP_SHOW),
    row("regen", Verb::Regen, Nothing, text::HELP_REGEN),
    row("undo", Verb::Undo, Nothing, text::HELP_UNDO),
    row("edit", Verb::Edit, Nothing, text::HELP_EDIT),
    row("clear", Verb::Clear, Nothing, text::HELP_CLEAR),
    row("system", Verb::System, Maybe("TEXT"), text::HELP_SYSTEM),
    row("save", Verb::Save, Needs("NAME"), text::HELP_SAVE),
    row("load", Verb::Load, Needs("NAME"), text::HELP_LOAD),
    row("chats", Verb::Chats, Nothing, text::HELP_CHATS),
    row("delete", Verb::Delete, Needs("NAME"), text::HELP_DELETE),
    row("incognito", Verb::Incognito, Nothing, text::HELP_INCOGNITO),
    row("read", Verb::Read, Needs("FILE"), text::HELP_READ),
    row("models", Verb::Models, Nothing, text::HELP_MODELS),
    row("context", Verb::Context, Nothing, text::HELP_CONTEXT),
    row("stats", Verb::Stats, Nothing, text::HELP_STATS),
    row("why", Verb::Why, Nothing, text::HELP_WHY),
    row("logits", Verb::Logits, Maybe("ID,ID,..."), text::HELP_LOGITS),
    row("bench", Verb::Bench, Maybe("TOKENS"), text::HELP_BENCH),
    row("qr", Verb::Qr, Maybe("PART"), text::HELP_QR),
    row("boot", Verb::Boot, Nothing, text::HELP_BOOT),
    row("firmware", Verb::Firmware, Nothing, text::HELP_FIRMWARE),
    row("reboot", Verb::Reboot, Nothing, text::HELP_REBOOT),
    row("poweroff", Verb::PowerOff, Nothing, text::HELP_POWEROFF),
    row("bye", Verb::Leave, Nothing, text::HELP_BYE),
];

/// Words that leave without a slash.
const LEAVE: [&str; 2] = ["exit", "quit"];

/// The command a line is, with what stands behind it; `None` where it is text for the model.
///
/// # Errors
/// One line where it looks like a command but is none.
pub(crate) fn parse(line: &str, language: Language) -> Option<Result<(Verb, &str), String>> {
    let line = line.trim();
    if LEAVE.contains(&line) {
        return Some(Ok((Verb::Leave, "")));
    }
    let command = line.strip_prefix('/')?;
    let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let rest = rest.trim();
    let Some(row) = TABLE.iter().find(|row| row.name == name) else {
        let shown = format!("{:?}", line.chars().take(60).collect::<String>());
        return Some(Err(text::NOT_A_COMMAND.fill(language, &[&shown])));
    };
    Some(match row.takes {
        Nothing if !rest.is_empty() => {
            let values: [&dyn core::fmt::Display; 2] = [&format!("/{name}"), &format!("{rest:?}")];
            Err(text::TAKES_NOTHING.fill(language, &values))
        }
        Needs(what) if rest.is_empty() => {
            Err(text::NEEDS.fill(language, &[&format!("/{name}"), &what]))
        }
        _ => Ok((row.verb, rest)),
    })
}

/// What `/help` prints.
pub(crate) fn help(language: Language) -> String {
    let mut out = String::new();
    for Row { name, takes, does, verb } in &TABLE {
        let usage = match takes {
            Nothing if *verb == Verb::Leave => format!("/{name}, {}", LEAVE.join(", ")),
            Nothing => format!("/{name}"),
            Maybe(what) => format!("/{name} [{what}]"),
            Needs(what) => format!("/{name} {what}"),
        };
        out += &entry(&usage, does.get(language));
    }
    out + &entry(text::KEYS.get(language), text::HELP_KEYS.get(language))
}

/// What Tab offers for a line: where the completed word begins, in characters, and the words.
/// `names(verb)` lists what can stand behind a command that takes a name.
pub(crate) fn complete(
    line: &str,
    names: &mut dyn FnMut(Verb, &str) -> Vec<String>,
) -> (usize, Vec<String>) {
    let blank = line.char_indices().rev().find(|(_, c)| c.is_whitespace());
    let word_at = blank.map_or(0, |(at, c)| at + c.len_utf8());
    let (before, word) = line.split_at(word_at);
    let start = before.chars().count();
    let mut words: Vec<String> = match before.trim_start().strip_prefix('/') {
        None if before.is_empty() && word.starts_with('/') => {
            TABLE.iter().map(|row| format!("/{}", row.name)).collect()
        }
        None => Vec::new(),
        Some(begun) => {
            let mut begun = begun.split_whitespace();
            let (name, setting) = (begun.next(), begun.next());
            match TABLE.iter().find(|row| Some(row.name) == name).map(|row| row.verb) {
                Some(Verb::Set | Verb::Show) if setting.is_none() => {
                    settings::names().map(String::from).collect()
                }
                Some(Verb::Set) => Settings::values(setting.unwrap_or_default()),
                Some(verb) if setting.is_none() => names(verb, word),
                _ => Vec::new(),
            }
        }
    };
    words.retain(|known| known.starts_with(word));
    words.sort();
    (start, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EN: Language = Language::En;

    #[test]
    fn lines_are_commands_or_text() {
        let parse = |line| parse(line, EN).map(Result::unwrap);
        assert_eq!(parse("Once upon a time"), None);
        assert_eq!(parse(""), None);
        assert_eq!(parse("exit now"), None);
        assert_eq!(parse(" quit "), Some((Verb::Leave, "")));
        assert_eq!(parse("/set top_p  0.5 "), Some((Verb::Set, "top_p  0.5")));
        assert_eq!(parse("/logits"), Some((Verb::Logits, "")));
        assert_eq!(parse("/system You are\nkind."), Some((Verb::System, "You are\nkind.")));
    }

    #[test]
    fn a_mistyped_command_is_not_sent_to_the_model() {
        for line in ["/hlep", "/", "/save", "/undo me"] {
            assert!(parse(line, EN).unwrap().is_err(), "{line}");
        }
        let error = parse("/undo me", Language::Fr).unwrap().unwrap_err();
        assert_eq!(error, "/undo ne prend rien de plus, trouvé \"me\"");
    }

    #[test]
    fn help_names_every_command() {
        for (_, language) in Language::NAMES {
            let help = help(language);
            assert!(TABLE.iter().all(|row| help.contains(&format!("  /{}", row.name))));
            assert!(help.lines().all(|line| line.chars().count() <= text::COLUMNS), "{help}");
            // A screen of 800 lines of dots has room for it, the status line and the next prompt.
            assert!(help.lines().count() <= 29, "{help}");
        }
    }

    #[test]
    fn tab_completes_commands_settings_values_and_names() {
        let mut names = |verb, _: &str| {
            assert_eq!(verb, Verb::Load);
            ["rain", "rome", "sun"].map(String::from).to_vec()
        };
        let mut complete = |line: &str| complete(line, &mut names);
        assert_eq!(complete("/re"), (0, ["/read", "/reboot", "/regen"].map(String::from).to_vec()));
        assert_eq!(complete("/set top"), (5, ["top_k", "top_p"].map(String::from).to_vec()));
        assert_eq!(
            complete("/set keyboard u"),
            (14, ["uk", "us", "us-intl"].map(String::from).to_vec())
        );
        assert_eq!(complete("/load r"), (6, ["rain", "rome"].map(String::from).to_vec()));
        assert_eq!(complete("to be or n").1, [""; 0]);
        assert_eq!(complete("où\u{a0}?").1, [""; 0]);
    }
}
