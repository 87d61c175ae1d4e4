// SPDX-License-Identifier: GPL-2.0

//! `--optionsfrom`: more arguments, from a file, as the original's library read them.
//!
//! Lines of nothing but blanks, and those that begin with `#`, don't count. A line that begins with
//! `-` is several arguments with blanks between them. Any other is one argument, without the double
//! quotes that it may stand in. The arguments of a file may have the option in their turn.

use crate::{failure::Failure, input, system::System};
use std::{convert::Infallible, io};
use zeroize::Zeroizing;

/// The name of the option.
pub(crate) const OPTION: &str = "optionsfrom";

/// How many files are too many: one may name itself.
pub(crate) const MAX_FILES: usize = 100;

/// The longest file that is read, in bytes.
const MAX_LEN: usize = 1 << 18;

/// The arguments in a file; they may be keys.
pub(crate) fn read(
    file: &str,
    system: &mut impl System,
) -> Result<Zeroizing<Vec<String>>, Failure> {
    let failed = |why: String| Failure::refused(format!("optionsfrom failed: {file}: {why}"));
    let unreadable = |error: io::Error| failed(error.to_string());
    let text = system
        .input(file)
        .and_then(|file| input::read(file, MAX_LEN))
        .map_err(unreadable)?
        .ok_or_else(|| failed(format!("longer than {MAX_LEN} bytes")))?;
    let split = |text: &str| Ok::<_, Infallible>(text.lines().flat_map(words).collect());
    match input::words(input::without_mark(&text), split) {
        Ok(Some(args)) => Ok(args),
        Ok(None) => Err(failed("not valid UTF-8".to_owned())),
        Err(never) => match never {},
    }
}

/// The arguments in a line.
fn words(line: &str) -> Vec<String> {
    const BLANKS: [char; 2] = [' ', '\t'];
    if line.starts_with('#') || line.trim_matches(BLANKS).is_empty() {
        return Vec::new();
    }
    if line.starts_with('-') {
        let words = line.split(BLANKS).filter(|word| !word.is_empty());
        return words.map(str::to_owned).collect();
    }
    let inside = line
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    vec![inside.unwrap_or(line).to_owned()]
}
