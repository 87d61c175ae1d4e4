// SPDX-License-Identifier: GPL-2.0

//! `ipsec klipsdebug`: sets and lists the debugging masks of the module (reference 8.5).

mod list;
mod masks;
mod syntax;

pub(crate) use syntax::definition;

use crate::{
    console::Console,
    failure::Failure,
    given::Given,
    listing,
    program::Program,
    system::{ProcFile, System},
    text,
};
use klips::pfkey::{MsgType, build::request};
use pfkey::Content;

/// Does what is asked for.
pub(crate) fn run<S: System>(
    given: &Given,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let change = syntax::read(given, program)?;
    text::refuse_netkey("klipsdebug", system)?;
    let Some(change) = change else {
        return if program.json {
            list::print_json(system, console)
        } else {
            listing::print(system, ProcFile::KlipsDebug, console)
        };
    };
    let mut client = text::connect(system)?;
    console.debug(program, format_args!("{change}"));
    let content = Content {
        debug: Some(change.masks()),
        ..Content::new(request(MsgType::Debug, 0, 0, 0))
    };
    // It is never answered.
    client.tell(&content).map(drop).map_err(text::failure)
}
