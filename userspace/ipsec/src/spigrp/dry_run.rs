// SPDX-License-Identifier: GPL-2.0

//! `--dry-run`: tells what would be sent and what would come of it, by what is listed. Requests of
//! a batch find what those before them would have left.

use super::{plan::Request, refusal, sas::Names};
use crate::{
    console::Console,
    entry::Entry,
    failure::Failure,
    groups::Groups,
    json::{Outcome, Sa},
    program::Program,
    requests::Rehearse,
    system::System,
    unsent::{Unsent, would_send},
};
use klips::{group::ListError, said::Said};
use pfkey::describe::Description;
use serde::Serialize;

/// The groups as they would be, and what messages would be sent over.
pub(crate) struct Rehearsal {
    groups: Groups,
    unsent: Unsent,
}

/// What `--json` tells of a request that would succeed.
#[derive(Serialize)]
pub(crate) struct Prospect {
    #[serde(flatten)]
    outcome: Outcome,
    /// The SAs that would leave their group, inside to outside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    leaving: Vec<Sa>,
    /// What would be sent.
    #[serde(flatten)]
    sent: Sent,
}

/// What would be sent.
#[derive(Serialize)]
#[serde(untagged)]
enum Sent {
    One { request: Description },
    Several { requests: Vec<Description> },
}

impl Sent {
    fn of(mut messages: Vec<Description>) -> Self {
        match (messages.len(), messages.pop()) {
            (1, Some(request)) => Sent::One { request },
            (_, last) => {
                messages.extend(last);
                Sent::Several { requests: messages }
            }
        }
    }
}

impl Rehearse<Request> for Rehearsal {
    type Prospect = Prospect;

    fn begin(system: &mut impl System) -> Result<Self, Failure> {
        Ok(Rehearsal {
            groups: Groups::read(system)?,
            unsent: Unsent::new(),
        })
    }

    fn rehearse(
        &mut self,
        request: &Request,
        program: &Program,
        console: &mut Console<'_>,
    ) -> Result<Prospect, Failure> {
        let messages = request
            .messages()?
            .iter()
            .map(|content| self.unsent.describe(content, program, console))
            .collect::<Result<Vec<_>, _>>()?;
        if !program.json {
            console.print(&messages.iter().map(would_send).collect::<String>())?;
            if let Request::Group(_) = request {
                console.print(PAIRS)?;
            }
        }
        let leaving = match request {
            Request::Group(saids) => self.group(saids).map(|()| Vec::new()),
            Request::Join(saids) => self.join(saids).map(|()| Vec::new()),
            Request::Ungroup(said) => self.ungroup(said),
        }
        .map_err(Failure::supposed)?;
        if !program.json {
            console.print(&would_do(request, &leaving))?;
        }
        Ok(Prospect {
            outcome: Outcome::would_succeed(request.about()),
            leaving: leaving.iter().map(Sa::of_entry).collect(),
            sent: Sent::of(messages),
        })
    }
}

impl Rehearsal {
    fn group(&mut self, saids: &[Said]) -> Result<(), Failure> {
        let result = self.groups.group(saids);
        result.map_err(|ListError { member, reason }| {
            refusal::of(&saids[member], reason, Some(&self.groups))
        })
    }

    fn join(&mut self, saids: &[Said]) -> Result<(), Failure> {
        let mut joined = self.groups.clone();
        refusal::try_to_join(saids, &mut joined)?;
        self.groups = joined;
        Ok(())
    }

    /// Returns the SAs that are in a group no more.
    fn ungroup(&mut self, said: &Said) -> Result<Vec<Entry>, Failure> {
        if self.groups.find(said).is_none() {
            return Err(refusal::missing(said));
        }
        let leaving = self.groups.group_of(said).into_iter().cloned().collect();
        self.groups.ungroup(said);
        Ok(leaving)
    }
}

/// What would be sent to a KLIPS of old.
const PAIRS: &str = "  or, to a kernel that only knows pairs, a message for each link
";

fn would_do(request: &Request, leaving: &[Entry]) -> String {
    match (request, leaving) {
        (Request::Group(saids), _) => format!("would group {}\n", Names(saids)),
        (Request::Join(saids), _) => format!("would join {}\n", Names(saids)),
        (Request::Ungroup(said), []) => {
            format!("would change nothing: {said:#} is in no group\n")
        }
        (Request::Ungroup(_), leaving) => {
            let names: Vec<_> = leaving.iter().map(Entry::name).collect();
            format!("would ungroup {}\n", names.join(" "))
        }
    }
}
