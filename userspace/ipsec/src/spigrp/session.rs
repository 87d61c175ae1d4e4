// SPDX-License-Identifier: GPL-2.0

//! Requests over one connection: the one of the arguments, or those of a batch.

use super::{args, execute::execute, plan::Request};
use crate::{
    batch,
    failure::Failure,
    json::Outcome,
    program::{Console, Program},
    system::System,
    text,
};
use klips::said::Said;
use pfkey::Client;

/// What requests are executed with.
pub(super) struct Session<'a, S> {
    pub(super) system: &'a mut S,
}

impl<S: System> batch::Command for Session<'_, S> {
    type Request = Request;
    type Connection = Client<S::Transport>;
    type Outcome = Outcome;

    fn about(request: &Request) -> (&'static str, &[Said]) {
        (request.action(), request.saids())
    }

    fn read(&mut self, program: &mut Program, words: &[String]) -> Result<Request, Failure> {
        args::parse_line(program, words, self.system)
    }

    fn connect(&mut self) -> Result<Self::Connection, Failure> {
        text::connect(self.system)
    }

    fn execute(
        &mut self,
        client: &mut Self::Connection,
        request: &Request,
        program: &Program,
        console: &mut Console<'_>,
    ) -> Result<Outcome, Failure> {
        execute(request, client, program, self.system, console)?;
        Ok(Outcome::done(Self::about(request)))
    }
}
