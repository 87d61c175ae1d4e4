// SPDX-License-Identifier: GPL-2.0

//! Messages in a file, one behind the other.

use super::printer::Printer;
use crate::{failure::Failure, system::System};
use klips::pfkey::{Header, types::WORD};
use pfkey::describe::Description;

/// Prints the messages in a file. The first that is no message ends it: nobody knows where the next
/// one begins.
pub(super) fn print(
    name: &str,
    printer: &mut Printer<'_, '_>,
    system: &mut impl System,
) -> Result<(), Failure> {
    let failed = |error| Failure::refused(format!("{name}: {error}"));
    let mut bytes = Vec::new();
    system
        .input(name)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(failed)?;
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let (message, behind) = rest.split_at(length(rest).min(rest.len()));
        let description = Description::of(message).map_err(|error| {
            let at = bytes.len() - rest.len();
            Failure::refused(format!("{name}: at byte {at}: {error}"))
        })?;
        printer.description(&description)?;
        rest = behind;
    }
    Ok(())
}

/// How long the first message says it is.
fn length(bytes: &[u8]) -> usize {
    match bytes.get(4..6) {
        Some(&[a, b]) => Header::SIZE.max(usize::from(u16::from_ne_bytes([a, b])) * WORD),
        _ => bytes.len(),
    }
}
