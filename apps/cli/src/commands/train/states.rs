//! Checkpoints to go on from: `checkpoints/NAME_iter00200.state`, the last two of a run.

use anyhow::{Context as _, Result, ensure};
use llamaboot_convert::write_atomically;
use llamaboot_train::Trainer;
use std::io;
use std::path::{Path, PathBuf};

/// Checkpoints kept.
const KEPT: usize = 2;

/// Writes the trainer's state, whole or not at all, and removes all but the last two.
pub(super) fn save(trainer: &Trainer<'_>, folder: &Path, name: &str) -> Result<()> {
    let file = format!("{name}_iter{:05}.state", trainer.steps_done());
    let path = folder.join("checkpoints").join(file);
    write_atomically::<io::Error>(&path, |out| trainer.save(&mut |bytes| out.write_all(bytes)))?;
    let states = all(folder, name)?;
    for (_, old) in &states[..states.len().saturating_sub(KEPT)] {
        std::fs::remove_file(old).with_context(|| old.display().to_string())?;
    }
    Ok(())
}

/// Goes on from the newest state that is whole; where there is none yet, from the beginning.
pub(super) fn resume(trainer: &mut Trainer<'_>, folder: &Path, name: &str) -> Result<()> {
    let mut fault = None;
    for (step, path) in all(folder, name)?.into_iter().rev() {
        let named = || path.display().to_string();
        let steps = trainer.settings().schedule.steps;
        ensure!(step <= steps, "{}: expected at most the recipe's {steps} steps", named());
        let bytes = std::fs::read(&path).with_context(named)?;
        match trainer.resume(&bytes).with_context(named) {
            Ok(()) => {
                fault.inspect(|fault| eprintln!("llamaboot: {fault:#}; goes on from {}", named()));
                return Ok(());
            }
            Err(error) => fault = fault.or(Some(error)),
        }
    }
    fault.map_or(Ok(()), Err)
}

/// The newest state of a run.
pub(super) fn newest(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    Ok(all(folder, name)?.pop().map(|(_, path)| path))
}

/// All states with their steps, the newest last.
fn all(folder: &Path, name: &str) -> Result<Vec<(u64, PathBuf)>> {
    let folder = folder.join("checkpoints");
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut states = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let step = file.strip_prefix(&format!("{name}_iter"));
        let step = step.and_then(|step| step.strip_suffix(".state"));
        if let Some(step) = step.and_then(|step| step.parse().ok()) {
            states.push((step, path));
        }
    }
    states.sort();
    Ok(states)
}
