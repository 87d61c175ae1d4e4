// SPDX-License-Identifier: GPL-2.0

//! What is said of a request that can't be carried out: which SA is at fault, and why.

use crate::{
    entry::Entry,
    failure::{Failure, Reason},
    groups::Groups,
    system::System,
    text,
};
use klips::{
    errno::Errno,
    group::{LinkError, ListError, ListReason, MAX_CHAIN},
    pfkey::Fault,
    said::Said,
};
use pfkey::Error;

/// Why the kernel did not group SAs: by what it says itself, or else by what is listed.
pub(super) fn explain(
    saids: &[Said],
    errno: Errno,
    fault: Option<Fault>,
    system: &mut impl System,
) -> Failure {
    let named = fault.and_then(|fault| Some((saids.get(usize::from(fault.member))?, fault.reason)));
    match named {
        Some((said, ListReason::Grouped)) => of(
            said,
            ListReason::Grouped,
            Groups::read(system).ok().as_ref(),
        ),
        Some((said, reason)) => of(said, reason, None),
        None => Groups::read(system)
            .ok()
            .and_then(|mut groups| guess(saids, errno, &mut groups))
            .unwrap_or_else(|| text::failure(Error::Refused { errno, fault })),
    }
    .with_errno(errno)
}

/// What an errno may mean, by what is listed.
fn guess(saids: &[Said], errno: Errno, groups: &mut Groups) -> Option<Failure> {
    match errno {
        Errno::ENOENT => {
            let missing = saids.iter().find(|said| groups.find(said).is_none());
            missing.map(self::missing)
        }
        Errno::EEXIST => find_conflict(saids, groups),
        _ => None,
    }
}

/// The first SA that is named twice or in a group. Whether any is missing is for the kernel to say.
pub(super) fn find_conflict(saids: &[Said], groups: &mut Groups) -> Option<Failure> {
    let listed: Vec<_> = saids
        .iter()
        .filter(|said| groups.find(said).is_some())
        .copied()
        .collect();
    let ListError { member, reason } = groups.group(&listed).err()?;
    Some(of(&listed[member], reason, Some(groups)))
}

/// Joins SAs in these groups, or says which SA is at fault.
pub(super) fn try_to_join(saids: &[Said], groups: &mut Groups) -> Result<(), Failure> {
    let Err((member, error)) = groups.join(saids) else {
        return Ok(());
    };
    let outer = &saids[member];
    let Some(error) = error else {
        return Err(missing(outer));
    };
    let inner = &saids[member - 1];
    let taken = |said: &Said, neighbour: Option<&Entry>, side| {
        let neighbour = neighbour.map(Entry::name).unwrap_or_default();
        let text = format!("{said:#} has {neighbour} on its {side} already{ENDS}");
        Failure::refused(text).of_sa(said, Reason::Grouped)
    };
    Err(match error {
        LinkError::InnerTaken => taken(inner, groups.outside_of(inner), "outside"),
        LinkError::OuterTaken => taken(outer, groups.inside_of(outer), "inside"),
        LinkError::Cycle if inner == outer => {
            Failure::refused(format!("{outer:#} is named twice")).of_sa(outer, Reason::Twice)
        }
        LinkError::Cycle => {
            let text = format!("{inner:#} and {outer:#} are the ends of one group{ENDS}");
            Failure::refused(text).of_sa(outer, Reason::Grouped)
        }
        LinkError::TooLong => Failure::refused(format!(
            "{inner:#} and {outer:#} can't be joined: a group has at most {MAX_CHAIN} SAs"
        ))
        .of_sa(outer, Reason::Grouped),
    })
}

/// Why the kernel did not join SAs, by what is listed.
pub(super) fn explain_join(
    saids: &[Said],
    errno: Errno,
    fault: Option<Fault>,
    system: &mut impl System,
) -> Failure {
    let listed = match errno {
        Errno::ENOENT | Errno::EEXIST | Errno::EMLINK => Groups::read(system).ok(),
        _ => None,
    };
    listed
        .and_then(|mut groups| try_to_join(saids, &mut groups).err())
        .unwrap_or_else(|| text::failure(Error::Refused { errno, fault }))
        .with_errno(errno)
}

/// What can be done by `--join`.
const ENDS: &str = ".  Groups can be joined at their ends, outside to inside.";

/// What to do with an SA that is in a group.
const WAYS_OUT: &str = ".  Ungroup it and name all SAs in one call, or use --join.";

/// What is wrong with an SA; `groups` tells which group it is in, if they could be read.
pub(super) fn of(said: &Said, reason: ListReason, groups: Option<&Groups>) -> Failure {
    match reason {
        ListReason::Missing => missing(said),
        ListReason::Twice => {
            Failure::refused(format!("{said:#} is named twice")).of_sa(said, Reason::Twice)
        }
        ListReason::Grouped => grouped(said, groups),
    }
}

/// There is no such SA.
pub(super) fn missing(said: &Said) -> Failure {
    Failure::refused(format!("there is no SA {said:#}")).of_sa(said, Reason::Missing)
}

fn grouped(said: &Said, groups: Option<&Groups>) -> Failure {
    let members = groups.map(|groups| groups.group_of(said));
    match members.as_deref() {
        Some([innermost, ..]) => {
            let text = format!(
                "{said:#} is already in the group {}{WAYS_OUT}",
                innermost.name()
            );
            Failure::refused(text).in_group(innermost)
        }
        _ => Failure::refused(format!("{said:#} is already in a group{WAYS_OUT}")),
    }
    .of_sa(said, Reason::Grouped)
}
