//! The fonts of the screen: what they hold, how glyphs look, and what a damaged file does.

extern crate std;

use super::{Font, FontError, fonts};
use alloc::{format, string::String, vec, vec::Vec};
use proptest::prelude::*;
use std::collections::HashMap;

const BYTES: [&[u8]; 3] = [
    include_bytes!("../../../../../assets/fonts/console16.psf"),
    include_bytes!("../../../../../assets/fonts/console24.psf"),
    include_bytes!("../../../../../assets/fonts/console32.psf"),
];

/// What a chat shows, beside ASCII, Latin-1 and Latin Extended-A.
const NEEDED: &str = "éèêçàùœŒæñßäöüåøłő€«»“”‘’–—…•·°×÷±≤≥≠≈∞√πµΩ→←↑↓↵✓✗✔✘∑∏\
    ─│┌┐└┘├┤┬┴┼═║╔╗╚╝╠╣╦╩╬━┃█▀▄▌▐░▒▓▖▗▘▝▙▟▛▜▚▞■□▪●○★▲▼◆\u{a0}\u{202f}\u{2009}\u{fffd}";

fn picture(font: &Font, rows: &[u8]) -> Vec<String> {
    let dot = |row: &[u8], x: usize| row[x / 8] & 0x80 >> (x % 8) != 0;
    let line = |row| (0..font.width()).map(|x| if dot(row, x) { '#' } else { '.' }).collect();
    rows.chunks(font.row_bytes()).map(line).collect()
}

fn boxed(font: &Font, c: char) -> Vec<u8> {
    let mut out = vec![0xaa; font.height() * font.row_bytes()];
    font.marked_box(c, &mut out);
    out
}

/// Reads a table from front to back, as other programs do.
fn entries(bytes: &[u8]) -> HashMap<char, Vec<u8>> {
    let word = |n: usize| u32::from_le_bytes(bytes[4 * n..4 * n + 4].try_into().unwrap()) as usize;
    let (count, size) = (word(4), word(5));
    let table = bytes[32 + count * size..].split_inclusive(|&b| b == 0xff);
    let glyphs = bytes[32..].chunks(size).take(count);
    let char_of = |entry: &[u8]| {
        let text = std::str::from_utf8(&entry[..entry.len() - 1]).unwrap();
        assert_eq!(text.chars().count(), 1);
        text.chars().next().unwrap()
    };
    table.zip(glyphs).map(|(entry, glyph)| (char_of(entry), glyph.to_vec())).collect()
}

#[test]
fn cells_have_the_sizes_that_the_screen_counts_on() {
    assert_eq!(fonts().map(|f| (f.width(), f.height())), [(8, 16), (12, 24), (16, 32)]);
}

#[test]
fn every_needed_character_has_a_glyph() {
    let ranges = ['!'..='~', '\u{a1}'..='\u{17f}', 'Α'..='Ρ', 'Σ'..='ω', 'Ѐ'..='џ'];
    for font in fonts() {
        for c in ranges.iter().cloned().flatten().chain(NEEDED.chars()) {
            let glyph = font.glyph(c).unwrap_or_else(|| panic!("no glyph of {c:?}"));
            assert_eq!(glyph.len(), font.height() * font.row_bytes());
            let blank = glyph.iter().all(|&b| b == 0);
            assert_eq!(blank, c.is_whitespace() || c == '\u{ad}' && blank, "{c:?}");
        }
    }
}

#[test]
fn bisection_finds_what_a_reading_from_the_front_finds() {
    for (font, bytes) in fonts().iter().zip(BYTES) {
        let all = entries(bytes);
        assert!(all.len() > 1300);
        assert_eq!(font.chars().count(), all.len());
        for c in '\0'..=char::MAX {
            assert_eq!(font.glyph(c), all.get(&c).map(Vec::as_slice), "{c:?}");
        }
    }
}

