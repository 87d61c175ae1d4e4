// SPDX-License-Identifier: GPL-2.0

//! The masks as JSON.

use crate::{
    console::Console,
    failure::Failure,
    listing,
    system::{ProcFile, System},
};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
};

/// Prints an object whose members are the parts with their masks.
pub(super) fn print_json(
    system: &mut impl System,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let file = BufReader::new(listing::open(system, ProcFile::KlipsDebug)?);
    let mut masks = BTreeMap::new();
    for line in file.lines() {
        let line = line.map_err(|error| Failure::refused(format!("read error: {error}")))?;
        let (part, mask) = mask(&line).ok_or_else(|| {
            let path = ProcFile::KlipsDebug.path();
            Failure::refused(format!("{path}: this makes no sense: {line}"))
        })?;
        masks.insert(part.to_owned(), mask);
    }
    console.object(&masks)
}

/// Reads a line such as `debug_tunnel=00000000.`.
fn mask(line: &str) -> Option<(&str, u32)> {
    let (part, mask) = line.strip_prefix("debug_")?.split_once('=')?;
    let mask = u32::from_str_radix(mask.strip_suffix('.')?, 16).ok()?;
    Some((part, mask))
}
