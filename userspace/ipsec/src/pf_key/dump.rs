// SPDX-License-Identifier: GPL-2.0

//! Messages in a file, one behind the other.

use super::printer::Printer;
use crate::{failure::Failure, system::System};
use klips::pfkey::{Header, types::WORD};
use pfkey::describe::Description;
use std::io::{self, BufReader, Read};

/// Prints the messages in a file. The first that is no message ends it: nobody knows where the next
/// one begins.
pub(super) fn print(
    name: &str,
    printer: &mut Printer<'_, '_>,
    system: &mut impl System,
) -> Result<(), Failure> {
    let failed = |error| Failure::refused(format!("{name}: {error}"));
    let mut input = BufReader::new(system.input(name).map_err(failed)?);
    let mut at = 0;
    // One at a time, for the file may have no end.
    loop {
        let message = next(&mut input).map_err(failed)?;
        if message.is_empty() {
            return Ok(());
        }
        let description = Description::of(&message)
            .map_err(|error| Failure::refused(format!("{name}: at byte {at}: {error}")))?;
        printer.description(&description)?;
        at += message.len();
    }
}

/// Reads a message, or as much of it as there is.
fn next(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    for size in [|_: &[u8]| Header::SIZE, length] {
        let missing = size(&message).saturating_sub(message.len());
        input.take(missing as u64).read_to_end(&mut message)?;
    }
    Ok(message)
}

/// How long a message says it is.
fn length(message: &[u8]) -> usize {
    match message.get(4..6) {
        Some(&[a, b]) => usize::from(u16::from_ne_bytes([a, b])) * WORD,
        _ => 0,
    }
}
