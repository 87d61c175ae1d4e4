// SPDX-License-Identifier: GPL-2.0

//! The options of `ipsec look`.

use crate::options::{self, flag};
use clap::{Arg, Command, value_parser};

/// The definition of all options, in the words of `name`'s help.
pub(crate) fn definition(name: &str) -> Command {
    let about = "Shows interfaces, eroutes and the SAs that they lead to, and what is dropped";
    options::command("look", about)
        .infer_long_args(true)
        .override_usage(format!(
            "{name} [--watch [SECONDS]] [--json]\n       {name} --dot\n       {name} --help\n       {name} --version"
        ))
        .args([
            flag("dot", "Print eroutes and groups for graphviz's dot"),
            Arg::new("watch")
                .long("watch")
                .value_name("SECONDS")
                .num_args(0..=1)
                .default_missing_value("2")
                .overrides_with("watch")
                .value_parser(value_parser!(u64).range(1..=86400))
                .help("Show it anew every so many seconds, 2 if not given, with rates, until interrupted"),
            options::json(),
            options::color(),
        ])
        .args(options::general())
        .after_help(EXAMPLES)
}

const EXAMPLES: &str = "\
Examples:
  What there is
    ipsec look
  How many packets take which way, every second
    ipsec look --watch 1
  Eroutes that drop their packets, and why
    ipsec look --json | jq '.eroutes[] | select(.blocked)'
  A picture of a gateway's groups
    ipsec look --dot | dot -Tsvg >groups.svg";
