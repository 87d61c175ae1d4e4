// SPDX-License-Identifier: GPL-2.0

//! What the command does: requests are sent, or tried on what is listed.

use super::{
    args,
    change::Change,
    dry_run::{Prospect, Rehearsal},
    execute::execute,
    list,
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
    driver::ask::<SpiGrp, S>(given, program, system, console)
}

/// The command.
enum SpiGrp {}

/// Where requests go.
pub(super) enum Connection<T> {
    Kernel(Client<T>),
    Rehearsal(Rehearsal),
}

/// What `--json` tells.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Told {
    Done(Outcome),
    Prospect(Prospect),
}

impl<S: System> Requests<S> for SpiGrp {
    type Request = Request;
    type Connection = Connection<S::Transport>;
    type Outcome = Told;

    const DEFINITION: fn(&str) -> clap::Command = syntax::definition;

    fn beside_netkey() -> String {
        text::beside_netkey("spigrp")
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
            Connection::Rehearsal(Rehearsal::begin(system)?)
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
        match connection {
            Connection::Kernel(client) => {
                execute(request, client, program, system, console)?;
                let about = (request.action(), request.saids());
                Ok(Told::Done(Outcome::done(about)))
            }
            Connection::Rehearsal(rehearsal) => rehearsal
                .rehearse(request, program, console)
                .map(Told::Prospect),
        }
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
