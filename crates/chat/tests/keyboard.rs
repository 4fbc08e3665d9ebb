//! Keyboard layouts against the published ones, as tools/oracle/keyboard_layouts.py recorded them.
#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_chat::{Layout, Typist};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

const PUBLISHED: &str = include_str!("data/keyboard_layouts.txt");

/// Where a layout deliberately types something else: layout, US key, then plain, Shift, AltGr and
/// both (`None` as published). The characters of the 102nd key, of which firmware does not tell.
const DELIBERATE: [(&str, char, [Option<char>; 4]); 4] = [
    ("fr", 'z', [None, None, Some('<'), Some('>')]),
    ("de", 'z', [None, None, Some('<'), Some('>')]),
    // What < and > have put out on the key beside it.
    ("de", 'x', [None, None, None, Some('»')]),
    ("de", '`', [None, None, Some('|'), None]),
];

/// Where an accent alone is not what X types: accent, after a space, pressed twice. X types ASCII
/// quotes for the acute and the diaeresis in all layouts, which only us-intl needs, and combining
/// characters, which no screen shows alone, for the accents of Vietnamese (VIQR here).
const ALONE: [(char, char, char); 5] = [
    ('\u{301}', '´', '´'),
    ('\u{308}', '¨', '¨'),
    ('\u{309}', '?', '?'),
    ('\u{31b}', '+', '+'),
    ('\u{323}', '.', '.'),
];

/// What only the 102nd key types, with AltGr, and nobody misses.
const GIVEN_UP: &str = "¦\u{331}";

struct Key {
    layout: Layout,
    /// As a US keyboard types it: plain, Shift. `None` for the 102nd key.
    us: Option<[char; 2]>,
    /// Plain, Shift, AltGr, both; the same with Caps Lock. Where libxkbcommon finds no character in
    /// upper case, µ stays, and ß is what it is on the key that German has for it.
    types: Vec<char>,
}

fn hex(field: &str) -> char {
    char::from_u32(u32::from_str_radix(field, 16).unwrap()).unwrap()
}

fn records(kind: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = PUBLISHED.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    lines.filter(move |fields| fields[0] == kind).map(|fields| fields[1..].to_vec())
}

fn shifted(us: char) -> char {
    let (plain, shift) = ("`1234567890-=[]\\;',./ ", "~!@#$%^&*()_+{}|:\"<>? ");
    match plain.find(us) {
        Some(at) => shift.as_bytes()[at] as char,
        None => us.to_ascii_uppercase(),
    }
}

fn keys() -> Vec<Key> {
    let key = |fields: Vec<&str>| {
        let types = |n: usize| match fields[n] {
            "-" if fields[n - 4] == "df" => 'ẞ',
            "-" => hex(fields[n - 4]),
            field => hex(field),
        };
        Key {
            layout: Layout::by_name(fields[0]).unwrap(),
            us: (fields[1] != "102").then(|| [hex(fields[1]), shifted(hex(fields[1]))]),
            types: (2..10).map(types).collect(),
        }
    };
    records("key").map(key).collect()
}

/// What firmware gives for a key: a letter's case says both Shift and Caps Lock.
fn firmware(us: [char; 2], shift: bool, caps: bool) -> char {
    us[usize::from(shift != (caps && us[0].is_ascii_alphabetic()))]
}

fn dead_keys() -> HashSet<char> {
    records("alone").map(|fields| hex(fields[0])).collect()
}

fn press(typist: &mut Typist, us: char, alt_gr: bool) -> String {
    typist.press(us, alt_gr, false).as_slice().iter().collect()
}

/// How to press for each character and dead key of a layout: US character, AltGr.
fn presses(layout: Layout) -> Vec<(char, char, bool)> {
    let mut found = Vec::new();
    for key in keys().iter().filter(|key| key.layout == layout) {
        let Some(us) = key.us else { continue };
        for (level, &published) in key.types[..4].iter().enumerate() {
            let changed = DELIBERATE.iter().find(|(l, k, _)| (*l, *k) == (layout.name(), us[0]));
            let types = changed.and_then(|(_, _, c)| c[level]).unwrap_or(published);
            found.push((types, us[level % 2], level > 1));
        }
    }
    found
}

