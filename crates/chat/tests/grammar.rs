//! Grammars against serde_json, against hand-written readers, and against what anybody may write.

#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_chat::{Grammar, GrammarState, MAX_GRAMMAR_BYTES};
use proptest::collection;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;
use std::time::{Duration, Instant};

fn start(source: &str) -> GrammarState {
    GrammarState::new(&Grammar::parse(source).unwrap())
}

/// Whether a text is one of the grammar's, read byte by byte, and in one piece.
fn matches(grammar: &Grammar, text: &[u8]) -> bool {
    let mut state = GrammarState::new(grammar);
    let bytewise = text.iter().all(|&byte| {
        let allowed = state.allows(&[byte]);
        assert_eq!(state.accept(&[byte]), allowed);
        allowed
    });
    let mut whole = GrammarState::new(grammar);
    assert_eq!(whole.allows(text), bytewise);
    assert_eq!(whole.accept(text), bytewise);
    assert!(!bytewise || whole.may_end() == state.may_end());
    bytewise && state.may_end()
}

#[track_caller]
fn check(source: &str, right: &[&str], wrong: &[&str]) {
    let grammar = Grammar::parse(source).unwrap();
    for text in right {
        assert!(matches(&grammar, text.as_bytes()), "{text:?} belongs to {source}");
    }
    for text in wrong {
        assert!(!matches(&grammar, text.as_bytes()), "{text:?} does not belong to {source}");
    }
}

