// SPDX-License-Identifier: GPL-2.0

//! The options of `ipsec klipsdebug`.

use super::masks::{Change, Target, words};
use crate::{failure::Failure, given::Given, options, program::Program, text};
use clap::{Command, builder::PossibleValuesParser};

const EXAMPLES: &str = "\
WHAT is tunnel, tunnel-xmit or xmit, tncfg, netlink, xform, eroute, spi, radij, esp, ah, rcv, pfkey,
ipcomp or comp, verbose or all.  Without an option the masks are listed.

Examples:
  What the kernel thinks of PF_KEY messages goes to its log
    ipsec klipsdebug --set pfkey
    ipsec klipsdebug
  No more of that, then nothing at all
    ipsec klipsdebug --clear pfkey
    ipsec klipsdebug --none
  The masks that are not zero, with jq
    ipsec klipsdebug --json | jq 'with_entries(select(.value != 0))'";

/// The definition of all options, in the words of `name`'s help.
pub(crate) fn definition(name: &str) -> Command {
    let what = |option, help| {
        options::value(option, "WHAT", help)
            .value_parser(PossibleValuesParser::new(words()))
            .hide_possible_values(true)
    };
    let about = "Sets and lists the debugging masks of the kernel module";
    options::command("klipsdebug", about)
        // As getopt_long did.
        .infer_long_args(true)
        .override_usage(format!(
            "{name} [--json]\n       {name} --set WHAT\n       {name} --clear WHAT\n       \
             {name} --all\n       {name} --none\n       {name} --help\n       {name} --version"
        ))
        .arg(what("set", "Turn debugging of a part on"))
        .arg(what("clear", "Turn debugging of a part off"))
        .arg(options::flag("all", "Turn all debugging on but verbose"))
        .arg(options::flag("none", "Turn all debugging off"))
        .arg(options::flag("json", "Print the list as a JSON object"))
        .args(options::general())
        .after_help(EXAMPLES)
}

/// The change that is asked for; none if the masks are to be listed.
pub(super) fn read(given: &Given, program: &Program) -> Result<Option<Change>, Failure> {
    let target = |option| given.text(option).and_then(Target::from_word);
    let flag = |option, change| given.flag(option).then_some(change);
    let changes = [
        target("set").map(Change::Set),
        target("clear").map(Change::Clear),
        flag("all", Change::Set(Target::All)),
        flag("none", Change::Clear(Target::All)),
    ];
    let mut changes = changes.into_iter().flatten();
    match (changes.next(), changes.next()) {
        (Some(_), Some(_)) => Err(Failure::usage(
            "Only one of '--set', '--clear', '--all' or '--none' options permitted.",
        )),
        (Some(_), None) if program.json => Err(Failure::usage(format!(
            "--json only goes with the list of masks.{}",
            text::see_help(program)
        ))),
        (change, _) => Ok(change),
    }
}
