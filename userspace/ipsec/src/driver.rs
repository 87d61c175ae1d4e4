// SPDX-License-Identifier: GPL-2.0

//! What all commands do alike: they read options, print help and version, and those that ask
//! something of the kernel execute a request or a batch of them, try it in a dry run, list or
//! monitor.
//!
//! A command is a folder with its definition and its run, and a line in the table of `lib`.

use crate::{
    about::About,
    batch,
    console::Console,
    failure::Failure,
    given::Given,
    options::{self, ALWAYS, Parsed},
    program::Program,
    requests::{How, Requests, Run},
    system::System,
    text,
};

/// A command of the program.
pub(crate) struct Command<S> {
    /// The word that names it.
    pub(crate) name: &'static str,
    /// The definition of its options, in the words of a name's help.
    pub(crate) definition: fn(&str) -> clap::Command,
    /// Does what the options say that are given.
    pub(crate) run: Run<S>,
}

impl<S: System> Command<S> {
    /// What it does, in one line.
    pub(crate) fn about(&self) -> String {
        let definition = (self.definition)(self.name);
        let about = definition.get_about();
        about.map(ToString::to_string).unwrap_or_default()
    }

    /// Runs it.
    pub(crate) fn run(
        &self,
        program: &mut Program,
        args: &[String],
        system: &mut S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let mut definition = (self.definition)(program.name());
        match options::parse(&mut definition, args, program, system)? {
            Parsed::Help => {
                let mut definition = (self.definition)(&program.to_string());
                console.print(&definition.render_help().to_string())
            }
            Parsed::Version => console.print(&program.version()),
            Parsed::Given(given) => (self.run)(&given, program, system, console),
        }
    }
}

/// What a command that asks something of the kernel is to do.
enum Task<R, S> {
    /// One request.
    Request(R),
    /// Those in the lines of a file.
    Batch(batch::Options),
    /// Print something: it has this name.
    Print(&'static str, Run<S>),
}

/// Runs a command that asks something of the kernel.
pub(crate) fn ask<C: Requests<S>, S: System>(
    given: &Given,
    program: &Program,
    system: &mut S,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let how = How {
        dry_run: given.flag("dry-run"),
        ..How::default()
    };
    let task = task::<C, S>(given, how, program, system)?;
    if system.has_netkey() {
        return Err(Failure::refused(C::beside_netkey()));
    }
    match task {
        Task::Request(request) => batch::run_one::<C, S>(&request, how, program, system, console),
        Task::Batch(options) => batch::run::<C, S>(&options, how, program, system, console),
        Task::Print(what, run) => run(given, program, system, console)
            .map_err(|failure| failure.during(About::nothing(what))),
    }
}

/// What the options ask for.
fn task<C: Requests<S>, S: System>(
    given: &Given,
    how: How,
    program: &Program,
    system: &mut S,
) -> Result<Task<C::Request, S>, Failure> {
    if let Some(options) = batch::Options::of(given)? {
        goes_with(given, &["batch", "keep-going", "dry-run"], program)?;
        return Ok(Task::Batch(options));
    }
    if let Some(monitor) = C::MONITOR.filter(|_| given.flag("monitor")) {
        goes_with(given, &["monitor", "timestamp"], program)?;
        return Ok(Task::Print("monitor", monitor));
    }
    given.refuse(&["timestamp"], "only goes with --monitor")?;
    match C::read(given, how, program, system)? {
        Some(request) => Ok(Task::Request(request)),
        None if how.dry_run => Err(Failure::usage(
            "--dry-run only goes with a request or --batch.",
        )),
        None => Ok(Task::Print("list", C::LIST)),
    }
}

/// Refuses what can't be given together with the first of these options.
fn goes_with(given: &Given, own: &[&str], program: &Program) -> Result<(), Failure> {
    let Some(other) = given.any_but(&[&ALWAYS[..], own].concat()) else {
        return Ok(());
    };
    Err(Failure::usage(format!(
        "--{} and {} can't be given together.{}",
        own[0],
        options::shown(other),
        text::see_help(program)
    )))
}
