//! Cutting text into words before byte-level BPE, so that no token spans two words.
//!
//! Each model family has its own rule, written as regular expressions in llama.cpp
//! (`src/llama-vocab.cpp`, `llm_tokenizer_bpe`). No regex engine is needed for so few: each
//! expression is a function here, and its regex stands above it. Several expressions apply one
//! after the other, each to the pieces that the one before has left:
//!
//! ```text
//! pieces = [text]
//! for matcher of the pre-tokenizer:
//!     pieces = for each piece: its matches, and what lies between them
//! ```
//!
//! A matcher looks at the text from some position on and says how long the match is that begins
//! there, or how far the next one is away at least. `tools/oracle/pretokenizer_splits.py` holds the
//! same expressions for a regex engine, which the tests compare with.

mod deepseek;
#[cfg(test)]
mod vectors;

use unicode_general_category::{GeneralCategory, get_general_category};

use crate::error::{Error, shorten};

/// The pre-tokenizers that are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PreTokenizer {
    /// llama.cpp's choice where a file names none.
    Default,
    /// GPT-2.
    Gpt2,
    /// SmolLM: like [`PreTokenizer::StarCoder`].
    SmolLm,
    /// StarCoder: single digits, then GPT-2's words.
    StarCoder,
    /// Llama 3.
    Llama3,
    /// DBRX and Smaug: Llama 3's words, but merged like all others.
    Dbrx,
    /// Qwen 2: Llama 3's words with single digits.
    Qwen2,
    /// DeepSeek LLM.
    DeepSeekLlm,
    /// DeepSeek Coder.
    DeepSeekCoder,
}

/// What a matcher finds at the beginning of a text.
pub(crate) enum Step {
    /// A match of so many bytes, at least one.
    Match(usize),
    /// No match begins within so many bytes, at least one.
    Skip(usize),
}

/// Looks for a match at the beginning of a text that is not empty.
type Matcher = fn(&str) -> Step;

impl PreTokenizer {
    /// Names that [`PreTokenizer::from_name`] knows.
    pub(crate) const NAMES: &'static str = "default, gpt-2, phi-2, mpt, olmo, jais, exaone4, \
        smollm, starcoder, refact, command-r, codeshell, exaone, minerva-7b, llama-bpe, llama3, \
        llama-v3, falcon3, pixtral, dbrx, smaug-bpe, qwen2, deepseek-r1-qwen, stablelm2, megrez, \
        hunyuan, deepseek-llm, deepseek-coder";

    /// From `tokenizer.ggml.pre`, where `""` stands for a missing key. The names that share an
    /// implementation are those of llama.cpp (`llama_vocab::impl::load`).
    pub(crate) fn from_name(name: &str) -> Result<PreTokenizer, Error> {
        Ok(match name {
            "" | "default" => PreTokenizer::Default,
            "gpt-2" | "phi-2" | "mpt" | "olmo" | "jais" | "exaone4" => PreTokenizer::Gpt2,
            "smollm" => PreTokenizer::SmolLm,
            "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" | "minerva-7b" => {
                PreTokenizer::StarCoder
            }
            "llama-bpe" | "llama3" | "llama-v3" | "falcon3" | "pixtral" => PreTokenizer::Llama3,
            "dbrx" | "smaug-bpe" => PreTokenizer::Dbrx,
            "qwen2" | "deepseek-r1-qwen" | "stablelm2" | "megrez" | "hunyuan" => {
                PreTokenizer::Qwen2
            }
            "deepseek-llm" => PreTokenizer::DeepSeekLlm,
            "deepseek-coder" => PreTokenizer::DeepSeekCoder,
            _ => {
                let supported = PreTokenizer::NAMES;
                return Err(Error::UnsupportedPreTokenizer { supported, found: shorten(name) });
            }
        })
    }

