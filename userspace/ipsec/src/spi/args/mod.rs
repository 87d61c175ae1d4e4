// SPDX-License-Identifier: GPL-2.0

//! The arguments of `ipsec spi`: from texts to a request (reference 8.3).

mod keys;
mod new_sa;
mod sa;

use super::plan::{Plan, Request, Show};
use crate::{
    failure::Failure, given::Given, options::ALWAYS, program::Program, requests::How,
    system::System, text,
};

/// The options that choose what is done.
const ACTIONS: [&str; 8] = ["ah", "esp", "comp", "ip4", "ip6", "del", "clear", "get"];

/// The options that only go with a new SA.
const ADD_ONLY: [&str; 6] = ["keyfile", "life", "natt", "sarefme", "sarefhim", "outif"];

/// The same, but a deletion may have them as well, as ever: they mean nothing there.
const IDLE_IN_DELETIONS: [&str; 4] = ["authkey", "enckey", "sport", "dport"];

const ONLY_WHEN_ADDED: &str = "only goes with an SA to be added";

/// The options that go with the deletion of all SAs: nobody may think that it is only of some.
const WITH_CLEAR: [&str; 2] = ["clear", "listenreply"];

/// The request that options make, if any of them asks for something.
pub(super) fn request(
    given: &Given,
    how: How,
    program: &Program,
    system: &mut impl System,
) -> Result<Option<Request>, Failure> {
    if given.any_but(&ALWAYS).is_none() {
        return Ok(None);
    }
    let mut actions = ACTIONS.into_iter().filter(|name| given.is_set(name));
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
        (Some("clear"), None) => match given.any_but(&[&ALWAYS[..], &WITH_CLEAR].concat()) {
            Some(option) => {
                return Err(Failure::usage(format!(
                    "--{option} can't be given with --clear, which deletes all SAs."
                )));
            }
            None => Plan::Clear,
        },
        (Some(action @ ("del" | "get")), None) => {
            let addresses = sa::addresses(given, action, system)?;
            given.refuse(&ADD_ONLY, ONLY_WHEN_ADDED)?;
            if action == "get" {
                given.refuse(&IDLE_IN_DELETIONS, ONLY_WHEN_ADDED)?;
            }
            if given.text("saref").is_some() {
                given.refuse(&["saref"], ONLY_WHEN_ADDED)?;
            }
            match action {
                "get" => Plan::Get(addresses),
                _ => Plan::Delete(addresses),
            }
        }
        (Some(action), None) => {
            let addresses = sa::addresses(given, action, system)?;
            let sa = new_sa::new_sa(given, action, addresses, how, system)?;
            Plan::Add(Box::new(sa))
        }
    };
    Ok(Some(Request {
        plan,
        listen: given.flag("listenreply") || program.debug,
        show: if given.flag("dumpsaref") {
            Show::BothReferences
        } else if given.is_set("saref") && given.text("saref").is_none() {
            Show::OwnReference
        } else {
            Show::Nothing
        },
    }))
}
