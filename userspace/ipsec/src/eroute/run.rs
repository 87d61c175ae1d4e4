// SPDX-License-Identifier: GPL-2.0

//! What the command does: requests are sent, or tried on what is listed; and packets are followed.

use super::{
    args,
    change::Change,
    dry_run::{Prospect, Rehearsal},
    execute::execute,
    list, lookup,
    plan::Request,
    syntax,
};
use crate::{
    console::Console,
    driver,
    failure::Failure,
    given::Given,
    json::Outcome,
    monitor, options,
    program::Program,
    requests::{How, Requests},
    system::System,
    text,
};
use klips::said::Said;
use pfkey::Client;
use serde::Serialize;

/// Does what is asked for.
pub(crate) fn run<S: System>(
    given: &Given,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let Some(packet) = args::packet(given, program, system)? else {
        return driver::ask::<Eroutes, S>(given, program, system, console);
    };
    if system.has_netkey() {
        return Err(Failure::refused(BESIDE_NETKEY));
    }
    let color = options::color_of(given);
    lookup::print(&packet, color, program, system, console)
        .map_err(|failure| failure.during(("get", &[])))
}

/// What is said where the PF_KEY socket is mainline's.
const BESIDE_NETKEY: &str = "NETKEY does not support eroute table.";

/// The command.
enum Eroutes {}

/// Where requests go.
pub(super) enum Connection<T> {
    Kernel(Client<T>),
    Rehearsal(Box<Rehearsal>),
}

/// What `--json` tells.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Told {
    Done(Outcome),
    Prospect(Prospect),
}

impl<S: System> Requests<S> for Eroutes {
    type Request = Request;
    type Connection = Connection<S::Transport>;
    type Outcome = Told;

    const DEFINITION: fn(&str) -> clap::Command = syntax::definition;

    fn beside_netkey() -> String {
        BESIDE_NETKEY.to_owned()
    }

    fn about(request: &Request) -> (&'static str, &[Said]) {
        (request.action(), request.saids())
    }

    fn read(
        given: &Given,
        _: How,
        program: &Program,
        system: &mut S,
    ) -> Result<Option<Request>, Failure> {
        args::request(given, program, system)
    }

    fn connect(how: How, system: &mut S) -> Result<Self::Connection, Failure> {
        Ok(if how.dry_run {
            Connection::Rehearsal(Box::new(Rehearsal::begin(system)?))
        } else {
            Connection::Kernel(text::connect(system)?)
        })
    }

    fn execute(
        request: &Request,
        connection: &mut Self::Connection,
        program: &Program,
        system: &mut S,
        console: &mut Console<'_>,
    ) -> Result<Told, Failure> {
        let about = (request.action(), request.saids());
        match connection {
            Connection::Kernel(client) => execute(request, client, program, system, console)
                .map(|()| Told::Done(Outcome::done(about).of_flow(request.selector()))),
            Connection::Rehearsal(rehearsal) => rehearsal
                .rehearse(request, program, console)
                .map(Told::Prospect),
        }
        .map_err(|failure| failure.of_flow(request.selector()))
    }

    fn list(
        given: &Given,
        program: &Program,
        system: &mut S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        if program.json {
            list::print_json(system, console)
        } else {
            list::print(options::color_of(given), system, console)
        }
    }

    fn monitor(
        given: &Given,
        program: &Program,
        system: &mut S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        monitor::monitor::<Change, S>(given.flag("timestamp"), program, system, console)
    }
}
