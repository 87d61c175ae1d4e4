// SPDX-License-Identifier: GPL-2.0

//! The commands of `ipsec`: `spigrp`, `spi` and what goes with them.
//!
//! Each command is a folder with the definition of its options and what it does with them; here is
//! the table of them. What they do alike is the driver's: it reads arguments, prints help, executes
//! requests, alone or in batches, and tells what came of them. What is outside of the program is
//! behind [`System`], so that all of it can be tested against the request engine of the module.

mod about;
mod background;
mod batch;
mod completions;
mod console;
mod doctor;
mod driver;
mod entry;
mod eroute;
mod failure;
mod given;
mod groups;
mod input;
mod json;
mod klipsdebug;
mod list;
mod listen;
mod listing;
mod look;
mod manual;
mod monitor;
mod naming;
mod options;
mod optionsfrom;
mod pf_key;
mod program;
mod requests;
mod routes;
mod rtnetlink;
mod spi;
mod spigrp;
mod suggest;
mod system;
mod tell;
mod text;
mod tncfg;
mod unsent;
mod verify;

pub use self::{
    background::Detached,
    console::Console,
    rtnetlink::{Link, NewLink},
    system::{Interface, Linux, ProcFile, Secret, System, Wake},
};

use self::{driver::Command, failure::Failure, program::Program};
use clap::Arg;
use std::{ffi::OsString, fmt::Write};

/// All commands, in the order in which they are listed.
fn table<S: System>() -> [Command<S>; 11] {
    [
        Command {
            name: "spigrp",
            definition: spigrp::definition,
            run: driver::ask::<spigrp::SpiGrp, S>,
        },
        Command {
            name: "spi",
            definition: spi::definition,
            run: driver::ask::<spi::Spi, S>,
        },
        Command {
            name: "eroute",
            definition: eroute::definition,
            run: eroute::run,
        },
        Command {
            name: "tncfg",
            definition: tncfg::definition,
            run: driver::ask::<tncfg::Tncfg, S>,
        },
        Command {
            name: "manual",
            definition: manual::definition,
            run: manual::run,
        },
        Command {
            name: "look",
            definition: look::definition,
            run: look::run,
        },
        Command {
            name: "verify",
            definition: verify::definition,
            run: verify::run,
        },
        Command {
            name: "pf_key",
            definition: pf_key::definition,
            run: pf_key::run,
        },
        Command {
            name: "klipsdebug",
            definition: klipsdebug::definition,
            run: klipsdebug::run,
        },
        Command {
            name: "doctor",
            definition: doctor::definition,
            run: |given, program, _, _| doctor::run(given, program),
        },
        Command {
            name: COMPLETIONS,
            definition: completions::definition,
            run: |given, program, _, console| {
                completions::run(given, program, console, definition_of)
            },
        },
    ]
}

/// The commands that a program can't be linked to.
const INNER: [&str; 2] = ["doctor", COMPLETIONS];
const COMPLETIONS: &str = "completions";

/// The command of this name.
fn find<S: System>(name: &str) -> Option<Command<S>> {
    table().into_iter().find(|command| command.name == name)
}

/// The command that a program of this name is, under which it may be linked.
fn linked<S: System>(program: &str) -> Option<Command<S>> {
    let name = word_of(program);
    find(name).filter(|command| !INNER.contains(&command.name))
}

/// The command that is meant by the name of a program.
fn word_of(program: &str) -> &str {
    program.strip_prefix("ipsec_").unwrap_or(program)
}

/// The options of every command, for what is made from them: completions, checks of manual pages.
pub fn commands() -> Vec<clap::Command> {
    table::<Linux>()
        .iter()
        .map(|command| (command.definition)(&format!("ipsec {}", command.name)))
        .collect()
}

/// The whole program with its commands.
pub fn definition() -> clap::Command {
    outside().subcommands(commands()).subcommand(
        clap::Command::new("help")
            .about(HELP_ABOUT)
            .disable_help_flag(true)
            .arg(Arg::new("command").value_parser(table::<Linux>().map(|command| command.name))),
    )
}

/// What stands before a command.
fn outside() -> clap::Command {
    clap::Command::new("ipsec")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .args(options::help_and_version())
}

/// What a program of this name takes.
fn definition_of(program: &str) -> clap::Command {
    match linked::<Linux>(program) {
        Some(command) => (command.definition)(program),
        None => definition(),
    }
}

const HELP_ABOUT: &str = "Prints this list, or the help of a command";

/// What `ipsec --help` prints.
fn help(program: &Program) -> String {
    let commands = table::<Linux>();
    let commands = commands
        .iter()
        .map(|command| (command.name, command.about()));
    let mut text = format!("Usage: {program} COMMAND [ARGUMENT...]\n\nCommands:\n");
    for (name, about) in commands.chain([("help", HELP_ABOUT.to_owned())]) {
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
            let _ = tell::failure(&failure, None, &program, console);
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
    if let Some(command) = linked(program.name()) {
        return command.run(program, args, system, console);
    }
    let mut definition = outside()
        .no_binary_name(true)
        .allow_external_subcommands(true);
    let matches = definition
        .try_get_matches_from_mut(args)
        .map_err(|error| options::explain(&definition, program, error))?;
    if matches.get_flag("help") {
        return console.print(&help(program));
    }
    if matches.get_flag("version") {
        return console.print(&program.version());
    }
    let Some((name, matches)) = matches.subcommand() else {
        return Err(Failure::usage(format!(
            "no command given.  See '{program} --help' for a list."
        )));
    };
    let args = matches.get_many::<OsString>("").into_iter().flatten();
    let args: Vec<_> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    match (name, args.as_slice()) {
        ("help", []) => console.print(&help(program)),
        ("help", [name, ..]) => {
            let help = ["--help".to_owned()];
            enter(name, program)?.run(program, &help, system, console)
        }
        (name, args) => enter(name, program)?.run(program, args, system, console),
    }
}

/// Goes on as one of the commands.
fn enter<S: System>(name: &str, program: &mut Program) -> Result<Command<S>, Failure> {
    if let Some(command) = find(name) {
        program.enter(name);
        return Ok(command);
    }
    let names = table::<S>().map(|command| command.name).into_iter();
    let guess = match suggest::nearest(name, names.chain(["help"])) {
        Some(name) => format!(", did you mean '{name}'?"),
        None => String::new(),
    };
    Err(Failure::usage(format!(
        "unknown IPsec command '{name}'{guess} ('{program} --help' for list)"
    )))
}
