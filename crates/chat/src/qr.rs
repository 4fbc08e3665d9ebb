//! Text as QR codes of half blocks, two modules above each other in a cell, with the quiet zone
//! that readers need. A text too long for a code that can be seen whole is cut into parts.

use alloc::{string::String, vec, vec::Vec};
use qrcodegen_no_heap::{Mask, QrCode, QrCodeEcc, Version};

/// Modules around a code that stay light (ISO/IEC 18004 asks for four).
const QUIET: i32 = 4;

/// The largest version that fits so many columns and rows, two lines left for the prompt.
fn largest_version((columns, rows): (usize, usize)) -> Version {
    let modules = columns.min(2 * rows.saturating_sub(2)) as i32 - 2 * QUIET;
    let version = (modules - 17).div_euclid(4).clamp(1, 40);
    Version::new(version as u8)
}

/// Cuts a text so that each part fits a code on a screen of this size.
pub(crate) fn parts(text: &str, size: (usize, usize)) -> Vec<&str> {
    let room = capacity(largest_version(size));
    let (mut parts, mut rest) = (Vec::new(), text);
    while rest.len() > room {
        let end = rest.floor_char_boundary(room);
        // Between words, where there is a blank in the second half.
        let at = rest[..end].rfind(' ').filter(|&at| at > end / 2).map_or(end, |at| at + 1);
        let (part, behind) = rest.split_at(at);
        parts.push(part);
        rest = behind;
    }
    parts.push(rest);
    parts
}

/// Bytes that a code of this version holds, with the least correction.
fn capacity(version: Version) -> usize {
    let fits = |len: usize| fits_code(len, version);
    let (mut least, mut most) = (1_usize, 2953);
    while least < most {
        let middle = (least + most).div_ceil(2);
        if fits(middle) { least = middle } else { most = middle - 1 }
    }
    least
}

/// Whether that many bytes fit.
fn fits_code(len: usize, most: Version) -> bool {
    let (mut data, mut out) =
        (vec![0; Version::MAX.buffer_len()], vec![0; Version::MAX.buffer_len()]);
    data[..len].fill(b'\xff');
    QrCode::encode_binary(
        &mut data,
        len,
        &mut out,
        QrCodeEcc::Low,
        Version::MIN,
        most,
        Some(Mask::new(0)),
        false,
    )
    .is_ok()
}

/// The code of a text, in rows of half blocks; empty where it is too long for any. Its light
/// modules must be lighter than its dark ones: `dark_on_light` says how text is shown.
pub(crate) fn code(text: &str, dark_on_light: bool) -> String {
    let (mut data, mut out) =
        (vec![0; Version::MAX.buffer_len()], vec![0; Version::MAX.buffer_len()]);
    data[..text.len()].copy_from_slice(text.as_bytes());
    let code = QrCode::encode_binary(
        &mut data,
        text.len(),
        &mut out,
        QrCodeEcc::Low,
        Version::MIN,
        Version::MAX,
        None,
        true,
    );
    let Ok(code) = code else { return String::new() };
    let size = code.size();
    let mut drawn = String::new();
    for y in (-QUIET..size + QUIET).step_by(2) {
        for x in -QUIET..size + QUIET {
            let inked = |y: i32| code.get_module(x, y) == dark_on_light;
            drawn.push(match (inked(y), inked(y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        drawn.push('\n');
    }
    drawn
}

#[cfg(test)]
mod tests;
