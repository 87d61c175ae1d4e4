// SPDX-License-Identifier: GPL-2.0

//! What is said of a request that can't be carried out: which SA is at fault, and why.

use super::groups::Groups;
use crate::failure::{Failure, Reason};
use klips::{group::ListReason, said::Said};

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
            let text = format!("{said:#} is already in the group {}", innermost.name());
            Failure::refused(text).in_group(innermost.json())
        }
        _ => Failure::refused(format!("{said:#} is already in a group")),
    }
    .of_sa(said, Reason::Grouped)
}
