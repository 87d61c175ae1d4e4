// SPDX-License-Identifier: GPL-2.0

//! The options as they were given: on the command line, or in a line of a batch, and in the files
//! that `--optionsfrom` names there.

use crate::failure::Failure;
use clap::{ArgMatches, parser::ValueSource};

/// The options that were given, those of the command line first.
#[derive(Default)]
pub(crate) struct Given(Vec<ArgMatches>);

impl Given {
    /// These as well.
    pub(crate) fn add(&mut self, matches: ArgMatches) {
        self.0.push(matches);
    }

    /// The values of an option that may be given again.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let parts = self.0.iter();
        let values = parts.filter_map(|part| part.try_get_many::<String>(name).ok()?);
        values.flatten().map(String::as_str)
    }

    /// The value of an option; the first, if it has several.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The value of an option that is more than a text.
    pub(crate) fn value<T: Clone + Send + Sync + 'static>(&self, name: &str) -> Option<T> {
        let mut parts = self.0.iter();
        parts.find_map(|part| part.try_get_one::<T>(name).ok()?.cloned())
    }

    /// Whether an option without a value is given. No command has all options.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|part| matches!(part.try_get_one::<bool>(name), Ok(Some(true))))
    }

    /// Whether an option is given.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.names().any(|given| given == name)
    }

    /// The names of the options that are given.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|part| {
            let names = part.ids().map(|id| id.as_str());
            names.filter(|name| part.value_source(name) == Some(ValueSource::CommandLine))
        })
    }

    /// An option that is given and is none of these.
    pub(crate) fn any_but(&self, names: &[&str]) -> Option<&str> {
        self.names().find(|given| !names.contains(given))
    }

    /// Refuses options where they make no sense.
    pub(crate) fn refuse(&self, names: &[&str], why: &str) -> Result<(), Failure> {
        match names.iter().find(|name| self.is_set(name)) {
            Some(name) => Err(Failure::usage(format!("--{name} {why}."))),
            None => Ok(()),
        }
    }
}
