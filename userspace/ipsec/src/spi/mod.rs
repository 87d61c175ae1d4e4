// SPDX-License-Identifier: GPL-2.0

//! `ipsec spi`: adds and deletes SAs, lists them.

mod algorithm;
mod args;
mod key;
mod life;
mod plan;
mod syntax;

use crate::{
    failure::Failure,
    listing,
    program::{Console, Program},
    system::{ProcFile, System},
    text,
};
use args::Command;
use klips::errno::Errno;
use pfkey::Error;
use plan::Plan;

/// Runs the command.
pub(crate) fn run<S: System>(
    program: &mut Program,
    args: &[String],
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let (plan, listen) = match args::parse(program, args, system)? {
        Command::Help => return console.print(&syntax::help(program)),
        Command::Version => return console.print(&program.version()),
        Command::List => {
            text::refuse_netkey("spi", system)?;
            return listing::print(system, ProcFile::Spi, console);
        }
        Command::Request { plan, listen } => (plan, listen),
    };
    text::refuse_netkey("spi", system)?;
    let mut client = text::connect(system)?;
    console.debug(program, format_args!("{plan}"));
    let answer = client.request(&plan.content());
    answer.map_err(|error| explain(&plan, error))?;
    match listen {
        true => console.print(&format!("{program}: exited normally\n")),
        false => Ok(()),
    }
}

/// Why the kernel refused, and whom.
fn explain(plan: &Plan, error: Error) -> Failure {
    let Error::Refused { errno, .. } = error else {
        return text::failure(error);
    };
    let why = match (plan, errno) {
        // Openswan's words, with the SA in them.
        (Plan::Add(sa), Errno::EEXIST) => {
            format!("SA {:#} already in use.  Delete old one first.", sa.said())
        }
        (Plan::Delete(addresses), Errno::ESRCH) => {
            format!("SA {:#} does not exist.  Cannot delete.", addresses.said)
        }
        (Plan::Add(_), Errno::ENOENT) => {
            "encryption algorithm not available in the kernel.".to_owned()
        }
        _ => return text::failure(error),
    };
    Failure::refused(format!("pfkey write failed (errno={}): {why}", errno.0))
}
