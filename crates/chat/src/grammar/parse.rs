//! Reads the source of a grammar into rules, each a tree of symbols.
//!
//! ```text
//! parse: while there is a rule: name, "::=", choice, end of line
//! choice → sequence → symbol → "(" choice ")"      one call for each, as deep as parentheses
//! ```
//! Trees are no deeper than [`MAX_NESTING`] parentheses, so calls that walk them may recurse.

use super::class::Class;
use super::{GrammarError, MAX_GRAMMAR_BYTES, MAX_GRAMMAR_STEPS};
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The most parentheses inside each other.
const MAX_NESTING: usize = 64;

/// The most rules, the ones that are only named included.
const MAX_RULES: usize = 4096;

/// The longest name of a rule, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// A part of a rule.
#[derive(Debug)]
pub(super) enum Node {
    Char(char),
    /// By its number in [`Parsed::classes`].
    Class(u32),
    /// By its number in [`Parsed::rules`].
    Rule(u32),
    Sequence(Vec<Node>),
    Choice(Vec<Node>),
    /// At least so often, and at most.
    Repeat(Box<Node>, u32, Option<u32>),
}

/// A rule that is given or only named.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    /// Where it is given, or where it is named first.
    pub(super) line: usize,
    pub(super) body: Option<Node>,
}

/// All rules of a source.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) rules: Vec<Rule>,
    pub(super) classes: Vec<Class>,
    /// How many lines the source has.
    pub(super) lines: usize,
}

/// Reads all rules.
pub(super) fn parse(source: &str) -> Result<Parsed, GrammarError> {
    let (names, out) = (BTreeMap::new(), Parsed::default());
    let mut parser = Parser { rest: source, line: 1, nesting: 0, names, out };
    if source.len() > MAX_GRAMMAR_BYTES {
        let expected = format!("a grammar of at most {MAX_GRAMMAR_BYTES} bytes");
        return Err(parser.error(expected, format!("{} bytes", source.len())));
    }
    loop {
        parser.skip_blanks(true);
        if parser.rest.is_empty() {
            parser.out.lines = parser.line;
            return Ok(parser.out);
        }
        parser.rule()?;
    }
}

