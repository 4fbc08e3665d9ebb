//! Bytes of a terminal into keys: UTF-8, control characters, and the escape sequences of arrows
//! and editing keys (ECMA-48 and what xterm and VT100 send).

use crate::Key;

/// Decodes one byte at a time. Invalid UTF-8 and unknown sequences give nothing.
#[derive(Debug, Default)]
pub struct KeyDecoder {
    state: State,
    after_return: bool,
    /// Between the marks that a terminal puts around pasted text: its line ends are characters.
    pasting: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// Inside a character: bits so far, bytes to come, smallest value of this length.
    Utf8 {
        bits: u32,
        left: u8,
        least: u32,
    },
    Escape,
    /// Behind `ESC [` or `ESC O`: the first parameter, and whether it still goes on.
    Sequence {
        parameter: u8,
        open: bool,
    },
}

impl KeyDecoder {
    /// Takes in a byte; a key where one is complete.
    pub fn push(&mut self, byte: u8) -> Option<Key> {
        let after_return = core::mem::take(&mut self.after_return);
        match self.state {
            State::Ground => self.ground(byte, after_return),
            State::Utf8 { bits, left, least } if byte & 0xc0 == 0x80 => {
                let bits = bits << 6 | u32::from(byte & 0x3f);
                if left > 1 {
                    self.state = State::Utf8 { bits, left: left - 1, least };
                    return None;
                }
                self.state = State::Ground;
                char::from_u32(bits).filter(|&c| c as u32 >= least).map(Key::Char)
            }
            State::Utf8 { .. } => {
                self.state = State::Ground;
                self.ground(byte, false)
            }
            State::Escape if matches!(byte, b'[' | b'O') => {
                self.state = State::Sequence { parameter: 0, open: true };
                None
            }
            State::Escape if byte.is_ascii_alphabetic() => {
                self.state = State::Ground;
                Some(Key::Alt(char::from(byte.to_ascii_lowercase())))
            }
            State::Escape => {
                // Esc just before another key: only the Esc counts.
                self.state = if byte == 0x1b { State::Escape } else { State::Ground };
                Some(Key::Escape)
            }
            State::Sequence { parameter, open } => self.sequence(byte, parameter, open),
        }
    }

    /// To be called when no byte has come for a while: a lone Esc becomes a key, a sequence that
    /// was cut off is forgotten. Characters in the making are kept.
    pub fn idle(&mut self) -> Option<Key> {
        if !self.is_waiting() {
            return None;
        }
        let pending = core::mem::take(&mut self.state);
        (pending == State::Escape).then_some(Key::Escape)
    }

