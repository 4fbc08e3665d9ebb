//! Which format a model's own template writes. Nothing runs the template: it is Jinja, a language
//! of its own, so what it writes is told by the texts that stand in it.
//!
//! ```text
//! source ─ literals joined, line ends written out ─┬─ markers ─▶ Format
//!                                                  └─ texts between them ─▶ system text, dates
//! ```

use super::formats::{
    ALPACA, CHATML, Format, GEMMA, LLAMA2, LLAMA3, MISTRAL, PHI3, SystemTurn, Trim, ZEPHYR,
};
use alloc::{format, string::String};

/// What was found in a template.
#[derive(Debug)]
pub(super) struct Recognized {
    pub(super) format: Format,
    /// The template writes BOS itself.
    pub(super) bos: bool,
    /// The system text of a conversation that has none.
    pub(super) system: Option<String>,
    /// What goes before every system text.
    pub(super) preamble: String,
}

/// The format of a template, `None` where it is not known.
pub(super) fn recognize(source: &str) -> Option<Recognized> {
    let source = joined(source);
    let mut format = format_of(&source)?;
    let has = |text| source.contains(text);
    if format.name == LLAMA2.name && !has("bos_token + '[INST]") {
        format.between = "";
    }
    if format.name == MISTRAL.name {
        format.user = mistral_spaces(&source);
        format.between = if has("eos_token + ' '") { " " } else { "" };
    } else if !trims(&source) {
        format.trim = Trim::Nothing;
    } else if format.trim == Trim::Nothing {
        format.trim = Trim::Each;
    }
    let system = match format.system {
        _ if format.name == ALPACA.name => alpaca_system(&source),
        SystemTurn::Own(head, tail) => literal_between(&source, head, tail),
        SystemTurn::Merged(..) => None,
    };
    let preamble = if format.name == LLAMA3.name { dates(&source) } else { String::new() };
    Some(Recognized { format, bos: has("bos_token"), system, preamble })
}

fn format_of(source: &str) -> Option<Format> {
    let has = |text| source.contains(text);
    if has("<|im_start|>") {
        // Phi-4 and SmolVLM use the marker in formats of their own.
        return (!has("<|im_sep|>") && !has("<end_of_utterance>")).then_some(CHATML);
    }
    if has("[INST]") {
        let known = if has("<<SYS>>") { LLAMA2 } else { MISTRAL };
        return (!has("[SYSTEM_PROMPT]")).then_some(known);
    }
    if has("<|start_header_id|>") && has("<|end_header_id|>") {
        return Some(LLAMA3);
    }
    if has("<start_of_turn>") {
        return Some(GEMMA);
    }
    if has("<|assistant|>\n") && has("<|end|>\n") {
        return Some(PHI3);
    }
    // Falcon 3 and Tulu have the roles of Zephyr and Phi, but nothing ends the user's turn.
    let user = written_after(source, "<|user|>\n").unwrap_or_default();
    if ["eos_token", "</s>", "<|endoftext|>"].iter().any(|end| user.contains(end)) {
        return Some(ZEPHYR);
    }
    let instruction = written_after(source, "### Instruction:\n").unwrap_or_default();
    let response = written_after(source, "### Response:\n").unwrap_or_default();
    let alpaca = instruction.contains("'\n\n'")
        && ["eos_token + '\n\n'", "</s>\n\n'"].iter().any(|end| response.contains(end));
    alpaca.then_some(ALPACA)
}

/// The template with one kind of quote, neighbouring literals joined, and line ends as they are in
/// the text that it writes, however the file spells them.
fn joined(source: &str) -> String {
    let source = source.replace("\\n", "\n").replace('"', "'");
    source.replace("' + '", "").replace("'+'", "")
}

/// The rest of the expression that writes `text`.
fn written_after<'s>(source: &'s str, text: &str) -> Option<&'s str> {
    let (_, rest) = source.split_once(text)?;
    rest.split("}}").next()
}

/// A text that stands between `head` and `tail` as it is, with no variable in it.
fn literal_between(source: &str, head: &str, tail: &str) -> Option<String> {
    let literal = source.match_indices(head).find_map(|(at, _)| {
        let (text, _) = source[at + head.len()..].split_once(tail.trim_end())?;
        (!text.contains(['{', '}', '\''])).then_some(text)
    });
    literal.map(String::from)
}

fn alpaca_system(source: &str) -> Option<String> {
    literal_between(source, "'Below ", "\n\n'").map(|text| format!("Below {text}"))
}

/// Whether the template drops white space around what it is given, whichever way it says so.
fn trims(source: &str) -> bool {
    source.split("content").skip(1).any(|rest| {
        let rest = rest.trim_start_matches(['\'', ']', ' ']);
        let filter = rest.strip_prefix('|').map(str::trim_start).unwrap_or_default();
        rest.starts_with(".strip()") || filter.starts_with("trim")
    })
}

/// Mistral's versions differ in the spaces around `[INST]`.
fn mistral_spaces(source: &str) -> (&'static str, &'static str) {
    let head = match (source.contains("' [INST]"), source.contains("[INST] ")) {
        (true, _) => " [INST] ",
        (false, true) => "[INST] ",
        (false, false) => "[INST]",
    };
    (head, if source.contains(" [/INST]") { " [/INST]" } else { "[/INST]" })
}

/// Llama 3.1 and later put two dates before every system text. The second ought to be today's; a
/// template that is not told takes the one that stands in it, and so does this.
fn dates(source: &str) -> String {
    let knowledge = source.split_once("Cutting Knowledge Date: ");
    let knowledge = knowledge.and_then(|(_, rest)| rest.split_once('\n'));
    let today = source.split_once("date_string = '").and_then(|(_, rest)| rest.split_once('\''));
    match (knowledge, today) {
        (Some((knowledge, _)), Some((today, _))) => {
            format!("Cutting Knowledge Date: {knowledge}\nToday Date: {today}\n\n")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(source: &str) -> Option<String> {
        recognize(source).unwrap().system
    }

    #[test]
    fn the_system_text_is_found_in_either_spelling() {
        let wanted = Some(String::from("You are a helpful AI assistant named SmolLM"));
        for newline in ["\n", "\\n"] {
            let source = format!(
                "{{% if x %}}{{{{ '<|im_start|>system{newline}You are a helpful AI assistant named \
                 SmolLM<|im_end|>{newline}' }}}}{{% endif %}}"
            );
            assert_eq!(system(&source), wanted);
        }
        let second = "'<|im_start|>system\n' + content }}{{ '<|im_start|>system\nHi<|im_end|>";
        assert_eq!(system(second), Some(String::from("Hi")));
        assert_eq!(system("'<|im_start|>' + message['role'] + '\n'"), None);
        assert_eq!(system("<|im_start|>system\n' + content + '<|im_end|>"), None);
    }

    #[test]
    fn white_space_is_dropped_where_the_template_drops_it() {
        let trim = |source: &str| recognize(source).unwrap().format.trim;
        assert_eq!(trim("'<|im_start|>user\n' + message['content'] + '<|im_end|>'"), Trim::Nothing);
        for trimmed in ["message['content'] | trim", "message.content.strip()"] {
            assert_eq!(trim(&format!("'<|im_start|>user\n' + {trimmed}")), Trim::Each);
        }
        // Qwen 3 drops line ends of an answer, not spaces of what it is given.
        assert_eq!(trim("'<|im_start|>' }}{{ content.strip('\\n') }}"), Trim::Nothing);
    }
}
