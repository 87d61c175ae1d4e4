// SPDX-License-Identifier: GPL-2.0

//! `ipsec spigrp`: groups and ungroups SAs, lists groups.

mod args;
mod change;
mod dry_run;
mod execute;
mod list;
mod pairs;
mod plan;
mod refusal;
mod sas;
mod session;
mod syntax;

use crate::{
    batch,
    failure::Failure,
    monitor,
    program::{Console, Program},
    system::System,
    text,
};
use args::Command;
use change::Change;
use session::Session;

pub(crate) use syntax::definition;

/// Runs the command.
pub(crate) fn run<S: System>(
    program: &mut Program,
    args: &[String],
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let command = args::parse(program, args, system)?;
    match command {
        Command::Help => return console.print(&syntax::help(program)),
        Command::Version => return console.print(&program.version()),
        Command::List(_)
        | Command::Request { .. }
        | Command::Batch { .. }
        | Command::Monitor { .. } => {
            text::refuse_netkey("spigrp", system)?;
        }
    }
    match command {
        Command::Help | Command::Version => Ok(()),
        Command::List(_) if program.json => {
            list::print_json(system, console).map_err(|failure| failure.during(("list", &[])))
        }
        Command::List(color) => list::print(color, system, console),
        Command::Request { request, dry_run } => {
            batch::run_one(&mut Session { system, dry_run }, &request, program, console)
        }
        Command::Batch { batch, dry_run } => {
            let input = batch.open(system)?;
            let mut session = Session { system, dry_run };
            batch::run(&mut session, &batch, input, program, console)
        }
        Command::Monitor { timestamp } => {
            monitor::monitor::<Change, S>(timestamp, program, system, console)
                .map_err(|failure| failure.during(("monitor", &[])))
        }
    }
}
