// SPDX-License-Identifier: GPL-2.0

//! What the command does: requests are sent.

use super::{
    args,
    execute::{self, Answer},
    list,
    plan::Request,
    syntax,
};
use crate::{
    console::Console,
    driver,
    failure::Failure,
    given::Given,
    options,
    program::Program,
    requests::{How, Requests},
    system::System,
    text,
};
use klips::said::Said;
use pfkey::Client;

/// Does what is asked for.
pub(crate) fn run<S: System>(
    given: &Given,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    driver::ask::<Spi, S>(given, program, system, console)
}

/// The command.
enum Spi {}

impl<S: System> Requests<S> for Spi {
    type Request = Request;
    type Connection = Client<S::Transport>;
    type Outcome = Answer;

    const DEFINITION: fn(&str) -> clap::Command = syntax::definition;

    fn beside_netkey() -> String {
        text::beside_netkey("spi")
    }

    fn about(request: &Request) -> (&'static str, &[Said]) {
        (request.plan.action(), request.plan.saids())
    }

    fn read(
        given: &Given,
        how: How,
        program: &Program,
        system: &mut S,
    ) -> Result<Option<Request>, Failure> {
        args::request(given, how, program, system)
    }

    fn connect(_: How, system: &mut S) -> Result<Self::Connection, Failure> {
        text::connect(system)
    }

    fn execute(
        request: &Request,
        client: &mut Self::Connection,
        program: &Program,
        _: &mut S,
        console: &mut Console<'_>,
    ) -> Result<Answer, Failure> {
        execute::execute(request, client, program, console)
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
}