    /// The one of its names that is best known.
    pub(crate) fn name(self) -> &'static str {
        match self {
            PreTokenizer::Default => "default",
            PreTokenizer::Gpt2 => "gpt-2",
            PreTokenizer::SmolLm => "smollm",
            PreTokenizer::StarCoder => "starcoder",
            PreTokenizer::Llama3 => "llama-bpe",
            PreTokenizer::Dbrx => "dbrx",
            PreTokenizer::Qwen2 => "qwen2",
            PreTokenizer::DeepSeekLlm => "deepseek-llm",
            PreTokenizer::DeepSeekCoder => "deepseek-coder",
        }
    }

    /// Whether a word that is a token is not merged first (`ignore_merges` in llama.cpp and in
    /// Llama 3's tokenizer.json). It matters for tokens that no sequence of merges makes.
    pub(crate) fn takes_whole_words(self) -> bool {
        self == PreTokenizer::Llama3
    }

    fn matchers(self) -> &'static [Matcher] {
        match self {
            PreTokenizer::Default => &[punctuation_run, gpt2_word, number_run, three_digits],
            PreTokenizer::Gpt2 => &[gpt2_word],
            PreTokenizer::SmolLm | PreTokenizer::StarCoder => &[number, gpt2_word],
            PreTokenizer::Llama3 | PreTokenizer::Dbrx => &[llama3_word],
            PreTokenizer::Qwen2 => &[qwen2_word],
            PreTokenizer::DeepSeekLlm => deepseek::LLM,
            PreTokenizer::DeepSeekCoder => deepseek::CODER,
        }
    }

    /// Calls `word` with each word of `text`, in order. The words together are the text.
    pub(crate) fn split(self, text: &str, word: &mut dyn FnMut(&str)) {
        split(self.matchers(), text, word);
    }
}

fn split(matchers: &[Matcher], text: &str, word: &mut dyn FnMut(&str)) {
    let Some((matcher, rest)) = matchers.split_first() else {
        word(text);
        return;
    };
    let (mut gap, mut at) = (0, 0);
    while at < text.len() {
        match matcher(&text[at..]) {
            Step::Match(len) => {
                if gap < at {
                    split(rest, &text[gap..at], word);
                }
                split(rest, &text[at..at + len], word);
                at += len;
                gap = at;
            }
            Step::Skip(len) => at += len,
        }
    }
    if gap < text.len() {
        split(rest, &text[gap..], word);
    }
}

/// The distinction that most expressions are about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// `\p{L}`
    Letter,
    /// `\p{N}`
    Number,
    /// `\s`, which is Unicode's White_Space
    Space,
    /// `[^\s\p{L}\p{N}]`
    Other,
}

fn class(c: char) -> Class {
    use GeneralCategory as G;
    if c.is_ascii() {
        return match c {
            'a'..='z' | 'A'..='Z' => Class::Letter,
            '0'..='9' => Class::Number,
            '\t'..='\r' | ' ' => Class::Space,
            _ => Class::Other,
        };
    }
    if c.is_whitespace() {
        return Class::Space;
    }
    match get_general_category(c) {
        G::UppercaseLetter
        | G::LowercaseLetter
        | G::TitlecaseLetter
        | G::ModifierLetter
        | G::OtherLetter => Class::Letter,
        G::DecimalNumber | G::LetterNumber | G::OtherNumber => Class::Number,
        _ => Class::Other,
    }
}

/// `\p{P}`
fn is_punctuation(c: char) -> bool {
    use GeneralCategory as G;
    matches!(
        get_general_category(c),
        G::ConnectorPunctuation
            | G::DashPunctuation
            | G::OpenPunctuation
            | G::ClosePunctuation
            | G::InitialPunctuation
            | G::FinalPunctuation
            | G::OtherPunctuation
    )
}

/// Bytes of the longest beginning of `text` whose characters all satisfy `wanted`.
fn run(text: &str, wanted: impl Fn(char) -> bool) -> usize {
    text.find(|c| !wanted(c)).unwrap_or(text.len())
}

/// Bytes of the first character.
fn first_len(text: &str) -> usize {
    text.chars().next().map_or(1, char::len_utf8)
}

/// A match where `len` is not 0.
fn match_or_skip(text: &str, len: usize) -> Step {
    if len > 0 { Step::Match(len) } else { Step::Skip(first_len(text)) }
}

/// `\p{N}`
fn number(text: &str) -> Step {
    let len = first_len(text);
    if text.starts_with(|c| class(c) == Class::Number) { Step::Match(len) } else { Step::Skip(len) }
}

/// `\p{N}+`
fn number_run(text: &str) -> Step {
    match_or_skip(text, run(text, |c| class(c) == Class::Number))
}

