// SPDX-License-Identifier: GPL-2.0

//! The options of `ipsec eroute`, as getopt_long took them: in any order, shortened as far as they
//! stay clear, each with its value in the same argument or the next one.

use crate::{
    naming,
    options::{self, flag, value},
};
use clap::{Arg, ArgAction, Command};

/// The definition of all options, in the words of `name`'s help.
pub(crate) fn definition(name: &str) -> Command {
    let about = "Adds and deletes eroutes: which packets go through which SAs; lists them";
    options::command("eroute", about)
        .infer_long_args(true)
        .override_usage(usage(name))
        .next_help_heading("What to do")
        .args(actions())
        .next_help_heading("Which packets")
        .args(selecting())
        .next_help_heading("Through which SAs: the innermost of a group, or the only one")
        .args(naming::args())
        .next_help_heading("Options")
        .args(options::batch())
        .arg(flag(
            "dry-run",
            "Only tell what would be sent, and what would come of it",
        ))
        .arg(flag(
            "monitor",
            "Print changes of eroutes as they happen, until interrupted",
        ))
        .arg(flag(
            "timestamp",
            "Begin each line of --monitor with the time",
        ))
        .arg(options::json())
        .arg(options::color())
        .arg(options::optionsfrom())
        .args(options::general())
        .after_help(EXAMPLES)
}

/// One for each thing that can be done.
fn actions() -> [Arg; 7] {
    [
        flag("add", "Add an eroute"),
        flag(
            "addin",
            "Say what may come out of a tunnel: no eroute, but the policy of what comes in",
        ),
        flag("replace", "Put an eroute in the place of the one there is"),
        flag("replacein", "The same as --addin for what was said before"),
        flag("del", "Delete an eroute"),
        flag("clear", "Delete all eroutes"),
        Arg::new("get")
            .long("get")
            .value_names(["SRC", "DST"])
            .num_args(2)
            .allow_hyphen_values(true)
            .overrides_with("get")
            .help("Tell which eroute takes a packet, and what becomes of it"),
    ]
}

/// What selects packets. How often each is given is looked at later, for the original has its own
/// words for that.
fn selecting() -> [Arg; 6] {
    [
        value("eraf", "inet|inet6", "Address family of the packets"),
        value(
            "src",
            "src/mask",
            "Where they come from; the mask is a number of bits or, for IPv4, an address",
        ),
        value(
            "dst",
            "dst/mask",
            "Where they go; %default is all addresses",
        ),
        value(
            "transport-proto",
            "protocol",
            "Only this protocol, by name or number",
        ),
        value(
            "src-port",
            "source-port",
            "Only from this port of TCP or UDP, by name or number",
        ),
        value("dst-port", "dest-port", "Only to this port of TCP or UDP"),
    ]
    .map(|arg| arg.action(ArgAction::Append))
}

fn usage(name: &str) -> String {
    let forms = [
        " [--json]",
        " --add|--addin|--replace|--replacein --eraf <inet|inet6> --src <src>/<mask> --dst <dst>/<mask> \
         [<PORTS>] <SA>",
        " --del --eraf <inet|inet6> --src <src>/<mask> --dst <dst>/<mask> [<PORTS>]",
        " --clear",
        " --get SRC DST [<PORTS>]",
        " --batch FILE|- [--keep-going]",
        " --monitor [--timestamp]",
        " --help",
        " --version",
    ]
    .map(|form| format!("{name}{form}\n       "))
    .concat();
    format!(
        "{forms}where <PORTS> is --transport-proto <protocol> [--src-port <port>] [--dst-port <port>]\n       \
         and <SA> is --said <said>\n       \
         or --said %drop|%reject|%pass|%hold|%trap\n       \
         or --af <inet|inet6> --edst <dstaddr> --spi <spi> --proto <proto>"
    )
}

const EXAMPLES: &str = "\
Of the eroutes that a packet fits, the one with the longest source takes it; of these the one with
the longest destination, then one with a protocol, a source port, a destination port.

Examples:
  What leaves one network for the other goes through the group of a tunnel; and what may come back
    ipsec eroute --add --src 10.0.1.0/24 --dst 10.0.2.0/24 --said tun.113@gw2
    ipsec eroute --addin --src 10.0.2.0/24 --dst 10.0.1.0/24 --said tun.123@gw1
  What becomes of a packet, on the wire
    ipsec eroute --get 10.0.1.7 10.0.2.9 --transport-proto tcp --dst-port http
  DNS goes in clear, all else to there is dropped
    ipsec eroute --add --src 0/0 --dst 10.0.3.0/24 --said %drop
    ipsec eroute --add --src 0/0 --dst 10.0.3.0/24 --transport-proto udp --dst-port 53 --said %pass
  The first of them is deleted, and what would come of deleting it again
    ipsec eroute --del --src 0/0 --dst 10.0.3.0/24
    ipsec eroute --dry-run --del --src 0/0 --dst 10.0.3.0/24";
