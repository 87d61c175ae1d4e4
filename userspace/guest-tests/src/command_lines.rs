// SPDX-License-Identifier: GPL-2.0

//! The recorded command lines of the historic tools, given to these tools on a real kernel; see
//! `ipsec/tests/golden/README.md` for the format.

#[path = "../../ipsec/tests/golden/recorded.rs"]
mod recorded;

use self::recorded::{Case, FILES, Step, cases_of, complaints, differences, unprivileged};
use crate::{ktap::Test, support::spigrp};
use anyhow::{Context, Result, ensure};
use std::{os::unix::process::CommandExt, process::Command};

/// The user and group nobody.
const NOBODY: u32 = 65534;

/// A test for each recorded case with the module loaded. The command lines of `04` are the same for
/// both releases, so that those of one are enough.
pub fn all() -> Vec<Test> {
    let mut tests = Vec::new();
    for (file, text) in FILES {
        if file == "openswan-2.6.52/04-spigrp" {
            continue;
        }
        for case in cases_of(text).into_iter().filter(|case| !case.absent) {
            let words = case
                .title
                .replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            let name = format!("command_lines::{file}_{words}");
            tests.push(Test::new(name, move || check(file, &case)));
        }
    }
    tests
}

fn check(file: &str, case: &Case) -> Result<()> {
    let came: Vec<Step> = case.steps.iter().map(replay).collect::<Result<_>>()?;
    let wrong = complaints(file, case, &came, &differences());
    ensure!(wrong.is_empty(), "\n{wrong}");
    Ok(())
}

/// Runs a recorded command line, and reads the lists that were read after it.
fn replay(step: &Step) -> Result<Step> {
    let mut came = run(&step.command).with_context(|| step.command.clone())?;
    for list in step.came.iter().filter(|line| line.starts_with("--- ")) {
        came.push(list.clone());
        came.extend(spigrp()?.lines().map(str::to_owned));
    }
    Ok(Step {
        command: step.command.clone(),
        came,
    })
}

/// Runs a command line; what it prints, and its exit status if that is not 0.
fn run(line: &str) -> Result<Vec<String>> {
    let words = unprivileged(line).unwrap_or(line).split_ascii_whitespace();
    let mut words = words.map(|word| if word == "\"\"" { "" } else { word });
    let name = words.next().context("no command")?;
    let mut command = Command::new(name);
    // As it was called, without its folder.
    command.arg0(name).args(words);
    if unprivileged(line).is_some() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output()?;
    let (stdout, stderr) = (
        String::from_utf8(output.stdout)?,
        String::from_utf8(output.stderr)?,
    );
    let mut came: Vec<String> = stdout.lines().map(str::to_owned).collect();
    came.extend(stderr.lines().map(|line| format!("! {line}")));
    match output.status.code().context("ended by a signal")? {
        0 => (),
        code => came.push(format!("[exit {code}]")),
    }
    Ok(came)
}
