//! `loss.csv`: a line for each step, from which the report is drawn, and from which a resumed run
//! knows what its validations gave.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// What is known of a step, before its update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    /// Updates done before it.
    pub(super) step: u64,
    /// Mean loss of its batch, nats a token; of the last batch behind the last step.
    pub(super) train_loss: f64,
    /// Mean loss over the validation text, where it was measured.
    pub(super) val_loss: Option<f64>,
    /// Learning rate.
    pub(super) rate: f32,
    /// Norm of the gradients before clipping.
    pub(super) gradient_norm: f32,
    /// Tokens a second.
    pub(super) tok_s: f64,
}

const HEAD: &str = "step,train_loss,val_loss,learning_rate,gradient_norm,tokens_per_second";

impl Row {
    /// The line of `--json`.
    pub(super) fn json(&self) -> Value {
        json!({
            "step": self.step, "train_loss": self.train_loss, "val_loss": self.val_loss,
            "tok_s": (self.tok_s * 10.0).round() / 10.0,
        })
    }

    fn line(&self) -> String {
        let Self { step, train_loss, val_loss, rate, gradient_norm, tok_s } = self;
        let val_loss = val_loss.map(|loss| loss.to_string()).unwrap_or_default();
        format!("{step},{train_loss},{val_loss},{rate},{gradient_norm},{tok_s:.1}")
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(',');
        let mut field = || fields.next();
        let (step, train_loss, val_loss) = (field()?, field()?, field()?);
        Some(Self {
            step: step.parse().ok()?,
            train_loss: train_loss.parse().ok()?,
            val_loss: if val_loss.is_empty() { None } else { Some(val_loss.parse().ok()?) },
            rate: field()?.parse().ok()?,
            gradient_norm: field()?.parse().ok()?,
            tok_s: field()?.parse().ok()?,
        })
    }
}

/// All rows, in memory and on the disk.
pub(super) struct Log {
    path: PathBuf,
    file: BufWriter<File>,
    pub(super) rows: Vec<Row>,
}

impl Log {
    /// The log of a run that has done `steps` steps; later rows of a run that was killed are
    /// dropped, for they come again.
    pub(super) fn open(folder: &Path, steps: u64) -> Result<Self> {
        let path = folder.join("loss.csv");
        let named = || path.display().to_string();
        let mut rows = Vec::new();
        if steps > 0 {
            let text = std::fs::read_to_string(&path).with_context(named)?;
            rows.extend(text.lines().skip(1).map_while(Row::parse).take(steps as usize));
            let (expected, found) = (steps, rows.len());
            ensure!(
                found as u64 == expected,
                "{}: expected the {expected} steps done, found {found}",
                named()
            );
        }
        // A run that is killed here must find its rows again.
        let lines = rows.iter().map(|row| row.line() + "\n");
        let text: String = std::iter::once(format!("{HEAD}\n")).chain(lines).collect();
        let write = |out: &mut dyn io::Write| out.write_all(text.as_bytes());
        llamaboot_convert::write_atomically::<io::Error>(&path, write)?;
        let file = File::options().append(true).open(&path).with_context(named)?;
        Ok(Self { path, file: BufWriter::new(file), rows })
    }

    /// Appends a row.
    pub(super) fn push(&mut self, row: Row) -> Result<()> {
        writeln!(self.file, "{}", row.line()).with_context(|| self.path.display().to_string())?;
        self.rows.push(row);
        Ok(())
    }

    /// Brings all rows to the disk: before a checkpoint that counts on them.
    pub(super) fn flush(&mut self) -> Result<()> {
        let flushed = self.file.flush().and_then(|()| self.file.get_ref().sync_data());
        flushed.with_context(|| self.path.display().to_string())
    }

    /// The lowest validation loss, and how many validations came behind it.
    pub(super) fn best(&self) -> Option<(f64, usize)> {
        let losses: Vec<f64> =
            self.rows.iter().filter_map(|row| row.val_loss).filter(|loss| !loss.is_nan()).collect();
        let best = losses.iter().copied().min_by(f64::total_cmp)?;
        let at = losses.iter().position(|&loss| loss == best)?;
        Some((best, losses.len() - 1 - at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gives_its_row_back_to_the_last_bit() {
        let row = Row {
            step: 7,
            train_loss: 0.1 + 0.2,
            val_loss: Some(1.0 / 3.0),
            rate: 1e-3 / 3.0,
            gradient_norm: 0.7,
            tok_s: 12.5,
        };
        assert_eq!(Row::parse(&row.line()), Some(row));
        assert_eq!(
            Row::parse(&Row { val_loss: None, ..row }.line()),
            Some(Row { val_loss: None, ..row })
        );
        assert_eq!(Row::parse("7,0.3"), None);
    }
}
