// SPDX-License-Identifier: GPL-2.0

//! `ipsec klipsdebug`: sets and lists the debugging masks of the module (reference 8.5).

mod list;
mod masks;
mod syntax;

pub(crate) use syntax::definition;

use crate::{
    failure::Failure,
    listing,
    options::{self, Parsed},
    program::{Console, Program},
    system::{ProcFile, System},
    text,
};
use klips::pfkey::{MsgType, build::request};
use pfkey::Content;
use syntax::Command;

/// Runs the command.
pub(crate) fn run<S: System>(
    program: &mut Program,
    args: &[String],
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let command = match options::parse(definition, program, args)? {
        Parsed::Text(text) => return console.print(&text),
        Parsed::Options(matches) => syntax::read(&matches, program)?,
    };
    text::refuse_netkey("klipsdebug", system)?;
    match command {
        Command::List if program.json => list::print_json(system, console),
        Command::List => listing::print(system, ProcFile::KlipsDebug, console),
        Command::Change(change) => {
            let mut client = text::connect(system)?;
            console.debug(program, format_args!("{change}"));
            let content = Content {
                debug: Some(change.masks()),
                ..Content::new(request(MsgType::Debug, 0, 0, 0))
            };
            // It is never answered.
            client.tell(&content).map(drop).map_err(text::failure)
        }
    }
}
