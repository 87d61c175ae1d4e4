// SPDX-License-Identifier: GPL-2.0

//! `ipsec completions`: scripts that complete command lines, made from the commands' own
//! definitions.

use crate::{console::Console, failure::Failure, given::Given, options, program::Program, text};
use clap::{
    Arg, Command,
    builder::{PossibleValuesParser, TypedValueParser},
};
use clap_complete::Shell;
use std::str::FromStr;

const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

const EXAMPLES: &str = "\
NAME is what the program is called by: ipsec, klips, or a link to one of its commands such as spigrp
or ipsec_spi.  Without it, it is the name that this program was called by.

Examples:
  For this shell, a bash
    source <(ipsec completions bash)
  For all users
    ipsec completions bash >/usr/share/bash-completion/completions/ipsec
    ipsec completions zsh >/usr/share/zsh/vendor-completions/_ipsec
    ipsec completions fish >/usr/share/fish/vendor_completions.d/ipsec.fish";

/// The definition of all options, in the words of `name`'s help.
pub(crate) fn definition(name: &str) -> Command {
    options::command(
        "completions",
        "Prints a script that completes command lines in a shell",
    )
    .override_usage(format!(
        "{name} bash|zsh|fish [NAME]\n       {name} --help\n       {name} --version"
    ))
    .arg(
        Arg::new("shell")
            .value_name("SHELL")
            .help("Which shell")
            .value_parser(
                PossibleValuesParser::new(SHELLS).try_map(|shell| Shell::from_str(&shell)),
            ),
    )
    .arg(Arg::new("name").value_name("NAME").help("Which program"))
    .args(options::general())
    .after_help(EXAMPLES)
}

/// Prints the script for a program that `definition_of` defines by its name.
pub(crate) fn run(
    given: &Given,
    program: &Program,
    console: &mut Console<'_>,
    definition_of: impl FnOnce(&str) -> Command,
) -> Result<(), Failure> {
    let see = text::see_help(program);
    let Some(shell) = given.value::<Shell>("shell") else {
        return Err(Failure::usage(format!(
            "no shell given: bash, zsh or fish.{see}"
        )));
    };
    let name = given.text("name").unwrap_or(program.called_by());
    if !is_plain(name) {
        return Err(Failure::usage(format!(
            "no name for a program: '{name}'.{see}"
        )));
    }
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definition_of(name), name, &mut script);
    console.print(&String::from_utf8_lossy(&script))
}

/// Whether a name needs no quotes in any shell.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}
