// SPDX-License-Identifier: GPL-2.0

//! What the arguments of `ipsec spigrp` ask for.

use super::{
    plan::Request,
    sas,
    syntax::{self, Parsed},
};
use crate::{
    batch,
    failure::Failure,
    options::{self, Color},
    program::Program,
    system::System,
    text,
};
use clap::{ArgMatches, parser::ValueSource};

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
    /// Print the groups.
    List(Color),
    /// Group or ungroup.
    Request {
        request: Request,
        /// Or only tell what would come of it.
        dry_run: bool,
    },
    /// The same, a request a line.
    Batch {
        batch: batch::Options,
        dry_run: bool,
    },
    /// Print changes.
    Monitor {
        /// With the time.
        timestamp: bool,
    },
}

/// The options that a line of a batch may have; the others are the whole batch's.
const IN_A_LINE: [&str; 5] = ["sa", "said", "join", "ungroup", "label"];

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
    check_options(program, &matches)?;
    let dry_run = matches.get_flag("dry-run");
    if let Some(batch) = options::batch_of(&matches)? {
        return Ok(Command::Batch { batch, dry_run });
    }
    if matches.get_flag("monitor") {
        return Ok(Command::Monitor {
            timestamp: matches.get_flag("timestamp"),
        });
    }
    Ok(match request(program, &matches, system)? {
        Some(request) => Command::Request { request, dry_run },
        None => Command::List(options::color_of(&matches)),
    })
}

/// Refuses options that don't go with each other.
fn check_options(program: &Program, matches: &ArgMatches) -> Result<(), Failure> {
    let has_sas = ["sa", "said", "join", "ungroup"]
        .iter()
        .any(|id| is_given(matches, id));
    let actions = [
        (has_sas, "SAs"),
        (is_given(matches, "batch"), "--batch"),
        (is_given(matches, "monitor"), "--monitor"),
    ];
    let mut given = actions.iter().filter(|(given, _)| *given);
    if let (Some((_, one)), Some((_, other))) = (given.next(), given.next()) {
        return Err(Failure::usage(format!(
            "{one} and {other} can't be given together.{}",
            text::see_help(program)
        )));
    }
    if is_given(matches, "timestamp") && !is_given(matches, "monitor") {
        return Err(Failure::usage("--timestamp only goes with --monitor."));
    }
    if is_given(matches, "dry-run") && !has_sas && !is_given(matches, "batch") {
        return Err(Failure::usage("--dry-run only goes with SAs or --batch."));
    }
    Ok(())
}

fn is_given(matches: &ArgMatches, id: &str) -> bool {
    matches.value_source(id) == Some(ValueSource::CommandLine)
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
    let mut ids = matches.ids().map(clap::Id::as_str);
    match ids.find(|id| is_given(&matches, id) && !IN_A_LINE.contains(id)) {
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
    let join = matches.get_flag("join");
    match (ungroup.as_slice(), matches.get_flag("said")) {
        ([said], false) if args.is_empty() && !join => {
            return Ok(Some(Request::Ungroup(text::said(said, system)?)));
        }
        ([_, ..], _) if join => Err(Failure::usage(format!(
            "--join and --ungroup can't be given together.{}",
            text::see_help(program)
        ))),
        ([_, ..], _) => Err(Failure::usage(format!(
            "--ungroup takes exactly one SA.{}",
            text::see_help(program)
        ))),
        ([], true) => sas::saids(program, &args, system),
        ([], false) => sas::words(program, &args, system),
    }
    .and_then(|saids| match (join, saids.len()) {
        (false, _) => Ok(Request::of(saids)),
        (true, 2..) => Ok(Some(Request::Join(saids))),
        (true, count) => Err(Failure::usage(format!(
            "--join takes 2 to {} SAs, got {count}.{}",
            sas::MAX,
            text::see_help(program)
        ))),
    })
}