#[test]
fn an_a_looks_like_one() {
    let [font, ..] = fonts();
    let expected = [
        "........", "........", "..####..", ".#....#.", ".#....#.", ".#....#.", ".#....#.",
        ".######.", ".#....#.", ".#....#.", ".#....#.", ".#....#.", "........", "........",
        "........", "........",
    ];
    assert_eq!(picture(&font, font.glyph('A').unwrap()), expected);
}

#[test]
fn blocks_fill_their_part_of_the_cell() {
    for font in fonts() {
        let ink = |c| font.glyph(c).unwrap().iter().map(|b| b.count_ones()).sum::<u32>();
        let cell = (font.width() * font.height()) as u32;
        for (c, quarters) in [('█', 4), ('▀', 2), ('▌', 2), ('▘', 1), ('▗', 1), ('▙', 3), ('▞', 2)]
        {
            assert_eq!(ink(c) * 4, cell * quarters, "{c}");
        }
        let (upper, lower) = (font.glyph('▀').unwrap(), font.glyph('▄').unwrap());
        assert!(upper.iter().zip(lower).all(|(a, b)| a & b == 0));
    }
}

#[test]
fn a_marked_box_shows_the_code_point() {
    let [small, middle, large] = fonts();
    let shown = |font, c| picture(font, &boxed(font, c)).join("\n");
    assert_eq!(
        shown(&small, '\u{4e2d}'),
        "#######.\n........\n#.#.###.\n#.#.#...\n###.##..\n..#.#...\n..#.###.\n........\n\
         ##..##..\n..#.#.#.\n.#..#.#.\n#...#.#.\n###.##..\n........\n#######.\n........"
    );
    assert_eq!(
        shown(&middle, '\u{1f600}'),
        "............\n###########.\n#.........#.\n#.###..#..#.\n#.#.#.##..#.\n#.#.#..#..#.\n\
         #.#.#..#..#.\n#.###.###.#.\n#.........#.\n#.###.#...#.\n#.#...#...#.\n#.##..###.#.\n\
         #.#...#.#.#.\n#.#...###.#.\n#.........#.\n#.###.###.#.\n#.#.#.#.#.#.\n#.#.#.#.#.#.\n\
         #.#.#.#.#.#.\n#.###.###.#.\n#.........#.\n###########.\n............\n............"
    );
    // The largest cell is the smallest one, twice as large.
    let twice = |line: &str| line.chars().flat_map(|c| [c; 2]).collect::<String>();
    for c in ['\u{4e2d}', '\u{1f600}'] {
        let doubled: Vec<_> =
            picture(&small, &boxed(&small, c)).iter().flat_map(|l| [twice(l), twice(l)]).collect();
        assert_eq!(picture(&large, &boxed(&large, c)), doubled);
    }
}

#[test]
fn marked_boxes_tell_characters_apart() {
    for font in fonts() {
        let mut seen = HashMap::new();
        for c in ('\0'..=char::MAX).step_by(7) {
            let drawn = boxed(&font, c);
            assert!(drawn.iter().any(|&b| b != 0));
            if let Some(other) = seen.insert(drawn, c) {
                panic!("{c:?} and {other:?} look the same at {}", font.height());
            }
        }
    }
}

#[test]
fn a_marked_box_stays_inside_what_it_is_given() {
    for font in fonts() {
        for (len, c) in (0..200).flat_map(|len| [(len, '中'), (len, '😀')]) {
            let whole = boxed(&font, c);
            let mut out = vec![0; len];
            font.marked_box(c, &mut out);
            let common = len.min(whole.len());
            assert_eq!(out[..common], whole[..common]);
            assert!(out[common..].iter().all(|&b| b == 0));
        }
    }
}

/// A font of 8×2 pixels, its glyphs filled with their number.
fn tiny(count: u32, size: u32, height: u32, width: u32, table: &[u8]) -> Result<Font, FontError> {
    let words = [0x864a_b572, 0, 32, 1, count, size, height, width];
    let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    bytes.extend((0..count.min(9)).flat_map(|n| [n as u8; 2]));
    bytes.extend(table);
    Font::parse(bytes.leak())
}

