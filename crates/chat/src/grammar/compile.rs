//! Checks the rules of a grammar and writes them as a program.
//!
//! ```text
//! x y      x, y                             name   Call(its first place)
//! x | y    Split(1, 2)  1: x, Jump(3)  2: y  3:
//! x{2,}    x  1: x, Split(2, 1)  2:         x*     1: Split(3, 2)  2: x, Jump(1)  3:
//! x{0,2}   Split(1, 3)  1: x, Split(2, 3)  2: x  3:
//! ```
//! Then calls that only `Return` follows become jumps, and steps that lead to a jump lead to where
//! it goes. A rule that could call itself before it has read a character would be followed for
//! ever; it is found by a walk through the calls that may come first.

use super::ends::{Ends, MAX_LACK};
use super::machine::{MAX_HEADS, Op, Program};
use super::parse::{Node, Parsed, Rule};
use super::{GrammarError, MAX_GRAMMAR_STEPS};
use alloc::format;
use alloc::vec::Vec;

/// Checks and writes all rules.
pub(super) fn compile(parsed: Parsed) -> Result<Program, GrammarError> {
    let Parsed { rules, classes, lines } = parsed;
    let wrong = |line, expected, found: &str| GrammarError { line, expected, found: found.into() };
    for Rule { name, line, body } in &rules {
        if body.is_none() {
            return Err(wrong(*line, format!("a rule {name} somewhere"), "none"));
        }
    }
    let Some(root) = rules.iter().position(|rule| rule.name == "root") else {
        return Err(wrong(lines, "a rule root".into(), "none"));
    };
    if let Some(Rule { name, line, .. }) = left_recursive(&rules) {
        let expected = format!("{name} to read a character before it comes to {name} again");
        return Err(wrong(*line, expected, "left recursion"));
    }
    let (mut code, mut starts) = (Vec::new(), Vec::new());
    for Rule { line, body, .. } in &rules {
        starts.push(code.len() as u32);
        let written = body.iter().try_for_each(|body| write(&mut code, body));
        if written.and_then(|()| push(&mut code, Op::Return)).is_none() {
            let expected = format!("at most {MAX_GRAMMAR_STEPS} symbols, repetitions written out");
            return Err(wrong(*line, expected, "more"));
        }
    }
    link(&mut code, &starts);
    let ends = Ends::new(&code, &classes);
    if ends.cost(starts[root]) > MAX_LACK {
        let expected = format!("a root that can end after at most {MAX_LACK} bytes");
        return Err(wrong(rules[root].line, expected, "none that does"));
    }
    let program = Program { code, classes, ends, root: starts[root] };
    if !program.can_start() {
        let expected = format!("a root that begins in at most {MAX_HEADS} ways");
        return Err(wrong(rules[root].line, expected, "more"));
    }
    Ok(program)
}

/// Calls become calls of places, or jumps; then jumps are taken ahead of time.
fn link(code: &mut [Op], starts: &[u32]) {
    for at in 0..code.len() {
        if let Op::Call(rule) = code[at] {
            let start = starts[rule as usize];
            let last = code[target(code, at as u32 + 1) as usize] == Op::Return;
            code[at] = if last { Op::Jump(start) } else { Op::Call(start) };
        }
    }
    for at in 0..code.len() {
        code[at] = match code[at] {
            Op::Split(a, b) => Op::Split(target(code, a), target(code, b)),
            Op::Jump(a) => Op::Jump(target(code, a)),
            Op::Call(a) => Op::Call(target(code, a)),
            op => op,
        };
    }
}

/// Where one gets to from `at` by jumps alone. A long way of jumps is not worth following.
fn target(code: &[Op], mut at: u32) -> u32 {
    for _ in 0..32 {
        match code[at as usize] {
            Op::Jump(next) => at = next,
            _ => break,
        }
    }
    at
}

/// `None` where the program would be too long.
fn push(code: &mut Vec<Op>, op: Op) -> Option<()> {
    (code.len() < MAX_GRAMMAR_STEPS).then(|| code.push(op))
}

