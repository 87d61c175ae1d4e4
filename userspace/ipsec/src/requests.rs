// SPDX-License-Identifier: GPL-2.0

//! What a command is that asks something of the kernel. `driver` runs one that is made of this:
//! one request or a batch of them, a dry run, a list, a monitor.

use crate::{
    about::About, console::Console, failure::Failure, given::Given, program::Program,
    system::System, text,
};
use pfkey::Client;
use serde::Serialize;
use std::convert::Infallible;

/// How requests are read and executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct How {
    /// They are not sent, but tried on what is known.
    pub(crate) dry_run: bool,
    /// They are lines of a batch.
    pub(crate) in_batch: bool,
    /// Those are what standard input has.
    pub(crate) from_stdin: bool,
}

/// What does something that options say.
pub(crate) type Run<S> = fn(&Given, &Program, &mut S, &mut Console<'_>) -> Result<(), Failure>;

/// A command that asks something of the kernel.
pub(crate) trait Requests<S: System>: Sized {
    /// What the arguments ask for, those of the command line or of a line of a batch.
    type Request;
    /// What `--json` tells of a request that succeeded.
    type Outcome: Serialize;
    /// What a dry run tries requests on; [`Infallible`] if the command has no `--dry-run`.
    type Rehearsal: Rehearse<Self::Request>;

    /// The definition of its options, in the words of a name's help.
    const DEFINITION: fn(&str) -> clap::Command;

    /// Prints the list that there is without a request.
    const LIST: Run<S>;

    /// Prints changes until the user wants an end, if the command has `--monitor`.
    const MONITOR: Option<Run<S>> = None;

    /// What is said where the PF_KEY socket is mainline's, which reads other requests into KLIPS's.
    fn beside_netkey() -> String;

    /// What a request is about.
    fn about(request: &Self::Request) -> About<'_>;

    /// Reads what is given. `None` if nothing is asked for. No message is sent.
    fn read(
        given: &Given,
        how: How,
        program: &Program,
        system: &mut S,
    ) -> Result<Option<Self::Request>, Failure>;

    /// Executes a request.
    fn execute(
        request: &Self::Request,
        client: &mut Client<S::Transport>,
        program: &Program,
        system: &mut S,
        console: &mut Console<'_>,
    ) -> Result<Self::Outcome, Failure>;
}

/// What a dry run tries requests on: what is listed, and what those before would have left.
pub(crate) trait Rehearse<R>: Sized {
    /// What `--json` tells of a request that would succeed.
    type Prospect: Serialize;

    /// Begins with what there is.
    fn begin(system: &mut impl System) -> Result<Self, Failure>;

    /// Tells what would come of a request, and has it come for those that follow.
    fn rehearse(
        &mut self,
        request: &R,
        program: &Program,
        console: &mut Console<'_>,
    ) -> Result<Self::Prospect, Failure>;
}

impl<R> Rehearse<R> for Infallible {
    type Prospect = ();

    fn begin(_: &mut impl System) -> Result<Self, Failure> {
        Err(Failure::usage("there is no --dry-run of this command."))
    }

    fn rehearse(&mut self, _: &R, _: &Program, _: &mut Console<'_>) -> Result<(), Failure> {
        match *self {}
    }
}

/// Where requests go.
pub(crate) enum Receiver<C: Requests<S>, S: System> {
    /// To the kernel.
    Kernel(Client<S::Transport>),
    /// Nowhere.
    Rehearsal(C::Rehearsal),
}

/// What `--json` tells of a request.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Told<O, P> {
    /// It succeeded.
    Outcome(O),
    /// It would succeed.
    Prospect(P),
}

/// The same, of a request of a command.
pub(crate) type ToldOf<C, S> = Told<
    <C as Requests<S>>::Outcome,
    <<C as Requests<S>>::Rehearsal as Rehearse<<C as Requests<S>>::Request>>::Prospect,
>;

impl<C: Requests<S>, S: System> Receiver<C, S> {
    /// Connects to the kernel, or begins a dry run.
    pub(crate) fn open(how: How, system: &mut S) -> Result<Self, Failure> {
        if how.dry_run {
            C::Rehearsal::begin(system).map(Receiver::Rehearsal)
        } else {
            text::connect(system).map(Receiver::Kernel)
        }
    }

    /// Executes a request, or tries it.
    pub(crate) fn take(
        &mut self,
        request: &C::Request,
        program: &Program,
        system: &mut S,
        console: &mut Console<'_>,
    ) -> Result<ToldOf<C, S>, Failure> {
        match self {
            Receiver::Kernel(client) => {
                C::execute(request, client, program, system, console).map(Told::Outcome)
            }
            Receiver::Rehearsal(rehearsal) => rehearsal
                .rehearse(request, program, console)
                .map(Told::Prospect),
        }
    }
}
