// SPDX-License-Identifier: GPL-2.0

//! Options that several commands have, and what is said of options that make no sense.
//!
//! Each command has one definition of its options, a [`clap::Command`], from which arguments are
//! read and its help text is made.

use crate::{batch, failure::Failure, program::Program, text};
use clap::{Arg, ArgAction, ArgMatches};

/// An option without a value; to give it twice is to give it once.
pub(crate) fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .help(help)
        .action(ArgAction::SetTrue)
        .overrides_with(name)
}

/// An option with a value, in the same argument or the next one, whatever that begins with.
pub(crate) fn value(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .help(help)
        .num_args(1)
        .allow_hyphen_values(true)
}

/// `--json`.
pub(crate) fn json() -> Arg {
    flag("json", "Print lists and results as JSON")
}

/// `--batch` and `--keep-going`.
pub(crate) fn batch() -> [Arg; 2] {
    [
        value(
            "batch",
            "FILE",
            "Execute the lines of a file, or of standard input for -",
        ),
        flag("keep-going", "Go on with a batch after a line that failed"),
    ]
}

/// What `--batch` and `--keep-going` say.
pub(crate) fn batch_of(matches: &ArgMatches) -> Result<Option<batch::Options>, Failure> {
    let keep_going = matches.get_flag("keep-going");
    match matches.get_one::<String>("batch") {
        Some(file) => Ok(Some(batch::Options {
            file: file.clone(),
            keep_going,
        })),
        None if keep_going => Err(Failure::usage("--keep-going only goes with --batch.")),
        None => Ok(None),
    }
}

/// Whether results are to be told as JSON, of arguments that may make no sense.
pub(crate) fn wants_json(args: &[String]) -> bool {
    args.iter().any(|arg| arg == "--json")
}

/// The label in arguments that make no sense.
pub(crate) fn find_label(args: &[String]) -> Option<&str> {
    let at = args.iter().position(|arg| arg.starts_with("--label"))?;
    match args[at].split_once('=') {
        Some((_, label)) => Some(label),
        None => args.get(at + 1).map(String::as_str),
    }
}

/// The first line of what is wrong; the rest is usage.
pub(crate) fn explain(program: &Program, error: &clap::Error) -> Failure {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    Failure::usage(format!("{line}.{}", text::see_help(program)))
}
