// SPDX-License-Identifier: GPL-2.0

//! Runs commands: each is read as its tool reads it, and executed as its tool executes it.

use super::plan::{Command, Tool, Word, delete};
use crate::{
    console::Console,
    eroute::Eroute,
    failure::Failure,
    groups::Groups,
    options::{self, Parsed},
    program::Program,
    requests::{How, Requests},
    spi::Spi,
    spigrp::SpiGrp,
    system::System,
    text,
};
use klips::said::Said;
use zeroize::Zeroizing;

/// What is done about commands, and how.
pub(super) struct Steps<'a, S> {
    pub(super) program: &'a Program,
    pub(super) system: &'a mut S,
    /// SAs that were added, in that order.
    added: Vec<Said>,
}

impl<'a, S: System> Steps<'a, S> {
    pub(super) fn new(program: &'a Program, system: &'a mut S) -> Self {
        Steps {
            program,
            system,
            added: Vec::new(),
        }
    }

    /// Sees that each command makes sense. Nothing is sent.
    pub(super) fn check(&mut self, commands: &[Command]) -> Result<(), Failure> {
        commands.iter().try_for_each(|command| match command.tool {
            Tool::Spi => self.read::<Spi>(command).map(drop),
            Tool::SpiGrp => self.read::<SpiGrp>(command).map(drop),
            Tool::Eroute => self.read::<Eroute>(command).map(drop),
        })
    }

    /// Runs a command.
    pub(super) fn run(
        &mut self,
        command: &Command,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        match command.tool {
            Tool::Spi => self.execute::<Spi>(command, console),
            Tool::SpiGrp => self.execute::<SpiGrp>(command, console),
            Tool::Eroute => self.execute::<Eroute>(command, console),
        }?;
        self.added.extend(command.adds);
        Ok(())
    }

    /// Deletes the SAs that were added; what could not be deleted.
    pub(super) fn take_back(&mut self, console: &mut Console<'_>) -> Vec<String> {
        let mut left = Vec::new();
        while let Some(said) = self.added.pop() {
            // It may have gone with others of its group.
            let is_there = Groups::read(self.system).map(|groups| groups.find(&said).is_some());
            if is_there.unwrap_or(true) {
                if let Err(failure) = self.run(&delete(&said), console) {
                    left.push(failure.details().text.clone());
                }
            }
        }
        left
    }

    fn read<C: Requests<S>>(&mut self, command: &Command) -> Result<C::Request, Failure> {
        let words = command.words.iter().map(|word| match word {
            Word::Plain(word) => word.clone(),
            Word::Key(key) => key.to_string(),
        });
        let words = Zeroizing::new(words.collect::<Vec<_>>());
        // What it tells of progress is told when it is executed.
        let mut program = self.program.clone();
        program.debug = false;
        let mut definition = (C::DEFINITION)(program.name());
        let parsed = options::parse(&mut definition, &words, &mut program, self.system)?;
        let request = match parsed {
            Parsed::Given(given) => C::read(&given, How::default(), &program, self.system)?,
            Parsed::Help | Parsed::Version => None,
        };
        request.ok_or_else(|| Failure::usage("a command asks for nothing"))
    }

    fn execute<C: Requests<S>>(
        &mut self,
        command: &Command,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let request = self.read::<C>(command)?;
        let mut client = text::connect(self.system)?;
        C::execute(&request, &mut client, self.program, self.system, console)
            .map(drop)
            .map_err(|failure| failure.during(C::about(&request)))
    }
}
