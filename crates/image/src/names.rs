//! FAT names: which are allowed, when two are the same, and the short name behind each long one.
//!
//! FAT keeps two names for a file. The short one has 8 + 3 upper-case characters and sits in the
//! file's own record; the long one (up to 255 UTF-16 units, "VFAT") sits in records before it.
//! Drivers find a file by either, so both must be unique within the folder. A name that *is* a
//! short name, such as `BOOTX64.EFI`, gets no long records at all, so that the file firmware looks
//! for first depends on nothing beyond plain FAT.
//!
//! Source: fatgen103, "FAT Long Directory Entries" and "The Basis-Name Generation Algorithm".

use std::collections::{HashMap, HashSet};

use crate::error::NameFault;

/// A name as it stands in a directory record: 8 + 3 bytes padded with spaces, no dot.
pub(crate) type ShortName = [u8; 11];

/// Longest long name, in UTF-16 units.
const MAX_LONG_UNITS: usize = 255;

/// Checks one part of a path.
pub(crate) fn check(name: &str) -> Result<(), NameFault> {
    let forbidden = |c: char| c.is_control() || "\"*/:<>?\\|\u{ffff}".contains(c);
    if name.is_empty() {
        return Err(NameFault::Empty);
    }
    if name == "." || name == ".." {
        return Err(NameFault::Dots);
    }
    if let Some(c) = name.chars().find(|&c| forbidden(c)) {
        return Err(NameFault::Character(c));
    }
    if name.starts_with(' ') || name.ends_with([' ', '.']) {
        return Err(NameFault::Edge);
    }
    match name.encode_utf16().count() {
        units if units > MAX_LONG_UNITS => Err(NameFault::Length(units)),
        _ => Ok(()),
    }
}

/// The form in which names are compared. Unicode's full upper case folds more than any one
/// driver's table does (`ß` and `SS` become one), so names that differ here differ everywhere.
pub(crate) fn fold(name: &str) -> String {
    name.to_uppercase()
}

/// The volume label as 11 upper-case bytes; all spaces for an empty label.
pub(crate) fn label(text: &str) -> Option<ShortName> {
    let mut bytes = [b' '; 11];
    if text.starts_with(' ') || text.len() > bytes.len() {
        return None;
    }
    for (byte, c) in bytes.iter_mut().zip(text.chars()) {
        *byte = if c == ' ' { b' ' } else { short_byte(c)? };
    }
    Some(bytes)
}

/// Whether `name` is exactly what its short name spells, so that no long records are needed.
pub(crate) fn is_short(name: &str) -> bool {
    exact(name).is_some() && !name.contains(|c: char| c.is_ascii_lowercase())
}

/// Short names for the names of one folder, which must be checked and unique when folded.
///
/// Names that fit 8.3 but for their case keep themselves; they are served first, for a driver
/// asked for `MODEL~1.BIN` must find the file of that name. The others become `BASE~1.EXT` with
/// the lowest free number, in the order given.
pub(crate) fn short_names(names: &[&str]) -> Vec<ShortName> {
    let fitting: Vec<Option<ShortName>> = names.iter().map(|name| exact(name)).collect();
    let mut used: HashSet<ShortName> = fitting.iter().flatten().copied().collect();
    let mut next: HashMap<(Vec<u8>, Vec<u8>), u32> = HashMap::new();
    let mut with_tail = |name: &str| {
        let (base, extension) = basis(name);
        let stem = base[..base.len().min(6)].to_vec();
        let number = next.entry((stem, extension.clone())).or_insert(1);
        loop {
            let tail = format!("~{number}");
            *number += 1;
            // A folder has at most 65536 records, so a tail has at most six characters.
            let kept = &base[..base.len().min(8 - tail.len())];
            let short = pack(&[kept, tail.as_bytes()].concat(), &extension);
            if used.insert(short) {
                return short;
            }
        }
    };
    names.iter().zip(fitting).map(|(name, fit)| fit.unwrap_or_else(|| with_tail(name))).collect()
}

