// SPDX-License-Identifier: GPL-2.0

//! The arguments of `ipsec spigrp` (reference 8.2).
//!
//! Options come first, in any order; the first argument that is none begins the SAs, and all after
//! it belong to them.

use crate::{failure::Failure, program::Program, system::System, text};
use klips::{
    number::{self, NumberError},
    said::{Proto, Said},
};

/// The most SAs that can be grouped.
pub(crate) const MAX: usize = 4;

/// How many arguments name an SA without `--said`.
const WORDS: usize = 4;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
    /// Print the groups.
    List {
        /// As JSON.
        json: bool,
    },
    /// Group these, or ungroup the only one: one to four, inside to outside.
    Saids(Vec<Said>),
}

/// Reads the arguments; label and debugging are set in `program`.
pub(crate) fn parse(
    program: &mut Program,
    args: &[String],
    system: &mut impl System,
) -> Result<Command, Failure> {
    let mut json = false;
    let mut args = args.iter();
    let mut command = None;
    let command = loop {
        let rest = args.as_slice();
        let Some(arg) = args.next() else {
            break command.unwrap_or(Command::List { json });
        };
        match arg.as_str() {
            "--debug" => program.debug = true,
            "--json" => json = true,
            "--label" => match args.next() {
                Some(label) => program.set_label(label),
                None => return Err(Failure::usage("--label option requires an argument.")),
            },
            "--help" | "-h" => command = command.or(Some(Command::Help)),
            "--version" | "-V" => command = command.or(Some(Command::Version)),
            // As they ever did, they win over whatever follows.
            _ if command.is_some() => (),
            "--said" => break Command::Saids(saids(program, args.as_slice(), system)?),
            option if option.starts_with('-') => match option.strip_prefix("--label=") {
                Some(label) => program.set_label(label),
                None => {
                    let see = text::see_help(program);
                    return Err(Failure::usage(format!("unknown option '{option}'.{see}")));
                }
            },
            _ => break Command::Saids(words(program, rest, system)?),
        }
    };
    match command {
        Command::Saids(_) if json => {
            Err(Failure::usage("--json only goes with the list of groups."))
        }
        command => Ok(command),
    }
}

fn check_count(program: &Program, count: usize) -> Result<(), Failure> {
    match count {
        0..=MAX => Ok(()),
        _ => Err(Failure::usage(format!(
            "at most {MAX} SAs can be grouped, got {count}.{}",
            text::see_help(program)
        ))),
    }
}

/// SAs as one argument each.
fn saids(
    program: &Program,
    args: &[String],
    system: &mut impl System,
) -> Result<Vec<Said>, Failure> {
    if args.is_empty() {
        return Err(Failure::usage(format!(
            "expecting 1 to {MAX} SAs after --said, got none.{}",
            text::see_help(program)
        )));
    }
    check_count(program, args.len())?;
    args.iter().map(|arg| text::said(arg, system)).collect()
}

/// SAs as four arguments each.
fn words(
    program: &Program,
    args: &[String],
    system: &mut impl System,
) -> Result<Vec<Said>, Failure> {
    if args.len() % WORDS != 0 {
        return Err(Failure::usage(format!(
            "expecting af, dst, spi and proto for each SA without --said, got {} {}.{}",
            args.len(),
            match args.len() {
                1 => "argument",
                _ => "arguments",
            },
            text::see_help(program)
        )));
    }
    check_count(program, args.len() / WORDS)?;
    args.chunks(WORDS)
        .enumerate()
        .map(|(index, words)| match words {
            [af, dst, spi, proto] => quadruple(index, [af, dst, spi, proto], system),
            _ => unreachable!("a chunk has {WORDS} words"),
        })
        .collect()
}

/// One SA of four words, looked at in the order in which the original does.
fn quadruple(
    index: usize,
    [af, dst, spi, proto]: [&str; WORDS],
    system: &mut impl System,
) -> Result<Said, Failure> {
    let proto = Proto::from_name(proto)
        .filter(|proto| *proto != Proto::Int)
        .ok_or_else(|| Failure::usage(format!("Badly formed proto: {proto}")))?;
    let spi = number::parse(spi).map_err(|error| {
        Failure::usage(match error {
            NumberError::NonDigit | NumberError::NonHexDigit => format!("Badly formed spi: {spi}"),
            // What the original took for another number, or for 0.
            error => format!("Badly formed spi: {spi} ({error})"),
        })
    })?;
    let family = text::family(af)
        .ok_or_else(|| Failure::usage(format!("Address family {af} not supported")))?;
    let dst = text::address(dst, Some(family), system).map_err(|error| {
        error.failure(format!(
            "Error, {error} converting {index}th address argument:{dst}"
        ))
    })?;
    Ok(Said { dst, spi, proto })
}

/// What `--help` prints.
pub(crate) fn help(program: &Program) -> String {
    let name = program.name();
    let words = |n| format!("af{n} dst{n} spi{n} proto{n}");
    format!(
        "\
usage: {program} [ --debug ] [ --label <label> ] {} [ {} [ {} [ {} ] ] ]
usage: {program} [ --debug ] [ --label <label> ] --said <SA1> [ <SA2> [ <SA3> [ <SA4> ] ] ]
usage: {program} --help
usage: {program} --version
usage: {program} [ --json ]
        Two to four SAs are grouped; they are named from the inside transform to the outside.
        One SA: the group that it is in is ungrouped.  No SA: all groups are listed.
        <SA> is <proto><af><spi>@<dst> with '.' for inet and ':' for inet6, as tun.113@gw2,
        or as it is listed, tun0x113@10.0.0.2.
        af is inet or inet6, dst an address or a name, spi a number (0x for hexadecimal),
        proto ah, esp, comp or tun.
        [ --debug ] is optional to any {name} command.
        [ --label <label> ] is optional to any {name} command.
        [ --json ] lists the groups as JSON.
",
        words(1),
        words(2),
        words(3),
        words(4)
    )
}
