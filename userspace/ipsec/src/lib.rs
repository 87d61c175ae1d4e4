// SPDX-License-Identifier: GPL-2.0

//! The commands `ipsec spigrp` and `ipsec spi`.
//!
//! Each works in three steps: its arguments are read into a command, which is turned into the
//! messages to be sent, which are sent. What is outside of the program is behind [`System`], so
//! that all of it can be tested against the request engine of the module.

mod batch;
mod failure;
mod json;
mod listen;
mod listing;
mod options;
mod program;
mod spi;
mod spigrp;
mod system;
mod text;

pub use self::{
    program::Console,
    system::{Linux, ProcFile, Secret, System, Wake},
};

use self::{
    failure::Failure,
    program::{Program, Tool},
};
use std::ffi::OsString;

const HELP: &str = "\
Usage: ipsec COMMAND [ARGUMENT...]

Commands:
  spigrp  group and ungroup IPsec Security Associations, list groups
  spi     add and delete IPsec Security Associations, list them

  ipsec COMMAND --help  says more of a command
  ipsec --version       says which version this is
";

/// The options of every command, for what is made from them: completions, checks of manual pages.
pub fn commands() -> Vec<clap::Command> {
    vec![
        spigrp::definition("ipsec spigrp"),
        spi::definition("ipsec spi"),
    ]
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
    let (tool, args) = match (program.tool(), args) {
        (Some(tool), args) => (tool, args),
        (None, []) => {
            return Err(Failure::usage(format!(
                "no command given.  See '{program} --help' for a list."
            )));
        }
        (None, [command, args @ ..]) => match command.as_str() {
            "--help" | "-h" | "help" => return console.print(HELP),
            "--version" | "-V" => return console.print(&program.version()),
            command => (program.enter(command)?, args),
        },
    };
    match tool {
        Tool::SpiGrp => spigrp::run(program, args, system, console),
        Tool::Spi => spi::run(program, args, system, console),
    }
}
