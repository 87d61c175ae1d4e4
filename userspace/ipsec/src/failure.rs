// SPDX-License-Identifier: GPL-2.0

//! Why a command ends without success: what is the matter, and with which exit status. It is data;
//! how it is told is said in `tell`.

use crate::{about::About, entry::Entry};
use klips::{errno::Errno, said::Said, selector::Selector};
use serde::Serialize;
use std::{ffi::OsString, io};

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What was asked for can't be done: exit status 1.
    Refused,
    /// The same, of what was not sent.
    WouldBeRefused,
    /// The user wants an end: exit status 1, and nothing else is tried.
    Interrupted,
    /// What was asked for makes no sense: exit status 2.
    Usage,
    /// An exit status and nothing to say: that has been done, or nobody reads any more.
    Told(u8),
}

/// What is the matter, in one word for `--json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reason {
    /// There is no such SA or eroute.
    Missing,
    /// There is such an SA or eroute already.
    Exists,
    /// The SA is part of a group.
    Grouped,
    /// The SA is named twice.
    Twice,
    /// No packet can go through the SAs.
    Unusable,
}

/// The end of a command that did not succeed.
#[derive(Debug)]
pub(crate) struct Failure(Box<Details>);

/// What is known of a failure.
#[derive(Debug)]
pub(crate) struct Details {
    pub(crate) kind: Kind,
    /// What is the matter, for people.
    pub(crate) text: String,
    /// What was asked for, in one word.
    pub(crate) action: Option<&'static str>,
    /// The SAs of the request.
    pub(crate) saids: Vec<Said>,
    /// The packets of the request.
    pub(crate) flow: Option<Selector>,
    /// The connection that was to be taken up or down.
    pub(crate) connection: Option<String>,
    /// The one at fault.
    pub(crate) sa: Option<Said>,
    /// What is wrong with that.
    pub(crate) reason: Option<Reason>,
    /// The innermost SA of the group that it is in.
    pub(crate) group: Option<Entry>,
    /// The kernel's errno.
    pub(crate) errno: Option<Errno>,
}

impl Failure {
    fn new(kind: Kind, text: impl Into<String>) -> Self {
        Failure(Box::new(Details {
            kind,
            text: text.into(),
            action: None,
            saids: Vec::new(),
            flow: None,
            connection: None,
            sa: None,
            reason: None,
            group: None,
            errno: None,
        }))
    }

    /// What was asked for can't be done.
    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Failure::new(Kind::Refused, text)
    }

    /// What was asked for makes no sense.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Failure::new(Kind::Usage, text)
    }

    /// The user wants an end.
    pub(crate) fn interrupted() -> Self {
        Failure::new(Kind::Interrupted, "interrupted")
    }

    /// What there was to say has been said; all that is left is the exit status.
    pub(crate) fn told(code: u8) -> Self {
        Failure::new(Kind::Told(code), "")
    }

    /// The output can't be written.
    pub(crate) fn output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::told(1),
            _ => Failure::refused(format!("write error: {error}")),
        }
    }

    /// An argument is no text.
    pub(crate) fn not_utf8(arg: OsString) -> Self {
        Failure::usage(format!(
            "argument is not valid UTF-8: {}",
            arg.to_string_lossy()
        ))
    }

    /// The same with something to add.
    pub(crate) fn and(mut self, more: &str) -> Self {
        self.0.text.push_str(more);
        self
    }

    /// The same with something to say before.
    pub(crate) fn prefixed(mut self, before: &str) -> Self {
        self.0.text.insert_str(0, before);
        self
    }

    /// The same, of a request that was not sent.
    pub(crate) fn supposed(mut self) -> Self {
        self.0.kind = Kind::WouldBeRefused;
        self.prefixed("would be refused: ")
    }

    /// The same, of a request.
    pub(crate) fn during(mut self, about: About<'_>) -> Self {
        self.0.action = Some(about.action);
        self.0.saids = about.saids.to_vec();
        self.0.flow = about.selector.copied();
        self
    }

    /// The same, of a connection.
    pub(crate) fn of_connection(mut self, name: &str) -> Self {
        self.0.connection = Some(name.to_owned());
        self
    }

    /// The same, with what is wrong with what the request names.
    pub(crate) fn because(mut self, reason: Reason) -> Self {
        self.0.reason = Some(reason);
        self
    }

    /// The same, with the SA at fault and what is wrong with it.
    pub(crate) fn of_sa(mut self, said: &Said, reason: Reason) -> Self {
        self.0.sa = Some(*said);
        self.0.reason = Some(reason);
        self
    }

    /// The same, with the innermost SA of the group that the one at fault is in.
    pub(crate) fn in_group(mut self, innermost: &Entry) -> Self {
        self.0.group = Some(innermost.clone());
        self
    }

    /// The same, with the kernel's errno.
    pub(crate) fn with_errno(mut self, errno: Errno) -> Self {
        self.0.errno = Some(errno);
        self
    }

    /// What is known of it.
    pub(crate) fn details(&self) -> &Details {
        &self.0
    }

    /// Whether the user wants an end.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.0.kind == Kind::Interrupted
    }

    /// The exit status.
    pub(crate) fn code(&self) -> u8 {
        match self.0.kind {
            Kind::Refused | Kind::Interrupted | Kind::WouldBeRefused => 1,
            Kind::Usage => 2,
            Kind::Told(code) => code,
        }
    }
}