#[test]
fn every_kind_of_symbol() {
    check(r#"root ::= "ab" | "ac""#, &["ab", "ac"], &["", "a", "abc", "b"]);
    check(r#"root ::= "ab"*"#, &["", "ab", "abab"], &["a", "aba", "abb"]);
    check(r#"root ::= "ab"+"#, &["ab", "abab"], &["", "aba"]);
    check(r#"root ::= "ab"? "c""#, &["c", "abc"], &["", "ab", "ababc"]);
    check(r#"root ::= "a"{3}"#, &["aaa"], &["", "aa", "aaaa"]);
    check(r#"root ::= "a"{2,}"#, &["aa", "aaaaaaa"], &["", "a"]);
    check(r#"root ::= "a"{ 1 , 3 }"#, &["a", "aa", "aaa"], &["", "aaaa"]);
    check(r#"root ::= "a"{0,2} "b"{0}"#, &["", "a", "aa"], &["aaa", "b"]);
    check("root ::= [a-cx]", &["a", "b", "c", "x"], &["d", "-", "", "ab"]);
    check("root ::= [^a-cx]", &["d", "\n", "é", "🦙"], &["a", "b", "c", "x", ""]);
    check("root ::= [-a] [a-] [a^]", &["-a^", "a-a"], &["b--", "--b"]);
    check(r"root ::= [\]\[\\\-\^]", &["]", "[", "\\", "-", "^"], &["a"]);
    check(r"root ::= [ぁ-ゟ]+", &["ひらがな"], &["カ", "a"]);
    check("root ::= . .", &["ab", "é\n", "🦙🦙"], &["a", "abc"]);
    let escapes = r#"root ::= "\n\r\t\\\"\[\]\x41\u00e9\U0001F999""#;
    check(escapes, &["\n\r\t\\\"[]Aé🦙"], &["n"]);
    check(r#"root ::= """#, &[""], &["a"]);
    check("root ::=", &[""], &["a"]);
    check("root ::= | \"a\" |", &["", "a"], &["aa"]);
}

#[test]
fn rules_over_several_lines() {
    let source = "# a comment\r\nroot ::= (   # one\n  a\n\n  | # two\n  b_2\n) tail\r\n\
                  a ::= \"a\" |\n  \"A\"\n\n  b_2 ::=\n \"b\"\n\ntail ::= \"!\" # the end";
    check(source, &["a!", "A!", "b!"], &["!", "ab!", "a"]);
}

#[test]
fn loops_over_nothing_end() {
    check(r#"root ::= (("a"?)*)* "b""#, &["b", "ab", "aaaab"], &["a", "c"]);
    check("root ::= n* \"b\"\nn ::= m m\nm ::= \"a\"?", &["b", "aaab"], &["a"]);
    check(r#"root ::= ((""{65535}){65535}){65535} "a""#, &["a"], &[""]);
}

#[test]
fn arithmetic() {
    let source = "root ::= sum\nsum ::= product ([-+] product)*\n\
                  product ::= atom ([*/] atom)*\natom ::= \"-\"? [0-9]+ | \"(\" sum \")\"";
    let right = ["1", "1+2*3", "(1+2)*-30/(4)", "((((7))))", "1--1"];
    check(source, &right, &["", "1+", "(1", "1)", "()", "a", "1*/2", "--1"]);
}

#[test]
fn a_list() {
    let source = "root ::= (\"- \" item)+\nitem ::= [^\\n]+ \"\\n\"";
    check(source, &["- a\n", "- milk\n- é - x\n"], &["", "- a", "- \n", "- a\n\n", "a\n"]);
    // One that calls itself at its end does so a million times.
    let mut state = start("root ::= \"a\" \",\" root | \"a\" | \"b\" last\nlast ::= root");
    for _ in 0..250_000 {
        assert!(state.accept(b"a,b"));
        assert!(!state.accept(b"a,,"));
    }
    assert!(state.accept(b"a") && state.may_end());
}

#[test]
fn moves_like_those_of_chess() {
    let source = r#"
root   ::= (number ". " move " " move "\n"){1,60}
number ::= [1-9] [0-9]?
move   ::= (piece | pawn | castle) [+#]?
piece  ::= [NBRQK] [a-h]? [1-8]? "x"? square
pawn   ::= ([a-h] "x")? square ("=" [NBRQ])?
castle ::= "O-O" "-O"?
square ::= [a-h] [1-8]
"#;
    let right = ["1. e4 e5\n2. Nf3 Nc6\n", "1. O-O O-O-O+\n", "12. exd8=Q Rfe1\n1. Qh4xe1 Ka1#\n"];
    check(source, &right, &["", "1. e4\n", "1. e9 e5\n", "0. e4 e5\n", "1. O-O- e5\n"]);
    let long = "1. e4 e5\n".repeat(61);
    check(source, &[&long[..540]], &[&long]);
}

/// All texts up to a length, so that nothing is left to chance.
#[test]
fn ambiguous_grammars_read_in_every_way() {
    let source = r#"
root ::= pair | "a"* "b" | "a" "b"*
pair ::= "a" pair "a" | "b" pair "b" | ""
"#;
    let grammar = Grammar::parse(source).unwrap();
    for len in 0..=10 {
        for bits in 0..1u32 << len {
            let text: Vec<u8> = (0..len).map(|i| b"ab"[(bits >> i & 1) as usize]).collect();
            let palindrome = len % 2 == 0 && text.iter().eq(text.iter().rev());
            let a_b =
                len > 0 && text[..len - 1].iter().all(|&c| c == b'a') && text[len - 1] == b'b';
            let ab = len > 0 && text[0] == b'a' && text[1..].iter().all(|&c| c == b'b');
            assert_eq!(matches(&grammar, &text), palindrome || a_b || ab, "{text:?}");
        }
    }
}

#[test]
fn characters_may_be_split_over_pieces() {
    let mut state = start("root ::= [^a] [é-ë] \"🦙\" | \"ab\"");
    assert!(state.accept(b"\xc3") && !state.may_end() && !state.must_end());
    assert!(state.allows(b"") && state.clone().accept(b""));
    assert!(!state.allows(b"a") && !state.allows(b"\xc3") && !state.allows(b"\xa9\xc4"));
    assert!(!state.allows(b"\xa9\xc3\xa8"), "è is before é");
    assert!(state.accept(b"\xa9\xc3"));
    assert!(!state.allows(b"\xac") && state.allows(b"\xab"));
    assert!(state.accept(b"\xab\xf0\x9f") && !state.allows(b"\xa7"));
    assert!(!state.allows(b"\xa6\x98") && state.accept(b"\xa6") && state.accept(b"\x99"));
    assert!(state.may_end() && state.must_end());

    let mut any = start("root ::= .*");
    for wrong in [&b"\xc0"[..], b"\x80", b"\xe0\x9f", b"\xed\xa0", b"\xf4\x90", b"\xff", b"a\xc3b"]
    {
        assert!(!any.allows(wrong), "{wrong:02x?} is not UTF-8");
    }
    assert!(any.allows(b"\xed\x9f") && any.allows(b"\xf4\x8f\xbf") && any.allows(b"\xe0\xa0"));
    assert!(any.may_end() && any.accept(b"a\xc3") && !any.may_end());
    assert!(any.accept(b"\xa9") && any.may_end());
}

#[test]
fn what_is_refused_says_line_and_reason() {
    let deep = format!("root ::= {}\"a\"{}", "(".repeat(65), ")".repeat(65));
    let names: String = (0..4096).map(|i| format!("r{i} ::= \"a\"\n")).collect();
    let words: String = (0..5000).map(|i| format!("|\"{i}\"")).collect();
    for (source, line, reason) in [
        ("", 1, "expected a rule root, found none"),
        ("a ::= \"a\"\n# none\n", 3, "expected a rule root, found none"),
        ("root ::= a\na ::= b\nb ::= \"x\" | c\n", 3, "expected a rule c somewhere, found none"),
        ("root ::= \"a\"\na ::= \"x\"? b\nb ::= a", 2, "left recursion"),
        ("root ::= root", 1, "expected root to read a character before it comes to root again"),
        ("root ::= \"a\" | (e* root)\ne ::= [a]*", 1, "left recursion"),
        (
            "root ::= \"a\"\nx ::= \"abc\n",
            2,
            "'\"' at the end of a text, found the end of the line",
        ),
        ("root ::= \"abc", 1, "found the end of the grammar"),
        ("root ::= [abc\n", 1, "']' at the end of a class, found the end of the line"),
        ("root ::= [a-\n", 1, "']' at the end of a class"),
        ("root ::= [\\", 1, "an escape"),
        ("root ::= \n[]", 2, "a class with a character in it, found none"),
        (r"root ::= [^\x00-\U0010FFFF]", 1, "a class with a character in it, found none"),
        ("root ::= [z-a]", 1, "a range that goes upwards, found 'z' to 'a'"),
        ("root ::= \"a\"{65537}", 1, "at most 65536 repetitions, found 65537"),
        ("root ::= \"a\"{99999999999999999999999}", 1, "found 99999999999999999999"),
        ("root ::= a\na ::= (\"abc\"{1000}){1000}", 2, "at most 65536 symbols, repetitions"),
        ("root ::= \"a\"{3,2}", 1, "at least 3 repetitions at most, found 2"),
        ("root ::= \"a\"{,2}", 1, "a count of repetitions, found ','"),
        ("root ::= \"a\"{2", 1, "expected \"}\", found the end of the grammar"),
        ("root ::= \"a\"*?", 1, "a symbol to repeat, found '?'"),
        ("root ::= *", 1, "a symbol to repeat, found '*'"),
        ("root ::= (\"a\"\n\n", 3, "\")\" for the \"(\" in line 1, found the end of the grammar"),
        ("root ::= \"a\")", 1, "the end of the line, found ')'"),
        ("root ::= \"a\"\n| \"b\"", 2, "expected the name of a rule, found '|'"),
        ("root = \"a\"", 1, "\"::=\" behind the name root, found '='"),
        ("root ::= \"a\"\n\nroot ::= \"b\"", 3, "one rule root, found a second"),
        (r#"root ::= "\q""#, 1, "an escape, one of n r t"),
        (r#"root ::= "\x4""#, 1, "2 hexadecimal digits, found '\"'"),
        (r#"root ::= "\ud800""#, 1, "the number of a character, found 0xd800"),
        ("root ::= <think>", 1, "tokens are not built in, found '<'"),
        ("root ::= !<[7]>", 1, "tokens are not built in, found '!'"),
        (&deep, 1, "at most 64 parentheses inside each other"),
        (&(names + "root ::= \"a\""), 4097, "at most 4096 rules"),
        (&format!("{} ::= \"a\"", "n".repeat(129)), 1, "at most 128 bytes, found 129 bytes"),
        (&" ".repeat(MAX_GRAMMAR_BYTES + 1), 1, "a grammar of at most 65536 bytes, found 65537"),
        (&format!("root ::= \"\"{words}"), 1, "a root that begins in at most 4096 ways"),
    ] {
        let error = Grammar::parse(source).expect_err(source);
        let shown = error.to_string();
        assert_eq!(error.line, line, "{shown}");
        assert!(shown.starts_with(&format!("grammar: line {line}: expected ")), "{shown}");
        assert!(shown.contains(reason), "{shown} lacks {reason}");
        assert!(!shown.contains('\n') && shown.len() < 200, "{shown}");
    }
}

#[test]
fn deep_nesting_takes_neither_stack_nor_time() {
    let clock = Instant::now();
    let mut state = GrammarState::new(&Grammar::json());
    for _ in 0..10_000 {
        assert!(state.accept(b"[") && state.allows(b"[") && !state.allows(b"}"));
    }
    let copy = state.clone();
    for i in 0..10_000 {
        assert!(!state.may_end() && !state.allows(b"}"));
        assert!(state.accept(b"]"), "{i}");
    }
    assert!(state.must_end() && !copy.must_end());
    drop(copy);
    assert!(GrammarState::new(&Grammar::json()).allows("[".repeat(10_000).as_bytes()));
    assert!(clock.elapsed() < Duration::from_secs(10));
}

#[test]
fn grammars_past_the_caps_refuse_and_go_on() {
    let clock = Instant::now();
    // Twice as many stacks with every rule.
    let mut source = String::from("root ::= \"x\" r0 \"z\" | \"y\"\n");
    for i in 0..30 {
        source += &format!("r{i} ::= r{} \"a\" | r{} \"b\"\n", i + 1, i + 1);
    }
    let mut state = start(&(source + "r30 ::= \"c\""));
    assert!(!state.accept(b"x") && !state.allows(b"xc") && !state.may_end());
    assert!(state.accept(b"y") && state.must_end());
    // More and more frames.
    let mut state = start("root ::= \"(\" root \")\" | \"x\"");
    let opened = (0..1 << 20).take_while(|_| state.accept(b"(")).count();
    assert!((100_000..1 << 20).contains(&opened), "{opened}");
    assert!(!state.allows(b"(") && state.allows(b"x))") && state.accept(b"x"));
    assert!((0..opened).all(|_| state.accept(b")")) && state.must_end());
    assert!(clock.elapsed() < Duration::from_secs(20));
}

/// What a small vocabulary holds, whole and in pieces.
const PIECES: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"{\"",
    b"\":",
    b"\": ",
    b"\",",
    b", \"",
    b"\"}",
    b"\"",
    b"\\",
    b",",
    b":",
    b" ",
    b"\n",
    b"\n  ",
    b"\t",
    b"0",
    b"-1",
    b"12",
    b"3.5",
    b".",
    b"e",
    b"E+",
    b"-",
    b"true",
    b"fal",
    b"se",
    b"nu",
    b"ll",
    b"u",
    b"ud8",
    b"0d",
    b"n",
    b"name",
    b"a b",
    b"\xc3",
    b"\xa9",
    b"\xf0\x9f",
    b"\xa6\x99",
    "é".as_bytes(),
    "🦙\"".as_bytes(),
    b"]}",
    b"[[",
    b"\x00",
    b"\x7f",
    b"],[",
    b"\xed\xa0",
];

/// serde_json is the oracle. It also wants numbers to fit a double, which is no matter of grammar.
fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<Value>(text).map_or_else(
        |error| {
            error.to_string().starts_with("number out of range")
                && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
        },
        |value| value.is_object() || value.is_array(),
    )
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    collection::btree_map(any::<String>(), value(), 0..6)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

/// Some grammar to spoil.
const SOURCE: &str = r#"root ::= ("x" item{1,3} | [^a-z\n\u00e9]+ "é")* # so
item ::= "(" root ")" |
  list? "\"" .
list ::= "a" ("," list)?
"#;

proptest! {
    #[test]
    fn what_json_allows_is_json(picks in collection::vec(any::<Index>(), 1..40)) {
        let mut state = GrammarState::new(&Grammar::json());
        let mut text = Vec::new();
        for pick in picks {
            let allowed: Vec<_> = PIECES.iter().filter(|piece| state.allows(piece)).collect();
            prop_assert!(allowed.is_empty() || !state.must_end());
            if state.may_end() {
                prop_assert!(is_json(&text), "{}", String::from_utf8_lossy(&text));
            }
            if allowed.is_empty() {
                break;
            }
            let piece = allowed[pick.index(allowed.len())];
            prop_assert!(state.accept(piece));
            text.extend_from_slice(piece);
            let completion = state.completion().unwrap();
            let whole = [&text[..], &completion].concat();
            prop_assert!(is_json(&whole), "{}", String::from_utf8_lossy(&whole));
            prop_assert_eq!(state.completion_len(), Some(completion.len()));
            prop_assert!(state.allows(&completion));
            let mut ended = state.clone();
            prop_assert!(ended.accept(&completion) && ended.may_end());
        }
    }

    #[test]
    fn json_is_allowed(value in object(), cuts in collection::vec(any::<Index>(), 0..9)) {
        let texts = [serde_json::to_vec(&value), serde_json::to_vec_pretty(&value)];
        for text in texts.map(Result::unwrap) {
            let mut state = GrammarState::new(&Grammar::json());
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len())).collect();
            cuts.sort_unstable();
            let ends = cuts.iter().copied().chain([text.len()]);
            let starts = [0].into_iter().chain(cuts.iter().copied());
            for (start, end) in starts.zip(ends) {
                prop_assert!(!state.may_end());
                prop_assert!(state.allows(&text[start..end]));
                prop_assert!(state.accept(&text[start..end]));
            }
            prop_assert!(state.may_end() && state.must_end());
        }
    }

    /// One byte more or less: both read it as JSON, or neither. Blanks have their own bounds.
    #[test]
    fn spoiled_json_is_judged_as_serde_does(
        value in object(),
        at in any::<Index>(),
        byte in prop_oneof![any::<u8>(), select(b"{}[]\":,\\0-.eu".to_vec())],
        kind in 0..3,
    ) {
        let mut text = serde_json::to_vec(&value).unwrap();
        prop_assume!(!byte.is_ascii_whitespace());
        let at = at.index(text.len());
        match kind {
            0 => text.insert(at, byte),
            1 => text[at] = byte,
            _ => { text.remove(at); }
        }
        let long = text.split(|c| !c.is_ascii_digit()).any(|digits| digits.len() > 20);
        let exponent = text.split(|c| !b"0123456789+-eE".contains(c)).any(|number| {
            number.iter().rposition(|c| b"eE".contains(c)).is_some_and(|e| number.len() - e > 4)
        });
        if !long && !exponent {
            let shown = String::from_utf8_lossy(&text);
            prop_assert_eq!(matches(&Grammar::json(), &text), is_json(&text), "{}", shown);
        }
    }

    /// What is allowed has only beginnings that are, refusals change nothing, and pieces may be cut
    /// anywhere.
    #[test]
    fn allowed_pieces_have_allowed_beginnings(
        pieces in collection::vec(select(PIECES), 1..6),
        before in collection::vec(select(PIECES), 0..12),
    ) {
        for source in [Grammar::json(), Grammar::parse(SOURCE).unwrap()] {
            let mut state = GrammarState::new(&source);
            for piece in &before {
                state.accept(piece);
            }
            let piece = pieces.concat();
            let allowed = (0..=piece.len()).rev().find(|&len| state.allows(&piece[..len])).unwrap();
            let mut other = state.clone();
            prop_assert!((0..=allowed).all(|len| state.allows(&piece[..len])));
            prop_assert!(piece.len() == allowed || !state.accept(&piece));
            prop_assert!(piece[..allowed].iter().all(|&byte| other.accept(&[byte])));
            prop_assert!(piece.len() == allowed || !other.accept(&piece[allowed..=allowed]));
            prop_assert!(state.accept(&piece[..allowed]));
            prop_assert_eq!(state.may_end(), other.may_end());
            prop_assert_eq!(state.must_end(), other.must_end());
            for byte in 0..=255 {
                prop_assert_eq!(state.allows(&[byte]), other.allows(&[byte]));
            }
        }
    }

    #[test]
    fn spoiled_sources_never_panic(
        changes in collection::vec((any::<Index>(), 0..4, any::<char>()), 1..6),
        text in any::<String>(),
    ) {
        let mut source: Vec<char> = SOURCE.chars().collect();
        let signs: Vec<char> = "\"[](){}|*+?.^-\\,:=#\n xuU09a".chars().collect();
        for (at, kind, c) in changes {
            let at = at.index(source.len());
            let sign = signs[c as usize % signs.len()];
            match kind {
                0 => source.insert(at, sign),
                1 => source[at] = c,
                2 => source.truncate(at + 1),
                _ => { source.remove(at); source.push(sign); }
            }
        }
        let source: String = source.into_iter().collect();
        match Grammar::parse(&source) {
            Ok(grammar) => { matches(&grammar, text.as_bytes()); }
            Err(error) => {
                prop_assert!((1..=source.lines().count() + 1).contains(&error.line));
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }

    #[test]
    fn any_source_is_read_or_refused(source in any::<String>()) {
        prop_assert!(Grammar::parse(&source).is_err());
    }
}
