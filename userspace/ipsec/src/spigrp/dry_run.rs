// SPDX-License-Identifier: GPL-2.0

//! `--dry-run`: tells what would be sent and what would come of it, by what is listed. Requests of
//! a batch find what those before them would have left.

use super::{groups::Groups, plan::Request, refusal, sas::Names};
use crate::{
    failure::Failure,
    json::{Ending, Outcome, Sa},
    listing::Entry,
    program::{Console, Program},
    system::System,
    text,
};
use klips::{errno::Errno, group::ListError, pfkey::types::WORD, said::Said};
use pfkey::{Client, Transport, describe::Description};
use serde::Serialize;
use std::{cell::RefCell, fmt, rc::Rc, time::Duration};

/// Keeps the last message that would be sent.
#[derive(Clone, Default)]
struct Recorder(Rc<RefCell<Vec<u8>>>);

impl Transport for Recorder {
    fn send(&mut self, message: &[u8]) -> Result<(), Errno> {
        *self.0.borrow_mut() = message.to_vec();
        Ok(())
    }

    fn receive(&mut self, _: &mut [u8], _: Duration) -> Result<Option<usize>, Errno> {
        Ok(None)
    }
}

/// The groups as they would be, and the client that would send.
pub(super) struct Rehearsal {
    groups: Groups,
    client: Client<Recorder>,
    last: Recorder,
}

/// What `--json` tells of a request that would succeed.
#[derive(Serialize)]
pub(super) struct Prospect {
    #[serde(flatten)]
    outcome: Outcome,
    /// The SAs that would leave their group, inside to outside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    leaving: Vec<Sa>,
    /// What would be sent.
    request: Description,
}

impl Rehearsal {
    /// Begins with the groups that there are.
    pub(super) fn begin(system: &mut impl System) -> Result<Self, Failure> {
        let last = Recorder::default();
        Ok(Rehearsal {
            groups: Groups::read(system)?,
            client: Client::new(last.clone()),
            last,
        })
    }

    /// Tells what would come of a request, and has it come for those that follow.
    pub(super) fn rehearse(
        &mut self,
        request: &Request,
        program: &Program,
        console: &mut Console<'_>,
    ) -> Result<Prospect, Failure> {
        let bytes = self.message(request)?;
        console.debug(program, format_args!("not sent: {}", Hex(&bytes)));
        let message =
            Description::of(&bytes).map_err(|error| Failure::refused(error.to_string()))?;
        if !program.json {
            console.print(&would_send(request, &message))?;
        }
        let leaving = match request {
            Request::Group(saids) => self.group(saids).map(|()| Vec::new()),
            Request::Ungroup(said) => self.ungroup(said),
        }
        .map_err(Failure::supposed)?;
        if !program.json {
            console.print(&would_do(request, &leaving))?;
        }
        Ok(Prospect {
            outcome: Outcome {
                result: Ending::WouldSucceed,
                ..Outcome::done((request.action(), request.saids()))
            },
            leaving: leaving.iter().map(Entry::json).collect(),
            request: message,
        })
    }

    fn group(&mut self, saids: &[Said]) -> Result<(), Failure> {
        let result = self.groups.group(saids);
        result.map_err(|ListError { member, reason }| {
            refusal::of(&saids[member], reason, Some(&self.groups))
        })
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

    /// The bytes that would be sent.
    fn message(&mut self, request: &Request) -> Result<Vec<u8>, Failure> {
        self.client
            .tell(&request.content()?)
            .map_err(text::failure)?;
        Ok(self.last.0.take())
    }
}

fn would_send(request: &Request, message: &Description) -> String {
    let message: String = message
        .to_string()
        .lines()
        .map(|line| format!("  {line}\n"))
        .collect();
    let or = match request {
        Request::Group(_) => "  or, to a kernel that only knows pairs, a message for each link\n",
        Request::Ungroup(_) => "",
    };
    format!("would send\n{message}{or}")
}

fn would_do(request: &Request, leaving: &[Entry]) -> String {
    match (request, leaving) {
        (Request::Group(saids), _) => format!("would group {}\n", Names(saids)),
        (Request::Ungroup(said), []) => {
            format!("would change nothing: {said:#} is in no group\n")
        }
        (Request::Ungroup(_), leaving) => {
            let names: Vec<_> = leaving.iter().map(Entry::name).collect();
            format!("would ungroup {}\n", names.join(" "))
        }
    }
}

/// Bytes as hexadecimal digits, in words.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.chunks(WORD).enumerate() {
            let gap = if index == 0 { "" } else { " " };
            f.write_str(gap)?;
            word.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        Ok(())
    }
}
