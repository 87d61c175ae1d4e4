// SPDX-License-Identifier: GPL-2.0

//! Grouping link by link: on a kernel that only knows pairs, and where groups are joined at their
//! ends. If one link can't be made, those before it are undone.
//!
//! Undoing takes the whole group apart that the first SA is in: what was linked here, and what others
//! linked to that in between. Groups that were there before are linked again.

use super::{plan, refusal};
use crate::{
    console::Console, entry::Entry, failure::Failure, groups::Groups, program::Program,
    system::System, text,
};
use klips::{errno::Errno, pfkey::Fault, said::Said};
use pfkey::{Client, Error, Transport};

/// Makes one group of SAs that are in none, inside to outside, or leaves them as they were.
pub(super) fn group<S: System>(
    saids: &[Said],
    client: &mut Client<S::Transport>,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let groups = Groups::read(system)?;
    if let Some(failure) = refusal::find_conflict(saids, &mut groups.clone()) {
        return Err(failure);
    }
    let Err(stop) = link_all(saids, client, program, system, console) else {
        return Ok(());
    };
    let remark = undo(stop.touched, &groups, client, program, console);
    // Without the links that were made here, what is listed shows what stood in the way.
    let failure = stop.failure(|errno, fault| refusal::explain(saids, errno, fault, system));
    Err(failure.and(&remark))
}

/// Links SAs, or the groups that they are at the ends of, inside to outside, or leaves them as they
/// were.
pub(super) fn join<S: System>(
    saids: &[Said],
    client: &mut Client<S::Transport>,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let groups = Groups::read(system)?;
    refusal::try_to_join(saids, &mut groups.clone())?;
    let Err(stop) = link_all(saids, client, program, system, console) else {
        return Ok(());
    };
    let remark = undo(stop.touched, &groups, client, program, console);
    let failure = stop.failure(|errno, fault| refusal::explain_join(saids, errno, fault, system));
    Err(failure.and(&remark))
}

/// Why not all links were made.
struct Stop<'a> {
    /// What went wrong; nothing if the user wanted an end.
    error: Option<Error>,
    /// The SAs that may be in the group of the first one now.
    touched: &'a [Said],
}

impl Stop<'_> {
    /// What is told of it; `explain` knows why the kernel refuses a link.
    fn failure(self, explain: impl FnOnce(Errno, Option<Fault>) -> Failure) -> Failure {
        match self.error {
            None => Failure::interrupted(),
            Some(Error::Refused { errno, fault }) => explain(errno, fault),
            Some(error) => text::failure(error),
        }
    }
}

fn link_all<'a, S: System>(
    saids: &'a [Said],
    client: &mut Client<S::Transport>,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Stop<'a>> {
    for (index, (inner, outer)) in plan::pairs(saids).enumerate() {
        let linked = match index {
            0 => &[],
            _ => &saids[..=index],
        };
        // Asking has signals wait from here on: they must not leave half a group behind.
        if system.wants_end() {
            return Err(Stop {
                error: None,
                touched: linked,
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
                touched: match error {
                    Error::Refused { .. } => linked,
                    // It may have been done, even if that can't be read.
                    _ => &saids[..index + 2],
                },
            })?;
    }
    Ok(())
}

/// Takes the group of the first of these apart, and makes those anew that they were in before.
/// Returns what there is to be said about it.
fn undo(
    touched: &[Said],
    before: &Groups,
    client: &mut Client<impl Transport>,
    program: &Program,
    console: &mut Console<'_>,
) -> String {
    let Some(first) = touched.first() else {
        return String::new();
    };
    console.debug(program, format_args!("undoing the links made before"));
    if let Err(error) = client.request(&plan::ungroup(first)) {
        return format!("  The links made before could not be undone: {error}.");
    }
    let mut groups: Vec<Vec<Said>> = Vec::new();
    for said in touched {
        let group = before.group_of(said).into_iter().filter_map(Entry::said);
        let group: Vec<_> = group.collect();
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    for (inner, outer) in groups.iter().flat_map(|group| plan::pairs(group)) {
        match client.request(&plan::link(inner, outer)) {
            // The last of them may never have been in the group that was taken apart.
            Ok(_)
            | Err(Error::Refused {
                errno: Errno::EEXIST,
                ..
            }) => (),
            Err(error) => {
                return format!(
                    "  The link of {inner:#} and {outer:#}, which was there before, could not be \
                     made again: {error}."
                );
            }
        }
    }
    String::new()
}
