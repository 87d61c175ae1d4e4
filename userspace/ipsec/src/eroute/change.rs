// SPDX-License-Identifier: GPL-2.0

//! The changes of eroutes that messages tell of.
//!
//! | message | tells of |
//! |---|---|
//! | X_ADDFLOW | an eroute that was added, or has taken the place of another |
//! | X_ADDFLOW with INFLOW | what may come out of a tunnel from now on |
//! | X_DELFLOW | an eroute that was deleted |
//! | X_DELFLOW with CLEARFLOW | that all were deleted |

use super::selector::Packets;
use crate::{
    json::{Flow, Sa},
    monitor,
};
use klips::{
    pfkey::{
        Direction, Header, Message, MsgType,
        types::{SAFLAG_CLEARFLOW, SAFLAG_INFLOW, SAFLAG_REPLACEFLOW},
    },
    said::Said,
    selector::Selector,
};
use serde::Serialize;
use std::fmt;

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// An eroute was added.
    Added(Selector, Said),
    /// An eroute has taken the place of the one there was.
    Replaced(Selector, Said),
    /// Only such packets may come out of a tunnel.
    Inbound(Selector, Said),
    /// An eroute was deleted.
    Deleted(Selector),
    /// All eroutes were deleted.
    Cleared,
}

/// What `--json` tells.
#[derive(Serialize)]
pub(super) struct Event {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<Flow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sa: Option<Sa>,
}

impl monitor::Change for Change {
    type Event = Event;

    fn told_by(header: Header, bytes: &[u8]) -> Option<Self> {
        // Those of the kernel and of requests have the same extensions, but only a request may
        // have no flow.
        let direction = match header.msg_type {
            MsgType::AddFlow => Direction::Out,
            MsgType::DelFlow => Direction::In,
            _ => return None,
        };
        let message = Message::parse(header, bytes, direction).ok()?;
        let flags = message.sa().map_or(0, |sa| sa.flags);
        if header.msg_type == MsgType::DelFlow {
            return match flags & SAFLAG_CLEARFLOW {
                0 => Some(Change::Deleted(Selector::of(&message.flow()?).ok()?)),
                _ => Some(Change::Cleared),
            };
        }
        let selector = Selector::of(&message.flow()?).ok()?;
        let said = message.said()?;
        Some(match (flags & SAFLAG_INFLOW, flags & SAFLAG_REPLACEFLOW) {
            (0, 0) => Change::Added(selector, said),
            (0, _) => Change::Replaced(selector, said),
            _ => Change::Inbound(selector, said),
        })
    }

    fn event(&self) -> Event {
        let (event, flow, said) = match self {
            Change::Added(selector, said) => ("added", Some(selector), Some(said)),
            Change::Replaced(selector, said) => ("replaced", Some(selector), Some(said)),
            Change::Inbound(selector, said) => ("inbound", Some(selector), Some(said)),
            Change::Deleted(selector) => ("deleted", Some(selector), None),
            Change::Cleared => ("cleared", None, None),
        };
        Event {
            event,
            flow: flow.map(Flow::of),
            sa: said.map(Sa::of),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Added(selector, said) => write!(f, "added {} => {said:#}", Packets(selector)),
            Change::Replaced(selector, said) => {
                write!(f, "replaced {} => {said:#}", Packets(selector))
            }
            Change::Inbound(selector, said) => {
                write!(f, "inbound {} from {said:#}", Packets(selector))
            }
            Change::Deleted(selector) => write!(f, "deleted {}", Packets(selector)),
            Change::Cleared => f.write_str("deleted all eroutes"),
        }
    }
}
