// SPDX-License-Identifier: GPL-2.0

//! The options as they were given.

use crate::failure::Failure;
use clap::{ArgMatches, parser::ValueSource};

/// The options that were given.
pub(crate) struct Given(pub(crate) ArgMatches);

impl Given {
    /// The value of an option; the first, if it has several.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of an option that may be given again.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = self.0.get_many::<String>(name);
        values.into_iter().flatten().map(String::as_str)
    }

    /// Whether an option without a value is given.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.0.get_flag(name)
    }

    /// Whether an option is given.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.0.value_source(name) == Some(ValueSource::CommandLine)
    }

    /// An option that is given and is none of these.
    pub(crate) fn any_but(&self, names: &[&str]) -> Option<&str> {
        self.0
            .ids()
            .map(|id| id.as_str())
            .find(|id| self.is_set(id) && !names.contains(id))
    }

    /// Refuses options where they make no sense.
    pub(crate) fn refuse(&self, names: &[&str], why: &str) -> Result<(), Failure> {
        match names.iter().find(|name| self.is_set(name)) {
            Some(name) => Err(Failure::usage(format!("--{name} {why}."))),
            None => Ok(()),
        }
    }
}
