// SPDX-License-Identifier: GPL-2.0

//! `ipsec eroute`: says which packets go through which SAs, lists that, and finds out what becomes
//! of a packet (reference 8.4).

mod args;
mod change;
mod dry_run;
mod execute;
mod list;
mod lookup;
mod network;
mod path;
mod plan;
mod refusal;
mod selector;
mod session;
mod syntax;
mod table;
mod transport;

use crate::{
    batch,
    failure::Failure,
    monitor,
    program::{Console, Program},
    system::System,
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
    if let Command::Text(text) = &command {
        return console.print(text);
    }
    if system.has_netkey() {
        return Err(Failure::refused("NETKEY does not support eroute table."));
    }
    match command {
        Command::Text(_) => Ok(()),
        Command::List(_) if program.json => {
            list::print_json(system, console).map_err(|failure| failure.during(("list", &[])))
        }
        Command::List(color) => list::print(color, system, console),
        Command::Request { request, dry_run } => {
            batch::run_one(&mut Session { system, dry_run }, &request, program, console)
        }
        Command::Get { packet, color } => lookup::print(&packet, color, program, system, console)
            .map_err(|failure| failure.during(("get", &[]))),
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
