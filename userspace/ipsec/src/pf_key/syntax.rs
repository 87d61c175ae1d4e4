// SPDX-License-Identifier: GPL-2.0

//! The options of `ipsec pf_key`.

use crate::{given::Given, options};
use clap::{Command, ValueHint, value_parser};
use klips::pfkey::SaType;
use std::{num::NonZeroU64, path::PathBuf};

/// Options for SA types.
const SATYPES: [(&str, SaType, &str); 4] = [
    ("ah", SaType::Ah, "Register for AH"),
    ("esp", SaType::Esp, "Register for ESP"),
    ("ipip", SaType::IpIp, "Register for IP-in-IP tunnels"),
    ("ipcomp", SaType::Comp, "Register for IPCOMP"),
];

const EXAMPLES: &str = "\
Without --ah, --esp, --ipip and --ipcomp it registers for all four.  Keys are never printed.

Examples:
  What happens to SAs and groups, until Ctrl-C
    ipsec pf_key
  In the background, until it is told to end
    ipsec pf_key --daemon /run/pf_key.pid >>/var/log/pf_key
    kill $(cat /run/pf_key.pid)
  The names of the SAs that are added, with jq
    ipsec pf_key --json | jq -r 'select(.type_name == \"add\").said'";

/// The definition of all options, in the words of `name`'s help.
pub(crate) fn definition(name: &str) -> Command {
    options::command("pf_key", "Prints the PF_KEY messages that the kernel sends")
        // As getopt_long did.
        .infer_long_args(true)
        .override_usage(format!(
            "{name} [OPTION...]\n       {name} --dumpfile FILE [--json]\n       \
             {name} --help\n       {name} --version"
        ))
        .args(SATYPES.map(|(option, _, help)| options::flag(option, help)))
        .arg(options::flag(
            "promisc",
            "Print also what the kernel tells others only",
        ))
        .arg(
            options::value(
                "daemon",
                "PIDFILE",
                "Go to the background when registered; PIDFILE gets the process ID, and is \
                 removed at the end",
            )
            .short('f')
            .value_parser(value_parser!(PathBuf))
            .value_hint(ValueHint::FilePath),
        )
        .arg(
            options::value("count", "N", "End after N messages").value_parser(|text: &str| {
                let count = text.parse::<NonZeroU64>();
                count.map_err(|_| "that is no number above 0")
            }),
        )
        .arg(
            options::value(
                "dumpfile",
                "FILE",
                "Print the messages in a file, or in standard input for -",
            )
            .short('d')
            .value_hint(ValueHint::FilePath)
            .conflicts_with_all(["ah", "esp", "ipip", "ipcomp", "promisc", "daemon", "count"]),
        )
        .arg(options::flag("json", "Print each message as a JSON object"))
        .args(options::general())
        .after_help(EXAMPLES)
}

/// What the options say.
pub(super) struct Options {
    /// What to register for.
    pub(super) satypes: Vec<SaType>,
    /// Whether to hear what is for others.
    pub(super) promisc: bool,
    /// The file for the process ID of what is in the background.
    pub(super) daemon: Option<PathBuf>,
    /// How many messages to print, if not all.
    pub(super) count: Option<NonZeroU64>,
    /// The file to read messages from instead.
    pub(super) dumpfile: Option<String>,
}

impl Options {
    pub(super) fn read(given: &Given) -> Self {
        let chosen = SATYPES.iter().filter(|(option, ..)| given.flag(option));
        let mut satypes: Vec<_> = chosen.map(|(_, satype, _)| *satype).collect();
        if satypes.is_empty() {
            satypes.extend(SATYPES.map(|(_, satype, _)| satype));
        }
        Options {
            satypes,
            promisc: given.flag("promisc"),
            daemon: given.value("daemon"),
            count: given.value("count"),
            dumpfile: given.value("dumpfile"),
        }
    }
}
