// SPDX-License-Identifier: GPL-2.0

//! The options of `ipsec spi` (reference 8.3), as getopt_long took them: in any order, shortened
//! as far as they stay clear, each with its value in the same argument or the next one, whatever
//! that begins with.

use crate::{failure::Failure, options, program::Program};
use clap::{Arg, ArgAction, ArgMatches, Command};

/// Options with a value: name, what the value is, help.
const VALUES: &[(&str, &str, &str)] = &[
    ("ah", "algo", "Add an AH SA"),
    ("esp", "algo", "Add an ESP SA"),
    ("comp", "algo", "Add an IPCOMP SA: deflate or lzs"),
    ("af", "inet|inet6", "Address family of the SA"),
    (
        "edst",
        "dstaddr",
        "Destination of the SA: an address or a name",
    ),
    ("spi", "spi", "SPI of the SA, 0x100 or more"),
    ("proto", "proto", "Protocol of the SA: ah, esp, comp or tun"),
    (
        "said",
        "said",
        "The SA as one argument: <proto><.|:><spi>@<dstaddr>",
    ),
    ("src", "encap-src", "Source of the SA"),
    (
        "dst",
        "encap-dst",
        "Destination of a tunnel; always that of the SA",
    ),
    (
        "authkey",
        "akey",
        "Authentication key: 0x hexadecimal, 0s base64 or 0t text",
    ),
    (
        "enckey",
        "ekey",
        "Encryption key: 0x hexadecimal, 0s base64 or 0t text",
    ),
    ("iv", "iv", "Ignored; the kernel chooses its own"),
    (
        "replay_window",
        "packets",
        "Size of the replay window, 1 to 64",
    ),
    ("natt", "nonesp|nonike|none", "Kind of UDP encapsulation"),
    ("sport", "port", "Source port of the UDP encapsulation"),
    ("dport", "port", "Destination port of the UDP encapsulation"),
    ("label", "label", "Begin all messages with this label"),
];

/// The names of algorithms; there are more, for those who are used to others.
const ALGORITHMS: &str = "\
Algorithms:
  --ah    hmac-md5-96, hmac-sha1-96, hmac-sha2-256-128, hmac-sha2-384-192, hmac-sha2-512-256
  --esp   3des, aes, aes128, aes192, aes256 or null, alone or followed by
          -md5-96, -sha1-96, -sha2-256-128, -sha2-384-192 or -sha2-512-256
  --comp  deflate, lzs";

/// Options that may be given again.
const LIFE: (&str, &str, &str) = (
    "life",
    "life",
    "Limits: (soft|hard)-(allocations|bytes|addtime|usetime|packets)=<n>[,...]",
);

/// Options without a value: name, help.
const FLAGS: &[(&str, &str)] = &[
    ("ip4", "Add an IPv4-in-IPv4 tunnel SA"),
    ("ip6", "Add an IPv6-in-IPv6 tunnel SA"),
    ("del", "Delete an SA, and the group that it is in"),
    ("clear", "Delete all SAs"),
    ("debug", "Tell of progress"),
    (
        "listenreply",
        "Say that the kernel has confirmed the request",
    ),
    ("help", "Print this text"),
    ("version", "Print the version"),
];

fn value(&(name, value, help): &(&'static str, &'static str, &'static str)) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .help(help)
        .num_args(1)
        .allow_hyphen_values(true)
}

fn command(program: &Program) -> Command {
    let flag = |&(name, help): &(&'static str, &'static str)| {
        Arg::new(name)
            .long(name)
            .help(help)
            .action(ArgAction::SetTrue)
    };
    Command::new("spi")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .infer_long_args(true)
        .override_usage(usage(program))
        .after_help(ALGORITHMS)
        .args(FLAGS[..4].iter().map(flag))
        .args(VALUES.iter().map(value))
        .arg(value(&LIFE).action(ArgAction::Append))
        .args(FLAGS[4..].iter().map(flag))
}

fn usage(program: &Program) -> String {
    let forms = [
        "",
        " --clear",
        " --del <SA>",
        " --ip4|--ip6 <SA> --src <encap-src> --dst <encap-dst>",
        " --ah <algo> <SA> [--life <life>] [--replay_window <packets>] --authkey <akey>",
        " --esp <algo> <SA> [--life <life>] [--replay_window <packets>] --enckey <ekey> [--authkey <akey>]",
        " --comp <algo> <SA>",
        " --help",
        " --version",
    ]
    .map(|form| format!("{program}{form}\n       "))
    .concat();
    format!(
        "{forms}where <SA> is --af <inet|inet6> --edst <dstaddr> --spi <spi> --proto <proto>\n       \
         or --said <said>"
    )
}

/// What `--help` prints.
pub(super) fn help(program: &Program) -> String {
    command(program).render_help().to_string()
}

/// Takes the arguments apart.
pub(super) fn parse(program: &mut Program, args: &[String]) -> Result<ArgMatches, Failure> {
    command(program)
        .no_binary_name(true)
        .try_get_matches_from(args)
        .map_err(|error| {
            // There may be a label all the same.
            if let Some(label) = options::find_label(args) {
                program.set_label(label);
            }
            options::explain(program, &error)
        })
}