/// Calls hold the number of the rule until [`link`].
fn write(code: &mut Vec<Op>, node: &Node) -> Option<()> {
    match node {
        Node::Char(c) => push(code, Op::Char(*c)),
        Node::Class(class) => push(code, Op::Class(*class)),
        Node::Rule(rule) => push(code, Op::Call(*rule)),
        Node::Sequence(nodes) => nodes.iter().try_for_each(|node| write(code, node)),
        Node::Choice(nodes) => {
            let mut ends = Vec::new();
            let (last, others) = nodes.split_last()?;
            for node in others {
                let split = code.len();
                push(code, Op::Split(split as u32 + 1, 0))?;
                write(code, node)?;
                ends.push(code.len());
                push(code, Op::Jump(0))?;
                code[split] = Op::Split(split as u32 + 1, code.len() as u32);
            }
            write(code, last)?;
            let end = code.len() as u32;
            ends.into_iter().for_each(|at| code[at] = Op::Jump(end));
            Some(())
        }
        Node::Repeat(node, least, most) => repeat(code, node, *least, *most),
    }
}

/// A loop has its exit first: of equal ways to the end, the first is taken.
fn repeat(code: &mut Vec<Op>, node: &Node, least: u32, most: Option<u32>) -> Option<()> {
    let mut last = code.len() as u32;
    for _ in 0..least {
        last = code.len() as u32;
        write(code, node)?;
        if last == code.len() as u32 {
            // Nothing, however often.
            return Some(());
        }
    }
    match most {
        None if least > 0 => push(code, Op::Split(code.len() as u32 + 1, last)),
        None => {
            let split = code.len();
            push(code, Op::Split(0, 0))?;
            write(code, node)?;
            push(code, Op::Jump(split as u32))?;
            code[split] = Op::Split(code.len() as u32, split as u32 + 1);
            Some(())
        }
        Some(most) => {
            let mut splits = Vec::new();
            for _ in least..most {
                splits.push(code.len());
                push(code, Op::Split(0, 0))?;
                write(code, node)?;
            }
            let end = code.len() as u32;
            splits.into_iter().for_each(|at| code[at] = Op::Split(at as u32 + 1, end));
            Some(())
        }
    }
}

/// A rule that may come to itself before a character.
fn left_recursive(rules: &[Rule]) -> Option<&Rule> {
    let mut empty = alloc::vec![false; rules.len()];
    let mut grows = true;
    while grows {
        grows = false;
        for (rule, body) in bodies(rules) {
            if !empty[rule] && first_calls(body, &empty, &mut Vec::new()) {
                (empty[rule], grows) = (true, true);
            }
        }
    }
    let mut calls = alloc::vec![Vec::new(); rules.len()];
    for (rule, body) in bodies(rules) {
        first_calls(body, &empty, &mut calls[rule]);
    }
    // A walk in depth that keeps its own way: a rule on the way that is met again is the one.
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        OnTheWay,
        Done,
    }
    let mut marks = alloc::vec![Mark::New; rules.len()];
    for start in 0..rules.len() {
        let mut way = alloc::vec![start];
        while let Some(&rule) = way.last() {
            if marks[rule] == Mark::Done {
                way.pop();
                continue;
            }
            marks[rule] = Mark::OnTheWay;
            let Some(next) = calls[rule].pop() else {
                marks[rule] = Mark::Done;
                continue;
            };
            match marks[next as usize] {
                Mark::New => way.push(next as usize),
                Mark::OnTheWay => return Some(&rules[next as usize]),
                Mark::Done => {}
            }
        }
    }
    None
}

fn bodies(rules: &[Rule]) -> impl Iterator<Item = (usize, &Node)> {
    rules.iter().enumerate().filter_map(|(i, rule)| Some((i, rule.body.as_ref()?)))
}

/// Adds to `calls` what may be called before the node has read a character; whether the node may
/// be empty, as far as `empty` says so of the rules.
fn first_calls(node: &Node, empty: &[bool], calls: &mut Vec<u32>) -> bool {
    match node {
        Node::Char(_) | Node::Class(_) => false,
        Node::Rule(rule) => {
            calls.push(*rule);
            empty[*rule as usize]
        }
        Node::Sequence(nodes) => nodes.iter().all(|node| first_calls(node, empty, calls)),
        Node::Choice(nodes) => {
            nodes.iter().fold(false, |any, node| first_calls(node, empty, calls) | any)
        }
        Node::Repeat(_, _, Some(0)) => true,
        Node::Repeat(node, least, _) => first_calls(node, empty, calls) | (*least == 0),
    }
}
