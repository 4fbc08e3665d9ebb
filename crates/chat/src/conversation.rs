//! The turns of a conversation, as text and as the tokens they are to the model.
//!
//! ```text
//! tokens = prompt₀ reply₀ prompt₁ reply₁ …        prompt₀ holds the system turn
//! ```
//! The engine is told the whole of it at every turn and computes only what it does not hold yet,
//! so forgetting, editing and shortening are changes to this list and nothing else.

use crate::Template;
use crate::generate::base_prompt;
use alloc::{string::String, vec::Vec};
use llamaboot_tokenizer::Tokenizer;

/// A question, its answer, and their tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) user: String,
    pub(crate) answer: String,
    /// From what begins the turn to the head of the answer.
    pub(crate) prompt: Vec<u32>,
    /// The answer, and what closes it.
    pub(crate) reply: Vec<u32>,
}

/// A question longer than this, in bytes, has a file before it as a rule.
const LONG_QUESTION: usize = 500;

impl Turn {
    /// What was asked, for people: of a long text the last paragraph, for `/read` puts a file
    /// before the question.
    pub(crate) fn question(&self) -> &str {
        let text = self.user.trim();
        match text.rsplit_once("\n\n") {
            Some((_, last)) if text.len() > LONG_QUESTION => last,
            _ => text,
        }
    }
}

/// How turns become tokens: the model's side of a conversation. Without a template each turn is a
/// text of its own, which the model continues.
pub(crate) struct Manner<'m> {
    pub(crate) tokenizer: &'m Tokenizer,
    pub(crate) template: Option<&'m Template>,
    pub(crate) system: Option<&'m str>,
}

impl Manner<'_> {
    /// The tokens of a question.
    pub(crate) fn prompt(&self, first: bool, user: &str) -> Vec<u32> {
        match self.template {
            None => base_prompt(self.tokenizer, user),
            Some(template) if first => template.first(self.tokenizer, self.system, user),
            Some(template) => template.next(self.tokenizer, user),
        }
    }

    /// What closes an answer.
    pub(crate) fn closing(&self) -> Vec<u32> {
        self.template.map(Template::closing).unwrap_or_default()
    }

    /// What an answer is to the model.
    pub(crate) fn reply(&self, answer: &str) -> Vec<u32> {
        let mut reply = self.tokenizer.encode_continuation(answer);
        reply.extend(self.closing());
        reply
    }

    /// Leaves out the oldest turns until `room` tokens are free in a context of `context`; the
    /// last turn stays in any case. Returns how many went.
    pub(crate) fn shorten(&self, turns: &mut Vec<Turn>, context: usize, room: usize) -> usize {
        let mut gone = 0;
        while turns.len() > 1 && tokens(turns).count() + room > context {
            turns.remove(0);
            gone += 1;
            turns[0].prompt = self.prompt(true, &turns[0].user);
        }
        gone
    }
}

/// All tokens of a conversation.
pub(crate) fn tokens(turns: &[Turn]) -> impl Iterator<Item = u32> {
    turns.iter().flat_map(|turn| turn.prompt.iter().chain(&turn.reply)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_not_the_question() {
        let asked = |user: String| Turn { user, ..Turn::default() }.question().len();
        let file = "A line of a file.\n\n".repeat(40);
        assert_eq!(asked(file + "Who is Rex?\n"), "Who is Rex?".len());
        assert_eq!(asked(String::from("One thing.\n\nAnd another?")), 24);
        assert_eq!(asked("word ".repeat(200)), 999);
        assert_eq!(asked(String::new()), 0);
    }
}
