// SPDX-License-Identifier: GPL-2.0

//! The options of `ipsec verify`.

use crate::options;
use clap::Command;

/// The definition of all options, in the words of `name`'s help.
pub(crate) fn definition(name: &str) -> Command {
    let about = "Looks for what keeps eroutes and SAs from doing what they say";
    options::command("verify", about)
        .infer_long_args(true)
        .override_usage(format!(
            "{name} [--json]\n       {name} --help\n       {name} --version"
        ))
        .args([options::json(), options::color()])
        .args(options::general())
        .after_help(EXAMPLES)
}

const EXAMPLES: &str = "\
Exit status: 0 if nothing is wrong, 1 if something is; a warning is nothing wrong.

Examples:
  What there is to be said
    ipsec verify
  Only what is wrong
    ipsec verify --json | jq '.[] | select(.level == \"error\")'";
