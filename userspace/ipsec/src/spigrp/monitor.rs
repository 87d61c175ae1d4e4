// SPDX-License-Identifier: GPL-2.0

//! `--monitor`: a line for each change that the kernel tells of, written at once.

use super::change::{Change, Limits};
use crate::{
    failure::Failure,
    json::Sa,
    listen::{self, Heard},
    program::{Console, Program},
    system::System,
    text,
};
use serde::Serialize;
use std::{ops::ControlFlow, time::SystemTime};

/// A line of `--json`.
#[derive(Serialize)]
struct Event {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    event: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sas: Vec<Sa>,
    /// The protocol of the SAs that were flushed, if not all were.
    #[serde(skip_serializing_if = "Option::is_none")]
    proto: Option<&'static str>,
    /// The limits that an SA is past.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Limits>,
}

impl Event {
    fn new(time: Option<String>, change: Option<&Change>) -> Self {
        let saids = change.map_or(&[][..], Change::saids);
        Event {
            time,
            event: change.map_or("lost", Change::event),
            sas: saids.iter().map(Sa::of).collect(),
            proto: match change {
                Some(Change::Flushed(proto)) => proto.map(|proto| proto.name()),
                _ => None,
            },
            limits: match change {
                Some(Change::Expired(_, limits)) => Some(*limits),
                _ => None,
            },
        }
    }
}

/// Prints changes until the user wants an end.
pub(super) fn monitor<S: System>(
    timestamp: bool,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut socket = text::connect(system)?.into_transport();
    console.debug(program, format_args!("listening"));
    listen::listen(system, &mut socket, |system, heard| {
        let change = match heard {
            Heard::Message(bytes) => match Change::told_by(bytes) {
                None => return Ok(ControlFlow::Continue(())),
                change => change,
            },
            Heard::Lost => None,
        };
        let time = timestamp.then(|| time(system.now()));
        match program.json {
            true => console.object(&Event::new(time, change.as_ref())),
            false => console.print(&line(time, change.as_ref())),
        }
        .map(ControlFlow::Continue)
    })
}

/// A line in words; without a change, messages were lost.
fn line(time: Option<String>, change: Option<&Change>) -> String {
    let time = time.map(|time| time + " ").unwrap_or_default();
    match change {
        Some(change) => format!("{time}{change}\n"),
        None => format!("{time}lost messages: there were more changes than are told here\n"),
    }
}

/// As RFC 3339 has it, in UTC.
fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}
