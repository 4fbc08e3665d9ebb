//! Progress bars on stderr, where that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal as _;

/// A bar for `total` units: bytes, or a named thing such as tokens.
pub(crate) fn bar(total: u64, unit: Option<&str>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let counts = match unit {
        None => String::from("{decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}"),
        Some(unit) => format!("{{pos}}/{{len}} {unit}  {{per_sec}}"),
    };
    let template = format!("{{bar:30}} {{percent:>3}} %  {counts}  {{eta}} left");
    let bar = ProgressBar::new(total);
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style.progress_chars("#>-"));
    }
    bar
}
