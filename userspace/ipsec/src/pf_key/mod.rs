// SPDX-License-Identifier: GPL-2.0

//! `ipsec pf_key`: prints the messages that the kernel sends (reference 8.7).

mod dump;
mod pidfile;
mod printer;
mod syntax;

pub(crate) use syntax::definition;

use crate::{
    background::Detached,
    console::Console,
    failure::Failure,
    given::Given,
    listen::{self, Heard},
    program::Program,
    system::System,
    text,
};
use klips::pfkey::{MsgType, build::request};
use pfkey::{Client, Content, Transport};
use pidfile::{PidFile, PidFileError};
use printer::Printer;
use std::path::Path;
use syntax::Options;

/// Does what is asked for.
pub(crate) fn run<S: System>(
    given: &Given,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let options = Options::read(given);
    if let Some(file) = &options.dumpfile {
        return dump::print(file, &mut Printer::new(program, console), system);
    }
    text::refuse_netkey("pf_key", system)?;
    let failed = |error| Failure::refused(format!("cannot go to the background: {error}"));
    if options.daemon.is_some() {
        match system.detach().map_err(failed)? {
            Detached::Here => (),
            Detached::Ready => return Ok(()),
            Detached::Failed => return Err(Failure::told(1)),
        }
    }
    watch(&options, program, system, console)
}

/// Registers, and prints what is heard. If there is to be a daemon, this is in the background.
fn watch<S: System>(
    options: &Options,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut client = text::connect(system)?;
    register(options, &mut client, program, console)?;
    let _pidfile = match &options.daemon {
        Some(path) => Some(settle(path, system)?),
        None => None,
    };
    let mut printer = Printer::new(program, console).stop_after(options.count);
    listen::listen(
        system,
        &mut client.into_transport(),
        |_, heard| match heard {
            Heard::Message(bytes) => printer.message(bytes),
            Heard::Lost => {
                printer.note("messages were lost here, those before were not read in time")
            }
        },
    )?;
    printer.goodbye()
}

/// Tells those who want to know that all is well in the background.
fn settle(path: &Path, system: &mut impl System) -> Result<PidFile, Failure> {
    let refused = |error: PidFileError| Failure::refused(format!("{}: {error}", path.display()));
    // Begins to watch: no signal is to be lost that comes once the file is there.
    system.wants_end();
    let pidfile = PidFile::create(path).map_err(refused)?;
    system.settle().map_err(|error| refused(error.into()))?;
    Ok(pidfile)
}

/// Asks for the messages of each SA type. The answers are read with all the others.
fn register(
    options: &Options,
    client: &mut Client<impl Transport>,
    program: &Program,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let tell = |client: &mut Client<_>, header| {
        let sent = client.tell(&Content::new(header));
        sent.map(drop).map_err(text::failure)
    };
    for satype in &options.satypes {
        console.debug(program, format_args!("registering for {satype:?}"));
        tell(client, request(MsgType::Register, *satype as u8, 0, 0))?;
    }
    if options.promisc {
        console.debug(program, format_args!("turning promiscuous mode on"));
        // The field for the SA type says that it is to be on.
        tell(client, request(MsgType::Promisc, 1, 0, 0))?;
    }
    Ok(())
}
