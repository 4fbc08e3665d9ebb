//! Reads a text along a grammar, a character at a time, in every way the grammar gives.
//!
//! The grammar has become a program; a head is a place in it and a stack of places to go back to:
//!
//! ```text
//! follow(at, stack):
//!   Char, Class   → a head waits here
//!   Split(a, b)   → follow(a, stack), follow(b, stack)
//!   Jump(a)       → follow(a, stack)
//!   Call(a)       → follow(a, push(stack, at + 1))
//!   Return        → follow(pop(stack)); with the empty stack, the text may end
//! step(c):  heads = ∪ follow(at + 1, stack) over the heads that wait for c
//! ```
//! A place that was followed with the same stack is not followed again, so loops over nothing end,
//! and calls that nothing follows are jumps, so a list that calls itself at its end keeps its stack
//! flat. What a step may cost is capped; past the caps a piece is not allowed.
//!
//! What is to be followed is a stack, of which the first way is taken first, so heads come in the
//! order of the grammar. A head from which no end can be reached is none.

use super::Grammar;
use super::class::{Class, Partial};
use super::ends::{Ends, MAX_LACK, push_char};
use super::seen::Seen;
use super::stacks::{EMPTY, Stacks};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

/// The most heads. A source of 64 KiB seldom has as many alternatives.
pub(super) const MAX_HEADS: usize = 4096;

/// The most places that are followed for one character.
const MAX_FOLLOWED: usize = 4 * MAX_HEADS;

/// One step of a grammar's program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// Reads this character.
    Char(char),
    /// Reads a character of the class with this number.
    Class(u32),
    /// Goes on at both places.
    Split(u32, u32),
    /// Goes on there.
    Jump(u32),
    /// Goes on there, and behind this once it returns.
    Call(u32),
    /// Goes back to where the rule was called.
    Return,
}

/// A grammar that can be followed.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) code: Vec<Op>,
    pub(super) classes: Vec<Class>,
    pub(super) ends: Ends,
    /// Where the root rule begins.
    pub(super) root: u32,
}

impl Program {
    /// Whether a head at this place wants some character from the first to the last of `range`.
    fn wants(&self, at: u32, range: (u32, u32)) -> bool {
        match self.code[at as usize] {
            Op::Char(c) => (range.0..=range.1).contains(&u32::from(c)),
            Op::Class(class) => {
                let class = &self.classes[class as usize];
                if range.0 == range.1 { class.contains(range.0) } else { class.meets(range) }
            }
            Op::Split(..) | Op::Jump(_) | Op::Call(_) | Op::Return => false,
        }
    }

    /// A character that [`Program::wants`].
    fn wanted(&self, at: u32, range: (u32, u32)) -> Option<char> {
        match self.code[at as usize] {
            Op::Char(c) => Some(c).filter(|_| self.wants(at, range)),
            Op::Class(class) => self.classes[class as usize].first(range),
            Op::Split(..) | Op::Jump(_) | Op::Call(_) | Op::Return => None,
        }
    }

    /// Whether heads can be followed from the root within the caps.
    pub(super) fn can_start(&self) -> bool {
        Work::new().start(self).is_some()
    }
}

/// A place in the program and the stack it has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) at: u32,
    pub(super) stack: u32,
}

/// The stacks, and room for a step that outlives it so that steps need not allocate.
#[derive(Debug, Clone)]
struct Work {
    stacks: Stacks,
    seen: Seen,
    follow: Vec<Head>,
    heads: Vec<Head>,
    next: Vec<Head>,
}

/// Where a text has come to in a grammar.
///
/// ```
/// use llamaboot_chat::{Grammar, GrammarState};
/// let grammar = Grammar::parse("root ::= \"ja\" | \"nein\"").unwrap();
/// let mut state = GrammarState::new(&grammar);
/// assert!(state.allows(b"n") && !state.allows(b"jo"));
/// assert!(state.accept(b"nei") && !state.may_end());
/// assert!(state.accept(b"n") && state.must_end());
/// ```
#[derive(Debug, Clone)]
pub struct GrammarState {
    program: Arc<Program>,
    heads: Vec<Head>,
    partial: Partial,
    /// Bytes that a piece may begin with, once they have been asked for.
    first: Cell<Option<[u64; 4]>>,
    work: RefCell<Work>,
}

