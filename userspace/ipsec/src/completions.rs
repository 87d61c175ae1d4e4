// SPDX-License-Identifier: GPL-2.0

//! `ipsec completions`: scripts that complete command lines, made from the commands' own
//! definitions.

use crate::{
    failure::Failure,
    options::{self, Parsed},
    program::{Console, Program},
    text,
    tool::Tool,
};
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
    Command::new("completions")
        .about("Prints a script that completes command lines in a shell")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(true)
        .disable_version_flag(true)
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

/// Runs the command.
pub(crate) fn run(
    program: &mut Program,
    args: &[String],
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let matches = match options::parse(definition, program, args)? {
        Parsed::Text(text) => return console.print(&text),
        Parsed::Options(matches) => matches,
    };
    let see = text::see_help(program);
    let Some(shell) = matches.get_one("shell") else {
        return Err(Failure::usage(format!(
            "no shell given: bash, zsh or fish.{see}"
        )));
    };
    let name = match matches.get_one::<String>("name") {
        Some(name) => name.as_str(),
        None => program.called_by(),
    };
    match is_plain(name) {
        true => console.print(&script(*shell, name)),
        false => Err(Failure::usage(format!(
            "no name for a program: '{name}'.{see}"
        ))),
    }
}

/// Whether a name needs no quotes in any shell.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

/// The script for a program of this name.
fn script(shell: Shell, name: &str) -> String {
    let mut definition = match Tool::from_program(name) {
        Some(tool) => tool.definition(name),
        None => crate::definition(),
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definition, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
