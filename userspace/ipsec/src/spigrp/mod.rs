// SPDX-License-Identifier: GPL-2.0

//! `ipsec spigrp`: groups and ungroups SAs, lists groups.

mod args;
mod execute;
mod plan;

use crate::{
    failure::Failure,
    listing,
    program::{Console, Program},
    system::{ProcFile, System},
    text,
};
use args::Command;

/// Runs the command.
pub(crate) fn run<S: System>(
    program: &mut Program,
    args: &[String],
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let command = args::parse(program, args, system)?;
    match command {
        Command::Help => return console.print(&args::help(program)),
        Command::Version => return console.print(&program.version()),
        Command::List { .. } | Command::Saids(_) => text::refuse_netkey("spigrp", system)?,
    }
    match command {
        Command::List { json: false } => listing::print(system, ProcFile::SpiGrp, console),
        Command::List { json: true } => listing::print_json(system, console),
        Command::Saids(saids) => execute::execute(&plan::plan(&saids), program, system, console),
        Command::Help | Command::Version => Ok(()),
    }
}
