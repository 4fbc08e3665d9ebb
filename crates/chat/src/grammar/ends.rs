//! The shortest way from each place of a program to the end.
//!
//! ```text
//! cost(at) = least number of bytes until the call that `at` is in returns:
//!   Char, Class → its shortest character + cost(at + 1)      Return      → 0
//!   Split(a, b) → min(cost(a), cost(b))                      Jump(a)     → cost(a)
//!   Call(a)     → cost(a) + cost(at + 1)
//! bytes that a head lacks = cost(at) + Σ cost(back) over its stack
//! ```
//! No cost is less than those it is made of, so they are settled from the least upwards, as
//! Dijkstra settles distances. Of every place is also kept where the shortest text from it begins:
//! at a character, or at a call that has bytes in it and bytes behind it. So making a text takes
//! no more steps than twice its bytes, however much of the grammar is empty. A loop gives its exit
//! first and no rule comes to itself before a character, so a beginning is always arrived at.

use super::class::Class;
use super::machine::Op;
use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// The most bytes a text may lack. A place that lacks more is as good as one without an end.
pub(super) const MAX_LACK: u32 = 16 << 20;

/// What a place costs from which no end can be reached.
const NO_END: u32 = u32::MAX;

/// The costs, and where the texts begin.
#[derive(Debug)]
pub(super) struct Ends {
    costs: Vec<u32>,
    begins: Vec<u32>,
}

impl Ends {
    /// For a program whose calls are linked.
    pub(super) fn new(code: &[Op], classes: &[Class]) -> Self {
        let costs = costs(code, classes);
        let begins = begins(code, &costs);
        Self { costs, begins }
    }

    /// Bytes from `at` until its call returns; more than [`MAX_LACK`] where it cannot.
    pub(super) fn cost(&self, at: u32) -> u32 {
        self.costs[at as usize]
    }

    /// Appends the shortest text from `at` until its call returns, which it must be able to.
    pub(super) fn write(&self, code: &[Op], classes: &[Class], at: u32, text: &mut Vec<u8>) {
        let mut places = alloc::vec![at];
        while let Some(at) = places.pop() {
            if self.cost(at) == 0 {
                continue;
            }
            let at = self.begins[at as usize];
            places.push(at + 1);
            match code[at as usize] {
                Op::Char(c) => push_char(text, c, 0),
                Op::Class(class) => push_char(text, classes[class as usize].shortest(), 0),
                Op::Call(at) => places.push(at),
                op => unreachable!("{op:?} begins no text"),
            }
        }
    }
}

/// Appends what of a character is left behind its first bytes.
pub(super) fn push_char(text: &mut Vec<u8>, c: char, skip: usize) {
    text.extend_from_slice(&c.encode_utf8(&mut [0; 4]).as_bytes()[skip..]);
}

fn costs(code: &[Op], classes: &[Class]) -> Vec<u32> {
    // Who depends on a place, in its order.
    let mut users = Vec::with_capacity(2 * code.len());
    let mut costs = alloc::vec![NO_END; code.len()];
    let mut open = BinaryHeap::new();
    for (at, op) in (0u32..).zip(code) {
        match *op {
            Op::Char(_) | Op::Class(_) => users.push((at + 1, at)),
            Op::Split(a, b) => users.extend([(a, at), (b, at)]),
            Op::Jump(a) => users.push((a, at)),
            Op::Call(a) => users.extend([(a, at), (at + 1, at)]),
            Op::Return => {
                costs[at as usize] = 0;
                open.push(Reverse((0, at)));
            }
        }
    }
    users.sort_unstable();
    while let Some(Reverse((cost, place))) = open.pop() {
        if cost > costs[place as usize] {
            continue;
        }
        let first = users.partition_point(|user| user.0 < place);
        for &(_, at) in users[first..].iter().take_while(|user| user.0 == place) {
            let of = |at: u32| costs[at as usize];
            let cost = match code[at as usize] {
                Op::Char(c) => of(at + 1).saturating_add(c.len_utf8() as u32),
                Op::Class(class) => {
                    let c = classes[class as usize].shortest();
                    of(at + 1).saturating_add(c.len_utf8() as u32)
                }
                Op::Split(a, b) => of(a).min(of(b)),
                Op::Jump(a) => of(a),
                Op::Call(a) => of(a).saturating_add(of(at + 1)),
                Op::Return => 0,
            };
            if cost <= MAX_LACK && cost < of(at) {
                costs[at as usize] = cost;
                open.push(Reverse((cost, at)));
            }
        }
    }
    costs
}

/// Nothing of worth for places that cost nothing or have no end.
fn begins(code: &[Op], costs: &[u32]) -> Vec<u32> {
    let cost = |at: u32| costs[at as usize];
    // Where the shortest text goes on without a byte.
    let next = |at: u32| match code[at as usize] {
        Op::Split(a, b) => Some(if cost(a) <= cost(b) { a } else { b }),
        Op::Jump(a) => Some(a),
        Op::Call(a) if cost(a) == 0 => Some(at + 1),
        Op::Call(a) if cost(at + 1) == 0 => Some(a),
        Op::Call(_) | Op::Char(_) | Op::Class(_) | Op::Return => None,
    };
    let mut begins = alloc::vec![NO_END; code.len()];
    let mut way = Vec::new();
    for at in (0..code.len() as u32).rev().filter(|&at| (1..=MAX_LACK).contains(&cost(at))) {
        let mut last = at;
        while begins[last as usize] == NO_END
            && let Some(next) = next(last)
        {
            way.push(last);
            last = next;
        }
        if begins[last as usize] != NO_END {
            last = begins[last as usize];
        }
        begins[last as usize] = last;
        way.drain(..).for_each(|at| begins[at as usize] = last);
    }
    begins
}
