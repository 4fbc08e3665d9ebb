//! The structure of the codes, read back from what is drawn.

use super::*;

/// A code's modules, dark as `true`, from the drawing.
fn modules(drawn: &str) -> Vec<Vec<bool>> {
    let mut rows = vec![];
    for line in drawn.lines() {
        let upper = line.chars().map(|c| matches!(c, ' ' | '▄')).collect();
        let lower = line.chars().map(|c| matches!(c, ' ' | '▀')).collect();
        rows.extend([upper, lower]);
    }
    rows
}

/// The three finder patterns stand where ISO/IEC 18004 puts them, within a light quiet zone.
#[test]
fn a_code_has_its_finders_and_its_quiet_zone() {
    let modules = modules(&code("Hello, world. Où est l'été ?", false));
    let size = modules[0].len() - 8;
    assert_eq!(size % 4, 1, "{size}");
    let finder = |x: usize, y: usize| {
        (0..7).all(|i| {
            (0..7).all(|j| {
                let ring = i.min(j).min(6 - i).min(6 - j);
                modules[4 + y + i][4 + x + j] == (ring != 1)
            })
        })
    };
    assert!(finder(0, 0) && finder(size - 7, 0) && finder(0, size - 7));
    assert!(modules[..4].iter().flatten().all(|&dark| !dark));
    assert!(modules.iter().all(|row| row[..4].iter().all(|&dark| !dark)));
}

#[test]
fn parts_fit_the_screen_and_make_the_whole() {
    let text = "Once upon a time there was a little dog who loved to play. ".repeat(40);
    for size in [(80, 25), (120, 32), (40, 20)] {
        let parts = parts(&text, size);
        assert!(parts.len() > 1);
        assert_eq!(parts.concat(), text);
        for part in parts {
            let drawn = code(part, false);
            let (columns, rows) =
                (drawn.lines().next().unwrap().chars().count(), drawn.lines().count());
            assert!(columns <= size.0 && rows <= size.1, "{columns} x {rows} of {size:?}");
        }
    }
    assert_eq!(parts("short", (80, 25)), ["short"]);
}

#[test]
fn on_light_ground_the_code_is_turned_round() {
    let (dark, light) = (code("x", false), code("x", true));
    let turned: String = dark
        .chars()
        .map(|c| match c {
            '█' => ' ',
            ' ' => '█',
            '▀' => '▄',
            '▄' => '▀',
            c => c,
        })
        .collect();
    assert_eq!(turned, light);
}
