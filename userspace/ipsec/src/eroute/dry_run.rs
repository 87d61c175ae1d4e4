// SPDX-License-Identifier: GPL-2.0

//! `--dry-run`: tells what would be sent and what would come of it, by what is listed. Requests of
//! a batch find what those before them would have left.

use super::{
    path::{Sas, is_word},
    plan::{Eroute, Request},
    refusal,
    selector::Packets,
    table,
};
use crate::{
    console::Console,
    failure::Failure,
    json::Outcome,
    program::Program,
    requests::Rehearse,
    system::System,
    unsent::{Unsent, would_send},
};
use klips::selector::Selector;
use pfkey::describe::Description;
use serde::Serialize;
use std::collections::HashSet;

/// The eroutes as they would be, the SAs, and what messages would be sent over.
pub(crate) struct Rehearsal {
    eroutes: HashSet<Selector>,
    sas: Sas,
    unsent: Unsent,
}

/// What `--json` tells of a request that would succeed.
#[derive(Serialize)]
pub(crate) struct Prospect {
    #[serde(flatten)]
    outcome: Outcome,
    /// Why all packets would be dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<String>,
    /// How many eroutes would be deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<usize>,
    /// What would be sent.
    request: Description,
}

/// What would come of a request.
enum Consequence {
    /// An eroute, or none in its place: packets would be dropped for this reason.
    Added(Option<String>),
    /// So many eroutes would go.
    Deleted(usize),
}

impl Rehearse<Request> for Rehearsal {
    type Prospect = Prospect;

    fn begin(system: &mut impl System) -> Result<Self, Failure> {
        let rows = table::rows(system)?;
        Ok(Rehearsal {
            eroutes: rows.iter().map(|row| row.selector).collect(),
            sas: Sas::read(system)?,
            unsent: Unsent::new(),
        })
    }

    fn rehearse(
        &mut self,
        request: &Request,
        program: &Program,
        console: &mut Console<'_>,
    ) -> Result<Prospect, Failure> {
        let message = self.unsent.describe(&request.content(), program, console)?;
        if !program.json {
            console.print(&would_send(&message))?;
        }
        let consequence = self.carry_out(request).map_err(Failure::supposed)?;
        if !program.json {
            console.print(&would_do(request, &consequence))?;
        }
        let (dropped, deleted) = match consequence {
            Consequence::Added(dropped) => (dropped, None),
            Consequence::Deleted(count) => (None, Some(count)),
        };
        Ok(Prospect {
            outcome: Outcome::would_succeed(request.about()),
            dropped,
            deleted,
            request: message,
        })
    }
}

impl Rehearsal {
    fn carry_out(&mut self, request: &Request) -> Result<Consequence, Failure> {
        match request {
            Request::Add(eroute) => self.add(eroute).map(Consequence::Added),
            Request::Delete { selector, .. } => {
                if self.eroutes.remove(selector) {
                    Ok(Consequence::Deleted(1))
                } else {
                    Err(refusal::no_such(selector))
                }
            }
            Request::Clear => {
                let count = self.eroutes.len();
                self.eroutes.clear();
                Ok(Consequence::Deleted(count))
            }
        }
    }

    /// Why packets would be dropped, if they would be.
    fn add(&mut self, eroute: &Eroute) -> Result<Option<String>, Failure> {
        if eroute.inbound {
            return if self.sas.has_tunnel_inside(&eroute.said) {
                Ok(None)
            } else {
                Err(refusal::no_tunnel(eroute, Some(&self.sas)))
            };
        }
        match (self.eroutes.contains(&eroute.selector), eroute.replaces) {
            (true, false) => return Err(refusal::exists(eroute)),
            (false, true) => return Err(refusal::absent(eroute)),
            _ => (),
        }
        let dropped = match self.sas.path(&eroute.said) {
            _ if is_word(&eroute.said) => None,
            Ok(_) => None,
            Err(obstacle) if obstacle.is_lasting() => {
                return Err(refusal::unusable(eroute, &obstacle));
            }
            Err(obstacle) => Some(obstacle.to_string()),
        };
        self.eroutes.insert(eroute.selector);
        Ok(dropped)
    }
}

fn would_do(request: &Request, consequence: &Consequence) -> String {
    match (request, consequence) {
        (Request::Add(eroute), Consequence::Added(dropped)) => {
            let Eroute { selector, said, .. } = eroute;
            let doing = match (eroute.inbound, eroute.replaces) {
                (true, _) => "let in only",
                (false, false) => "add",
                (false, true) => "replace",
            };
            let packets = Packets(selector);
            match dropped {
                None => format!("would {doing} {packets} => {said:#}\n"),
                Some(why) => format!(
                    "would {doing} {packets} => {said:#}\n\
                     would drop its packets as long as {why}\n"
                ),
            }
        }
        (Request::Delete { selector, .. }, _) => format!("would delete {}\n", Packets(selector)),
        (_, Consequence::Deleted(1)) => "would delete 1 eroute\n".to_owned(),
        (_, Consequence::Deleted(count)) => format!("would delete {count} eroutes\n"),
        (_, Consequence::Added(_)) => String::new(),
    }
}
