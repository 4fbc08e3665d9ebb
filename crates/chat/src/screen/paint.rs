//! Cells into pixels. A row's changed cells are drawn into a strip in memory, which the surface
//! then takes as one rectangle; the screen itself is never read.

use super::font::{Font, fonts};
use super::theme::Colour;
use alloc::{vec, vec::Vec};

/// Where pixels go: a framebuffer, through whatever firmware offers.
pub trait Surface {
    /// Width and height in pixels.
    fn size(&self) -> (usize, usize);

    /// Shows `pixels`, rows of `width` pixels `0x00RRGGBB`, with its upper left corner at `(x, y)`.
    fn show(&mut self, x: usize, y: usize, width: usize, pixels: &[u32]);
}

/// A character in its colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Glyph {
    pub(super) c: char,
    pub(super) text: Colour,
    pub(super) ground: Colour,
}

/// Columns that a screen should have: about as many as a page can be read in comfort.
const COLUMNS: usize = 100;

/// A font in the size that suits a screen, and a strip to draw in.
pub(super) struct Painter {
    font: Font,
    scale: usize,
    /// Pixels of the screen left of and above the first cell.
    pub(super) margin: (usize, usize),
    pub(super) columns: usize,
    pub(super) rows: usize,
    /// `(cell height, columns * cell width)`.
    strip: Vec<u32>,
}

impl Painter {
    /// For a screen of this size: of all fonts, in all whole multiples, the one that comes closest
    /// to [`COLUMNS`] columns.
    pub(super) fn new((width, height): (usize, usize)) -> Self {
        let sizes = fonts().into_iter().flat_map(|font| (1..=8).map(move |scale| (font, scale)));
        let distance = |(font, scale): &(Font, usize)| {
            let few = height < 8 * font.height() * scale;
            let columns = width / (font.width() * scale);
            // Of sizes that are about as good, the one that is least enlarged.
            (few, columns.abs_diff(COLUMNS) / 10, *scale)
        };
        let [smallest, ..] = fonts();
        let (font, scale) = sizes.min_by_key(distance).unwrap_or((smallest, 1));
        let (cell_width, cell_height) = (font.width() * scale, font.height() * scale);
        let (columns, rows) = ((width / cell_width).max(1), (height / cell_height).max(2));
        let spare = |whole: usize, used: usize| whole.saturating_sub(used) / 2;
        let margin = (spare(width, columns * cell_width), spare(height, rows * cell_height));
        let strip = vec![0; columns * cell_width * cell_height];
        Self { font, scale, margin, columns, rows, strip }
    }

    /// Fills the whole surface.
    pub(super) fn fill(&mut self, surface: &mut dyn Surface, ground: Colour) {
        let (width, height) = surface.size();
        let rows = (self.strip.len() / width.max(1)).max(1);
        let band = vec![ground; rows * width];
        for y in (0..height).step_by(rows) {
            surface.show(0, y, width, &band[..rows.min(height - y) * width]);
        }
    }

    /// Draws cells side by side, the first of them at `(column, row)`.
    pub(super) fn draw(
        &mut self,
        surface: &mut dyn Surface,
        (column, row): (usize, usize),
        glyphs: &[Glyph],
    ) {
        let (cell_width, cell_height) =
            (self.font.width() * self.scale, self.font.height() * self.scale);
        let width = glyphs.len() * cell_width;
        let mut marked = [0; 4 * 32];
        for (i, glyph) in glyphs.iter().enumerate() {
            let bits = self.font.glyph(glyph.c).unwrap_or_else(|| {
                self.font.marked_box(glyph.c, &mut marked);
                &marked
            });
            self.glyph(bits, *glyph, i * cell_width, width);
        }
        let (x, y) = (self.margin.0 + column * cell_width, self.margin.1 + row * cell_height);
        surface.show(x, y, width, &self.strip[..width * cell_height]);
    }

    /// Draws one glyph into the strip, whose rows are `width` pixels, from column `x` on.
    fn glyph(&mut self, bits: &[u8], glyph: Glyph, x: usize, width: usize) {
        let (cell_width, scale) = (self.font.width(), self.scale);
        let bytes = cell_width.div_ceil(8);
        for (y, bits) in bits.chunks_exact(bytes).take(self.font.height()).enumerate() {
            let start = y * scale * width + x;
            let out = &mut self.strip[start..][..cell_width * scale];
            if scale == 1 {
                for (out, &bits) in out.chunks_mut(8).zip(bits) {
                    eight(bits, glyph.text, glyph.ground, out);
                }
            } else {
                let mut pixels = [0; 32];
                for (out, &bits) in pixels.chunks_mut(8).zip(bits) {
                    eight(bits, glyph.text, glyph.ground, out);
                }
                for (out, &pixel) in out.chunks_mut(scale).zip(&pixels) {
                    out.fill(pixel);
                }
                for copy in 1..scale {
                    self.strip.copy_within(start..start + cell_width * scale, start + copy * width);
                }
            }
        }
    }
}

/// Eight pixels (or the rest of a cell) of a glyph's row, most significant bit first. Selecting by
/// a mask has no branches, so it becomes vector code.
fn eight(bits: u8, text: Colour, ground: Colour, out: &mut [u32]) {
    let change = text ^ ground;
    for (i, out) in out.iter_mut().enumerate() {
        let mask = u32::from(bits >> (7 - i) & 1).wrapping_neg();
        *out = ground ^ (change & mask);
    }
}
