// SPDX-License-Identifier: GPL-2.0

//! Sends the message, prints what the kernel tells, and says what is really the matter when it
//! refuses.

use super::{
    info::SaInfo,
    life,
    plan::{Plan, Request, Show},
};
use crate::{
    console::Console,
    failure::{Failure, Reason},
    json::Outcome,
    program::Program,
    text,
};
use klips::{
    errno::Errno,
    pfkey::{
        Message,
        types::{SAREF_NULL, SAREF_NULL_24},
    },
};
use pfkey::{Client, Error, Reply, SaRefs, Transport};
use serde::Serialize;

/// What has come of a request, for `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    #[serde(flatten)]
    outcome: Outcome,
    /// What the kernel tells of an SA that was asked for.
    #[serde(flatten)]
    info: Option<SaInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saref: Option<References>,
}

/// The references that the kernel gave to an SA and its peer's; 0 is none.
#[derive(Debug, Serialize)]
struct References {
    me: u32,
    him: u32,
}

impl References {
    /// What an answer says: in an extension of its own with late releases, in the SA's with early
    /// ones.
    fn of(answer: &Message<'_>) -> Self {
        let early = || SaRefs {
            me: answer.sa().map_or(SAREF_NULL, |sa| sa.sa_ref),
            him: SAREF_NULL,
        };
        let SaRefs { me, him } = answer.sa_refs().unwrap_or_else(early);
        References {
            me: match me {
                SAREF_NULL_24 => SAREF_NULL,
                me => me,
            },
            him,
        }
    }
}

/// Executes a request.
pub(super) fn execute(
    request: &Request,
    client: &mut Client<impl Transport>,
    program: &Program,
    console: &mut Console<'_>,
) -> Result<Answer, Failure> {
    let plan = &request.plan;
    console.debug(program, format_args!("{plan}"));
    if let Plan::Add(sa) = plan {
        for remark in life::capped(sa.soft.as_ref(), sa.hard.as_ref()) {
            console.remark(program, format_args!("--life: {remark}"));
        }
    }
    let message = client
        .request(&plan.content())
        .map_err(|error| explain(plan, error))?;
    let info = match plan {
        Plan::Get(_) => Some(SaInfo::of(&message).ok_or_else(|| text::failure(Error::Malformed))?),
        _ => None,
    };
    let saref = (request.show != Show::Nothing).then(|| References::of(&message));
    if !program.json {
        print(request, info.as_ref(), saref.as_ref(), program, console)?;
    }
    Ok(Answer {
        outcome: Outcome::done(plan.about()),
        info,
        saref,
    })
}

/// Prints what is asked for beside success.
fn print(
    request: &Request,
    info: Option<&SaInfo>,
    saref: Option<&References>,
    program: &Program,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    if let Some(info) = info {
        console.print(&info.to_string())?;
    }
    if let Some(References { me, him }) = saref {
        let him = match request.show {
            Show::BothReferences => format!("/{him}"),
            Show::OwnReference | Show::Nothing => String::new(),
        };
        console.print(&format!("{program}: saref={me}{him}\n"))?;
    }
    if request.listen {
        console.print(&format!("{program}: exited normally\n"))
    } else {
        Ok(())
    }
}

/// Why the kernel refused, and whom.
fn explain(plan: &Plan, error: Error) -> Failure {
    let Error::Refused { errno, .. } = error else {
        return text::failure(error);
    };
    let said = plan.about().saids.first();
    // Openswan's words, with the SA in them.
    let (why, reason) = match (plan, errno, said) {
        (Plan::Add(_), Errno::EEXIST, Some(said)) => (
            format!("SA {said:#} already in use.  Delete old one first."),
            Some(Reason::Exists),
        ),
        (Plan::Delete(_), Errno::ESRCH, Some(said)) => (
            format!("SA {said:#} does not exist.  Cannot delete."),
            Some(Reason::Missing),
        ),
        (Plan::Get(_), Errno::ESRCH, Some(said)) => (
            format!("SA {said:#} does not exist."),
            Some(Reason::Missing),
        ),
        (Plan::Add(_), Errno::ENOENT, _) => (
            "encryption algorithm not available in the kernel.".to_owned(),
            None,
        ),
        _ => return text::failure(error),
    };
    let failure = Failure::refused(format!("pfkey write failed (errno={}): {why}", errno.0))
        .with_errno(errno);
    match (said, reason) {
        (Some(said), Some(reason)) => failure.of_sa(said, reason),
        _ => failure,
    }
}
