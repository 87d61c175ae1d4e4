// SPDX-License-Identifier: GPL-2.0

//! Lists: the bytes of a file of the module, or aligned for a reader at a terminal, or JSON.

use crate::{
    console::Console,
    failure::Failure,
    given::Given,
    listing, options,
    program::Program,
    system::{ProcFile, System},
};
use serde::Serialize;

/// A list that a command prints.
pub(crate) trait List {
    /// The file that it is in.
    const FILE: ProcFile;
    /// What a line of it says.
    type Line;

    /// Reads it whole, so that what is printed of it is whole even if the file can't be read to its
    /// end.
    fn read(system: &mut impl System) -> Result<Vec<Self::Line>, Failure>;

    /// Lines in columns.
    fn aligned(lines: &[Self::Line], colors: bool) -> String;

    /// What `--json` tells of a line.
    fn json(line: &Self::Line) -> impl Serialize;
}

/// Prints a list.
pub(crate) fn print<L: List, S: System>(
    given: &Given,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let color = options::color_of(given);
    if program.json {
        console.array(L::read(system)?.iter().map(L::json))
    } else if color.aligns(console) {
        let lines = L::read(system)?;
        console.print(&L::aligned(&lines, color.colors(console)))
    } else {
        listing::print(system, L::FILE, console)
    }
}
