// SPDX-License-Identifier: GPL-2.0

//! The arguments of `ipsec spi`: from texts to a plan (reference 8.3).

mod keys;
mod new_sa;
mod options;
mod sa;

use super::{plan::Plan, syntax};
use crate::{failure::Failure, program::Program, system::System, text};
use options::Options;

/// What is to be done.
pub(super) enum Command {
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
    /// Print the SAs.
    List,
    /// Ask something of the kernel.
    Request {
        /// What to ask.
        plan: Plan,
        /// Whether to tell that it has answered.
        listen: bool,
    },
}

/// The options that choose what is done.
const ACTIONS: [&str; 7] = ["ah", "esp", "comp", "ip4", "ip6", "del", "clear"];

/// The options that only go with a new SA, although `--del` needs not mind others.
const ADD_ONLY: [&str; 6] = ["authkey", "enckey", "life", "natt", "sport", "dport"];

/// The options that make no request by themselves.
const GENERAL: [&str; 4] = ["label", "debug", "help", "version"];

/// Reads the arguments; label and debugging are set in `program`.
pub(super) fn parse(
    program: &mut Program,
    args: &[String],
    system: &mut impl System,
) -> Result<Command, Failure> {
    let options = Options(syntax::parse(program, args)?);
    if let Some(label) = options.text("label") {
        program.set_label(label);
    }
    program.debug = options.flag("debug");
    if options.flag("help") {
        return Ok(Command::Help);
    }
    if options.flag("version") {
        return Ok(Command::Version);
    }
    let mut actions = ACTIONS.into_iter().filter(|name| options.is_set(name));
    let plan = match (actions.next(), actions.next()) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage(
                "Only one of '--ah', '--esp', '--comp', '--ip4', '--ip6', '--del' or '--clear'  \
                 options permitted.",
            ));
        }
        (None, _) if !options.any_but(&GENERAL) => return Ok(Command::List),
        (None, _) => {
            return Err(Failure::usage(format!(
                "No action chosen.{}",
                text::see_help(program)
            )));
        }
        (Some("clear"), None) => Plan::Clear,
        (Some(action), None) => {
            let addresses = sa::addresses(&options, system)?;
            match action {
                "del" => {
                    options.refuse(&ADD_ONLY, "only goes with an SA to be added")?;
                    Plan::Delete(addresses)
                }
                action => Plan::Add(Box::new(new_sa::new_sa(&options, action, addresses)?)),
            }
        }
    };
    Ok(Command::Request {
        plan,
        listen: options.flag("listenreply") || program.debug,
    })
}
