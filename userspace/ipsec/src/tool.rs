// SPDX-License-Identifier: GPL-2.0

//! The commands there are: all that the dispatcher, the help text and the completions know of them.

use crate::{
    completions, eroute,
    failure::Failure,
    klipsdebug, pf_key,
    program::{Console, Program},
    spi, spigrp,
    system::System,
};
use clap::Command;

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// `ipsec spigrp`.
    SpiGrp,
    /// `ipsec spi`.
    Spi,
    /// `ipsec eroute`.
    Eroute,
    /// `ipsec pf_key`.
    PfKey,
    /// `ipsec klipsdebug`.
    KlipsDebug,
    /// `ipsec completions`.
    Completions,
}

impl Tool {
    /// All commands, in the order in which they are listed.
    pub(crate) const ALL: [Tool; 6] = [
        Tool::SpiGrp,
        Tool::Spi,
        Tool::Eroute,
        Tool::PfKey,
        Tool::KlipsDebug,
        Tool::Completions,
    ];

    /// The word that names it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Tool::SpiGrp => "spigrp",
            Tool::Spi => "spi",
            Tool::Eroute => "eroute",
            Tool::PfKey => "pf_key",
            Tool::KlipsDebug => "klipsdebug",
            Tool::Completions => "completions",
        }
    }

    /// The command of this name.
    pub(crate) fn from_command(name: &str) -> Option<Self> {
        Tool::ALL.into_iter().find(|tool| tool.name() == name)
    }

    /// The command that a program of this name is, under which it may be linked.
    pub(crate) fn from_program(name: &str) -> Option<Self> {
        Tool::from_command(name.strip_prefix("ipsec_").unwrap_or(name))
            .filter(|tool| *tool != Tool::Completions)
    }

    /// Its options, in the words of `name`'s help.
    pub(crate) fn definition(self, name: &str) -> Command {
        match self {
            Tool::SpiGrp => spigrp::definition(name),
            Tool::Spi => spi::definition(name),
            Tool::Eroute => eroute::definition(name),
            Tool::PfKey => pf_key::definition(name),
            Tool::KlipsDebug => klipsdebug::definition(name),
            Tool::Completions => completions::definition(name),
        }
    }

    /// What it does, in one line.
    pub(crate) fn about(self) -> String {
        let definition = self.definition(self.name());
        definition
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// Runs it.
    pub(crate) fn run<S: System>(
        self,
        program: &mut Program,
        args: &[String],
        system: &mut S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        match self {
            Tool::SpiGrp => spigrp::run(program, args, system, console),
            Tool::Spi => spi::run(program, args, system, console),
            Tool::Eroute => eroute::run(program, args, system, console),
            Tool::PfKey => pf_key::run(program, args, system, console),
            Tool::KlipsDebug => klipsdebug::run(program, args, system, console),
            Tool::Completions => completions::run(program, args, console),
        }
    }
}
