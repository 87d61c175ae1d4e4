// SPDX-License-Identifier: GPL-2.0

//! Sends the messages, and says what is really the matter when the kernel refuses.

use super::{pairs, plan::Request, refusal, sas::Names};
use crate::{console::Console, failure::Failure, program::Program, system::System, text};
use klips::errno::Errno;
use pfkey::{Client, Error};

pub(super) fn execute<S: System>(
    request: &Request,
    client: &mut Client<S::Transport>,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    match request {
        Request::Ungroup(said) => console.debug(program, format_args!("ungrouping {said:#}")),
        Request::Group(saids) => {
            console.debug(program, format_args!("grouping {} at once", Names(saids)));
        }
        Request::Join(saids) => return pairs::join(saids, client, program, system, console),
    }
    let send = |content| client.request(&content).map(drop);
    let Err(error) = request.messages()?.into_iter().try_for_each(send) else {
        return Ok(());
    };
    match (request, error) {
        (
            Request::Ungroup(said),
            Error::Refused {
                errno: errno @ Errno::ENOENT,
                ..
            },
        ) => Err(refusal::missing(said).with_errno(errno)),
        // What KLIPS says to an extension that it does not know; our module has other answers for
        // whatever can be wrong with this message.
        (
            Request::Group(saids),
            Error::Refused {
                errno: Errno::EINVAL,
                ..
            },
        ) => {
            console.debug(program, format_args!("this kernel only knows pairs"));
            pairs::group(saids, client, program, system, console)
        }
        (Request::Group(saids), Error::Refused { errno, fault }) => {
            Err(refusal::explain(saids, errno, fault, system))
        }
        (_, error) => Err(text::failure(error)),
    }
}
