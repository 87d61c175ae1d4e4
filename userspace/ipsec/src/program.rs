// SPDX-License-Identifier: GPL-2.0

//! The program as its user called it.

use std::{ffi::OsStr, fmt, path::Path};

/// What all messages begin with, the program's name and, when given, its label; and how it tells
/// of what it does.
#[derive(Clone)]
pub(crate) struct Program {
    called: String,
    name: String,
    label: Option<String>,
    /// Whether progress is told.
    pub(crate) debug: bool,
    /// Whether results are told as JSON.
    pub(crate) json: bool,
}

impl Program {
    /// The program that was called by this name or path.
    pub(crate) fn called(path: &OsStr) -> Self {
        let name = Path::new(path).file_name().unwrap_or(OsStr::new("ipsec"));
        let name = name.to_string_lossy().into_owned();
        Program {
            called: name.clone(),
            name,
            label: None,
            debug: false,
            json: false,
        }
    }

    /// Goes on as one of its commands.
    pub(crate) fn enter(&mut self, command: &str) {
        self.name = format!("{} {command}", self.name);
    }

    /// The name that it was called by, without a command.
    pub(crate) fn called_by(&self) -> &str {
        &self.called
    }

    /// Its name without the label.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn set_label(&mut self, label: &str) {
        self.label = Some(label.to_owned());
    }

    /// The line that `--version` prints.
    pub(crate) fn version(&self) -> String {
        format!("{self}, {}\n", env!("CARGO_PKG_VERSION"))
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.label {
            Some(label) => write!(f, " --label {label}"),
            None => Ok(()),
        }
    }
}
