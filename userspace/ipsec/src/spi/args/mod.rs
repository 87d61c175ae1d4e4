// SPDX-License-Identifier: GPL-2.0

//! The arguments of `ipsec spi`: from texts to a request (reference 8.3).

mod keys;
mod new_sa;
mod sa;

use super::{
    plan::{Plan, Request, Show},
    syntax::{self, Parsed},
};
use crate::{
    batch,
    failure::Failure,
    given::Given,
    options::{self as common, Color},
    program::Program,
    system::System,
    text,
};

/// What is to be done.
pub(super) enum Command {
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
    /// Print the SAs.
    List(Color),
    /// Ask something of the kernel.
    Request(Request),
    /// The same, a request a line.
    Batch(batch::Options),
}

/// The options that choose what is done.
const ACTIONS: [&str; 8] = ["ah", "esp", "comp", "ip4", "ip6", "del", "clear", "get"];

/// The options that only go with a new SA.
const ADD_ONLY: [&str; 10] = [
    "keyfile", "life", "natt", "sarefme", "sarefhim", "outif", "authkey", "enckey", "sport",
    "dport",
];

/// Those of them that a deletion may have as well, as ever: they mean nothing there.
const IDLE_IN_DELETIONS: usize = 4;

const ONLY_WHEN_ADDED: &str = "only goes with an SA to be added";

/// The options that make no request by themselves.
const GENERAL: [&str; 4] = ["label", "debug", "json", "color"];

/// The options that go with the deletion of all SAs: nobody may think that it is only of some.
const WITH_CLEAR: [&str; 2] = ["clear", "listenreply"];

/// The options that a whole batch has, and none of its lines.
const OF_A_BATCH: [&str; 5] = ["batch", "keep-going", "json", "debug", "color"];

/// Reads the arguments; what they say of messages is set in `program`.
pub(super) fn parse(
    program: &mut Program,
    args: &[String],
    system: &mut impl System,
) -> Result<Command, Failure> {
    program.json = common::wants_json(args);
    let options = match syntax::parse(program, args, system)? {
        Parsed::Help => return Ok(Command::Help),
        Parsed::Version => return Ok(Command::Version),
        Parsed::Options(matches) => Given(matches),
    };
    program.json = options.flag("json");
    program.debug = options.flag("debug");
    match common::batch_of(&options.0)? {
        Some(batch) => match options.any_but(&[&GENERAL[..], &OF_A_BATCH].concat()) {
            Some(option) => Err(Failure::usage(format!(
                "--{option} can't be given with --batch, only in a line."
            ))),
            None => Ok(Command::Batch(batch)),
        },
        None if options.any_but(&GENERAL).is_none() => {
            Ok(Command::List(common::color_of(&options.0)))
        }
        None => request(program, &options, Stdin::Free, system).map(Command::Request),
    }
}

/// Whether anything else is read from standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stdin {
    /// Nothing.
    Free,
    /// The lines of a batch.
    Batch,
}

/// Reads a line of a batch.
pub(super) fn parse_line(
    program: &mut Program,
    words: &[String],
    stdin: Stdin,
    system: &mut impl System,
) -> Result<Request, Failure> {
    let not_here = |option: &str| {
        Failure::usage(format!(
            "--{option} can't be given in a line, only for the whole batch."
        ))
    };
    let options = match syntax::parse(program, words, system)? {
        Parsed::Help => return Err(not_here("help")),
        Parsed::Version => return Err(not_here("version")),
        Parsed::Options(matches) => Given(matches),
    };
    match OF_A_BATCH.into_iter().find(|name| options.is_set(name)) {
        Some(option) => Err(not_here(option)),
        None => request(program, &options, stdin, system),
    }
}

/// The request that options make.
fn request(
    program: &Program,
    options: &Given,
    stdin: Stdin,
    system: &mut impl System,
) -> Result<Request, Failure> {
    let mut actions = ACTIONS.into_iter().filter(|name| options.is_set(name));
    let plan = match (actions.next(), actions.next()) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage(
                "Only one of '--ah', '--esp', '--comp', '--ip4', '--ip6', '--get', '--del' or \
                 '--clear'  options permitted.",
            ));
        }
        (None, _) => {
            return Err(Failure::usage(format!(
                "No action chosen.{}",
                text::see_help(program)
            )));
        }
        (Some("clear"), None) => match options.any_but(&[&GENERAL[..], &WITH_CLEAR].concat()) {
            Some(option) => {
                return Err(Failure::usage(format!(
                    "--{option} can't be given with --clear, which deletes all SAs."
                )));
            }
            None => Plan::Clear,
        },
        (Some(action @ ("del" | "get")), None) => {
            let addresses = sa::addresses(options, action, system)?;
            let misplaced = match action {
                "get" => &ADD_ONLY[..],
                _ => &ADD_ONLY[..ADD_ONLY.len() - IDLE_IN_DELETIONS],
            };
            options.refuse(misplaced, ONLY_WHEN_ADDED)?;
            if options.text("saref").is_some() {
                options.refuse(&["saref"], ONLY_WHEN_ADDED)?;
            }
            match action {
                "get" => Plan::Get(addresses),
                _ => Plan::Delete(addresses),
            }
        }
        (Some(action), None) => {
            let addresses = sa::addresses(options, action, system)?;
            let sa = new_sa::new_sa(options, action, addresses, stdin, system)?;
            Plan::Add(Box::new(sa))
        }
    };
    Ok(Request {
        plan,
        listen: options.flag("listenreply") || program.debug,
        show: if options.flag("dumpsaref") {
            Show::BothReferences
        } else if options.is_set("saref") && options.text("saref").is_none() {
            Show::OwnReference
        } else {
            Show::Nothing
        },
    })
}
