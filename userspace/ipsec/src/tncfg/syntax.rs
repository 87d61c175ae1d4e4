// SPDX-License-Identifier: GPL-2.0

//! The options of `ipsec tncfg`.

use super::{
    list::interface,
    plan::{Physical, Request},
};
use crate::{
    failure::Failure,
    given::Given,
    options::{self, ALWAYS, flag, value},
    program::Program,
    system::System,
    text::{self, Shown},
};
use clap::Command;
use klips::klips_core::interface::Interface;

/// The definition of all options, in the words of `name`'s help.
pub(crate) fn definition(name: &str) -> Command {
    let about = "Attaches interfaces ipsecN to physical ones; lists them";
    options::command("tncfg", about)
        .infer_long_args(true)
        .override_usage(format!(
            "{name} [--json]\n       \
             {name} --create <virtual>\n       \
             {name} --delete <virtual>\n       \
             {name} --attach --virtual <virtual> --physical <physical>\n       \
             {name} --detach --virtual <virtual>\n       \
             {name} --clear\n       \
             {name} --batch FILE|- [--keep-going]\n       \
             {name} --help\n       \
             {name} --version"
        ))
        .next_help_heading("What to do")
        .arg(flag("attach", "Put an interface above a physical one"))
        .arg(flag("detach", "Take an interface from its physical one"))
        .arg(flag("clear", "Do so with all there are"))
        .arg(value(
            "create",
            "virtual",
            "Make an interface that is attached to none yet",
        ))
        .arg(value(
            "delete",
            "virtual",
            "Take an interface away, attached or not",
        ))
        .next_help_heading("Which interfaces")
        .arg(value("virtual", "virtual", "One of ipsec0 to ipsec63"))
        .arg(value(
            "physical",
            "physical",
            "An interface with an address that SAs have",
        ))
        .next_help_heading("Options")
        .args(options::batch())
        .arg(flag(
            "dry-run",
            "Only tell what would be made and sent, and what would come of it",
        ))
        .arg(options::json())
        .arg(options::color())
        .arg(options::optionsfrom())
        .args(options::general())
        .after_help(EXAMPLES)
}

const EXAMPLES: &str = "\
While an interface is attached, eroutes are for what is routed to it: to that whose physical one has
the SAs' own address.  Without any, they are for all packets.

Examples:
  What is routed to ipsec0 leaves by eth0, protected; it can be seen in clear on ipsec0
    ipsec tncfg --attach --virtual ipsec0 --physical eth0
    ip route add 10.0.2.0/24 dev ipsec0
    tcpdump -i ipsec0
  Eroutes are for all packets again
    ipsec tncfg --detach --virtual ipsec0";

/// What is asked for; nothing if interfaces are to be listed.
pub(super) fn read(
    given: &Given,
    program: &Program,
    system: &mut impl System,
) -> Result<Option<Request>, Failure> {
    if given.any_but(&ALWAYS).is_none() {
        return Ok(None);
    }
    let actions = ["attach", "detach", "clear", "create", "delete"];
    let mut actions = actions.into_iter().filter(|name| given.is_set(name));
    let action = match (actions.next(), actions.next()) {
        (Some(action), None) => action,
        (Some(_), Some(_)) => {
            return Err(Failure::usage(
                "Only one of '--attach', '--detach', '--clear', '--create' or '--delete' options \
                 permitted.",
            ));
        }
        (None, _) => {
            return Err(Failure::usage(format!(
                "exactly one of '--attach', '--detach', '--clear', '--create' or '--delete' options \
                 must be specified.{}",
                text::see_help(program)
            )));
        }
    };
    for (option, goes_with) in [
        ("virtual", &["attach", "detach"][..]),
        ("physical", &["attach"]),
    ] {
        let fits = goes_with.contains(&action);
        if given.is_set(option) && !fits {
            return Err(Failure::usage(format!(
                "--{option} can't be given with --{action}.{}",
                text::see_help(program)
            )));
        }
        if !given.is_set(option) && fits {
            return Err(Failure::usage(format!(
                "--{action} must have --{option}.{}",
                text::see_help(program)
            )));
        }
    }
    let request = match action {
        "attach" => {
            let interface = named("virtual", given)?;
            let physical = given.text("physical").unwrap_or_default();
            Request::Attach(interface, Physical::find(physical, system)?)
        }
        "detach" => Request::Detach(named("virtual", given)?),
        "clear" => Request::Clear,
        "create" => Request::Create(named("create", given)?),
        _ => Request::Delete(named("delete", given)?),
    };
    Ok(Some(request))
}

/// The interface that an option names.
fn named(option: &str, given: &Given) -> Result<Interface, Failure> {
    let name = given.text(option).unwrap_or_default();
    interface(name).ok_or_else(|| {
        let name = Shown(name);
        Failure::usage(if name.0.starts_with("mast") {
            format!("there are no interfaces like {name} here: take one of ipsec0 to ipsec63.")
        } else {
            format!("--{option} is to be one of ipsec0 to ipsec63: {name}")
        })
    })
}
