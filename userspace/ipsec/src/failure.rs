// SPDX-License-Identifier: GPL-2.0

//! Why a command ends without success, and with which exit status.

use crate::{
    json::{Ending, Error, Flow, Outcome, Sa},
    program::{Console, Program},
};
use klips::{errno::Errno, said::Said, selector::Selector};
use serde::Serialize;
use std::{ffi::OsString, fmt, io};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Exit status 1.
    Refused,
    /// The same, of what was not sent.
    WouldBeRefused,
    /// Exit status 1, and nothing else is tried.
    Interrupted,
    /// Exit status 2.
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

/// Where in a batch something went wrong.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) file: &'a str,
    /// Counts from 1.
    pub(crate) line: usize,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// The end of a command that did not succeed.
#[derive(Debug)]
pub(crate) struct Failure(Box<Details>);

#[derive(Debug)]
struct Details {
    kind: Kind,
    text: String,
    action: Option<&'static str>,
    /// The SAs of the request.
    saids: Vec<Said>,
    /// The packets of the request.
    flow: Option<Selector>,
    /// The one at fault.
    sa: Option<Said>,
    reason: Option<Reason>,
    /// The innermost SA of the group that it is in.
    group: Option<Sa>,
    errno: Option<Errno>,
}

impl Failure {
    fn new(kind: Kind, text: impl Into<String>) -> Self {
        Failure(Box::new(Details {
            kind,
            text: text.into(),
            action: None,
            saids: Vec::new(),
            flow: None,
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

    /// The same, of a request: what it is in one word, and the SAs that it names.
    pub(crate) fn during(mut self, (action, saids): (&'static str, &[Said])) -> Self {
        self.0.action = Some(action);
        self.0.saids = saids.to_vec();
        self
    }

    /// The same, of a request that names packets.
    pub(crate) fn of_flow(mut self, selector: Option<&Selector>) -> Self {
        self.0.flow = selector.copied();
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
    pub(crate) fn in_group(mut self, innermost: Sa) -> Self {
        self.0.group = Some(innermost);
        self
    }

    /// The same, with the kernel's errno.
    pub(crate) fn with_errno(mut self, errno: Errno) -> Self {
        self.0.errno = Some(errno);
        self
    }

    /// Says what is the matter: on standard error, and with `--json` on standard output too.
    pub(crate) fn report(
        &self,
        program: &Program,
        place: Option<Place<'_>>,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let details = &self.0;
        if let Kind::Told(_) = details.kind {
            return Ok(());
        }
        // If that fails there is no other place to say so.
        let _ = match place {
            Some(place) => writeln!(console.err, "{program}: {place}: {}", details.text),
            None => writeln!(console.err, "{program}: {}", details.text),
        };
        console.outcome(program, place.map(|place| place.line), &self.outcome())
    }

    fn outcome(&self) -> Outcome {
        let details = &self.0;
        Outcome {
            action: details.action,
            result: match details.kind {
                Kind::Usage => Ending::Usage,
                Kind::WouldBeRefused => Ending::WouldBeRefused,
                Kind::Refused | Kind::Interrupted | Kind::Told(_) => Ending::Refused,
            },
            sas: details.saids.iter().map(Sa::of).collect(),
            flow: details.flow.as_ref().map(Flow::of),
            error: Some(Error {
                message: details.text.clone(),
                sa: details.sa.as_ref().map(Sa::of),
                reason: details.reason,
                group: details.group.clone(),
                errno: details.errno.map(errno_name),
            }),
        }
    }

    /// Whether the user wants an end.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.0.kind == Kind::Interrupted
    }

    pub(crate) fn code(&self) -> u8 {
        match self.0.kind {
            Kind::Refused | Kind::Interrupted | Kind::WouldBeRefused => 1,
            Kind::Usage => 2,
            Kind::Told(code) => code,
        }
    }
}

/// The symbolic name of an errno; the number if it is none that KLIPS answers with.
fn errno_name(errno: Errno) -> String {
    match errno.describe() {
        Some((name, _)) => name.to_owned(),
        None => errno.0.to_string(),
    }
}