impl GrammarState {
    /// Before the first character.
    #[must_use]
    pub fn new(grammar: &Grammar) -> Self {
        let program = grammar.program.clone();
        let mut work = Work::new();
        // A grammar that cannot start is refused when it is parsed.
        let heads = work.start(&program).map(|()| work.heads.clone()).unwrap_or_default();
        let (partial, first) = (Partial::default(), Cell::new(None));
        Self { program, heads, partial, first, work: RefCell::new(work) }
    }

    /// Whether a piece may come next: any bytes, also such that begin or end inside a UTF-8
    /// character, which then must be the beginning of one that may stand there. An empty piece
    /// always may; a caller that wants text has to leave tokens without any out.
    #[must_use]
    pub fn allows(&self, bytes: &[u8]) -> bool {
        let Some(&byte) = bytes.first() else { return true };
        if !self.may_begin_with(byte) {
            return false;
        }
        let mut work = self.work.borrow_mut();
        let frames = work.stacks.len();
        let allowed = work.run(&self.program, &self.heads, self.partial, bytes).is_some();
        work.stacks.truncate(frames);
        allowed
    }

    /// Goes on behind a piece; `false`, and nothing has changed, where it is not allowed.
    pub fn accept(&mut self, bytes: &[u8]) -> bool {
        let work = self.work.get_mut();
        let frames = work.stacks.len();
        let Some(partial) = work.run(&self.program, &self.heads, self.partial, bytes) else {
            work.stacks.truncate(frames);
            return false;
        };
        self.partial = partial;
        core::mem::swap(&mut self.heads, &mut work.heads);
        work.stacks.collect(&mut self.heads);
        self.first.set(None);
        true
    }

    /// Whether the text so far is complete, so that it may end here.
    #[must_use]
    pub fn may_end(&self) -> bool {
        self.partial.missing == 0 && self.heads.iter().any(|head| self.is_end(head))
    }

    /// Whether nothing can follow but the end. Inside a character some head waits for it.
    #[must_use]
    pub fn must_end(&self) -> bool {
        self.heads.iter().all(|head| self.is_end(head))
    }

    /// The shortest text, in bytes, with which the text so far is complete; of equals the first in
    /// the grammar, and of a class what can be printed before what cannot. Empty where the text may
    /// end here; `None` where no end can be reached, which is after no piece that was accepted.
    ///
    /// ```
    /// use llamaboot_chat::{Grammar, GrammarState};
    /// let mut state = GrammarState::new(&Grammar::json());
    /// assert!(state.accept(br#"{"a": [1, "b"#));
    /// assert_eq!(state.completion().unwrap(), br#""]}"#);
    /// assert_eq!(state.completion_len(), Some(3));
    /// ```
    /// The text is complete with it also if [`GrammarState::accept`] should refuse it, as it may
    /// if an ambiguous grammar gets more ways to read it than are followed at once.
    #[must_use]
    pub fn completion(&self) -> Option<Vec<u8>> {
        let Program { code, classes, ends, .. } = &*self.program;
        let (len, Head { mut at, mut stack }) = self.nearest_end()?;
        let mut text = Vec::with_capacity(len as usize);
        if self.partial.missing > 0 {
            let c = self.program.wanted(at, self.partial.completions()?)?;
            push_char(&mut text, c, c.len_utf8() - self.partial.missing as usize);
            at += 1;
        }
        let work = self.work.borrow();
        ends.write(code, classes, at, &mut text);
        while let Some((back, below)) = work.stacks.pop(stack) {
            ends.write(code, classes, back, &mut text);
            stack = below;
        }
        Some(text)
    }

    /// How many bytes [`GrammarState::completion`] has, without making it: a glance at each way in
    /// which the text so far can be read. Each byte of the completion makes it one less.
    #[must_use]
    pub fn completion_len(&self) -> Option<usize> {
        self.nearest_end().map(|(len, _)| len as usize)
    }

