// SPDX-License-Identifier: GPL-2.0

//! The options as they were given.

use crate::failure::Failure;
use clap::ArgMatches;

/// The options that were given.
pub(super) struct Options(pub(super) ArgMatches);

impl Options {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get_one::<String>(name).map(String::as_str)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.get_flag(name)
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.0.value_source(name) == Some(clap::parser::ValueSource::CommandLine)
    }

    pub(super) fn any_but(&self, names: &[&str]) -> bool {
        self.0
            .ids()
            .map(|id| id.as_str())
            .any(|id| self.is_set(id) && !names.contains(&id))
    }

    pub(super) fn refuse(&self, names: &[&str], why: &str) -> Result<(), Failure> {
        match names.iter().find(|name| self.is_set(name)) {
            Some(name) => Err(Failure::usage(format!("--{name} {why}."))),
            None => Ok(()),
        }
    }
}