    /// Whether [`KeyDecoder::idle`] would change anything.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Escape | State::Sequence { .. })
    }

    fn ground(&mut self, byte: u8, after_return: bool) -> Option<Key> {
        Some(match byte {
            b'\r' => {
                self.after_return = true;
                if self.pasting { Key::Char('\n') } else { Key::Enter }
            }
            b'\n' if after_return => return None,
            b'\n' => {
                if self.pasting {
                    Key::Char('\n')
                } else {
                    Key::Enter
                }
            }
            0x1b => {
                self.state = State::Escape;
                return None;
            }
            0x08 | 0x7f => Key::Backspace,
            0x03 => Key::Interrupt,
            0x04 => Key::EndOfInput,
            b'\t' if self.pasting => Key::Char(' '),
            b'\t' => Key::Tab,
            0x01..=0x1a => Key::Ctrl(char::from(byte - 1 + b'a')),
            0x20..=0x7e => Key::Char(char::from(byte)),
            0xc2..=0xdf => return self.start(byte & 0x1f, 1, 0x80),
            0xe0..=0xef => return self.start(byte & 0x0f, 2, 0x800),
            0xf0..=0xf4 => return self.start(byte & 0x07, 3, 0x1_0000),
            _ => return None,
        })
    }

    fn start(&mut self, bits: u8, left: u8, least: u32) -> Option<Key> {
        self.state = State::Utf8 { bits: u32::from(bits), left, least };
        None
    }

    fn sequence(&mut self, byte: u8, parameter: u8, open: bool) -> Option<Key> {
        match byte {
            b'0'..=b'9' if open => {
                let parameter = parameter.saturating_mul(10).saturating_add(byte - b'0');
                self.state = State::Sequence { parameter, open };
                return None;
            }
            // Further parameters are modifiers (Ctrl, Shift), which no key here needs.
            b' '..=b'?' => {
                self.state = State::Sequence { parameter, open: false };
                return None;
            }
            _ => self.state = State::Ground,
        }
        if !(b'@'..=b'~').contains(&byte) {
            return self.ground(byte, false);
        }
        match (byte, parameter) {
            (b'A', _) => Some(Key::Up),
            (b'B', _) => Some(Key::Down),
            (b'C', _) => Some(Key::Right),
            (b'D', _) => Some(Key::Left),
            (b'H', _) | (b'~', 1 | 7) => Some(Key::Home),
            (b'F', _) | (b'~', 4 | 8) => Some(Key::End),
            (b'~', 3) => Some(Key::Delete),
            (b'~', 5) => Some(Key::PageUp),
            (b'~', 6) => Some(Key::PageDown),
            (b'P'..=b'S', _) => Some(Key::Function(byte - b'P' + 1)),
            (b'~', 11..=15) => Some(Key::Function(parameter - 10)),
            (b'~', 200 | 201) => {
                self.pasting = parameter == 200;
                None
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = KeyDecoder::default();
        let mut keys: Vec<Key> = bytes.iter().filter_map(|&b| decoder.push(b)).collect();
        keys.extend(decoder.idle());
        keys
    }

    #[test]
    fn characters_arrive_whole() {
        let text = "où est l'été ? 日本 🦙";
        let expected: Vec<Key> = text.chars().map(Key::Char).collect();
        assert_eq!(keys(text.as_bytes()), expected);
    }

    #[test]
    fn editing_keys_have_several_spellings() {
        assert_eq!(
            keys(b"\x1b[D\x1bOC\x1b[1~\x1b[F\x1b[3~"),
            [Key::Left, Key::Right, Key::Home, Key::End, Key::Delete]
        );
        assert_eq!(
            keys(b"\x08\x7f\x01\x05"),
            [Key::Backspace, Key::Backspace, Key::Ctrl('a'), Key::Ctrl('e')]
        );
        assert_eq!(
            keys(b"\x1b[5~\x1b[6~\x1bOQ\x1b[12~\t\x1bb\x0b"),
            [
                Key::PageUp,
                Key::PageDown,
                Key::Function(2),
                Key::Function(2),
                Key::Tab,
                Key::Alt('b'),
                Key::Ctrl('k')
            ]
        );
        assert_eq!(keys(b"\x1b[1;5C\x1b[3;2~"), [Key::Right, Key::Delete]);
    }

    #[test]
    fn other_sequences_are_passed_over_and_a_cut_one_ends() {
        assert_eq!(keys(b"\x1b[?1;2ca"), [Key::Char('a')]);
        assert_eq!(keys(b"\x1b[\x03"), [Key::Interrupt]);
        let mut decoder = KeyDecoder::default();
        assert!(b"\x1b[1".iter().all(|&b| decoder.push(b).is_none()));
        assert!(decoder.is_waiting());
        assert_eq!((decoder.idle(), decoder.push(b'2')), (None, Some(Key::Char('2'))));
        assert_eq!(decoder.push(0xc3), None);
        assert_eq!((decoder.idle(), decoder.push(0xa9)), (None, Some(Key::Char('é'))));
    }

    #[test]
    fn line_ends_are_one_enter_each() {
        assert_eq!(keys(b"\r\n\n\r"), [Key::Enter, Key::Enter, Key::Enter]);
    }

    #[test]
    fn lines_of_a_marked_paste_stay_together() {
        let (a, newline, b) = (Key::Char('a'), Key::Char('\n'), Key::Char('b'));
        assert_eq!(keys(b"\x1b[200~a\r\nb\x1b[201~\r"), [a, newline, b, Key::Enter]);
    }

    #[test]
    fn a_lone_escape_is_a_key_after_a_while() {
        let mut decoder = KeyDecoder::default();
        assert_eq!(decoder.push(0x1b), None);
        assert!(decoder.is_waiting());
        assert_eq!(decoder.idle(), Some(Key::Escape));
        assert_eq!(decoder.push(b'a'), Some(Key::Char('a')));
    }

    #[test]
    fn invalid_utf8_gives_nothing_and_harms_nothing() {
        assert_eq!(
            keys(b"\xffa\xc3(b\xc0\xafc\xed\xa0\x80d"),
            "a(bcd".chars().map(Key::Char).collect::<Vec<_>>()
        );
    }

    proptest! {
        #[test]
        fn any_text_survives(text in "[^\\p{Cc}]{0,40}") {
            prop_assert_eq!(keys(text.as_bytes()), text.chars().map(Key::Char).collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut decoder = KeyDecoder::default();
            for byte in bytes {
                decoder.push(byte);
            }
            decoder.idle();
            while decoder.push(b'x').is_none() {}
        }
    }
}
