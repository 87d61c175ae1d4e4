// SPDX-License-Identifier: GPL-2.0

//! The changes that messages tell of: what a socket hears that has sent nothing itself.
//!
//! | message | tells of |
//! |---|---|
//! | GETSPI, ADD, UPDATE, DELETE | the SA that was named |
//! | DELETE with sequence number 0 | an SA that went with another of its group |
//! | X_GRPSA with a list, with a second SA, with neither | a group, a link, an end of a group |
//! | EXPIRE | an SA past its soft or its hard limits; the latter goes, its mates by DELETE |
//! | FLUSH | that all SAs went, or all of a type with their groups; none is named |
//!
//! The end of a group names one of its members, no more; and one that was in no group all along.

use super::sas::Names;
use crate::{json::Sa, monitor};
use klips::{
    pfkey::{Direction, Ext, Header, Message, MsgType},
    said::{Proto, Said},
};
use serde::Serialize;
use std::fmt;

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// An SPI was reserved.
    Reserved(Said),
    /// An SA was made.
    Added(Said),
    /// An SA was replaced, or its ports have changed.
    Updated(Said),
    /// An SA was removed.
    Deleted(Said),
    /// All SAs were removed, or all of a protocol with the groups that they were in.
    Flushed(Option<Proto>),
    /// A group was made, inside to outside.
    Grouped(Vec<Said>),
    /// The second SA was linked to the outside of the first.
    Linked([Said; 2]),
    /// The group that an SA is in was taken apart, if it was in any.
    Ungrouped(Said),
    /// An SA is past its limits; past the hard ones it was removed.
    Expired(Said, Limits),
}

/// The limits of an SA's lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Limits {
    Soft,
    Hard,
}

/// What `--json` tells.
#[derive(Serialize)]
pub(super) struct Event {
    event: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sas: Vec<Sa>,
    /// The protocol of the SAs that were flushed, if not all were.
    #[serde(skip_serializing_if = "Option::is_none")]
    proto: Option<&'static str>,
    /// The limits that an SA is past.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Limits>,
}

impl monitor::Change for Change {
    type Event = Event;

    fn told_by(header: Header, bytes: &[u8]) -> Option<Self> {
        let message = Message::parse(header, bytes, Direction::Out).ok()?;
        if header.msg_type == MsgType::Flush {
            let satype = header.satype_or_all().ok()?;
            return Some(Change::Flushed(satype.map(|satype| satype.proto())));
        }
        let said = message.said()?;
        Some(match header.msg_type {
            MsgType::GetSpi => Change::Reserved(said),
            MsgType::Add => Change::Added(said),
            MsgType::Update => Change::Updated(said),
            MsgType::Delete => Change::Deleted(said),
            MsgType::Expire => {
                if message.has(Ext::LifetimeHard) {
                    Change::Expired(said, Limits::Hard)
                } else {
                    Change::Expired(said, Limits::Soft)
                }
            }
            MsgType::GrpSa => match (message.group_list(), message.second()) {
                (Some(list), _) => Change::Grouped([said].into_iter().chain(list.iter()).collect()),
                (None, Some(second)) => Change::Linked([said, second.said()]),
                (None, None) => Change::Ungrouped(said),
            },
            _ => return None,
        })
    }

    fn event(&self) -> Event {
        Event {
            event: self.word(),
            sas: self.saids().iter().map(Sa::of).collect(),
            proto: match self {
                Change::Flushed(proto) => proto.map(|proto| proto.name()),
                _ => None,
            },
            limits: match self {
                Change::Expired(_, limits) => Some(*limits),
                _ => None,
            },
        }
    }
}

impl Change {
    /// What it is in one word.
    fn word(&self) -> &'static str {
        match self {
            Change::Reserved(_) => "reserved",
            Change::Added(_) => "added",
            Change::Updated(_) => "updated",
            Change::Deleted(_) => "deleted",
            Change::Flushed(_) => "flushed",
            Change::Grouped(_) => "grouped",
            Change::Linked(_) => "linked",
            Change::Ungrouped(_) => "ungrouped",
            Change::Expired(..) => "expired",
        }
    }

    /// The SAs that are named.
    fn saids(&self) -> &[Said] {
        match self {
            Change::Reserved(said)
            | Change::Added(said)
            | Change::Updated(said)
            | Change::Deleted(said)
            | Change::Ungrouped(said)
            | Change::Expired(said, _) => std::slice::from_ref(said),
            Change::Grouped(saids) => saids,
            Change::Linked(saids) => saids,
            Change::Flushed(_) => &[],
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Flushed(None) => f.write_str("deleted all SAs"),
            Change::Flushed(Some(proto)) => write!(
                f,
                "deleted all {} SAs and the groups that they were in",
                proto.name()
            ),
            Change::Linked([inner, outer]) => {
                write!(f, "linked {outer:#} to the outside of {inner:#}")
            }
            Change::Ungrouped(said) => write!(f, "ungrouped the group of {said:#}"),
            Change::Expired(said, Limits::Soft) => write!(f, "expired (soft) {said:#}"),
            Change::Expired(said, Limits::Hard) => write!(f, "expired (hard) {said:#}"),
            change => write!(f, "{} {}", change.word(), Names(change.saids())),
        }
    }
}
