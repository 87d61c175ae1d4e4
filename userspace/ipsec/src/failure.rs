// SPDX-License-Identifier: GPL-2.0

//! Why a command ends without success, and with which exit status.

use crate::program::Program;
use std::{
    ffi::OsString,
    io::{self, Write},
};

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// Exit status 1.
    Refused,
    /// Exit status 2.
    Usage,
    /// Exit status 1 without a message, for nobody reads any more.
    Silent,
}

/// The end of a command that did not succeed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    kind: Kind,
    text: String,
}

impl Failure {
    /// What was asked for can't be done.
    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Failure {
            kind: Kind::Refused,
            text: text.into(),
        }
    }

    /// What was asked for makes no sense.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Failure {
            kind: Kind::Usage,
            text: text.into(),
        }
    }

    /// The output can't be written.
    pub(crate) fn output(error: io::Error) -> Self {
        Failure {
            kind: match error.kind() {
                io::ErrorKind::BrokenPipe => Kind::Silent,
                _ => Kind::Refused,
            },
            text: format!("write error: {error}"),
        }
    }

    pub(crate) fn not_utf8(arg: OsString) -> Self {
        Failure::usage(format!(
            "argument is not valid UTF-8: {}",
            arg.to_string_lossy()
        ))
    }

    /// The same with something to add.
    pub(crate) fn and(mut self, more: &str) -> Self {
        self.text.push_str(more);
        self
    }

    pub(crate) fn report(&self, program: &Program, err: &mut dyn Write) {
        if self.kind != Kind::Silent {
            // If that fails there is no other place to say so.
            let _ = writeln!(err, "{program}: {}", self.text);
        }
    }

    pub(crate) fn code(&self) -> u8 {
        match self.kind {
            Kind::Refused | Kind::Silent => 1,
            Kind::Usage => 2,
        }
    }
}