#[test]
fn every_key_types_what_is_published() {
    let (dead, keys) = (dead_keys(), keys());
    assert_eq!(keys.len(), 8 * 49);
    let mut used = 0;
    for key in &keys {
        let Some(us) = key.us else { continue };
        let changed = DELIBERATE.iter().find(|(l, k, _)| (*l, *k) == (key.layout.name(), us[0]));
        for (n, &published) in key.types.iter().enumerate() {
            let (shift, alt_gr, caps) = (n & 1 == 1, n & 2 == 2, n & 4 == 4);
            let ours = changed.and_then(|(_, _, levels)| levels[n & 3]);
            used += usize::from(ours.is_some_and(|c| c != published));
            let c = ours.unwrap_or(published);
            let mut typist = Typist::new(key.layout);
            let typed = typist.press(firmware(us, shift, caps), alt_gr, caps);
            let place = (key.layout.name(), us[0], shift, alt_gr, caps);
            // xkb-data says by hand that ſ and ẞ are one letter in two cases.
            if (place.0, us[0], alt_gr, caps) == ("de", 's', true, true) {
                assert_eq!(typed.as_slice(), [if shift { 'ẞ' } else { 'S' }]);
                continue;
            }
            if dead.contains(&c) {
                assert_eq!(typed.as_slice(), [], "{place:?} is a dead key");
            } else {
                assert_eq!(typed.as_slice(), [c], "{place:?}");
            }
        }
    }
    // Each change is one, with and without Caps Lock.
    assert_eq!(used, 2 * DELIBERATE.iter().flat_map(|d| d.2).flatten().count());
}

#[test]
fn every_dead_key_composes_as_unicode_does() {
    let dead = dead_keys();
    let made: HashMap<_, _> =
        records("compose").map(|f| ((hex(f[0]), hex(f[1])), hex(f[2]))).collect();
    let mut composed = 0;
    for layout in Layout::ALL {
        let presses = presses(layout);
        for &(mark, us, alt_gr) in presses.iter().filter(|p| dead.contains(&p.0)) {
            for &(base, base_us, base_alt_gr) in presses.iter().filter(|p| !dead.contains(&p.0)) {
                let mut typist = Typist::new(layout);
                assert_eq!(press(&mut typist, us, alt_gr), "");
                let typed = press(&mut typist, base_us, base_alt_gr);
                if let Some(made) = made.get(&(mark, base)) {
                    assert_eq!(typed, made.to_string(), "{mark:?} {base:?}");
                    composed += 1;
                } else if base != ' ' {
                    assert_eq!(typed, format!("{}{base}", alone(layout, mark)));
                }
                // The dead key is used up.
                assert_eq!(press(&mut typist, base_us, base_alt_gr), base.to_string());
            }
        }
    }
    assert!(composed > 2000, "{composed}");
}

/// What the tables above and the published ones say of an accent before a space.
fn alone(layout: Layout, mark: char) -> char {
    let ours = ALONE
        .iter()
        .find(|a| a.0 == mark)
        .filter(|_| layout != Layout::UsIntl || !['\u{301}', '\u{308}'].contains(&mark));
    let published = || hex(records("alone").find(|f| hex(f[0]) == mark).unwrap()[1]);
    ours.map_or_else(published, |a| a.1)
}

#[test]
fn accents_stand_alone_before_a_space_and_pressed_twice() {
    for layout in Layout::ALL {
        for (mark, us, alt_gr) in presses(layout) {
            let Some(fields) = records("alone").find(|f| hex(f[0]) == mark) else { continue };
            let twice = ALONE.iter().find(|a| a.0 == mark).map_or(hex(fields[2]), |a| a.2);
            let mut typist = Typist::new(layout);
            press(&mut typist, us, alt_gr);
            assert_eq!(press(&mut typist, ' ', false), alone(layout, mark).to_string());
            press(&mut typist, us, alt_gr);
            assert_eq!(press(&mut typist, us, alt_gr), twice.to_string());
            assert_eq!(press(&mut typist, ' ', false), " ");
        }
    }
}

#[test]
fn every_character_of_a_layout_and_all_of_ascii_can_be_typed() {
    let dead = dead_keys();
    let us: Vec<char> = (' '..='~').collect();
    for layout in Layout::ALL {
        let mut reached = HashSet::<char>::new();
        for (&c, alt_gr) in us.iter().flat_map(|c| [(c, false), (c, true)]) {
            let mut typist = Typist::new(layout);
            reached.extend(typist.press(c, alt_gr, false).as_slice());
            let mut again = typist.clone();
            reached.extend(typist.press(' ', false, false).as_slice());
            reached.extend(again.press(c, alt_gr, false).as_slice());
        }
        let published = keys().into_iter().filter(|key| key.layout == layout);
        let wanted = published.flat_map(|key| key.types[..4].to_vec()).chain(' '..='~');
        let put_out = if layout == Layout::De { "›‹′" } else { "" };
        for c in wanted.filter(|c| !dead.contains(c)) {
            let known = put_out.contains(c) || GIVEN_UP.contains(c);
            let name = layout.name();
            assert!(reached.contains(&c) || known, "{name} cannot type {c:?}");
        }
    }
}

