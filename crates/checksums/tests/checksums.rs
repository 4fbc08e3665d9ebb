//! What is written is found again, a changed byte is found in its piece, and no text is too broken.

#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_checksums::{Checksums, Fault, List, PIECE, Summing};
use proptest::prelude::*;

fn sums(bytes: &[u8], step: usize) -> Checksums {
    let mut summing = Summing::default();
    bytes.chunks(step).for_each(|bytes| summing.update(bytes));
    summing.finish()
}

/// Bytes in which every mebibyte is another one.
fn some_bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251 + i / PIECE) as u8).collect()
}

fn list(files: &[(&str, &Checksums)]) -> List {
    let mut list = List::default();
    files.iter().for_each(|&(path, sums)| list.push(path, sums.clone()));
    list
}

/// A text whose last line is right, whatever stands above.
fn signed(above: &str) -> String {
    let own = crc32fast::hash(above.as_bytes());
    format!("{above}{own:08x} is the CRC-32 of the lines above\n")
}

#[test]
fn the_text_is_the_one_described() {
    // The check value of this CRC is public: that of these nine digits.
    let digits = sums(b"123456789", 2);
    assert_eq!((digits.whole(), Checksums::default().whole()), (0xcbf4_3926, 0));
    let empty = sums(b"", 1);
    let written = list(&[("models/a b.gguf", &digits), ("models/empty.bin", &empty)]).text();
    let lines: Vec<&str> = written.lines().skip_while(|line| line.starts_with('#')).collect();
    let above = written.rfind(lines[3]).unwrap();
    let end = signed(&written[..above]);
    let last = end.lines().last().unwrap();
    assert_eq!(lines, ["9 models/a b.gguf", "cbf43926", "0 models/empty.bin", last]);
    let files = [("models/a b.gguf", 9), ("models/empty.bin", 0)];
    assert_eq!(List::text_len(files), written.len() as u64);
    let read = List::parse(written.as_bytes()).unwrap();
    assert_eq!(read.of("models/a b.gguf", 9), Some(&digits));
    assert_eq!(read.of("models/empty.bin", 0), Some(&empty));
    // Another length is another file.
    assert_eq!(read.of("models/a b.gguf", 8), None);
    assert_eq!(read.of("a b.gguf", 9), None);
}

/// A medium that gives a wrong byte at the end of every read, so many times.
#[test]
fn what_was_read_wrongly_is_read_again() {
    let bytes = some_bytes(2 * PIECE + 77);
    let right = sums(&bytes, PIECE);
    let mend = |mut faults: usize, tries: usize, cut: usize| {
        let mut copy = bytes.clone();
        for at in [PIECE + 3, 2 * PIECE - 1, 2 * PIECE + 76] {
            copy[at] ^= 1;
        }
        let wrong = right.wrong(&sums(&copy, 1000));
        assert_eq!(wrong, [1, 2]);
        let mut reads = 0;
        let read = |start: u64, buffer: &mut [u8]| {
            reads += 1;
            buffer.copy_from_slice(&bytes[start as usize..][..buffer.len()]);
            if faults > 0 {
                faults -= 1;
                *buffer.last_mut().unwrap() ^= 1;
            }
            Ok(())
        };
        // In two stretches, as a large file lies in memory.
        let (first, second) = copy.split_at_mut(cut);
        let file = &mut [first, second];
        let mended = right.mend(file, &wrong, tries, &mut vec![0; PIECE], read);
        (mended, copy == bytes, reads)
    };
    for cut in [0, PIECE, PIECE + 4, 2 * PIECE - 1, 2 * PIECE + 77] {
        assert_eq!(mend(0, 3, cut), (Ok(()), true, 2));
        assert_eq!(mend(2, 3, cut), (Ok(()), true, 4));
        assert_eq!(mend(3, 3, cut), (Err(Fault::Damaged { byte: PIECE as u64 }), false, 3));
    }
    let pulled = |_: u64, _: &mut [u8]| Err("gone".to_string());
    let mended = right.mend(&mut [], &[1], 3, &mut vec![0; PIECE], pulled);
    assert_eq!(mended, Err(Fault::Reading("gone".to_string())));
}

#[test]
fn a_broken_text_is_told() {
    let written = list(&[("m", &sums(&some_bytes(2 * PIECE + 1), PIECE))]).text();
    let told = |text: &[u8]| List::parse(text).unwrap_err();
    let cut = told(&written.as_bytes()[..written.len() - 9]);
    let expected =
        "checksums.txt: expected the list's own checksum in its last line; is it cut off?";
    assert_eq!(cut, expected);
    assert_eq!(told(b""), expected);
    let other = told(written.replacen(" m\n", " n\n", 1).as_bytes());
    assert!(other.starts_with("checksums.txt: expected lines with the checksum "), "{other}");
    let no_text = told(b"# a\n\xff\n");
    assert_eq!(no_text, "checksums.txt: byte 4: expected text, found another byte");
    for wrong in ["+1234567", "1234567", "123456789", "no sum", "", "\u{1b}[2J"] {
        let text = format!("3000000 m\n01234567\n{wrong}\n01234567\n");
        let message = told(signed(&text).as_bytes());
        let expected = format!("checksums.txt: line 3: expected a checksum, found {wrong:?}");
        assert_eq!(message, expected);
    }
    for wrong in ["m", "-1 m", "99999999999999999999 m"] {
        let message = told(signed(&format!("{wrong}\n")).as_bytes());
        let expected =
            format!("checksums.txt: line 1: expected a length and a path, found {wrong:?}");
        assert_eq!(message, expected);
    }
    let unending = told(signed(&format!("{} m\n01234567\n", u64::MAX)).as_bytes());
    assert_eq!(unending, "checksums.txt: line 1: expected a checksum, found \"\"");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_changed_byte_is_found_where_it_is(
        len in 1..3 * PIECE, at in any::<prop::sample::Index>(), bit in 0..8, step in 1..3 * PIECE
    ) {
        let mut bytes = some_bytes(len);
        let right = sums(&bytes, PIECE);
        // In whatever pieces they come.
        prop_assert_eq!(&sums(&bytes, step), &right);
        let at = at.index(len);
        bytes[at] ^= 1_u8 << bit;
        let number = at / PIECE;
        prop_assert_eq!(right.wrong(&sums(&bytes, step)), [number]);
        let range = right.range(number);
        prop_assert!(range.contains(&(at as u64)) && range.end <= len as u64);
    }

    #[test]
    fn one_changed_byte_of_the_list_is_seen(at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut text = list(&[("m", &sums(b"some bytes", 3))]).text().into_bytes();
        let at = at.index(text.len());
        text[at] ^= 1_u8 << bit;
        prop_assert!(List::parse(&text).is_err());
    }

    #[test]
    fn any_text_is_read_without_a_panic(
        text in "([0-9]{1,4} m\n|[0-9a-f]{7,9}\n|.{0,9}\n)*", len in 0..4 * PIECE as u64
    ) {
        let _ = List::parse(text.as_bytes());
        let _ = List::parse(signed(&text).as_bytes());
        let _ = List::parse(signed(&format!("{len} m\n{text}")).as_bytes());
    }

    #[test]
    fn pieces_make_the_whole(len in 0..3 * PIECE, step in 1..3 * PIECE) {
        let bytes = some_bytes(len);
        prop_assert_eq!(sums(&bytes, step).whole(), crc32fast::hash(&bytes));
    }
}
