// SPDX-License-Identifier: GPL-2.0

//! The options of `ipsec spi` (reference 8.3), as getopt_long took them: in any order, shortened
//! as far as they stay clear, each with its value in the same argument or the next one, whatever
//! that begins with.

use super::algorithm;
use crate::{
    naming,
    options::{self, flag, value},
};
use clap::{Arg, ArgAction, Command};

/// The definition of all options, in the words of `name`'s help.
pub(crate) fn definition(name: &str) -> Command {
    let about = "Adds, deletes and reads IPsec Security Associations, lists them";
    options::command("spi", about)
        .infer_long_args(true)
        .override_usage(usage(name))
        .next_help_heading("What to do")
        .args(actions())
        .next_help_heading("Which SA")
        .args(naming::args())
        .args(ends())
        .next_help_heading("What a new SA is like")
        .args(describing())
        .next_help_heading("Options")
        .args(options::batch())
        .arg(options::json())
        .arg(options::color())
        .args(general())
        .args(options::help_and_version())
        .after_help(after_help())
}

/// One for each thing that can be done to an SA, or to all.
fn actions() -> [Arg; 8] {
    [
        value("ah", "algo", "Add an AH SA"),
        value("esp", "algo", "Add an ESP SA"),
        value("comp", "algo", "Add an IPCOMP SA"),
        flag("ip4", "Add an IPv4-in-IPv4 tunnel SA"),
        flag("ip6", "Add an IPv6-in-IPv6 tunnel SA"),
        flag("get", "Print all that the kernel tells of an SA"),
        flag("del", "Delete an SA, and the group that it is in"),
        flag("clear", "Delete all SAs"),
    ]
}

/// Where an SA comes from and goes to. How often each is given is looked at later, for the original
/// has its own words for that.
fn ends() -> [Arg; 2] {
    [
        value("src", "encap-src", "Source of the SA"),
        value(
            "dst",
            "encap-dst",
            "Destination of a tunnel; always that of the SA",
        ),
    ]
    .map(|arg| arg.action(ArgAction::Append))
}

fn describing() -> [Arg; 13] {
    [
        value(
            "authkey",
            "akey",
            "Authentication key: 0x hexadecimal, 0s base64 or 0t text",
        ),
        value(
            "enckey",
            "ekey",
            "Encryption key, and the salt after it if the algorithm has one",
        ),
        value(
            "keyfile",
            "FILE",
            "Read the keys from a file, or from standard input for -",
        ),
        value(
            "replay_window",
            "packets",
            "Size of the replay window, 1 to 64",
        ),
        value(
            "life",
            "life",
            "Limits: (soft|hard)-(allocations|bytes|addtime|usetime|packets)=<n>[,...]",
        )
        .action(ArgAction::Append),
        value("natt", "nonesp|nonike|none", "Kind of UDP encapsulation"),
        value("sport", "port", "Source port of the UDP encapsulation"),
        value("dport", "port", "Destination port of the UDP encapsulation"),
        value("iv", "iv", "Ignored; the kernel chooses its own"),
        value(
            "saref",
            "ref",
            "Reference of the SA; without a value the same as --dumpsaref",
        )
        .num_args(0..=1)
        .allow_hyphen_values(false),
        value("sarefme", "ref", "Reference of the SA").alias("saref_me"),
        value("sarefhim", "ref", "Reference of the peer's SA").alias("saref_him"),
        value("outif", "number", "Interface through which packets leave"),
    ]
}

fn general() -> [Arg; 5] {
    [
        options::optionsfrom(),
        flag("dumpsaref", "Print the references that the kernel gave"),
        flag(
            "listenreply",
            "Say that the kernel has confirmed the request",
        ),
        flag("debug", "Tell of progress"),
        value("label", "label", "Begin all messages with this label"),
    ]
}

fn usage(name: &str) -> String {
    let forms = [
        " [--json]",
        " --clear",
        " --get|--del <SA>",
        " --ip4|--ip6 <SA> --src <encap-src> --dst <encap-dst>",
        " --ah <algo> <SA> [--life <life>] [--replay_window <packets>] --authkey <akey>",
        " --esp <algo> <SA> [--life <life>] [--replay_window <packets>] --enckey <ekey> [--authkey <akey>]",
        " --comp <algo> <SA>",
        " --batch FILE|- [--keep-going]",
        " --help",
        " --version",
    ]
    .map(|form| format!("{name}{form}\n       "))
    .concat();
    format!(
        "{forms}where <SA> is --af <inet|inet6> --edst <dstaddr> --spi <spi> --proto <proto>\n       \
         or --said <said>"
    )
}

fn after_help() -> String {
    let known = [
        ("--ah", algorithm::known_for_ah()),
        ("--esp", algorithm::known_for_esp()),
        ("--comp", algorithm::known_for_comp()),
    ]
    .map(|(option, known)| format!("  {option:8}{}\n", wrapped(&known, 10)))
    .concat();
    format!("Algorithms:\n{known}  {NOTES}\n\n{EXAMPLES}")
}

/// A text in lines of at most 90 characters, with an indentation before all but the first, which
/// has it already.
fn wrapped(text: &str, indentation: usize) -> String {
    const WIDTH: usize = 90;
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if indentation + line.len() + 1 + word.len() <= WIDTH => {
                *line += " ";
                *line += word;
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join(&format!("\n{:indentation$}", ""))
}

const NOTES: &str = "\
A cipher may have the length of its key in its name: aes256-sha2-256, aes-gcm-16-128.

Key files:
  A line is authkey or enckey, a blank and the key. # begins a line that is a comment.
  Nobody but its owner may have any permissions of the file: chmod 600.";

const EXAMPLES: &str = "\
Examples:
  A tunnel, and what encrypts it, with keys from a file
    ipsec spi --ip4 --said tun.113@gw2 --src gw1 --dst gw2
    ipsec spi --esp aes256-sha2-256 --said esp.115@gw2 --src gw1 --keyfile /etc/gw2.keys
  What the kernel knows of it
    ipsec spi --get --said esp.115@gw2
  The same SA named by its parts is deleted
    ipsec spi --del --af inet --edst gw2 --spi 0x115 --proto esp
  Lines like these, without the two words before the options, from a file
    ipsec spi --batch sas.txt";
