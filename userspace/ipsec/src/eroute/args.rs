// SPDX-License-Identifier: GPL-2.0

//! What the arguments of `ipsec eroute` ask for.

use super::{
    plan::{Eroute, Request},
    selector,
};
use crate::{
    failure::Failure, given::Given, naming, options::ALWAYS, program::Program, system::System, text,
};
use klips::{pfkey::SaType, said::Said, selector::Packet};

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

/// The options that go with `--get`.
const WITH_GET: [&str; 4] = ["get", "transport-proto", "src-port", "dst-port"];

/// What options ask for, if any of them asks for something.
pub(super) fn request(
    given: &Given,
    program: &Program,
    system: &mut impl System,
) -> Result<Option<Request>, Failure> {
    if given.any_but(&ALWAYS).is_none() {
        return Ok(None);
    }
    match action(program, given)? {
        "get" => Err(Failure::usage("--get can't be given in a line.")),
        action => change(action, given, system).map(Some),
    }
}

/// The packet that `--get` is about, if that is given.
pub(super) fn packet(
    given: &Given,
    program: &Program,
    system: &mut impl System,
) -> Result<Option<Packet>, Failure> {
    if !given.is_set("get") {
        return Ok(None);
    }
    action(program, given)?;
    match given.any_but(&[&ALWAYS[..], &WITH_GET].concat()) {
        Some(other) => Err(Failure::usage(format!(
            "--{other} and --get can't be given together.{}",
            text::see_help(program)
        ))),
        None => selector::packet(given, system).map(Some),
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

/// The change of eroutes that options ask for.
fn change(action: &str, given: &Given, system: &mut impl System) -> Result<Request, Failure> {
    naming::check_given_once(given, &naming::PARTS)?;
    match action {
        "clear" => match given.any_but(&[&ALWAYS[..], &["clear", "dry-run"]].concat()) {
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
            if !naming::PARTS.iter().any(|(option, _)| given.is_set(option)) {
                return Err(Failure::usage(format!(
                    "--{action} must have an SA specified."
                )));
            }
            let said = through(given, system)?;
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
    if is_whole {
        let said = naming::said(given, naming::family(given, "af")?, system)?;
        Ok(Some(SaType::of(said.proto)))
    } else {
        Ok(None)
    }
}
