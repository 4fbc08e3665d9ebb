//! How a text that is cut off is completed: by hand, and for any grammars against a reader of their
//! trees and two searches for what is shortest, one through those trees, one through all texts.

#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_chat::{Grammar, GrammarState};
use proptest::collection;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// The completion, when it has been seen to be one.
#[track_caller]
fn completion(state: &GrammarState) -> Vec<u8> {
    let completion = state.completion().unwrap();
    assert_eq!(state.completion_len(), Some(completion.len()));
    assert_eq!(completion.is_empty(), state.may_end());
    assert!(state.allows(&completion));
    let (mut whole, mut bytewise) = (state.clone(), state.clone());
    assert!(whole.accept(&completion) && whole.may_end(), "{completion:02x?}");
    for (i, &byte) in completion.iter().enumerate() {
        assert!(!bytewise.may_end() && bytewise.accept(&[byte]));
        assert_eq!(bytewise.completion().unwrap(), completion[i + 1..]);
    }
    completion
}

#[track_caller]
fn check(source: &str, pairs: &[(&'static [u8], &'static [u8])]) {
    let grammar = Grammar::parse(source).unwrap();
    for (text, expected) in pairs {
        let mut state = GrammarState::new(&grammar);
        assert!(state.accept(text), "{text:02x?} begins a text of {source}");
        assert_eq!(completion(&state), *expected, "behind {text:02x?} in {source}");
    }
}

