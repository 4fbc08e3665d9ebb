//! Our speed divided by a peer's, as bars.

use crate::bench::Row;
use anyhow::{Result, anyhow};
use plotters::prelude::*;
use std::path::Path;

const LEFT: i32 = 230;
const BAR: i32 = 20;
const TOP: i32 = 40;
/// Pixels of one times the peer's speed.
const ONE: f64 = 200.0;

/// Writes an SVG with a bar for each row, and a line where both are equally fast.
pub(crate) fn draw(path: &Path, rows: &[Row]) -> Result<()> {
    let height = TOP + BAR * rows.len() as i32 + 20;
    let area = SVGBackend::new(path, (900, height as u32)).into_drawing_area();
    let fault = |error: DrawingAreaErrorKind<_>| anyhow!("{}: {error}", path.display());
    area.fill(&WHITE).map_err(fault)?;
    let text = ("sans-serif", 13).into_font();
    let title = "Tokens a second while decoding, divided by the peer's (1: equally fast)";
    let write = |words: String, x: i32, y: i32| area.draw(&Text::new(words, (x, y), text.clone()));
    write(String::from(title), 10, 10).map_err(fault)?;
    for (index, row) in rows.iter().enumerate() {
        let y = TOP + BAR * index as i32;
        let end = LEFT + (row.decode.min(3.0) * ONE) as i32;
        let colour =
            if row.peer == "llama.cpp" { RGBColor(60, 110, 180) } else { RGBColor(200, 120, 50) };
        let bar = Rectangle::new([(LEFT, y + 2), (end, y + BAR - 3)], colour.filled());
        area.draw(&bar).map_err(fault)?;
        write(format!("{} / {}", row.name, row.peer), 10, y + 3).map_err(fault)?;
        write(format!("{:.2}", row.decode), end + 5, y + 3).map_err(fault)?;
    }
    let one = LEFT + ONE as i32;
    let line = PathElement::new([(one, TOP - 5), (one, height - 15)], BLACK.stroke_width(1));
    area.draw(&line).map_err(fault)?;
    area.present().map_err(fault)
}
