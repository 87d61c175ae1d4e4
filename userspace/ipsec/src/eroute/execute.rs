// SPDX-License-Identifier: GPL-2.0

//! Sends the message, and says what is really the matter when the kernel refuses.

use super::{plan::Request, refusal};
use crate::{console::Console, failure::Failure, program::Program, system::System, text};
use pfkey::{Client, Error};

pub(super) fn execute<S: System>(
    request: &Request,
    client: &mut Client<S::Transport>,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    console.debug(program, format_args!("{request}"));
    let content = request.content();
    let result = match request {
        // Openswan 2.4 does not answer this one.
        Request::Clear => client.tell(&content).map(drop),
        _ => client.request(&content).map(drop),
    };
    result.map_err(|error| match error {
        Error::Refused { errno, .. } => refusal::explain(request, errno, system)
            .unwrap_or_else(|| text::failure(error))
            .with_errno(errno),
        error => text::failure(error),
    })
}