struct Parser<'s> {
    rest: &'s str,
    line: usize,
    nesting: usize,
    names: BTreeMap<String, u32>,
    out: Parsed,
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn take(&mut self, c: char) -> bool {
        let there = self.peek() == Some(c);
        if there {
            self.bump();
        }
        there
    }

    /// A comment goes up to the end of its line, which may mean something.
    fn skip_blanks(&mut self, lines: bool) {
        loop {
            match self.peek() {
                Some(' ' | '\t') => {}
                Some('\r' | '\n') if lines => {}
                Some('#') => {
                    let end = self.rest.find(['\r', '\n']).unwrap_or(self.rest.len());
                    self.rest = &self.rest[end..];
                    continue;
                }
                _ => return,
            }
            self.bump();
        }
    }

    fn error(&self, expected: impl Into<String>, found: impl Into<String>) -> GrammarError {
        GrammarError { line: self.line, expected: expected.into(), found: found.into() }
    }

    /// Finds what comes next.
    fn unexpected(&self, expected: impl Into<String>) -> GrammarError {
        let found = match self.peek() {
            None => "the end of the grammar".to_owned(),
            Some('\r' | '\n') => "the end of the line".to_owned(),
            Some(c) => format!("{c:?}"),
        };
        self.error(expected, found)
    }

    fn rule(&mut self) -> Result<(), GrammarError> {
        let line = self.line;
        let number = self.name("the name of a rule")? as usize;
        self.skip_blanks(false);
        let Some(rest) = self.rest.strip_prefix("::=") else {
            let name = &self.out.rules[number].name;
            return Err(self.unexpected(format!("\"::=\" behind the name {name}")));
        };
        self.rest = rest;
        self.skip_blanks(true);
        let body = self.choice()?;
        if !matches!(self.peek(), None | Some('\r' | '\n')) {
            return Err(self.unexpected("a symbol, \"|\" or the end of the line"));
        }
        let rule = &mut self.out.rules[number];
        if rule.body.is_some() {
            let (expected, found) = (format!("one rule {}", rule.name), "a second");
            return Err(GrammarError { line, expected, found: found.into() });
        }
        (rule.line, rule.body) = (line, Some(body));
        Ok(())
    }

    /// The number of the rule that is named here.
    fn name(&mut self, expected: &str) -> Result<u32, GrammarError> {
        let len = self.rest.find(|c| !is_name_char(c)).unwrap_or(self.rest.len());
        if len == 0 {
            return Err(self.unexpected(expected));
        }
        if len > MAX_NAME_BYTES {
            let expected = format!("a name of at most {MAX_NAME_BYTES} bytes");
            return Err(self.error(expected, format!("{len} bytes")));
        }
        let (name, rest) = self.rest.split_at(len);
        if let Some(&number) = self.names.get(name) {
            self.rest = rest;
            return Ok(number);
        }
        if self.out.rules.len() == MAX_RULES {
            return Err(self.error(format!("at most {MAX_RULES} rules"), "more"));
        }
        let number = self.out.rules.len() as u32;
        self.out.rules.push(Rule { name: name.to_owned(), line: self.line, body: None });
        self.names.insert(name.to_owned(), number);
        self.rest = rest;
        Ok(number)
    }

    fn choice(&mut self) -> Result<Node, GrammarError> {
        let first = self.sequence()?;
        if self.peek() != Some('|') {
            return Ok(first);
        }
        let mut choices = alloc::vec![first];
        while self.take('|') {
            self.skip_blanks(true);
            choices.push(self.sequence()?);
        }
        Ok(Node::Choice(choices))
    }

    fn sequence(&mut self) -> Result<Node, GrammarError> {
        let mut nodes = Vec::new();
        let mut repeats = true;
        while let Some(c) = self.peek() {
            match c {
                '*' | '+' | '?' | '{' => {
                    let Some(node) = nodes.pop().filter(|_| !repeats) else {
                        return Err(self.unexpected("a symbol to repeat"));
                    };
                    let (least, most) = self.counts()?;
                    nodes.push(Node::Repeat(Box::new(node), least, most));
                    repeats = true;
                }
                '"' | '[' | '.' | '(' | '<' | '!' => {
                    nodes.push(self.symbol(c)?);
                    repeats = false;
                }
                c if is_name_char(c) => {
                    nodes.push(Node::Rule(self.name("the name of a rule")?));
                    repeats = false;
                }
                _ => break,
            }
            self.skip_blanks(self.nesting > 0);
        }
        Ok(match nodes.pop() {
            Some(only) if nodes.is_empty() => only,
            last => {
                nodes.extend(last);
                Node::Sequence(nodes)
            }
        })
    }

    /// A symbol that begins with `c`.
    fn symbol(&mut self, c: char) -> Result<Node, GrammarError> {
        let start = self.line;
        match c {
            '"' => self.literal(),
            '[' => self.class(),
            '(' => {
                if self.nesting == MAX_NESTING {
                    let expected = format!("at most {MAX_NESTING} parentheses inside each other");
                    return Err(self.error(expected, "more"));
                }
                self.bump();
                self.nesting += 1;
                self.skip_blanks(true);
                let node = self.choice()?;
                self.nesting -= 1;
                if !self.take(')') {
                    let expected = format!("\")\" for the \"(\" in line {start}");
                    return Err(self.unexpected(expected));
                }
                Ok(node)
            }
            '.' => {
                self.bump();
                Ok(self.add_class(Class::new(Vec::new(), true)))
            }
            _ => Err(self.unexpected("a symbol made of characters; tokens are not built in")),
        }
    }

    fn add_class(&mut self, class: Class) -> Node {
        self.out.classes.push(class);
        Node::Class(self.out.classes.len() as u32 - 1)
    }

    fn literal(&mut self) -> Result<Node, GrammarError> {
        self.bump();
        let mut nodes = Vec::new();
        loop {
            match self.peek() {
                None | Some('\r' | '\n') => {
                    return Err(self.unexpected("'\"' at the end of a text"));
                }
                Some('"') => {
                    self.bump();
                    return Ok(Node::Sequence(nodes));
                }
                Some(_) => nodes.push(Node::Char(self.character()?)),
            }
        }
    }

    fn class(&mut self) -> Result<Node, GrammarError> {
        self.bump();
        let negated = self.take('^');
        let mut ranges = Vec::new();
        loop {
            match self.peek() {
                None | Some('\r' | '\n') => {
                    return Err(self.unexpected("']' at the end of a class"));
                }
                Some(']') => break,
                Some(_) => {}
            }
            let first = self.character()?;
            let mut last = first;
            if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.bump();
                if matches!(self.peek(), None | Some('\r' | '\n')) {
                    return Err(self.unexpected("']' at the end of a class"));
                }
                last = self.character()?;
            }
            if last < first {
                let found = format!("{first:?} to {last:?}");
                return Err(self.error("a range that goes upwards", found));
            }
            ranges.push((first, last));
        }
        let class = Class::new(ranges, negated);
        if class.is_empty() {
            return Err(self.error("a class with a character in it", "none"));
        }
        self.bump();
        Ok(self.add_class(class))
    }

    /// A character that is not the end of a line, or an escape.
    fn character(&mut self) -> Result<char, GrammarError> {
        if !self.take('\\') {
            return self.bump().ok_or_else(|| self.unexpected("a character"));
        }
        let c = match self.peek() {
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some(c @ ('\\' | '"' | '[' | ']' | '-' | '^')) => c,
            Some('x') => return self.hex(2),
            Some('u') => return self.hex(4),
            Some('U') => return self.hex(8),
            _ => return Err(self.unexpected(r#"an escape, one of n r t \ " [ ] - ^ x u U"#)),
        };
        self.bump();
        Ok(c)
    }

    fn hex(&mut self, digits: u32) -> Result<char, GrammarError> {
        self.bump();
        let mut value = 0u32;
        for _ in 0..digits {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(16)) else {
                return Err(self.unexpected(format!("{digits} hexadecimal digits")));
            };
            value = value << 4 | digit;
            self.bump();
        }
        char::from_u32(value)
            .ok_or_else(|| self.error("the number of a character", format!("{value:#x}")))
    }

    /// How often the symbol before is repeated, at least and at most.
    fn counts(&mut self) -> Result<(u32, Option<u32>), GrammarError> {
        match self.bump() {
            Some('*') => return Ok((0, None)),
            Some('+') => return Ok((1, None)),
            Some('?') => return Ok((0, Some(1))),
            _ => self.skip_blanks(false),
        }
        let least = self.count()?;
        let mut most = Some(least);
        if self.take(',') {
            self.skip_blanks(false);
            most = if self.peek() == Some('}') { None } else { Some(self.count()?) };
        }
        if let Some(most) = most.filter(|&most| most < least) {
            return Err(
                self.error(format!("at least {least} repetitions at most"), format!("{most}"))
            );
        }
        if self.take('}') { Ok((least, most)) } else { Err(self.unexpected("\"}\"")) }
    }

    fn count(&mut self) -> Result<u32, GrammarError> {
        let len = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(len);
        if digits.is_empty() {
            return Err(self.unexpected("a count of repetitions"));
        }
        let count = digits.parse().ok().filter(|&n: &u32| n as usize <= MAX_GRAMMAR_STEPS);
        let Some(count) = count else {
            let expected = format!("at most {MAX_GRAMMAR_STEPS} repetitions");
            return Err(self.error(expected, &digits[..len.min(20)]));
        };
        self.rest = rest;
        self.skip_blanks(false);
        Ok(count)
    }
}
