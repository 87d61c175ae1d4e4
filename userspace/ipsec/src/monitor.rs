// SPDX-License-Identifier: GPL-2.0

//! `--monitor`: a line for each change that the kernel tells of, written at once.

use crate::{
    console::Console,
    failure::Failure,
    given::Given,
    listen::{self, Heard},
    program::Program,
    system::System,
    text,
};
use klips::pfkey::Header;
use serde::Serialize;
use std::{fmt, ops::ControlFlow, time::SystemTime};

/// A change that messages tell of. It prints as the line for people.
pub(crate) trait Change: fmt::Display + Sized {
    /// What `--json` tells of it: `event` first.
    type Event: Serialize;

    /// What a message tells of that is no refusal and has this header; nothing if it is no message
    /// of this dialect, or about something else.
    fn told_by(header: Header, message: &[u8]) -> Option<Self>;

    /// What `--json` tells.
    fn event(&self) -> Self::Event;
}

/// A line of `--json`.
#[derive(Serialize)]
struct Line<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(flatten)]
    event: T,
}

/// There was no room for all messages.
#[derive(Serialize)]
struct Lost {
    event: &'static str,
}

const LOST: Lost = Lost { event: "lost" };

/// Prints changes until the user wants an end.
pub(crate) fn print<C: Change, S: System>(
    given: &Given,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let timestamp = given.flag("timestamp");
    let mut socket = text::connect(system)?.into_transport();
    console.debug(program, format_args!("listening"));
    listen::listen(system, &mut socket, |system, heard| {
        let change = match heard {
            Heard::Message(bytes) => match told_by::<C>(bytes) {
                None => return Ok(ControlFlow::Continue(())),
                change => change,
            },
            Heard::Lost => None,
        };
        let time = timestamp.then(|| time(system.now()));
        match (change, program.json) {
            (None, true) => console.object(&Line { time, event: LOST }),
            (None, false) => console.print(&line(
                time,
                "lost messages: there were more changes than are told here",
            )),
            (Some(change), true) => console.object(&Line {
                time,
                event: change.event(),
            }),
            (Some(change), false) => console.print(&line(time, change)),
        }
        .map(ControlFlow::Continue)
    })
}

fn told_by<C: Change>(bytes: &[u8]) -> Option<C> {
    let header = Header::parse(bytes).ok()?;
    if header.errno != 0 {
        return None;
    }
    C::told_by(header, bytes)
}

/// A line in words.
fn line(time: Option<String>, what: impl fmt::Display) -> String {
    let time = time.map(|time| time + " ").unwrap_or_default();
    format!("{time}{what}\n")
}

/// As RFC 3339 has it, in UTC.
fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}
