// SPDX-License-Identifier: GPL-2.0

//! `ipsec doctor`: looks for what building and loading the module take. A script that is installed
//! beside the program does it, the same as `make doctor`.

use crate::{failure::Failure, given::Given, options, program::Program};
use clap::{Arg, Command};
use std::{env, io, os::unix::process::CommandExt, path::PathBuf, process};

/// The definition of all options, in the words of `name`'s help.
pub(crate) fn definition(name: &str) -> Command {
    options::command(
        "doctor",
        "Looks for what building and loading the module take",
    )
    .override_usage(format!(
        "{name} [KDIR]\n       {name} --help\n       {name} --version"
    ))
    .arg(
        Arg::new("kdir")
            .value_name("KDIR")
            .help("The build directory of a kernel, if not that of the running one"),
    )
    .args(options::general())
}

/// Becomes the script; returns only if that can't be.
pub(crate) fn run(given: &Given, program: &Program) -> Result<(), Failure> {
    let script = script().map_err(|error| Failure::refused(format!("no doctor: {error}")))?;
    let error = process::Command::new(&script)
        .args(given.text("kdir"))
        .env("KLIPS_DOCTOR", format!("{program}"))
        .exec();
    Err(Failure::refused(
        if error.kind() == io::ErrorKind::NotFound {
            format!(
                "no doctor: there is no {}; it comes with an installed klips, and in its source as 'make doctor'",
                script.display()
            )
        } else {
            format!("no doctor: {}: {error}", script.display())
        },
    ))
}

/// Where it is: beside the program itself, whatever links to that.
fn script() -> io::Result<PathBuf> {
    let program = env::current_exe()?.canonicalize()?;
    Ok(program.with_file_name("doctor").join("doctor.sh"))
}
