// SPDX-License-Identifier: GPL-2.0

//! What is to be done, and how.

use super::syntax::CONFIG;
use crate::{
    failure::Failure,
    given::Given,
    program::Program,
    system::System,
    text::{self, Shown},
};
use std::net::IpAddr;

/// What is done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Up,
    Down,
    Route,
    Unroute,
}

impl Operation {
    const ALL: [Operation; 4] = [
        Operation::Up,
        Operation::Down,
        Operation::Route,
        Operation::Unroute,
    ];

    /// The option.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Operation::Up => "up",
            Operation::Down => "down",
            Operation::Route => "route",
            Operation::Unroute => "unroute",
        }
    }
}

/// Whether commands are printed, and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Run,
    /// They are run, and printed without keys.
    Show,
    /// They are printed as they are.
    ShowOnly,
    /// They are printed without keys, and tried on what is listed.
    DryRun,
}

/// Which connections.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Names {
    Each(Vec<String>),
    Union(Vec<String>),
    /// Those that the file says.
    All,
}

/// All that options say.
pub(super) struct Asked {
    pub(super) operation: Operation,
    pub(super) mode: Mode,
    pub(super) names: Names,
    pub(super) config: Option<String>,
    pub(super) other: bool,
    pub(super) iam: Option<IpAddr>,
}

impl Asked {
    /// Reads the options.
    pub(super) fn read(
        given: &Given,
        program: &Program,
        system: &mut impl System,
    ) -> Result<Self, Failure> {
        let see = text::see_help(program);
        let operations = Operation::ALL.into_iter();
        let mut operations = operations.filter(|operation| given.flag(operation.word()));
        let (Some(operation), None) = (operations.next(), operations.next()) else {
            return Err(Failure::usage(format!(
                "exactly one of --up, --down, --route and --unroute has to be given.{see}"
            )));
        };
        let mode = match ["show", "showonly", "dry-run"].map(|name| given.flag(name)) {
            [false, false, false] => Mode::Run,
            [true, false, false] => Mode::Show,
            [false, true, false] => Mode::ShowOnly,
            [false, false, true] => Mode::DryRun,
            _ => {
                return Err(Failure::usage(format!(
                    "only one of --show, --showonly and --dry-run can be given.{see}"
                )));
            }
        };
        let list: Vec<String> = given.all("name").map(str::to_owned).collect();
        let names = match (list.is_empty(), given.flag("union"), given.flag("all")) {
            (true, false, true) => Names::All,
            (false, true, false) => Names::Union(list),
            (false, false, false) => Names::Each(list),
            (true, _, false) => {
                return Err(Failure::usage(format!(
                    "no connection is named; --all are those that the file says.{see}"
                )));
            }
            (_, _, true) => {
                return Err(Failure::usage(format!(
                    "--all can't be given together with names or --union.{see}"
                )));
            }
        };
        let iam = given
            .text("iam")
            .map(|text| iam(text, system))
            .transpose()?;
        Ok(Asked {
            operation,
            mode,
            names,
            config: given.text("config").map(str::to_owned),
            other: given.flag("other"),
            iam,
        })
    }

    /// The file of connections.
    pub(super) fn file(&self) -> &str {
        self.config.as_deref().unwrap_or(CONFIG)
    }
}

/// The address of this end. The interface behind it is what KLIPS's own had to know.
fn iam(text: &str, system: &mut impl System) -> Result<IpAddr, Failure> {
    let address = text.split('@').next().unwrap_or_default();
    text::address(address, None, system)
        .map_err(|error| error.failure(format!("--iam: {}: {error}", Shown(text))))
}
