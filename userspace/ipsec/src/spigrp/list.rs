// SPDX-License-Identifier: GPL-2.0

//! The list of groups: the bytes of the file, or aligned for a reader at a terminal, or JSON.

use crate::{
    console::Console,
    entry::Entry,
    failure::Failure,
    json::Sa,
    listing,
    options::Color,
    system::{ProcFile, System},
};

/// Prints the groups as the file has them, or for a reader.
pub(super) fn print(
    color: Color,
    system: &mut impl System,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    if color.aligns(console) {
        let chains = listing::chains(system)?;
        console.print(&aligned(&chains, color.colors(console)))
    } else {
        listing::print(system, ProcFile::SpiGrp, console)
    }
}

/// Prints the groups as a JSON array of chains, one a line.
pub(super) fn print_json(
    system: &mut impl System,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    // Whole, so that what is printed is JSON even if the file can't be read to its end.
    let chains = listing::chains(system)?;
    console.array(
        chains
            .iter()
            .map(|chain| chain.iter().map(Sa::of_entry).collect::<Vec<_>>()),
    )
}

/// A line per chain and a column per place in it, so that what is innermost stands below what is
/// innermost.
fn aligned(chains: &[Vec<Entry>], colors: bool) -> String {
    let mut widths = Vec::new();
    for chain in chains {
        // What ends a line needs no width, whatever else is in its column.
        for (index, entry) in chain.iter().rev().skip(1).rev().enumerate() {
            widths.resize(widths.len().max(index + 1), 0);
            widths[index] = entry.text().len().max(widths[index]);
        }
    }
    let mut text = String::new();
    for chain in chains {
        for (index, entry) in chain.iter().enumerate() {
            let gap = match chain.len() - index {
                1 => 0,
                _ => widths[index] - entry.text().len() + 2,
            };
            text.push_str(&entry.styled(colors));
            text.extend(std::iter::repeat_n(' ', gap));
        }
        text.push('\n');
    }
    text
}
