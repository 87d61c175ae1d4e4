// SPDX-License-Identifier: GPL-2.0

//! What the command is to the driver.

use super::{
    dry_run::Rehearsal,
    execute::execute,
    list::Interfaces,
    plan::{Outcome, Request},
    syntax,
};
use crate::{
    about::About,
    console::Console,
    failure::Failure,
    given::Given,
    json::Ending,
    list,
    program::Program,
    requests::{How, Requests, Run},
    system::System,
};
use pfkey::Client;

/// The command.
pub(crate) enum Tncfg {}

impl<S: System> Requests<S> for Tncfg {
    type Request = Request;
    type Outcome = Outcome;
    type Rehearsal = Rehearsal;

    const DEFINITION: fn(&str) -> clap::Command = syntax::definition;
    const LIST: Run<S> = list::print::<Interfaces, S>;

    fn beside_netkey() -> String {
        "NETKEY does not support virtual interfaces.".to_owned()
    }

    fn about(request: &Request) -> About<'_> {
        About::nothing(request.action())
    }

    fn read(
        given: &Given,
        _: How,
        program: &Program,
        system: &mut S,
    ) -> Result<Option<Request>, Failure> {
        syntax::read(given, program, system)
    }

    fn execute(
        request: &Request,
        client: &mut Client<S::Transport>,
        program: &Program,
        system: &mut S,
        console: &mut Console<'_>,
    ) -> Result<Outcome, Failure> {
        execute(request, client, program, system, console)?;
        Ok(Outcome::of(request, Ending::Done))
    }
}
