// SPDX-License-Identifier: GPL-2.0

//! The list of groups.

use crate::{
    entry::Entry,
    failure::Failure,
    json::Sa,
    list, listing,
    system::{ProcFile, System},
};
use serde::Serialize;

/// The chains of SAs.
pub(super) enum Groups {}

impl list::List for Groups {
    const FILE: ProcFile = ProcFile::SpiGrp;
    type Line = Vec<Entry>;

    fn read(system: &mut impl System) -> Result<Vec<Vec<Entry>>, Failure> {
        listing::chains(system)
    }

    fn aligned(chains: &[Vec<Entry>], colors: bool) -> String {
        aligned(chains, colors)
    }

    fn json(chain: &Vec<Entry>) -> impl Serialize {
        chain.iter().map(Sa::of_entry).collect::<Vec<_>>()
    }
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
