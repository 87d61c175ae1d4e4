// SPDX-License-Identifier: GPL-2.0

//! The options of `ipsec spigrp` (reference 8.2). They come first, in any order; the first argument
//! that is none begins the SAs, and all after it belong to them.

use crate::options;
use clap::{Arg, ArgAction, Command};

/// The definition of all options, in the words of `name`'s help.
pub(crate) fn definition(name: &str) -> Command {
    let about = "Groups and ungroups IPsec Security Associations, lists groups";
    options::command("spigrp", about)
        .override_usage(usage(name))
        .arg(
            Arg::new("sa")
                .value_name("SA")
                .help(SA_HELP)
                .num_args(0..)
                .trailing_var_arg(true),
        )
        .arg(options::flag("said", "Each SA is one argument"))
        .arg(options::flag(
            "join",
            "Link SAs, or groups at their ends, as KLIPS's kernel did: outside to inside",
        ))
        .arg(
            options::value("ungroup", "SA", "Ungroup the group that this SA is in")
                .action(ArgAction::Append),
        )
        .args(options::batch())
        .arg(options::flag(
            "dry-run",
            "Only tell what would be sent, and what would come of it",
        ))
        .arg(options::flag(
            "monitor",
            "Print changes of groups and SAs as they happen, until interrupted",
        ))
        .arg(options::flag(
            "timestamp",
            "Begin each line of --monitor with the time",
        ))
        .arg(options::json())
        .arg(options::color())
        .args(options::general())
        .after_help(EXAMPLES)
}

const SA_HELP: &str = "\
Two to four SAs are grouped; they are named from the inside transform to the outside.
One SA: the group that it is in is ungrouped. No SA: all groups are listed.
An SA is af dst spi proto: af is inet or inet6, dst an address or a name, spi a number
(0x for hexadecimal), proto ah, esp, comp or tun.
After --said it is <proto><af><spi>@<dst> with . for inet and : for inet6, as tun.113@gw2,
or as it is listed, tun0x113@10.0.0.2.";

const EXAMPLES: &str = "\
Examples:
  A tunnel, encrypted, then authenticated: three SAs are grouped
    ipsec spigrp inet gw2 0x113 tun inet gw2 0x115 esp inet gw2 0x116 ah
    ipsec spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2
  The same with IPv6
    ipsec spigrp --said tun:233@3049:1::1 esp:235@3049:1::1 ah:236@3049:1::1
  An SA is linked to the inside of that group
    ipsec spigrp --join --said comp.114@gw2 tun.113@gw2
  The group that an SA is in is ungrouped
    ipsec spigrp --ungroup esp.115@gw2
  What would come of that, and what happens meanwhile
    ipsec spigrp --dry-run --ungroup esp.115@gw2
    ipsec spigrp --monitor
  Two groups from a file, a line each
    printf '%s\\n' '--said tun.113@gw2 esp.115@gw2' 'inet gw2 0x213 tun inet gw2 0x215 esp' >groups
    ipsec spigrp --batch groups";

fn usage(name: &str) -> String {
    let words = |n| format!("af{n} dst{n} spi{n} proto{n}");
    format!(
        "{name} [OPTION...]\n       \
         {name} [OPTION...] {} [{} [{} [{}]]]\n       \
         {name} [OPTION...] --said SA1 [SA2 [SA3 [SA4]]]\n       \
         {name} [OPTION...] --join [--said] SAs\n       \
         {name} [OPTION...] --ungroup SA\n       \
         {name} [OPTION...] --batch FILE|- [--keep-going]\n       \
         {name} [OPTION...] --monitor [--timestamp]\n       \
         {name} --help\n       \
         {name} --version",
        words(1),
        words(2),
        words(3),
        words(4)
    )
}