#[test]
fn by_hand() {
    check(r#"root ::= "yes" | "no""#, &[(b"", b"no"), (b"y", b"es"), (b"no", b"")]);
    check(r#"root ::= "abcd" | "ab" "x"+ | "abc" .* "d" "#, &[(b"ab", b"x"), (b"abc", b"d")]);
    check(r#"root ::= "a"{3,5} "b"*"#, &[(b"", b"aaa"), (b"aa", b"a"), (b"aaab", b"")]);
    check(
        r#"root ::= ("a"* "b"?)+ "!" | "é" "#,
        &[(b"", b"!"), (b"aba", b"!"), (b"\xc3", b"\xa9")],
    );
    // Through calls at the end, calls in between and calls of nothing.
    let list = "root ::= e item e (\",\" e root)? e\nitem ::= \"(\" root \")\" | num\n\
                num ::= [1-9]{2}\n\
                e ::= f? f\nf ::= \"_\"?";
    check(list, &[(b"", b"11"), (b"((", b"11))"), (b"((11,_", b"11))"), (b"((1", b"1))")]);
    let sum = "root ::= sum\nsum ::= product ([-+] product)*\nproduct ::= atom ([*/] atom)*\n\
               atom ::= \"-\"? [0-9]+ | \"(\" sum \")\"";
    check(sum, &[(b"1+", b"0"), (b"1+(2*(3", b"))"), (b"1+(2*(-", b"0))"), (b"-1", b"")]);
    // JSON.
    let mut state = GrammarState::new(&Grammar::json());
    for (piece, expected) in [
        (&b""[..], "{}"),
        (b"{\"", "\":0}"),
        (b"\\ud8", "00\\uDC00\":0}"),
        (b"00\\uDcfF\": [1.", "0]}"),
        (b"0e+", "0]}"),
        (b"1, tr", "ue]}"),
        (b"ue,\n {", "}]}"),
        (b"}]}", ""),
    ] {
        assert!(state.accept(piece));
        assert_eq!(completion(&state), expected.as_bytes());
    }
}

#[test]
fn of_equal_ways_the_first_and_what_can_be_printed() {
    check(r#"root ::= "x" ("bb" | "aa" | "cc") | "xab""#, &[(b"", b"xbb"), (b"x", b"bb")]);
    check(r#"root ::= "ab" "x" | "aby" | "abz""#, &[(b"a", b"bx"), (b"ab", b"x")]);
    check("root ::= a | b\na ::= \"__\" b\nb ::= \"__1\" | \"__0\"", &[(b"_", b"_1")]);
    check("root ::= . [^ ] [\\n\\tz] [\\n\\t] [^\\x00-~]", &[(b"", b" !z\t\x7f")]);
    check("root ::= [a-zé]+ \"!\"", &[(b"\xc3", b"\xa9!")]);
}

#[test]
fn characters_are_completed() {
    let two = "root ::= [é-ëぁ-ゟ🦙] \"aaa\" | [^é] \"b\" | [\u{fff}-\u{2000}] \"\"";
    check(
        two,
        &[
            (b"", b" b"),
            (b"\xc3", b"\x80b"),
            (b"\xc3\xa9", b"aaa"),
            (b"\xe0", b"\xbf\xbf"),
            (b"\xe1\x80", b"\x80"),
            (b"\xe3\x81", b"\x80b"),
            (b"\xf0\x9f", b"\x80\x80b"),
        ],
    );
    check("root ::= . .", &[(b"\xed", b"\x80\x80 "), (b"\xf4\x8f\xbf", b"\x80 ")]);
    check("root ::= [^\\x00-\\uD7FF]", &[(b"", b"\xee\x80\x80"), (b"\xef", b"\x80\x80")]);
    check("root ::= [\\U0010FFFF]", &[(b"\xf4", b"\x8f\xbf\xbf")]);
}

#[test]
fn what_has_no_end_is_refused_or_no_way() {
    // r0 is 2^times times what is last.
    let doubled = |root: &str, times, last| {
        let mut source = format!("root ::= {root}\n");
        (0..times).for_each(|i| writeln!(source, "r{i} ::= r{0} r{0}", i + 1).unwrap());
        Grammar::parse(&(source + &format!("r{times} ::= {last}")))
    };
    for (source, line) in [
        ("root ::= \"a\" root", 1),
        ("a ::= \"x\"\nroot ::= a b\nb ::= \"y\" c | . b\nc ::= (a | b) b", 2),
        ("root ::= \"a\" (\"b\" root)+", 1),
    ] {
        let error = Grammar::parse(source).expect_err(source);
        assert_eq!((error.line, &error.found[..]), (line, "none that does"));
        assert_eq!(error.expected, "a root that can end after at most 16777216 bytes");
    }
    assert!(doubled("r0", 25, "\"a\"").is_err());
    // As long as may be, at once.
    let clock = Instant::now();
    let state = GrammarState::new(&doubled("r0 | \"x\" r0 \"yy\"", 24, "\"a\"").unwrap());
    assert_eq!(state.completion_len(), Some(1 << 24));
    assert!(state.completion().unwrap().iter().all(|&byte| byte == b'a'));
    assert!(!state.allows(b"x"), "too much would be missing");
    // With a thousand things left out before, behind and above each character.
    let mut root = String::from("r0\ne ::= \"x\"?\n");
    (0..1000).for_each(|i| writeln!(root, "u{i} ::= u{} e", i + 1).unwrap());
    let last = "(\"\" | \"b\"){1000} e{1000} u0 e{1000}\nu1000 ::= \"a\"";
    let grammar = doubled(&root, 20, last).unwrap();
    assert_eq!(GrammarState::new(&grammar).completion().unwrap(), vec![b'a'; 1 << 20]);
    // Nothing, in more ways than are followed.
    let mut state = GrammarState::new(&doubled(r#""b" r0 "c" | "def""#, 60, "").unwrap());
    assert_eq!(state.completion().unwrap(), b"bc");
    assert!(!state.accept(b"b") && state.accept(b"d"));
    assert_eq!(completion(&state), b"ef");
    assert!(clock.elapsed() < Duration::from_secs(3), "{:?}", clock.elapsed());

    // A way without an end is none.
    let source = "root ::= \"a\" (never | \"b\" | \"c\" never)? | never\nnever ::= \"b\" never";
    let mut state = GrammarState::new(&Grammar::parse(source).unwrap());
    assert!(!state.allows(b"b") && state.accept(b"a") && !state.allows(b"c") && state.may_end());
    assert!(state.accept(b"b") && state.must_end());
    // Neither are more levels than could be closed.
    let source = "root ::= \"(\" root \"x\"{65000} | \"\"";
    let mut state = GrammarState::new(&Grammar::parse(source).unwrap());
    assert_eq!((0..1000).take_while(|_| state.accept(b"(")).count(), (16 << 20) / 65000);
    assert_eq!(state.completion_len(), Some((16 << 20) / 65000 * 65000));
}

#[test]
fn deep_nesting_takes_neither_stack_nor_time() {
    let clock = Instant::now();
    let mut state = GrammarState::new(&Grammar::json());
    let mut expected = Vec::new();
    for i in 0..10_000 {
        let (piece, close) = if i % 3 == 0 { ("{\"\":", b'}') } else { ("[0, ", b']') };
        assert!(state.accept(piece.as_bytes()));
        expected.push(close);
        assert_eq!(state.completion_len(), Some(expected.len() + 1));
    }
    expected.push(b'0');
    expected.reverse();
    assert_eq!(state.completion().unwrap(), expected);
    assert!(state.allows(&expected));
    for (i, &byte) in expected.iter().enumerate() {
        assert_eq!(state.completion_len(), Some(expected.len() - i));
        assert!(state.accept(&[byte]));
    }
    assert!(state.must_end() && state.completion().unwrap().is_empty());
    // As many frames as there may be.
    let mut state =
        GrammarState::new(&Grammar::parse("root ::= (\"(\" root \")\")? \"x\"").unwrap());
    let opened = (0..1 << 20).take_while(|_| state.accept(b"(")).count();
    assert_eq!(state.completion_len(), Some(2 * opened + 1));
    assert!(state.accept(&state.completion().unwrap()) && state.must_end());
    assert!(clock.elapsed() < Duration::from_secs(20), "{:?}", clock.elapsed());
}

/// A grammar as a tree, from which its source is written.
#[derive(Debug, Clone)]
enum Node {
    Text(&'static str),
    Class(&'static str, usize),
    Rule(usize),
    Sequence(Vec<Node>),
    Choice(Vec<Node>),
    Repeat(Box<Node>, usize, Option<usize>),
}

const RULES: usize = 4;

impl Node {
    fn source(&self) -> String {
        let all = |nodes: &[Self], between| {
            nodes.iter().map(Self::source).collect::<Vec<_>>().join(between)
        };
        match self {
            Self::Text(text) => format!("\"{text}\""),
            Self::Class(class, _) => (*class).into(),
            Self::Rule(rule) => format!("r{rule}"),
            Self::Sequence(nodes) => all(nodes, " "),
            Self::Choice(nodes) => format!("({})", all(nodes, " | ")),
            Self::Repeat(node, least, most) => {
                let most = most.map(|most| most.to_string()).unwrap_or_default();
                format!("({}){{{least},{most}}}", node.source())
            }
        }
    }

    /// Bytes of the shortest text, as far as rules have one.
    fn shortest(&self, rules: &[Option<usize>]) -> Option<usize> {
        match self {
            Self::Text(text) => Some(text.len()),
            Self::Class(_, len) => Some(*len),
            Self::Rule(rule) => rules[*rule],
            Self::Sequence(nodes) => nodes.iter().map(|node| node.shortest(rules)).sum(),
            Self::Choice(nodes) => nodes.iter().filter_map(|node| node.shortest(rules)).min(),
            Self::Repeat(_, 0, _) => Some(0),
            Self::Repeat(node, least, _) => Some(node.shortest(rules)? * least),
        }
    }
}

/// Places up to which a rule reads a text, a bit for each, by the rule and where it begins.
type Reads = [[u128; 128]; RULES];

impl Node {
    /// Up to where this reads a text from any of the places `from`.
    fn read(&self, text: &[u8], from: u128, rules: &Reads) -> u128 {
        let each = |reads: &dyn Fn(usize) -> u128| {
            (0..=text.len()).filter(|at| from >> at & 1 == 1).fold(0, |to, at| to | reads(at))
        };
        let one = |read: &str| {
            each(&|at| u128::from(text[at..].starts_with(read.as_bytes())) << (at + read.len()))
        };
        match self {
            Self::Text(text) => one(text),
            Self::Class(class, _) => {
                let one = |c: char| one(c.encode_utf8(&mut [0; 4]));
                class.trim_matches(['[', ']']).chars().fold(0, |to, c| to | one(c))
            }
            Self::Rule(rule) => each(&|at| rules[*rule][at]),
            Self::Sequence(nodes) => {
                nodes.iter().fold(from, |from, node| node.read(text, from, rules))
            }
            Self::Choice(nodes) => {
                nodes.iter().fold(0, |to, node| to | node.read(text, from, rules))
            }
            Self::Repeat(node, least, most) => {
                let mut from = (0..*least).fold(from, |from, _| node.read(text, from, rules));
                for _ in *least..most.unwrap_or(least + text.len()) {
                    from |= node.read(text, from, rules);
                }
                from
            }
        }
    }
}

/// Whether the first of the rules reads a text, found by reading until no rule reads more.
fn reads(nodes: &[Node], text: &[u8]) -> bool {
    let mut rules = [[0; 128]; RULES];
    loop {
        let before = rules;
        for (rule, node) in nodes.iter().enumerate() {
            for at in 0..=text.len() {
                rules[rule][at] = node.read(text, 1 << at, &rules);
            }
        }
        if rules == before {
            return rules[0][0] >> text.len() & 1 == 1;
        }
    }
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        4 => select(vec!["a", "b", "ab", "ba", "é", "è", "aé", ""]).prop_map(Node::Text),
        1 => Just(Node::Class("[ab]", 1)),
        1 => Just(Node::Class("[éè🦙]", 2)),
        3 => (0..RULES).prop_map(Node::Rule),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let some = collection::vec(inner.clone(), 1..4);
        prop_oneof![
            3 => some.clone().prop_map(Node::Sequence),
            2 => some.prop_map(Node::Choice),
            2 => (inner, 0..3usize, prop::option::of(0..2usize)).prop_map(|(node, least, more)| {
                Node::Repeat(Box::new(node), least, more.map(|more| least + more))
            }),
        ]
    })
}

/// The length of the shortest text that ends, of up to 5 bytes, found by trying all.
fn tried(state: &GrammarState) -> Option<usize> {
    let mut states = vec![state.clone()];
    for len in 0..=5 {
        if states.iter().any(GrammarState::may_end) {
            return Some(len);
        }
        let mut longer = Vec::new();
        for state in &states {
            for byte in *b"ab\xc3\xa9\xa8\xf0\x9f\xa6\x99" {
                let mut next = state.clone();
                if next.accept(&[byte]) {
                    longer.push(next);
                }
            }
        }
        states = longer;
    }
    None
}

proptest! {
    #[test]
    fn completions_are_shortest(
        nodes in collection::vec(node(), RULES),
        picks in collection::vec(any::<Index>(), 0..8),
    ) {
        let mut source = String::from("root ::= r0\n");
        for (i, node) in nodes.iter().enumerate() {
            writeln!(source, "r{i} ::= {}", node.source()).unwrap();
        }
        let mut rules = [None; RULES];
        for _ in 0..RULES {
            rules = std::array::from_fn(|i| nodes[i].shortest(&rules));
        }
        let grammar = match Grammar::parse(&source) {
            Ok(grammar) => grammar,
            Err(error) => {
                let recursive = error.found == "left recursion";
                prop_assert!(recursive || error.found == "none that does", "{error}");
                prop_assert!(recursive || rules[0].is_none(), "{source}");
                return Ok(());
            }
        };
        let mut state = GrammarState::new(&grammar);
        let mut text = Vec::new();
        prop_assert_eq!(state.completion_len(), rules[0], "{}", &source);
        for pick in picks {
            let end = state.completion().unwrap();
            let (whole, len) = ([&text[..], &end].concat(), end.len());
            prop_assert!(whole.len() > 127 || reads(&nodes, &whole), "{whole:02x?} {source}");
            if !state.allows(&end) {
                // In more ways than are followed.
                break;
            }
            completion(&state);
            let tried = tried(&state);
            let right = tried.map_or(len > 5, |tried| tried == len);
            prop_assert!(right, "{len} {tried:?} {source}");
            let bytes = *b"ab\xc3\xa9\xa8\xf0\x9f\xa6\x99";
            let next: Vec<u8> = bytes.into_iter().filter(|&byte| state.allows(&[byte])).collect();
            prop_assert!(next.is_empty() || !state.must_end());
            if next.is_empty() {
                break;
            }
            text.push(next[pick.index(next.len())]);
            prop_assert!(state.accept(&text[text.len() - 1..]));
        }
    }

    #[test]
    fn pieces_of_texts_are_completed(text in "[-a-zé🦙 ]{1,40}\n", cut in any::<Index>()) {
        let source = "root ::= (\"- \" word (\" \" word)* \"\\n\")+ | [^ ] | \"é\" .* \"🦙\"\n\
                      word ::= [^- \\n]+";
        let mut state = GrammarState::new(&Grammar::parse(source).unwrap());
        for &byte in &text.as_bytes()[..=cut.index(text.len())] {
            state.accept(&[byte]);
            completion(&state);
        }
    }
}
