// SPDX-License-Identifier: GPL-2.0

//! The commands of `ipsec`: `spigrp`, `spi` and what goes with them.
//!
//! Each that asks something of the kernel works in three steps: its arguments are read into a
//! command, which is turned into the messages to be sent, which are sent. What is outside of the
//! program is behind [`System`], so that all of it can be tested against the request engine of the
//! module.

mod background;
mod batch;
mod completions;
mod eroute;
mod failure;
mod given;
mod groups;
mod input;
mod json;
mod klipsdebug;
mod listen;
mod listing;
mod monitor;
mod naming;
mod options;
mod optionsfrom;
mod pf_key;
mod program;
mod spi;
mod spigrp;
mod suggest;
mod system;
mod text;
mod tool;
mod unsent;

pub use self::{
    program::Console,
    system::{Detached, Linux, ProcFile, Secret, System, Wake},
};

use self::{failure::Failure, program::Program, tool::Tool};
use clap::{Arg, Command};
use std::{ffi::OsString, fmt::Write};

/// The options of every command, for what is made from them: completions, checks of manual pages.
pub fn commands() -> Vec<Command> {
    Tool::ALL
        .iter()
        .map(|tool| tool.definition(&format!("ipsec {}", tool.name())))
        .collect()
}

/// The whole program with its commands.
pub fn definition() -> Command {
    Command::new("ipsec")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .subcommands(commands())
        .subcommand(
            Command::new("help")
                .about(HELP_ABOUT)
                .disable_help_flag(true)
                .arg(Arg::new("command").value_parser(Tool::ALL.map(Tool::name))),
        )
        .args(options::help_and_version())
}

const HELP_ABOUT: &str = "Prints this list, or the help of a command";

/// What `ipsec --help` prints.
fn help(program: &Program) -> String {
    let commands = Tool::ALL.map(|tool| (tool.name(), tool.about()));
    let help = ("help", HELP_ABOUT.to_owned());
    let mut text = format!("Usage: {program} COMMAND [ARGUMENT...]\n\nCommands:\n");
    for (name, about) in commands.into_iter().chain([help]) {
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {name:11}  {about}");
    }
    text + &format!(
        "\n  {program} COMMAND --help  says more of a command\n  \
           {program} --version       says which version this is\n"
    )
}

/// Runs the command that `args` ask for; the first of them is the name of the program. Returns
/// its exit status: 0 done, 1 refused, 2 bad usage.
pub fn run<S: System>(
    args: impl IntoIterator<Item = OsString>,
    system: &mut S,
    console: &mut Console<'_>,
) -> u8 {
    let mut args = args.into_iter();
    let called = args.next().unwrap_or_default();
    let mut program = Program::called(&called);
    let result = args
        .map(|arg| arg.into_string().map_err(Failure::not_utf8))
        .collect::<Result<Vec<_>, _>>()
        .and_then(|args| dispatch(&mut program, &args, system, console));
    match result {
        Ok(()) => 0,
        Err(failure) => {
            // If that fails too, it is the same failure again, or nobody reads any more.
            let _ = failure.report(&program, None, console);
            failure.code()
        }
    }
}

fn dispatch<S: System>(
    program: &mut Program,
    args: &[String],
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    program.check_name()?;
    let (tool, args) = match (program.tool(), args) {
        (Some(tool), args) => (tool, args),
        (None, []) => {
            return Err(Failure::usage(format!(
                "no command given.  See '{program} --help' for a list."
            )));
        }
        (None, [command, args @ ..]) => match (command.as_str(), args) {
            ("--help" | "-h", _) | ("help", []) => return console.print(&help(program)),
            ("--version" | "-V", _) => return console.print(&program.version()),
            ("help", [command, ..]) => (program.enter(command)?, &["--help".to_owned()][..]),
            (command, args) => (program.enter(command)?, args),
        },
    };
    tool.run(program, args, system, console)
}
