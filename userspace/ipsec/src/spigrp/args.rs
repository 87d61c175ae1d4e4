// SPDX-License-Identifier: GPL-2.0

//! What the arguments of `ipsec spigrp` ask for.

use super::{
    plan::Request,
    sas,
    syntax::{self, Parsed},
};
use crate::{batch, failure::Failure, options, program::Program, system::System, text};
use clap::{ArgMatches, parser::ValueSource};

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
    /// Print the groups.
    List,
    /// Group or ungroup.
    Request(Request),
    /// The same, a request a line.
    Batch(batch::Options),
}

/// The options that a line of a batch may have; the others are the whole batch's.
const IN_A_LINE: [&str; 4] = ["sa", "said", "ungroup", "label"];

/// Reads the arguments; what they say of messages is set in `program`.
pub(super) fn parse(
    program: &mut Program,
    args: &[String],
    system: &mut impl System,
) -> Result<Command, Failure> {
    program.json = options::wants_json(args);
    let matches = match syntax::parse(program, args)? {
        Parsed::Help => return Ok(Command::Help),
        Parsed::Version => return Ok(Command::Version),
        Parsed::Options(matches) => matches,
    };
    program.json = matches.get_flag("json");
    program.debug = matches.get_flag("debug");
    let request = request(program, &matches, system)?;
    match (options::batch_of(&matches)?, request) {
        (None, None) => Ok(Command::List),
        (None, Some(request)) => Ok(Command::Request(request)),
        (Some(batch), None) => Ok(Command::Batch(batch)),
        (Some(_), Some(_)) => Err(Failure::usage(format!(
            "--batch reads SAs from a file, and takes none as arguments.{}",
            text::see_help(program)
        ))),
    }
}

/// Reads a line of a batch.
pub(super) fn parse_line(
    program: &mut Program,
    words: &[String],
    system: &mut impl System,
) -> Result<Request, Failure> {
    let not_here = |option: &str| {
        Failure::usage(format!(
            "--{option} can't be given in a line, only for the whole batch."
        ))
    };
    let matches = match syntax::parse(program, words)? {
        Parsed::Help => return Err(not_here("help")),
        Parsed::Version => return Err(not_here("version")),
        Parsed::Options(matches) => matches,
    };
    let given = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let mut options = matches.ids().map(clap::Id::as_str).filter(given);
    match options.find(|id| !IN_A_LINE.contains(id)) {
        Some(option) => Err(not_here(option)),
        None => request(program, &matches, system)?
            .ok_or_else(|| Failure::usage("no SA given in this line.")),
    }
}

/// The request that SAs make, if there are any.
fn request(
    program: &Program,
    matches: &ArgMatches,
    system: &mut impl System,
) -> Result<Option<Request>, Failure> {
    let strings = |id| -> Vec<String> {
        matches
            .get_many(id)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    };
    let (args, ungroup) = (strings("sa"), strings("ungroup"));
    match (ungroup.as_slice(), matches.get_flag("said")) {
        ([said], false) if args.is_empty() => Ok(Some(Request::Ungroup(text::said(said, system)?))),
        ([_, ..], _) => Err(Failure::usage(format!(
            "--ungroup takes exactly one SA.{}",
            text::see_help(program)
        ))),
        ([], true) => sas::saids(program, &args, system).map(Request::of),
        ([], false) => sas::words(program, &args, system).map(Request::of),
    }
}