#[test]
fn an_azerty_user_types_french() {
    let mut typist = Typist::new(Layout::Fr);
    let mut fingers =
        |us: &str| us.chars().map(|c| press(&mut typist, c, false)).collect::<String>();
    assert_eq!(fingers("o' est l42t2 M"), "où est l'été ?");
    // The dead keys: ^ beside P, and ¨ with Shift.
    assert_eq!(fingers("[e [ [[ {i { {{ {q [m"), "ê ^^ ï ¨¨ ä ^,");
    let behind = [('z', "<"), ('Z', ">"), ('w', "«"), ('W', "<"), ('8', "\\"), ('0', "@")];
    for (us, types) in behind {
        assert_eq!(press(&mut typist, us, true), types);
    }
}

#[test]
fn caps_lock_is_for_letters_only() {
    let caps = |layout, us, alt_gr| Typist::new(layout).press(us, alt_gr, true).as_slice().to_vec();
    // The key of M types a comma on fr, and Shift a question mark, whatever case firmware gives.
    assert_eq!(caps(Layout::Fr, 'M', false), [',']);
    assert_eq!(caps(Layout::Fr, 'm', false), ['?']);
    assert_eq!(caps(Layout::Fr, ';', false), ['M']);
    assert_eq!(caps(Layout::Fr, ':', false), ['m']);
    assert_eq!(caps(Layout::Fr, '2', false), ['É']);
    assert_eq!(caps(Layout::Fr, '@', false), ['2']);
    assert_eq!(caps(Layout::De, ';', false), ['Ö']);
    assert_eq!(caps(Layout::Us, 'A', false), ['A']);
    assert_eq!(caps(Layout::Us, '1', false), ['1']);
}

#[test]
fn a_pending_dead_key_can_be_forgotten() {
    let mut typist = Typist::new(Layout::Es);
    for forget in [
        Typist::reset,
        |t: &mut Typist| t.set_layout(Layout::Es),
        |t: &mut Typist| assert_eq!(t.press('\r', false, false).as_slice(), ['\r']),
    ] {
        assert_eq!(press(&mut typist, '\'', false), "");
        forget(&mut typist);
        assert_eq!(press(&mut typist, 'a', false), "a");
    }
    // Another dead key takes its place, and the first one shows.
    assert_eq!(press(&mut typist, '\'', false), "");
    assert_eq!(press(&mut typist, '[', false), "´");
    assert_eq!(press(&mut typist, 'a', false), "à");
    // What firmware with a layout of its own gives passes, and takes an accent as well.
    assert_eq!(press(&mut typist, 'ж', false), "ж");
    press(&mut typist, '\'', false);
    assert_eq!(press(&mut typist, 'ж', false), "´ж");
}

#[test]
fn names_and_layouts_belong_together() {
    assert_eq!(Layout::ALL.map(Layout::name), Layout::NAMES);
    for layout in Layout::ALL {
        assert_eq!(Layout::by_name(layout.name()), Some(layout));
        assert_eq!(Typist::new(layout).layout(), layout);
        assert!(!layout.title().is_empty());
    }
    assert_eq!(Layout::by_name("dvorak"), None);
    assert_eq!(Layout::default().name(), "us");
    let published: Vec<_> = records("layout").map(|fields| fields[0]).collect();
    assert_eq!(published, Layout::NAMES);
}

proptest! {
    #[test]
    fn us_gives_back_what_it_is_given(text in "[ -~]{0,20}", alt_gr: bool) {
        let mut typist = Typist::new(Layout::Us);
        let typed: String = text.chars().map(|c| press(&mut typist, c, alt_gr)).collect();
        prop_assert_eq!(typed, text);
    }

    #[test]
    fn anything_may_be_pressed(
        layout in 0usize..8,
        keys in proptest::collection::vec((any::<char>(), b' '..=b'~', any::<[bool; 3]>()), 0..30),
    ) {
        let mut typist = Typist::new(Layout::ALL[layout]);
        for (any, us, [strange, alt_gr, caps]) in keys {
            let typed = typist.press(if strange { any } else { us as char }, alt_gr, caps);
            prop_assert!(typed.as_slice().len() <= 2);
        }
    }
}
