// SPDX-License-Identifier: GPL-2.0

//! What the command is to the driver, and what is its own: packets are followed.

use super::{
    args, change::Change, dry_run::Rehearsal, execute::execute, list::Eroutes, lookup,
    plan::Request, syntax,
};
use crate::{
    about::About,
    console::Console,
    driver,
    failure::Failure,
    given::Given,
    json::Outcome,
    list, monitor, options,
    program::Program,
    requests::{How, Requests, Run},
    system::System,
};
use pfkey::Client;

/// Does what is asked for.
pub(crate) fn run<S: System>(
    given: &Given,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let Some(packet) = args::packet(given, program, system)? else {
        return driver::ask::<Eroute, S>(given, program, system, console);
    };
    if system.has_netkey() {
        return Err(Failure::refused(BESIDE_NETKEY));
    }
    let color = options::color_of(given);
    lookup::print(&packet, color, program, system, console)
        .map_err(|failure| failure.during(About::nothing("get")))
}

/// What is said where the PF_KEY socket is mainline's.
const BESIDE_NETKEY: &str = "NETKEY does not support eroute table.";

/// The command.
pub(crate) enum Eroute {}

impl<S: System> Requests<S> for Eroute {
    type Request = Request;
    type Outcome = Outcome;
    type Rehearsal = Rehearsal;

    const DEFINITION: fn(&str) -> clap::Command = syntax::definition;
    const LIST: Run<S> = list::print::<Eroutes, S>;
    const MONITOR: Option<Run<S>> = Some(monitor::print::<Change, S>);

    fn beside_netkey() -> String {
        BESIDE_NETKEY.to_owned()
    }

    fn about(request: &Request) -> About<'_> {
        request.about()
    }

    fn read(
        given: &Given,
        _: How,
        program: &Program,
        system: &mut S,
    ) -> Result<Option<Request>, Failure> {
        args::request(given, program, system)
    }

    fn execute(
        request: &Request,
        client: &mut Client<S::Transport>,
        program: &Program,
        system: &mut S,
        console: &mut Console<'_>,
    ) -> Result<Outcome, Failure> {
        execute(request, client, program, system, console)?;
        Ok(Outcome::done(request.about()))
    }
}
