// SPDX-License-Identifier: GPL-2.0

//! The options of `ipsec manual`.

use crate::options::{self, flag, value};
use clap::{Arg, ArgAction, Command};

/// The file that is read if no other is named.
pub(super) const CONFIG: &str = "/etc/klips/ipsec.conf";

/// The definition of all options, in the words of `name`'s help.
pub(crate) fn definition(name: &str) -> Command {
    let about = "Takes manually keyed connections up and down, as a file describes them";
    options::command("manual", about)
        .infer_long_args(true)
        .override_usage(usage(name))
        .next_help_heading("What to do")
        .args([
            flag("up", "Protect the packets of a connection"),
            flag("down", "Delete its SAs, and drop its packets"),
            flag("route", "Drop its packets until it is up"),
            flag("unroute", "Let its packets go in clear again"),
        ])
        .next_help_heading("Which connections")
        .args([
            Arg::new("name")
                .value_name("NAME")
                .num_args(1..)
                .action(ArgAction::Append)
                .help("A connection; of several, each in its turn"),
            flag("union", "The names are parts of one connection"),
            flag(
                "all",
                "Those that the file has with auto=manual, or names in manualstart",
            ),
            value(
                "config",
                "FILE",
                "The file of connections, or standard input for -; /etc/klips/ipsec.conf if not given",
            ),
        ])
        .next_help_heading("Options")
        .args([
            flag("show", "Print the commands that are run, without keys"),
            flag(
                "showonly",
                "Print the commands, with keys, and run none of them",
            ),
            flag("other", "As the other end of the connection does it"),
            value(
                "iam",
                "ADDRESS[@INTERFACE]",
                "The end with this address is here, whatever addresses there are",
            ),
            flag(
                "dry-run",
                "Only tell which commands would be run, and what would come of it",
            ),
            options::json(),
        ])
        .args(options::general())
        .after_help(EXAMPLES)
}

fn usage(name: &str) -> String {
    let operation = "--up|--down|--route|--unroute";
    let forms = [
        format!("{name} [OPTION...] {operation} NAME..."),
        format!("{name} [OPTION...] {operation} --union PART..."),
        format!("{name} [OPTION...] {operation} --all"),
        format!("{name} --help"),
        format!("{name} --version"),
    ];
    forms.join("\n       ")
}

const EXAMPLES: &str = "\
Examples:
  Bring up what 'conn west-east' describes, and see how
    ipsec manual --show --up west-east
  What would be done, and what would come of it
    ipsec manual --dry-run --up west-east
  The commands for the other gateway, where there is no such file
    ipsec manual --showonly --other --up west-east | ssh root@east
  New keys: nothing leaves in clear in between
    ipsec manual --down west-east && ipsec manual --up west-east
  In clear again
    ipsec manual --down west-east && ipsec manual --unroute west-east";
