// SPDX-License-Identifier: GPL-2.0

//! What the arguments of `ipsec eroute` ask for.

use super::{
    plan::{Eroute, Request},
    selector, syntax,
};
use crate::{
    batch,
    failure::Failure,
    given::Given,
    naming,
    options::{self, Color, Parsed},
    program::Program,
    system::System,
    text,
};
use klips::{pfkey::SaType, said::Said, selector::Packet};

/// What is to be done.
pub(super) enum Command {
    /// Print the help text or the version.
    Text(String),
    /// Print the eroutes.
    List(Color),
    /// Add or delete eroutes.
    Request {
        request: Request,
        /// Or only tell what would come of it.
        dry_run: bool,
    },
    /// Tell what becomes of a packet.
    Get { packet: Packet, color: Color },
    /// Requests, one a line.
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

/// The options that choose what is done.
const ACTIONS: [&str; 7] = [
    "add",
    "addin",
    "replace",
    "replacein",
    "del",
    "clear",
    "get",
];

/// The options that make no request by themselves.
const GENERAL: [&str; 4] = ["label", "debug", "json", "color"];

/// The options of a whole batch, or of a command line that is no line of one.
const OUTSIDE: [&str; 7] = [
    "batch",
    "keep-going",
    "dry-run",
    "monitor",
    "timestamp",
    "json",
    "color",
];

/// Reads the arguments; what they say of messages is set in `program`.
pub(super) fn parse(
    program: &mut Program,
    args: &[String],
    system: &mut impl System,
) -> Result<Command, Failure> {
    let given = match syntax::parse(program, args, system)? {
        Parsed::Text(text) => return Ok(Command::Text(text)),
        Parsed::Options(matches) => Given(matches),
    };
    let (dry_run, color) = (given.flag("dry-run"), options::color_of(&given.0));
    let refuse_others =
        |own: &[&str], with: &str| match given.any_but(&[&GENERAL[..], own].concat()) {
            Some(other) => Err(Failure::usage(format!(
                "--{other} and {with} can't be given together.{}",
                text::see_help(program)
            ))),
            None => Ok(()),
        };
    if let Some(batch) = options::batch_of(&given.0)? {
        refuse_others(&["batch", "keep-going", "dry-run"], "--batch")?;
        return Ok(Command::Batch { batch, dry_run });
    }
    if given.flag("monitor") {
        refuse_others(&["monitor", "timestamp"], "--monitor")?;
        return Ok(Command::Monitor {
            timestamp: given.flag("timestamp"),
        });
    }
    given.refuse(&["timestamp"], "only goes with --monitor")?;
    if given.any_but(&GENERAL).is_none() {
        return Ok(Command::List(color));
    }
    match action(program, &given)? {
        "get" => {
            refuse_others(&["get", "transport-proto", "src-port", "dst-port"], "--get")?;
            let packet = selector::packet(&given, system)?;
            Ok(Command::Get { packet, color })
        }
        action => Ok(Command::Request {
            request: request(action, &given, system)?,
            dry_run,
        }),
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
    let (debug, json) = (program.debug, program.json);
    let given = match syntax::parse(program, words, system)? {
        Parsed::Text(_) => {
            return Err(Failure::usage(
                "--help and --version can't be given in a line.",
            ));
        }
        Parsed::Options(matches) => Given(matches),
    };
    if let Some(option) = OUTSIDE.into_iter().find(|name| given.is_set(name)) {
        (program.debug, program.json) = (debug, json);
        return Err(not_here(option));
    }
    match action(program, &given)? {
        "get" => Err(Failure::usage("--get can't be given in a line.")),
        action => request(action, &given, system),
    }
}

/// The one option that says what is to be done.
fn action(program: &Program, given: &Given) -> Result<&'static str, Failure> {
    let mut actions = ACTIONS.into_iter().filter(|name| given.is_set(name));
    match (actions.next(), actions.next()) {
        (Some(action), None) => Ok(action),
        (Some(_), Some(_)) => Err(Failure::usage(
            "Only one of '--add', '--addin', '--replace', '--replacein', '--clear', '--del' or \
             '--get' options permitted.",
        )),
        (None, _) => Err(Failure::usage(format!(
            "exactly one of '--add', '--addin', '--replace', '--replacein', '--del', '--clear' or \
             '--get' options must be specified.{}",
            text::see_help(program)
        ))),
    }
}

/// The request that options make.
fn request(action: &str, given: &Given, system: &mut impl System) -> Result<Request, Failure> {
    naming::check_given_once(given, &naming::PARTS)?;
    match action {
        "clear" => match given.any_but(&[&GENERAL[..], &["clear", "dry-run"]].concat()) {
            Some(option) => Err(Failure::usage(format!(
                "--{option} can't be given with --clear, which deletes all eroutes."
            ))),
            None => Ok(Request::Clear),
        },
        "del" => Ok(Request::Delete {
            selector: selector::selector("del", given, system)?,
            satype: satype(given, system)?,
        }),
        action => {
            let said = match naming::PARTS.iter().any(|(option, _)| given.is_set(option)) {
                true => through(given, system)?,
                false => {
                    return Err(Failure::usage(format!(
                        "--{action} must have an SA specified."
                    )));
                }
            };
            Ok(Request::Add(Eroute {
                selector: selector::selector(action, given, system)?,
                said,
                replaces: action.starts_with("replace"),
                inbound: action.ends_with("in"),
            }))
        }
    }
}

/// The SA that packets go through.
fn through(given: &Given, system: &mut impl System) -> Result<Said, Failure> {
    let said = naming::said(given, naming::family(given, "af")?, system);
    match given.text("said") {
        // The original knows these words, and takes their SPI for too small.
        Some(text) if text.trim().starts_with("%passthrough") => {
            said.map_err(|failure| failure.and("  Packets are let through by %pass."))
        }
        _ => said,
    }
}

/// The SA type of a deletion. The original lets an SA be named there, and nobody minds which.
fn satype(given: &Given, system: &mut impl System) -> Result<Option<SaType>, Failure> {
    let is_whole = given.is_set("said")
        || ["af", "edst", "spi", "proto"]
            .iter()
            .all(|option| given.is_set(option));
    match is_whole {
        true => {
            let said = naming::said(given, naming::family(given, "af")?, system)?;
            Ok(Some(SaType::of(said.proto)))
        }
        false => Ok(None),
    }
}
