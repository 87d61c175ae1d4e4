// SPDX-License-Identifier: GPL-2.0

//! Grouping on a kernel that only knows pairs: link by link, and if one can't be made, those before
//! it are undone.
//!
//! Undoing takes whole groups apart, so none of the SAs may be in one to begin with: then all that
//! is undone is what was linked here, and what others linked to that in between.

use super::{plan, refusal};
use crate::{
    failure::Failure,
    groups::Groups,
    program::{Console, Program},
    system::System,
    text,
};
use klips::said::Said;
use pfkey::{Client, Error, Transport};

/// Links the SAs pair by pair, inside to outside, or leaves them as they were.
pub(super) fn group<S: System>(
    saids: &[Said],
    client: &mut Client<S::Transport>,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut groups = Groups::read(system)?;
    if let Some(failure) = refusal::find_conflict(saids, &mut groups) {
        return Err(failure);
    }
    let Err(stop) = link_all(saids, client, program, system, console) else {
        return Ok(());
    };
    let remark = match stop.may_have_linked {
        true => undo(&saids[0], client, program, console),
        false => String::new(),
    };
    let failure = match stop.error {
        None => Failure::interrupted(),
        // Without the links that were made here, what is listed shows what stood in the way.
        Some(Error::Refused { errno, fault }) => refusal::explain(saids, errno, fault, system),
        Some(error) => text::failure(error),
    };
    Err(failure.and(&remark))
}

/// Why not all links were made.
struct Stop {
    /// What went wrong; nothing if the user wanted an end.
    error: Option<Error>,
    may_have_linked: bool,
}

fn link_all<S: System>(
    saids: &[Said],
    client: &mut Client<S::Transport>,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Stop> {
    for (index, pair) in saids.windows(2).enumerate() {
        let [inner, outer] = pair else { continue };
        // Asking has signals wait from here on: they must not leave half a group behind.
        if system.wants_end() {
            return Err(Stop {
                error: None,
                may_have_linked: index > 0,
            });
        }
        console.debug(
            program,
            format_args!("linking {outer:#} to the outside of {inner:#}"),
        );
        client
            .request(&plan::link(inner, outer))
            .map_err(|error| Stop {
                error: Some(error),
                // What was not refused may have been done, even if that can't be read.
                may_have_linked: index > 0 || !matches!(error, Error::Refused { .. }),
            })?;
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
