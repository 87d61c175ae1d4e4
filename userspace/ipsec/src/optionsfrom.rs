// SPDX-License-Identifier: GPL-2.0

//! `--optionsfrom`: more arguments, from a file, in the place of the option, as the original's
//! library read them.
//!
//! Lines of nothing but blanks, and those that begin with `#`, don't count. A line that begins with
//! `-` is several arguments with blanks between them. Any other is one argument, without the double
//! quotes that it may stand in. The arguments of a file may have the option in their turn.

use crate::{failure::Failure, input, system::System};
use clap::{Arg, Command};
use std::{convert::Infallible, io};
use zeroize::Zeroizing;

/// The name of the option.
pub(crate) const OPTION: &str = "optionsfrom";

/// How many files are too many: one may name itself.
const MAX_FILES: usize = 100;

/// The longest file that is read, in bytes.
const MAX_LEN: usize = 1 << 18;

/// Arguments, which may be keys.
type Args = Zeroizing<Vec<String>>;

/// Puts arguments from files in the place of the options that name these. What `definition` makes
/// the value of another option is left alone.
pub(crate) fn expand(
    args: &[String],
    definition: &Command,
    system: &mut impl System,
) -> Result<Args, Failure> {
    // The next one last.
    let mut pending = Zeroizing::new(args.iter().rev().cloned().collect::<Vec<_>>());
    let mut expanded = Zeroizing::new(Vec::new());
    let mut files = 0;
    while let Some(arg) = pending.pop() {
        let (option, own_value) = find(definition, &arg);
        let file = match option {
            Some(option) if option.get_id() == OPTION => {
                own_value.map(str::to_owned).or_else(|| pending.pop())
            }
            option => {
                let value_follows = own_value.is_none() && option.is_some_and(takes_value);
                expanded.push(arg);
                if value_follows {
                    expanded.extend(pending.pop());
                }
                continue;
            }
        };
        let Some(file) = file else {
            // It is complained of with whatever else is wrong.
            expanded.push(arg);
            break;
        };
        files += 1;
        if files == MAX_FILES {
            return Err(Failure::usage(format!(
                "optionsfrom called {MAX_FILES} times, looping?"
            )));
        }
        let mut args = read(&file, system)?;
        pending.extend(args.drain(..).rev());
    }
    Ok(expanded)
}

/// The option that an argument is, shortened or not, and the value that it has in it.
fn find<'d, 'a>(definition: &'d Command, arg: &'a str) -> (Option<&'d Arg>, Option<&'a str>) {
    let Some(text) = arg.strip_prefix("--") else {
        return (None, None);
    };
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let names = |arg: &'d Arg| {
        let aliases = arg.get_all_aliases().unwrap_or_default();
        arg.get_long().into_iter().chain(aliases)
    };
    let all = || definition.get_arguments();
    let exact = all().find(|arg| names(arg).any(|own| own == name));
    let mut short = all().filter(|arg| names(arg).any(|own| own.starts_with(name)));
    let option = exact.or_else(|| match (short.next(), short.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    });
    (option, value)
}

/// Whether the argument after this option is its value, whatever it begins with.
fn takes_value(option: &Arg) -> bool {
    option.is_allow_hyphen_values_set()
}

/// The arguments in a file.
fn read(file: &str, system: &mut impl System) -> Result<Args, Failure> {
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
