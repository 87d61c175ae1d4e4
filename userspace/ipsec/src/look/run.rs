// SPDX-License-Identifier: GPL-2.0

//! What the command does: one look, or one after the other.

use super::{dot, draw, picture::Picture, rates::Counted};
use crate::{
    console::Console, failure::Failure, given::Given, options, program::Program, system::System,
    text,
};
use std::time::Duration;

/// What clears a terminal and goes to its first line (ECMA-48: ED, CUP).
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Does what is asked for.
pub(crate) fn run<S: System>(
    given: &Given,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let watch = given
        .is_set("watch")
        .then(|| given.value::<u64>("watch"))
        .flatten();
    if given.flag("dot") && (program.json || watch.is_some()) {
        return Err(Failure::usage(format!(
            "--dot can't be given together with --json or --watch.{}",
            text::see_help(program)
        )));
    }
    text::refuse_netkey("look", system)?;
    if given.flag("dot") {
        let picture = Picture::read(system)?;
        return console.print(&dot::text(&picture));
    }
    let color = options::color_of(given);
    let mut before: Option<Counted> = None;
    loop {
        let now = system.now();
        let mut picture = Picture::read(system)?;
        if let Some(before) = &before {
            before.set_rates(&mut picture, now);
        }
        before = Some(Counted::of(&mut picture, now));
        if program.json {
            console.object(&picture)?;
        } else {
            let clear = if watch.is_some() && console.terminal {
                CLEAR
            } else {
                ""
            };
            let drawn = draw::text(&picture, color.colors(console));
            console.print(&format!("{clear}{drawn}"))?;
        }
        let Some(seconds) = watch else {
            return Ok(());
        };
        let goes_on = system
            .pause(Duration::from_secs(seconds))
            .map_err(|error| Failure::refused(format!("can't wait: {error}")))?;
        if !goes_on {
            return Ok(());
        }
        if !program.json && !console.terminal {
            console.print("\n")?;
        }
    }
}
