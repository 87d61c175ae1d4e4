// SPDX-License-Identifier: GPL-2.0

//! What a command is that asks something of the kernel. `driver` runs one that is made of this:
//! one request or a batch of them, a dry run, a list, a monitor.

use crate::{console::Console, failure::Failure, given::Given, program::Program, system::System};
use klips::said::Said;
use serde::Serialize;

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

/// A command that asks something of the kernel.
pub(crate) trait Requests<S: System> {
    /// What the arguments ask for, those of the command line or of a line of a batch.
    type Request;
    /// What requests are sent over.
    type Connection;
    /// What `--json` tells of a request that succeeded.
    type Outcome: Serialize;

    /// The definition of its options, in the words of a name's help.
    const DEFINITION: fn(&str) -> clap::Command;

    /// What is said where the PF_KEY socket is mainline's, which reads other requests into KLIPS's.
    fn beside_netkey() -> String;

    /// What a request is in one word, and the SAs that it names.
    fn about(request: &Self::Request) -> (&'static str, &[Said]);

    /// Reads what is given. `None` if nothing is asked for. No message is sent.
    fn read(
        given: &Given,
        how: How,
        program: &Program,
        system: &mut S,
    ) -> Result<Option<Self::Request>, Failure>;

    /// Connects to the kernel, or to what a dry run tries requests on.
    fn connect(how: How, system: &mut S) -> Result<Self::Connection, Failure>;

    /// Executes a request.
    fn execute(
        request: &Self::Request,
        connection: &mut Self::Connection,
        program: &Program,
        system: &mut S,
        console: &mut Console<'_>,
    ) -> Result<Self::Outcome, Failure>;

    /// Prints the list that there is without a request.
    fn list(
        given: &Given,
        program: &Program,
        system: &mut S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure>;

    /// Prints changes until the user wants an end, if the command has `--monitor`.
    fn monitor(
        _given: &Given,
        _program: &Program,
        _system: &mut S,
        _console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        Ok(())
    }
}
