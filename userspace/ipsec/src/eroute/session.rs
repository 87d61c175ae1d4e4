// SPDX-License-Identifier: GPL-2.0

//! Requests over one connection: the one of the arguments, or those of a batch.

use super::{
    args,
    dry_run::{Prospect, Rehearsal},
    execute::execute,
    plan::Request,
};
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
use serde::Serialize;

/// What requests are executed with.
pub(super) struct Session<'a, S> {
    pub(super) system: &'a mut S,
    /// Only tell what would come of them.
    pub(super) dry_run: bool,
}

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

impl<S: System> batch::Command for Session<'_, S> {
    type Request = Request;
    type Connection = Connection<S::Transport>;
    type Outcome = Told;

    fn about(request: &Request) -> (&'static str, &[Said]) {
        (request.action(), request.saids())
    }

    fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    fn read(&mut self, program: &mut Program, words: &[String]) -> Result<Request, Failure> {
        args::parse_line(program, words, self.system)
    }

    fn connect(&mut self) -> Result<Self::Connection, Failure> {
        Ok(match self.dry_run {
            true => Connection::Rehearsal(Box::new(Rehearsal::begin(self.system)?)),
            false => Connection::Kernel(text::connect(self.system)?),
        })
    }

    fn execute(
        &mut self,
        connection: &mut Self::Connection,
        request: &Request,
        program: &Program,
        console: &mut Console<'_>,
    ) -> Result<Told, Failure> {
        let about = (request.action(), request.saids());
        match connection {
            Connection::Kernel(client) => execute(request, client, program, self.system, console)
                .map(|()| Told::Done(Outcome::done(about).of_flow(request.selector()))),
            Connection::Rehearsal(rehearsal) => rehearsal
                .rehearse(request, program, console)
                .map(Told::Prospect),
        }
        .map_err(|failure| failure.of_flow(request.selector()))
    }
}