/// The byte for a character that short names allow, in upper case.
fn short_byte(c: char) -> Option<u8> {
    let plain = c.is_ascii_alphanumeric() || "_-!#$%&'()@^`{}~".contains(c);
    plain.then(|| c.to_ascii_uppercase() as u8)
}

/// The short name that spells `name` but for case, if it fits.
fn exact(name: &str) -> Option<ShortName> {
    let (base, extension) = name.split_once('.').unwrap_or((name, ""));
    let bytes = |part: &str| part.chars().map(short_byte).collect::<Option<Vec<u8>>>();
    let fits = (1..=8).contains(&base.len()) && extension.len() <= 3;
    fits.then(|| Some(pack(&bytes(base)?, &bytes(extension)?)))?
}

/// What a numbered short name is made from: spaces and inner dots dropped, what FAT does not
/// allow replaced by `_`, at most 8 and 3 bytes. The base is never empty: leading dots are
/// dropped, and a checked name has something after them.
fn basis(name: &str) -> (Vec<u8>, Vec<u8>) {
    let solid: String = name.chars().filter(|&c| c != ' ').collect();
    let solid = solid.trim_start_matches('.');
    let (base, extension) = solid.rsplit_once('.').unwrap_or((solid, ""));
    let bytes = |part: &str, length: usize| -> Vec<u8> {
        let kept = part.chars().filter(|&c| c != '.').take(length);
        kept.map(|c| short_byte(c).unwrap_or(b'_')).collect()
    };
    (bytes(base, 8), bytes(extension, 3))
}

fn pack(base: &[u8], extension: &[u8]) -> ShortName {
    let mut short = [b' '; 11];
    short[..base.len()].copy_from_slice(base);
    short[8..8 + extension.len()].copy_from_slice(extension);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shorts(names: &[&str]) -> Vec<String> {
        short_names(names).iter().map(|s| String::from_utf8_lossy(s).into_owned()).collect()
    }

    #[test]
    fn the_boot_file_needs_no_long_name() {
        assert!(is_short("BOOTX64.EFI") && is_short("EFI") && is_short("A~1"));
        assert!(!is_short("models") && !is_short("a b") && !is_short(".A") && !is_short("A.B.C"));
        assert_eq!(shorts(&["BOOTX64.EFI", "models"]), ["BOOTX64 EFI", "MODELS     "]);
    }

    #[test]
    fn long_names_get_the_lowest_free_number() {
        let names = ["SmolLM2-135M-Instruct.Q4_1.gguf", "smollm~1.ggu", "SmolLM2-360M.Q8_0.gguf"];
        assert_eq!(shorts(&names), ["SMOLLM~2GGU", "SMOLLM~1GGU", "SMOLLM~3GGU"]);
        assert_eq!(
            shorts(&[".profile", "日本.bin", "a+b"]),
            ["PROFIL~1   ", "__~1    BIN", "A_B~1      "]
        );
        let many: Vec<String> = (0..12).map(|i| format!("long name {i}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(shorts(&many)[11], "LONGN~12   ");
    }

    #[test]
    fn names_that_other_systems_would_not_keep_are_refused() {
        assert_eq!(check(""), Err(NameFault::Empty));
        assert_eq!(check(".."), Err(NameFault::Dots));
        assert_eq!(check("a:b"), Err(NameFault::Character(':')));
        assert_eq!(check("a\nb"), Err(NameFault::Character('\n')));
        assert_eq!(check("a."), Err(NameFault::Edge));
        assert_eq!(check(" a"), Err(NameFault::Edge));
        assert_eq!(check(&"é".repeat(255)), Ok(()));
        assert_eq!(check(&"🦙".repeat(128)), Err(NameFault::Length(256)));
    }

    #[test]
    fn labels_are_upper_case_and_padded() {
        assert_eq!(label("llama 1"), Some(*b"LLAMA 1    "));
        assert_eq!(label(""), Some(*b"           "));
        assert_eq!((label("twelve chars"), label("ä"), label(" a")), (None, None, None));
    }
}
