//! Pages in memory: what is painted, when, how much of it, and how fast.

use super::font::fonts;
use super::*;
use alloc::{string::String, string::ToString as _, vec};
use core::cell::Cell as Shared;
use proptest::prelude::*;
use std::time::Instant;

extern crate std;

/// A framebuffer in memory that counts what is painted.
struct Memory {
    width: usize,
    pixels: Vec<u32>,
    painted: usize,
}

impl Memory {
    fn new(width: usize, height: usize) -> Self {
        Self { width, pixels: vec![0; width * height], painted: 0 }
    }
}

impl Surface for Memory {
    fn size(&self) -> (usize, usize) {
        (self.width, self.pixels.len() / self.width)
    }

    fn show(&mut self, x: usize, y: usize, width: usize, pixels: &[u32]) {
        for (row, pixels) in pixels.chunks(width).enumerate() {
            self.pixels[(y + row) * self.width + x..][..width].copy_from_slice(pixels);
        }
        self.painted += pixels.len();
    }
}

/// The characters on the screen, read back from its pixels by comparing them with every glyph.
fn read_back(screen: &Screen<Memory>) -> Vec<String> {
    let font = fonts()[0];
    assert_eq!(screen.painter.columns, screen.surface.width / font.width(), "the small font");
    let (columns, rows) = (screen.painter.columns, screen.painter.rows);
    let (left, top) = screen.painter.margin;
    let cell = |column: usize, row: usize| {
        let lit = |x: usize, y: usize| {
            let at = (top + row * font.height() + y) * screen.surface.width;
            screen.surface.pixels[at + left + column * font.width() + x]
        };
        let ground = screen.theme.colours(Style::Text).1;
        let bits: Vec<u8> = (0..font.height())
            .map(|y| (0..8).fold(0, |byte, x| byte << 1 | u8::from(lit(x, y) != ground)))
            .collect();
        (' '..='~').find(|&c| font.glyph(c) == Some(&bits)).unwrap_or('?')
    };
    (0..rows - 1).map(|row| (0..columns).map(|column| cell(column, row)).collect()).collect()
}

fn small() -> Screen<Memory> {
    Screen::new(Memory::new(640, 10 * 16))
}

#[test]
fn text_is_on_the_screen() {
    let mut screen = small();
    screen.write("Hello, world.\n>>> typed");
    screen.write("\u{8}\u{8}\u{8}\u{8}\u{8}X");
    screen.paint();
    let rows = read_back(&screen);
    assert_eq!(rows[0].trim_end(), "Hello, world.");
    // The cursor stands on the y, which is drawn the other way round.
    assert_eq!(rows[1].trim_end(), ">>> X?ped");
    assert_eq!(screen.size(), (80, 9));
}

#[test]
fn only_what_changes_is_painted() {
    let mut screen = small();
    screen.write("Hello");
    screen.paint();
    let before = screen.surface.painted;
    screen.paint();
    assert_eq!(screen.surface.painted, before);
    screen.write(",");
    screen.paint();
    // The new character, and the cursor behind it.
    assert_eq!(screen.surface.painted - before, 2 * 8 * 16);
}

#[test]
fn a_full_page_scrolls_and_scrolls_back() {
    let mut screen = small();
    for line in 0..30 {
        screen.write(&alloc::format!("line {line}\n"));
    }
    screen.paint();
    let top = |screen: &Screen<Memory>| read_back(screen)[0].trim_end().to_string();
    assert_eq!(top(&screen), "line 22");
    screen.scroll(true);
    screen.paint();
    assert_eq!(top(&screen), "line 18");
    (0..20).for_each(|_| screen.scroll(true));
    screen.paint();
    assert_eq!(top(&screen), "line 0");
    screen.scroll(false);
    screen.paint();
    assert_eq!(top(&screen), "line 4");
    screen.write("!");
    screen.paint();
    assert_eq!(top(&screen), "line 22");
}

#[test]
fn letters_grow_with_the_screen() {
    let columns = |width, height| Painter::new((width, height)).columns;
    let sizes = [(640, 480), (800, 600), (1024, 768), (1280, 800), (1366, 768), (1920, 1080)];
    assert_eq!(sizes.map(|(w, h)| columns(w, h)), [80, 100, 85, 106, 113, 120]);
    assert_eq!([(2560, 1440), (3840, 2160)].map(|(w, h)| columns(w, h)), [106, 106]);
}

/// A clock that goes on by a fixed step whenever it is read.
struct Steps(Shared<u64>, u64);

impl Clock for Steps {
    fn micros(&self) -> u64 {
        self.0.set(self.0.get() + self.1);
        self.0.get()
    }
}

/// Where painting takes long, it is held back to its share of the time.
#[test]
fn painting_takes_a_hundredth_of_the_time() {
    let mut screen = small();
    let clock = Steps(Shared::new(0), 1000);
    let mut paints = 0;
    for _ in 0..2000 {
        screen.write("x");
        let before = screen.surface.painted;
        screen.refresh(&clock);
        paints += usize::from(screen.surface.painted > before);
    }
    // A paint takes 1 ms by this clock, a look at the clock as much.
    assert!((19..=21).contains(&paints), "{paints}");
}

/// A page that scrolls at 1920 x 1080, every cell changing: the bound is 5 ms on the machine this
/// was written on, with its release build; tests on busy machines get more.
#[test]
fn a_full_screen_scrolls_quickly() {
    let mut screen = Screen::new(Memory::new(1920, 1080));
    let text = "Sphinx_of_black_quartz,_judge_my_vow.".repeat(8);
    let line = |number: usize| alloc::format!("{}\n", &text[number % 37..][..120]);
    (0..100).for_each(|number| screen.write(&line(number)));
    screen.paint();
    let mut best = u128::MAX;
    for number in 100..120 {
        screen.write(&line(number));
        let before = screen.surface.painted;
        let start = Instant::now();
        screen.paint();
        best = best.min(start.elapsed().as_micros());
        // All rows but the one for typing, edge to edge.
        let painted = screen.surface.painted - before;
        assert!(painted > 31 * 32 * 1900, "{painted} pixels");
    }
    std::println!("a full-screen scroll takes {best} us");
    assert!(best < 5000, "{best} us");
}

proptest! {
    /// Whatever is written, however often it is painted between, the pixels are those of a screen
    /// that is painted once.
    #[test]
    fn painting_in_between_changes_nothing(
        pieces in prop::collection::vec("[a-z é日🦙]{0,30}|\n|\u{8}{1,5}|.{0,10}", 0..30),
    ) {
        let (mut often, mut once) = (small(), small());
        for piece in &pieces {
            often.write(piece);
            often.paint();
            once.write(piece);
        }
        often.paint();
        once.paint();
        prop_assert!(often.surface.pixels == once.surface.pixels);
    }
}
