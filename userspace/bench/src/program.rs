// SPDX-License-Identifier: GPL-2.0

//! Programs that are started to be measured, or to load what is measured.

use crate::measure;
use anyhow::{Context, Result, ensure};
use std::process::{Command, Stdio};

/// How often a program is started.
pub(crate) const RUNS: u32 = 5;

/// Runs a program that succeeds, without input, its output unseen.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let [program, args @ ..] = words else {
        anyhow::bail!("no program");
    };
    let status = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .with_context(|| (*program).to_owned())?;
    ensure!(status.success(), "{words:?}: {status}");
    Ok(())
}

/// How long a program takes, from its start until its end was seen, on average over some runs;
/// after each of them comes `undo`.
pub(crate) fn time(words: &[&str], mut undo: impl FnMut() -> Result<()>) -> Result<u64> {
    let mut took = 0;
    for _ in 0..RUNS {
        took += measure::time(|| run(words))?;
        undo()?;
    }
    Ok(took / u64::from(RUNS))
}
