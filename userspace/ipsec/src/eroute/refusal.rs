// SPDX-License-Identifier: GPL-2.0

//! Why a request can't be carried out, and the way out: the original's words with the flow and the
//! SA in them (reference 8.4).

use super::{
    path::{Obstacle, Sas},
    plan::{Eroute, Request},
    selector::Packets,
    table::{self, Row},
};
use crate::{
    failure::{Failure, Reason},
    system::System,
};
use klips::{errno::Errno, fold, selector::Selector};

/// What the kernel means by an errno, as far as that can be told from what is listed.
pub(super) fn explain(
    request: &Request,
    errno: Errno,
    system: &mut impl System,
) -> Option<Failure> {
    let failure = match (request, errno) {
        (Request::Add(eroute), Errno::EEXIST) if is_of_others(eroute, system) => {
            Failure::refused(format!(
                "another key manager has a policy for {}, or a state in the place of an SA's.  See 'ip \
                 xfrm policy' and 'ip xfrm state'.",
                Packets(&eroute.selector)
            ))
            .because(Reason::Exists)
        }
        (Request::Add(eroute), Errno::EEXIST) => exists(eroute),
        (Request::Delete { selector, .. }, Errno::ENOENT) => no_such(selector),
        (Request::Add(eroute), Errno::ENOENT) if eroute.inbound => {
            no_tunnel(eroute, Sas::read(system).ok().as_ref())
        }
        (Request::Add(eroute), Errno::ENOENT) if eroute.replaces => absent(eroute),
        (Request::Add(eroute), Errno::EMLINK) => {
            unusable(eroute, &Obstacle::Refused(fold::Refusal::TooLong))
        }
        (Request::Add(eroute), Errno::EINVAL | Errno::EPROTONOSUPPORT) => {
            let sas = Sas::read(system).ok()?;
            unusable(eroute, &sas.path(&eroute.said).err()?)
        }
        (Request::Add(eroute), Errno::ENOSPC) => no_room(eroute),
        _ => return None,
    };
    Some(failure.prefixed(&format!("pfkey write failed (errno={}): ", errno.0)))
}

/// There are as many as there may be, of eroutes or of SAs that packets go through. What takes the
/// place of an eroute is no more of these.
fn no_room(eroute: &Eroute) -> Failure {
    let states = "SAs that packets go through as max_states allows";
    let full = match (eroute.replaces, eroute.inbound) {
        (true, false) => format!("as many {states}"),
        _ => format!("as many eroutes as max_flows allows, or {states}"),
    };
    Failure::refused(format!(
        "no room: there are {full} in this network namespace.  Remove some, or have the host's root raise \
         the limit in /sys/module/klips/parameters."
    ))
}

/// Whether what is in the way is none of the eroutes that are listed.
fn is_of_others(eroute: &Eroute, system: &mut impl System) -> bool {
    let is_it = |row: &Row| row.selector == eroute.selector;
    table::rows(system).is_ok_and(|rows| eroute.replaces || !rows.iter().any(is_it))
}

/// There is one for the same packets.
pub(super) fn exists(eroute: &Eroute) -> Failure {
    Failure::refused(format!(
        "eroute {} already in use.  Delete old one first, or --replace it.",
        Packets(&eroute.selector)
    ))
    .because(Reason::Exists)
}

/// There is none to be deleted.
pub(super) fn no_such(selector: &Selector) -> Failure {
    Failure::refused(format!(
        "eroute {} doesn't exist.  Can't delete.",
        Packets(selector)
    ))
    .because(Reason::Missing)
}

/// There is none to be replaced.
pub(super) fn absent(eroute: &Eroute) -> Failure {
    Failure::refused(format!(
        "eroute {} doesn't exist.  Can't replace it; --add it.",
        Packets(&eroute.selector)
    ))
    .because(Reason::Missing)
}

/// There is no tunnel that could say what may come out of it.
pub(super) fn no_tunnel(eroute: &Eroute, sas: Option<&Sas>) -> Failure {
    let said = &eroute.said;
    let why = match sas.map(|sas| sas.chain(said)) {
        Some(Err(obstacle)) => obstacle.to_string(),
        None => format!("{said:#} does not exist, or is in no group with a tunnel"),
        Some(Ok(_)) => format!("neither {said:#} nor any SA inside of it in its group is a tunnel"),
    };
    Failure::refused(format!("non-existant IPIP SA: {why}.")).of_sa(said, Reason::Missing)
}

/// The SA that is named can't be gone through.
pub(super) fn unusable(eroute: &Eroute, obstacle: &Obstacle) -> Failure {
    Failure::refused(format!("no packet can go that way: {obstacle}."))
        .of_sa(&eroute.said, Reason::Unusable)
}
