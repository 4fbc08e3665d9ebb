//! `report.html`: the curves of a run as pictures inside one file, its recipe, and samples.

use super::log::Row;
use super::recipe::Recipe;
use super::samples::Sample;
use anyhow::{Result, anyhow};
use llamaboot_convert::write_atomically;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// Points of a curve at most; neighbours are averaged.
const POINTS: usize = 800;

/// A named curve.
struct Curve {
    name: &'static str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

const BLUE_LINE: RGBColor = RGBColor(60, 110, 180);
const ORANGE_LINE: RGBColor = RGBColor(210, 110, 30);

/// Writes the report of the rows so far, and `report.svg`, the losses alone.
pub(super) fn write(
    folder: &Path,
    recipe: &Recipe,
    rows: &[Row],
    samples: &[Sample],
) -> Result<()> {
    let train = curve("training", BLUE_LINE, rows, |row| Some(row.train_loss));
    let validation = curve("validation", ORANGE_LINE, rows, |row| row.val_loss);
    let rate = curve("learning rate", BLUE_LINE, rows, |row| Some(f64::from(row.rate)));
    let norm = curve("gradient norm", BLUE_LINE, rows, |row| Some(f64::from(row.gradient_norm)));
    let losses = draw("Loss, nats a token", &[train, validation])?;
    let mut html = format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>{name}</title>\n<style>body{{font:16px \
         sans-serif;max-width:900px;margin:2em auto;padding:0 1em}}pre{{background:#f4f4f4;\
         padding:1em;white-space:pre-wrap}}svg{{max-width:100%;height:auto}}</style>\n\
         <h1>{name}</h1>\n{losses}\n{}\n{}\n",
        draw("Learning rate", &[rate])?,
        draw("Norm of the gradients", &[norm])?,
        name = escape(&recipe.name),
    );
    html += "<h2>Samples</h2>\n";
    for Sample { step, text } in samples.iter().rev() {
        let _ = writeln!(html, "<h3>step {step}</h3>\n<pre>{}</pre>", escape(text));
    }
    let recipe = serde_json::to_string_pretty(recipe)?;
    let _ = writeln!(html, "<h2>Recipe</h2>\n<pre>{}</pre>", escape(&recipe));
    for (name, text) in [("report.html", html), ("report.svg", losses)] {
        let write = |out: &mut dyn io::Write| out.write_all(text.as_bytes());
        write_atomically::<io::Error>(&folder.join(name), write)?;
    }
    Ok(())
}

/// Rows as points, few enough for a picture.
fn curve(
    name: &'static str,
    colour: RGBColor,
    rows: &[Row],
    value: impl Fn(&Row) -> Option<f64>,
) -> Curve {
    let all: Vec<(f64, f64)> =
        rows.iter().filter_map(|row| Some((row.step as f64, value(row)?))).collect();
    let mean = |points: &[(f64, f64)]| {
        let n = points.len() as f64;
        let sum = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / n, sum.1 / n)
    };
    let points = all.chunks(all.len().div_ceil(POINTS).max(1)).map(mean).collect();
    Curve { name, colour, points }
}

/// A picture of curves over steps.
fn draw(title: &str, curves: &[Curve]) -> Result<String> {
    let mut svg = String::new();
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let last = points().map(|point| point.0).fold(1.0, f64::max);
    let least = points().map(|point| point.1).fold(f64::INFINITY, f64::min).min(1e9);
    let most = points().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max).max(least + 1e-9);
    let area = SVGBackend::with_string(&mut svg, (860, 320)).into_drawing_area();
    draw_on(&area, title, curves, (0.0..last, least..most)).map_err(|e| anyhow!("{title}: {e}"))?;
    drop(area);
    Ok(svg)
}

fn draw_on(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    curves: &[Curve],
    (x, y): (std::ops::Range<f64>, std::ops::Range<f64>),
) -> Result<(), Box<dyn std::error::Error>>
where
    std::ops::Range<f64>: AsRangedCoord<CoordDescType: ValueFormatter<f64>>,
{
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(8)
        .x_label_area_size(30)
        .y_label_area_size(60)
        .build_cartesian_2d(x, y)?;
    chart.configure_mesh().x_desc("steps").light_line_style(WHITE).draw()?;
    for curve in curves {
        let colour = curve.colour;
        let line = LineSeries::new(curve.points.iter().copied(), colour.stroke_width(2));
        let legend = move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2));
        chart.draw_series(line)?.label(curve.name).legend(legend);
    }
    if curves.len() > 1 {
        chart.configure_series_labels().background_style(WHITE).draw()?;
    }
    area.present()?;
    Ok(())
}

/// Text for HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
