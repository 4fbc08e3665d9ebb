//! How a conversation becomes tokens. Control tokens are put in by their ids; what a user types
//! is always plain text, also where it looks like a control token.

use alloc::{string::String, vec::Vec};
use llamaboot_checkpoint::gguf::Gguf;
use llamaboot_tokenizer::{Special, Tokenizer};

/// ChatML: `<|im_start|>role\ntext<|im_end|>\n` for each turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    start: u32,
    end: u32,
    /// The system turn that the model's own template puts first.
    system: Option<String>,
}

const START: &str = "<|im_start|>";
const END: &str = "<|im_end|>";

impl Template {
    /// The template of a model: `Ok(None)` for base models, which have none. Its markers are
    /// control tokens from here on, whatever the file calls them.
    ///
    /// # Errors
    /// One line where the model has a template that is not ChatML.
    pub fn of(gguf: &Gguf<'_>, tokenizer: &mut Tokenizer) -> Result<Option<Self>, &'static str> {
        let Ok(Some(source)) = gguf.text("tokenizer.chat_template") else {
            return Ok(None);
        };
        let ids = (tokenizer.reserve_control(START), tokenizer.reserve_control(END));
        let (true, (Some(start), Some(end))) = (source.contains(START), ids) else {
            return Err("this model's chat template is not ChatML, the only one known so far; \
                        it continues your text instead");
        };
        Ok(Some(Self { start, end, system: default_system(source) }))
    }

    /// Replaces the system turn; an empty text leaves it out.
    pub fn set_system(&mut self, text: &str) {
        self.system = Some(String::from(text)).filter(|text| !text.is_empty());
    }

    /// Tokens that begin a conversation.
    #[must_use]
    pub fn opening(&self, tokenizer: &Tokenizer) -> Vec<u32> {
        let mut out: Vec<u32> =
            tokenizer.bos().filter(|_| tokenizer.adds_bos()).into_iter().collect();
        if let Some(system) = &self.system {
            self.turn(tokenizer, "system", system, &mut out);
        }
        out
    }

    /// A user's turn and the head of the answer.
    #[must_use]
    pub fn user(&self, tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
        let mut out = Vec::new();
        self.turn(tokenizer, "user", text, &mut out);
        out.push(self.start);
        out.extend(tokenizer.encode("assistant\n", Special::Plain));
        out
    }

    /// What follows an answer, the token that ended it included.
    #[must_use]
    pub fn closing(&self, tokenizer: &Tokenizer) -> Vec<u32> {
        let mut out = alloc::vec![self.end];
        out.extend(tokenizer.encode("\n", Special::Plain));
        out
    }

    fn turn(&self, tokenizer: &Tokenizer, role: &str, text: &str, out: &mut Vec<u32>) {
        out.push(self.start);
        out.extend(tokenizer.encode(&alloc::format!("{role}\n{text}"), Special::Plain));
        out.extend(self.closing(tokenizer));
    }
}

/// The system text that a ChatML template writes when the conversation has none: a literal
/// between `<|im_start|>system\n` and `<|im_end|>`, with the line end written out or escaped.
fn default_system(source: &str) -> Option<String> {
    ["\n", "\\n"].into_iter().find_map(|newline| {
        let head = alloc::format!("{START}system{newline}");
        let literal = source.match_indices(&head).find_map(|(at, _)| {
            let (text, _) = source[at + head.len()..].split_once(END)?;
            (!text.contains(['{', '}', '\'', '"'])).then_some(text)
        });
        literal.map(|text| text.replace("\\n", "\n"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_text_is_found_in_either_spelling() {
        let wanted = Some(String::from("You are a helpful AI assistant named SmolLM"));
        for newline in ["\n", "\\n"] {
            let source = alloc::format!(
                "{{% if x %}}{{{{ '<|im_start|>system{newline}You are a helpful AI assistant named \
                 SmolLM<|im_end|>{newline}' }}}}{{% endif %}}"
            );
            assert_eq!(default_system(&source), wanted);
        }
        let second = "'<|im_start|>system\n' + content }}{{ '<|im_start|>system\nHi<|im_end|>";
        assert_eq!(default_system(second), Some(String::from("Hi")));
        assert_eq!(default_system("'<|im_start|>' + message['role'] + '\n'"), None);
        assert_eq!(default_system("<|im_start|>system\n' + content + '<|im_end|>"), None);
    }
}
