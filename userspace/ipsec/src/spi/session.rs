// SPDX-License-Identifier: GPL-2.0

//! Requests over one connection: the one of the arguments, or those of a batch.

use super::{
    args::{self, Stdin},
    execute::{self, Answer},
    plan::Request,
};
use crate::{
    batch,
    failure::Failure,
    program::{Console, Program},
    system::System,
    text,
};
use klips::said::Said;
use pfkey::Client;

/// What requests are executed with.
pub(super) struct Session<'a, S> {
    pub(super) system: &'a mut S,
    pub(super) stdin: Stdin,
}

impl<S: System> batch::Command for Session<'_, S> {
    type Request = Request;
    type Connection = Client<S::Transport>;
    type Outcome = Answer;

    fn about(request: &Request) -> (&'static str, &[Said]) {
        (request.plan.action(), request.plan.saids())
    }

    fn read(&mut self, program: &mut Program, words: &[String]) -> Result<Request, Failure> {
        args::parse_line(program, words, self.stdin, self.system)
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
    ) -> Result<Answer, Failure> {
        execute::execute(request, client, program, console)
    }
}