    /// The head that lacks the fewest bytes, and how many.
    fn nearest_end(&self) -> Option<(u32, Head)> {
        let Program { ends, .. } = &*self.program;
        let work = self.work.borrow();
        let mut range = None;
        if self.partial.missing > 0 {
            range = Some(self.partial.completions()?);
        }
        let lacks = self.heads.iter().filter_map(|&head| {
            let cost = match range {
                None => ends.cost(head.at),
                Some(range) if self.program.wants(head.at, range) => {
                    self.partial.missing + ends.cost(head.at + 1)
                }
                Some(_) => return None,
            };
            Some((cost + work.stacks.cost(head.stack), head))
        });
        lacks.min_by_key(|(lack, _)| *lack)
    }

    /// Heads wait only for characters, and for the end.
    fn is_end(&self, head: &Head) -> bool {
        self.program.code[head.at as usize] == Op::Return
    }

    /// Most tokens of a vocabulary fail here.
    fn may_begin_with(&self, byte: u8) -> bool {
        let bytes = self.first.get().unwrap_or_else(|| {
            let bytes = self.first_bytes();
            self.first.set(Some(bytes));
            bytes
        });
        bytes[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    fn first_bytes(&self) -> [u64; 4] {
        let mut bytes = [0; 4];
        for byte in 0..=255 {
            let range = self.partial.push(byte).and_then(Partial::completions);
            let wanted = |range| self.heads.iter().any(|head| self.program.wants(head.at, range));
            if range.is_some_and(wanted) {
                bytes[usize::from(byte >> 6)] |= 1 << (byte & 63);
            }
        }
        bytes
    }
}

impl Work {
    fn new() -> Self {
        let (follow, heads, next) = (Vec::new(), Vec::new(), Vec::new());
        Self { stacks: Stacks::new(), seen: Seen::default(), follow, heads, next }
    }

    /// `heads` become those before the first character; `None` past the caps.
    fn start(&mut self, program: &Program) -> Option<()> {
        self.follow.push(Head { at: program.root, stack: EMPTY });
        self.follow_all(program)
    }

    /// `self.heads` become those behind `bytes`, and the character that is then incomplete is
    /// returned; `None` where the bytes cannot follow.
    fn run(
        &mut self,
        program: &Program,
        heads: &[Head],
        mut partial: Partial,
        bytes: &[u8],
    ) -> Option<Partial> {
        self.heads.clear();
        self.heads.extend_from_slice(heads);
        for &byte in bytes {
            partial = partial.push(byte)?;
            if partial.missing == 0 {
                self.step(program, partial.value)?;
                partial = Partial::default();
            }
        }
        if partial.missing > 0 {
            let range = partial.completions()?;
            self.heads.iter().find(|head| program.wants(head.at, range))?;
        }
        Some(partial)
    }

    fn step(&mut self, program: &Program, c: u32) -> Option<()> {
        self.follow.clear();
        for &Head { at, stack } in self.heads.iter().rev() {
            if program.wants(at, (c, c)) {
                self.follow.push(Head { at: at + 1, stack });
            }
        }
        self.follow_all(program)
    }

    fn follow_all(&mut self, program: &Program) -> Option<()> {
        self.seen.clear();
        self.next.clear();
        while let Some(head) = self.follow.pop() {
            let lack = program.ends.cost(head.at).saturating_add(self.stacks.cost(head.stack));
            if lack > MAX_LACK || !self.seen.insert(head) {
                continue;
            }
            if self.seen.len() > MAX_FOLLOWED {
                return None;
            }
            let stack = head.stack;
            match program.code[head.at as usize] {
                Op::Char(_) | Op::Class(_) => self.next.push(head),
                Op::Split(a, b) => {
                    self.follow.push(Head { at: b, stack });
                    self.follow.push(Head { at: a, stack });
                }
                Op::Jump(at) => self.follow.push(Head { at, stack }),
                Op::Call(at) => {
                    let back = head.at + 1;
                    let stack = self.stacks.push(stack, back, program.ends.cost(back))?;
                    self.follow.push(Head { at, stack });
                }
                Op::Return => match self.stacks.pop(stack) {
                    Some((at, stack)) => self.follow.push(Head { at, stack }),
                    None => self.next.push(head),
                },
            }
        }
        core::mem::swap(&mut self.heads, &mut self.next);
        (1..=MAX_HEADS).contains(&self.heads.len()).then_some(())
    }
}