#[test]
fn malformed_fonts_are_told_apart() {
    let fail = |count, size, height, width, table: &[u8]| {
        tiny(count, size, height, width, table).unwrap_err()
    };
    assert!(tiny(2, 2, 2, 8, b"a\xffb\xff").is_ok());
    assert_eq!(tiny(0, 2, 2, 8, b"").unwrap().glyph('a'), None);
    assert_eq!(fail(2, 2, 2, 8, b"b\xffa\xff"), FontError::Entry(1));
    assert_eq!(fail(2, 2, 2, 8, b"a\xffa\xff"), FontError::Entry(1));
    assert_eq!(fail(1, 2, 2, 8, b"ab\xff"), FontError::Entry(0));
    assert_eq!(fail(1, 2, 2, 8, b"\xc1\xa1\xff"), FontError::Entry(0));
    assert_eq!(fail(1, 2, 2, 8, b"\xed\xa0\x80\xff"), FontError::Entry(0));
    assert_eq!(fail(1, 2, 2, 8, b"\xff"), FontError::Entry(0));
    assert_eq!(fail(1, 2, 2, 8, b"a"), FontError::Truncated);
    assert_eq!(fail(1, 2, 2, 8, b"\xe2\x82\xac"), FontError::Truncated);
    assert_eq!(fail(1, 2, 2, 8, b"a\xffb\xff"), FontError::Trailing);
    assert_eq!(fail(1, 2, 2, 9, b"a\xff"), FontError::Cell);
    assert_eq!(fail(1, 0, 0, 8, b"a\xff"), FontError::Cell);
    assert_eq!(fail(1, 2, 2, 0, b"a\xff"), FontError::Cell);
    assert_eq!(fail(1, u32::MAX, u32::MAX, 8, b"a\xff"), FontError::Cell);
    assert_eq!(fail(u32::MAX, 2, 2, 8, b"a\xff"), FontError::Truncated);
    assert_eq!(Font::parse(b"").unwrap_err(), FontError::Truncated);
    assert_eq!(Font::parse(&[0; 32]).unwrap_err(), FontError::Header);
    assert!(!format!("{}", FontError::Entry(3)).contains('\n'));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn cells_of_any_size_take_a_marked_box(width in 1u32..=32, height in 1u32..=64, c: char) {
        let words = [0x864a_b572, 0, 32, 1, 0, width.div_ceil(8) * height, height, width];
        let bytes: Vec<u8> = words.iter().flat_map(|w: &u32| w.to_le_bytes()).collect();
        let font = Font::parse(bytes.leak()).unwrap();
        let outside = picture(&font, &boxed(&font, c));
        prop_assert_eq!(outside.len(), height as usize);
        // Bits behind the last pixel of a row stay clear.
        let spare = (8 - width % 8) % 8;
        let clean = boxed(&font, c)
            .chunks(font.row_bytes())
            .all(|row| row[row.len() - 1].trailing_zeros() >= spare);
        prop_assert!(clean);
    }

    #[test]
    fn damage_never_panics(
        cut in proptest::option::of(0usize..26_500),
        changes in proptest::collection::vec((0usize..26_500, any::<u8>()), 0..4),
        header in proptest::option::of((0usize..32, any::<u8>())),
        c: char,
    ) {
        let mut bytes = BYTES[0].to_vec();
        for (at, value) in changes.into_iter().chain(header) {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(cut.unwrap_or(usize::MAX));
        if let Ok(font) = Font::parse(bytes.leak()) {
            for c in [c, 'A', 'é', '€', '😀'] {
                let rows = font.height() * font.row_bytes();
                prop_assert!(font.glyph(c).is_none_or(|g| g.len() == rows));
            }
            for known in font.chars() {
                prop_assert!(font.glyph(known).is_some());
            }
        }
    }
}
