//! The status line:
//!
//! ```text
//!  SmolLM2-135M-Instruct.Q4_1.gguf   ███░░░░░░░ 412 / 2048   9.8 tokens/s             fr
//! ```

use crate::Status;
use crate::progress::gauge;
use alloc::{format, string::String};

/// Cells of the gauge.
const GAUGE: usize = 10;

/// The line, exactly `columns` characters.
pub(super) fn status_text(status: &Status<'_>, columns: usize) -> String {
    let Status { model, used, context, tokens_per_second, keyboard, doing } = *status;
    let gauge = gauge(used, context, GAUGE);
    let rate = tokens_per_second.map(|rate| format!("{rate:.1} tokens/s"));
    let doing = doing.map(String::from).or(rate).map(|doing| format!("   {doing}"));
    let behind = format!("{gauge} {used} / {context}{}", doing.unwrap_or_default());
    let right = format!("{keyboard} ");
    let room = columns.saturating_sub(behind.chars().count() + right.chars().count() + 5);
    let model: String = model.chars().take(room).collect();
    let left = format!(" {model}   {behind}");
    let gap = columns.saturating_sub(left.chars().count() + right.chars().count());
    format!("{left}{}{right}", " ".repeat(gap)).chars().take(columns).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fits() {
        let status = Status {
            model: "stories260K.bin",
            used: 100,
            context: 512,
            tokens_per_second: Some(12.34),
            keyboard: "fr",
            doing: None,
        };
        assert_eq!(
            status_text(&status, 70),
            " stories260K.bin   ██░░░░░░░░ 100 / 512   12.3 tokens/s            fr "
        );
        let doing = Some("reading 4 of 90");
        assert!(status_text(&Status { doing, ..status }, 70).contains("512   reading 4 of 90  "));
        for columns in 1..100 {
            assert_eq!(status_text(&status, columns).chars().count(), columns);
        }
        assert!(status_text(&status, 48).starts_with(" stor   ██"));
    }
}
