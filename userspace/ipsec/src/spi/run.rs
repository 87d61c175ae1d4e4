// SPDX-License-Identifier: GPL-2.0

//! What the command is to the driver.

use super::{
    args,
    execute::{self, Answer},
    list::Sas,
    plan::Request,
    syntax,
};
use crate::{
    about::About,
    console::Console,
    failure::Failure,
    given::Given,
    list,
    program::Program,
    requests::{How, Requests, Run},
    system::System,
    text,
};
use pfkey::Client;
use std::convert::Infallible;

/// The command.
pub(crate) enum Spi {}

impl<S: System> Requests<S> for Spi {
    type Request = Request;
    type Outcome = Answer;
    type Rehearsal = Infallible;

    const DEFINITION: fn(&str) -> clap::Command = syntax::definition;
    const LIST: Run<S> = list::print::<Sas, S>;

    fn beside_netkey() -> String {
        text::beside_netkey("spi")
    }

    fn about(request: &Request) -> About<'_> {
        request.plan.about()
    }

    fn read(
        given: &Given,
        how: How,
        program: &Program,
        system: &mut S,
    ) -> Result<Option<Request>, Failure> {
        args::request(given, how, program, system)
    }

    fn execute(
        request: &Request,
        client: &mut Client<S::Transport>,
        program: &Program,
        _: &mut S,
        console: &mut Console<'_>,
    ) -> Result<Answer, Failure> {
        execute::execute(request, client, program, console)
    }
}
