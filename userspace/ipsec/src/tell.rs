// SPDX-License-Identifier: GPL-2.0

//! How results and failures are told: failures in words on standard error, and both on standard
//! output if JSON is wanted.

use crate::{
    console::Console,
    failure::{Failure, Kind},
    json::Outcome,
    program::Program,
};
use serde::Serialize;
use std::fmt;

/// Where in a batch something happened.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) file: &'a str,
    /// Counts from 1.
    pub(crate) line: usize,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Something that a line of a batch is about.
#[derive(Serialize)]
struct Numbered<'a, T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(flatten)]
    what: &'a T,
}

/// Tells what became of a request, if JSON is wanted: else success is silent.
pub(crate) fn outcome(
    outcome: &impl Serialize,
    place: Option<Place<'_>>,
    program: &Program,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    if program.json {
        console.object(&Numbered {
            line: place.map(|place| place.line),
            what: outcome,
        })
    } else {
        Ok(())
    }
}

/// Tells what is the matter.
pub(crate) fn failure(
    failure: &Failure,
    place: Option<Place<'_>>,
    program: &Program,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let details = failure.details();
    if let Kind::Told(_) = details.kind {
        return Ok(());
    }
    match place {
        Some(place) => console.remark(program, format_args!("{place}: {}", details.text)),
        None => console.remark(program, format_args!("{}", details.text)),
    }
    outcome(&Outcome::of(details), place, program, console)
}
