// SPDX-License-Identifier: GPL-2.0

//! What the command is to the driver.

use super::{
    args, change::Change, dry_run::Rehearsal, execute::execute, list::Groups, plan::Request, syntax,
};
use crate::{
    about::About,
    console::Console,
    failure::Failure,
    given::Given,
    json::Outcome,
    list, monitor,
    program::Program,
    requests::{How, Requests, Run},
    system::System,
    text,
};
use pfkey::Client;

/// The command.
pub(crate) enum SpiGrp {}

impl<S: System> Requests<S> for SpiGrp {
    type Request = Request;
    type Outcome = Outcome;
    type Rehearsal = Rehearsal;

    const DEFINITION: fn(&str) -> clap::Command = syntax::definition;
    const LIST: Run<S> = list::print::<Groups, S>;
    const MONITOR: Option<Run<S>> = Some(monitor::print::<Change, S>);

    fn beside_netkey() -> String {
        text::beside_netkey("spigrp")
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
