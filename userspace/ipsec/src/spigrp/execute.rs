// SPDX-License-Identifier: GPL-2.0

//! Sends the messages, and says what is really the matter when the kernel refuses.

use super::{
    groups::Groups,
    plan::{self, Request},
    refusal,
    sas::Names,
};
use crate::{
    failure::Failure,
    program::{Console, Program},
    system::System,
    text,
};
use klips::{
    errno::Errno,
    group::{ListError, ListReason},
    pfkey::Fault,
    said::Said,
};
use pfkey::{Client, Error, Transport};

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
    }
    let error = match client.request(&request.content()?) {
        Ok(_) => return Ok(()),
        Err(error) => error,
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
            group_by_pairs(saids, client, program, system, console)
        }
        (Request::Group(saids), Error::Refused { errno, fault }) => {
            Err(explain(saids, errno, fault, system).with_errno(errno))
        }
        (_, error) => Err(text::failure(error)),
    }
}

/// Links the SAs pair by pair, inside to outside, on a kernel that can't do it at once.
///
/// If a link is refused, those made before are undone. Ungrouping dissolves whole groups, so none
/// of the SAs may be in one to begin with.
fn group_by_pairs<S: System>(
    saids: &[Said],
    client: &mut Client<S::Transport>,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut groups = Groups::read(system)?;
    if let Some(failure) = find_conflict(saids, &mut groups) {
        return Err(failure);
    }
    for (index, pair) in saids.windows(2).enumerate() {
        let [inner, outer] = pair else { continue };
        console.debug(
            program,
            format_args!("linking {outer:#} to the outside of {inner:#}"),
        );
        let error = match client.request(&plan::link(inner, outer)) {
            Ok(_) => continue,
            Err(error) => error,
        };
        // A link that was made but not confirmed has to be undone as well.
        let linked = index > 0 || error == Error::NoAnswer;
        let failure = match error {
            Error::Refused {
                errno: errno @ Errno::ENOENT,
                ..
            } => {
                // The inner one of a later pair was found with the pair before.
                let inner_is_missing = index == 0 && groups.find(inner).is_none();
                refusal::missing(if inner_is_missing { inner } else { outer }).with_errno(errno)
            }
            error => text::failure(error),
        };
        return Err(match linked {
            true => failure.and(&undo(&saids[0], client, program, console)),
            false => failure,
        });
    }
    Ok(())
}

/// Takes apart what was linked to `first`. Returns what there is to be said about it.
fn undo(
    first: &Said,
    client: &mut Client<impl Transport>,
    program: &Program,
    console: &mut Console<'_>,
) -> String {
    console.debug(program, format_args!("undoing the links made before"));
    match client.request(&plan::ungroup(first)) {
        Ok(_) => String::new(),
        Err(error) => format!("  The links made before could not be undone: {error}."),
    }
}

/// Why the kernel did not group a list.
fn explain(
    saids: &[Said],
    errno: Errno,
    fault: Option<Fault>,
    system: &mut impl System,
) -> Failure {
    let named = fault.and_then(|fault| Some((saids.get(usize::from(fault.member))?, fault.reason)));
    match named {
        Some((said, reason @ (ListReason::Missing | ListReason::Twice))) => {
            refusal::of(said, reason, None)
        }
        Some((said, ListReason::Grouped)) => refusal::of(
            said,
            ListReason::Grouped,
            Groups::read(system).ok().as_ref(),
        ),
        // The kernel's word was lost, or it has said no more than this.
        None => Groups::read(system)
            .ok()
            .and_then(|mut groups| guess(saids, errno, &mut groups))
            .unwrap_or_else(|| text::failure(Error::Refused { errno, fault })),
    }
}

/// What an errno may mean, by what is listed.
fn guess(saids: &[Said], errno: Errno, groups: &mut Groups) -> Option<Failure> {
    match errno {
        Errno::ENOENT => {
            let missing = saids.iter().find(|said| groups.find(said).is_none());
            missing.map(refusal::missing)
        }
        Errno::EEXIST => find_conflict(saids, groups),
        _ => None,
    }
}

/// The first SA that is named twice or in a group. Whether any is missing is for the kernel to say.
fn find_conflict(saids: &[Said], groups: &mut Groups) -> Option<Failure> {
    let listed: Vec<_> = saids
        .iter()
        .filter(|said| groups.find(said).is_some())
        .copied()
        .collect();
    let ListError { member, reason } = groups.group(&listed).err()?;
    Some(refusal::of(&listed[member], reason, Some(groups)))
}
