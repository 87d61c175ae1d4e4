// SPDX-License-Identifier: GPL-2.0

//! What `--json` prints.
//!
//! A list is an array. A request is one object on a line of its own:
//!
//! ```json
//! {"action":"ungroup","result":"done","sas":[{"listed":"tun0x113@10.0.0.2","said":"tun.113@10.0.0.2",…}]}
//! {"action":"group","result":"refused","sas":[…],"error":{"message":"…","sa":{…},"reason":"missing","errno":"ENOENT"}}
//! {"result":"usage","error":{"message":"…"}}
//! ```
//!
//! In a batch, `line` comes first, and a last object has the counts. What is not known is left
//! out. A failure is told in words on standard error as well; exit statuses are the same with and
//! without `--json`.

use crate::{
    about::About,
    entry::Entry,
    failure::{Details, Kind, Reason},
};
use klips::{address::Family, errno::Errno, said::Said, selector::Selector};
use serde::Serialize;
use std::net::IpAddr;

/// An SA, in both forms of its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Sa {
    /// As in `/proc/net/ipsec_spigrp`.
    listed: String,
    #[serde(flatten)]
    known: Option<Known>,
}

/// What is known of an SA whose name can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Known {
    /// As in the manual page.
    said: String,
    proto: &'static str,
    spi: u32,
    af: &'static str,
    dst: IpAddr,
}

impl Sa {
    /// An SA that has a name.
    pub(crate) fn of(said: &Said) -> Self {
        Sa::listed(said.to_string(), Some(*said))
    }

    /// An SA as a list has it.
    pub(crate) fn of_entry(entry: &Entry) -> Self {
        Sa::listed(entry.text(), entry.said())
    }

    /// An SA whose name may be one that can't be read.
    fn listed(text: impl Into<String>, said: Option<Said>) -> Self {
        Sa {
            listed: text.into(),
            known: said.map(|said| Known {
                said: format!("{said:#}"),
                proto: said.proto.name(),
                spi: said.spi,
                af: match Family::of(&said.dst) {
                    Family::Inet => "inet",
                    Family::Inet6 => "inet6",
                },
                dst: said.dst,
            }),
        }
    }
}

/// What an eroute is for; what is any is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Flow {
    src: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_port: Option<u16>,
    dst: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dst_port: Option<u16>,
    /// Number of the protocol above IP.
    #[serde(skip_serializing_if = "Option::is_none")]
    proto: Option<u8>,
}

impl Flow {
    /// What a selector selects.
    pub(crate) fn of(selector: &Selector) -> Self {
        Flow {
            src: selector.src.to_string(),
            src_port: Some(selector.sport).filter(|port| *port != 0),
            dst: selector.dst.to_string(),
            dst_port: Some(selector.dport).filter(|port| *port != 0),
            proto: Some(selector.proto).filter(|proto| *proto != 0),
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ending {
    /// As asked for: exit status 0.
    Done,
    /// It could not be done: exit status 1.
    Refused,
    /// It would be done; nothing was sent.
    WouldSucceed,
    /// It could not be done; nothing was sent.
    WouldBeRefused,
    /// It made no sense, and nothing was sent: exit status 2.
    Usage,
}

/// What became of a request.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    /// `group`, `ungroup`, `add`, …; left out where the arguments don't tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<&'static str>,
    pub(crate) result: Ending,
    /// The connection that was taken up or down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connection: Option<String>,
    /// The SAs that were named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sas: Vec<Sa>,
    /// The packets that were named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) flow: Option<Flow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Error>,
}

impl Outcome {
    /// A request that failed.
    pub(crate) fn of(failure: &Details) -> Self {
        Outcome {
            action: failure.action,
            result: match failure.kind {
                Kind::Usage => Ending::Usage,
                Kind::WouldBeRefused => Ending::WouldBeRefused,
                Kind::Refused | Kind::Interrupted | Kind::Told(_) => Ending::Refused,
            },
            connection: failure.connection.clone(),
            sas: failure.saids.iter().map(Sa::of).collect(),
            flow: failure.flow.as_ref().map(Flow::of),
            error: Some(Error {
                message: failure.text.clone(),
                sa: failure.sa.as_ref().map(Sa::of),
                reason: failure.reason,
                group: failure.group.as_ref().map(Sa::of_entry),
                errno: failure.errno.map(errno_name),
            }),
        }
    }

    /// A request that was carried out.
    pub(crate) fn done(about: About<'_>) -> Self {
        Outcome::without_error(about, Ending::Done)
    }

    /// A request that would be carried out.
    pub(crate) fn would_succeed(about: About<'_>) -> Self {
        Outcome::without_error(about, Ending::WouldSucceed)
    }

    /// The same, of a connection.
    pub(crate) fn of_connection(self, name: &str) -> Self {
        Outcome {
            connection: Some(name.to_owned()),
            ..self
        }
    }

    fn without_error(about: About<'_>, result: Ending) -> Self {
        Outcome {
            action: Some(about.action),
            result,
            connection: None,
            sas: about.saids.iter().map(Sa::of).collect(),
            flow: about.selector.map(Flow::of),
            error: None,
        }
    }
}

/// What went wrong.
#[derive(Debug, Serialize)]
pub(crate) struct Error {
    /// As on standard error, without what all messages begin with.
    pub(crate) message: String,
    /// The SA at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sa: Option<Sa>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<Reason>,
    /// The innermost SA of the group that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<Sa>,
    /// The kernel's errno by name, `EEXIST`, or by number if KLIPS never answers with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) errno: Option<String>,
}

/// The symbolic name of an errno; the number if it is none that KLIPS answers with.
fn errno_name(errno: Errno) -> String {
    match errno.describe() {
        Some((name, _)) => name.to_owned(),
        None => errno.0.to_string(),
    }
}
