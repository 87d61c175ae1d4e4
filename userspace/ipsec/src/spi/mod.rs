// SPDX-License-Identifier: GPL-2.0

//! `ipsec spi`: adds, deletes and reads SAs, lists them.

mod algorithm;
mod args;
mod execute;
mod info;
mod key;
mod keyfile;
mod life;
mod limits;
mod list;
mod plan;
mod session;
mod syntax;

use crate::{
    batch,
    failure::Failure,
    program::{Console, Program},
    system::System,
    text,
};
use args::{Command, Stdin};
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
        Command::List(_) | Command::Request(_) | Command::Batch(_) => {
            text::refuse_netkey("spi", system)?;
        }
    }
    match command {
        Command::Help | Command::Version => Ok(()),
        Command::List(_) if program.json => {
            list::print_json(system, console).map_err(|failure| failure.during(("list", &[])))
        }
        Command::List(color) => list::print(color, system, console),
        Command::Request(request) => {
            let stdin = Stdin::Free;
            batch::run_one(&mut Session { system, stdin }, &request, program, console)
        }
        Command::Batch(options) => {
            let input = options.open(system)?;
            let stdin = match options.file.as_str() {
                "-" => Stdin::Batch,
                _ => Stdin::Free,
            };
            let mut session = Session { system, stdin };
            batch::run(&mut session, &options, input, program, console)
        }
    }
}