/// `[0-9][0-9][0-9]`
fn three_digits(text: &str) -> Step {
    match text.as_bytes() {
        [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', ..] => Step::Match(3),
        _ => Step::Skip(first_len(text)),
    }
}

/// `[\p{P}\$\+<=>\^~\|]+`
fn punctuation_run(text: &str) -> Step {
    let wanted =
        |c| matches!(c, '$' | '+' | '<' | '=' | '>' | '^' | '~' | '|') || is_punctuation(c);
    match_or_skip(text, run(text, wanted))
}

/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
fn gpt2_word(text: &str) -> Step {
    let contraction = contraction(text, false);
    if contraction > 0 {
        return Step::Match(contraction);
    }
    let space = usize::from(text.starts_with(' '));
    let body = &text[space..];
    match body.chars().next().map(class) {
        None | Some(Class::Space) => spaces(text),
        Some(wanted) => Step::Match(space + run(body, |c| class(c) == wanted)),
    }
}

/// [`caseless_word`] with `\p{N}{1,3}`
fn llama3_word(text: &str) -> Step {
    caseless_word(text, 3)
}

/// [`caseless_word`] with `\p{N}`
fn qwen2_word(text: &str) -> Step {
    caseless_word(text, 1)
}

/// `(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|`
/// `\p{N}{1,max_digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
fn caseless_word(text: &str, max_digits: usize) -> Step {
    let contraction = contraction(text, true);
    if contraction > 0 {
        return Step::Match(contraction);
    }
    let first = text.chars().next().unwrap_or(' ');
    let lead = match class(first) {
        Class::Letter | Class::Number => 0,
        _ if is_newline(first) => 0,
        _ => first.len_utf8(),
    };
    let letters = run(&text[lead..], |c| class(c) == Class::Letter);
    if letters > 0 {
        return Step::Match(lead + letters);
    }
    let digits = text.chars().take(max_digits).take_while(|&c| class(c) == Class::Number);
    let digits: usize = digits.map(char::len_utf8).sum();
    if digits > 0 {
        return Step::Match(digits);
    }
    let space = usize::from(text.starts_with(' '));
    let others = run(&text[space..], |c| class(c) == Class::Other);
    if others > 0 {
        let end = space + others;
        return Step::Match(end + run(&text[end..], is_newline));
    }
    let whitespace = run(text, char::is_whitespace);
    match text[..whitespace].rfind(is_newline) {
        Some(newline) => Step::Match(newline + 1),
        None => spaces(text),
    }
}

/// `\s+(?!\S)|\s+`: white space up to the end, or all but the last of it, which goes to the word
/// that follows; the last where there is no other.
fn spaces(text: &str) -> Step {
    let len = run(text, char::is_whitespace);
    let last = text[..len].chars().next_back().map_or(0, char::len_utf8);
    match_or_skip(text, if len == text.len() || len == last { len } else { len - last })
}

/// `'s|'t|'re|'ve|'m|'ll|'d`, 0 where there is none. `any_case` takes ASCII capitals as well.
fn contraction(text: &str, any_case: bool) -> usize {
    let Some(rest) = text.strip_prefix('\'') else { return 0 };
    let ending = |wanted: &&str| match rest.as_bytes().get(..wanted.len()) {
        Some(found) if any_case => found.eq_ignore_ascii_case(wanted.as_bytes()),
        Some(found) => found == wanted.as_bytes(),
        None => false,
    };
    ["s", "t", "re", "ve", "m", "ll", "d"].iter().find(|&e| ending(e)).map_or(0, |e| 1 + e.len())
}

/// `[\r\n]`
fn is_newline(c: char) -> bool {
    c == '\r' || c == '\n'
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;

    fn words(pre: PreTokenizer, text: &str) -> Vec<String> {
        let mut words = Vec::new();
        pre.split(text, &mut |word| words.push(String::from(word)));
        words
    }

    #[test]
    fn a_word_takes_one_space_before_it() {
        let expected = ["It", "'s", " ", " 2024", "!", "\n\n"];
        assert_eq!(words(PreTokenizer::Gpt2, "It's  2024!\n\n"), expected);
        let expected = ["It", "'s", "  ", "2", "0", "2", "4", "!", "\n\n"];
        assert_eq!(words(PreTokenizer::SmolLm, "It's  2024!\n\n"), expected);
        let expected = ["It", "'s", " ", " ", "202", "4", "!\n\n"];
        assert_eq!(words(PreTokenizer::Llama3, "It's  2024!\n\n"), expected);
    }

    #[test]
    fn every_listed_name_is_known() {
        for name in PreTokenizer::NAMES.split(", ") {
            assert!(PreTokenizer::from_name(name).is_ok(), "{name}");
        }
        assert_eq!(PreTokenizer::from_name(""), Ok(PreTokenizer::Default));
        let error = PreTokenizer::from_name("tekken").unwrap_err();
        assert!(alloc::format!("{error}").contains("llama-bpe"), "{error}");
    }
}
