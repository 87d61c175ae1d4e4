// SPDX-License-Identifier: GPL-2.0

//! What can be done to the table.

use crate::wire::{self, msg, satype};
use klips::said::{Proto, Said};

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Somebody writes a request.
    Request(Request),
    /// So many seconds pass.
    Wait(u64),
}

/// A request, well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// ADD.
    Add(Said, Terms),
    /// GETSPI of just this SPI.
    Reserve(Said),
    /// UPDATE.
    Update(Said, Terms),
    /// DELETE.
    Delete(Said),
    /// X_GRPSA of an inner and an outer SA.
    Pair(Said, Said),
    /// X_GRPSA of two to four SAs at once, inside to outside.
    List(Vec<Said>),
    /// X_GRPSA of one SA.
    Ungroup(Said),
    /// FLUSH, of one type or of all.
    Flush(Option<Proto>),
}

/// What ADD and UPDATE say of an SA beside its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Replay window, at most 64. It means nothing here but tells one request from another.
    pub window: u8,
    /// Seconds after which the SA is dying, 0 for never.
    pub soft: u64,
    /// Seconds after which the SA is gone, 0 for never.
    pub hard: u64,
}

/// Where the replay window is in a message whose first extension is an SA.
const WINDOW: usize = 16 + 8;

impl Request {
    /// Type of the message.
    pub fn msg_type(&self) -> u8 {
        match self {
            Request::Add(..) => msg::ADD,
            Request::Reserve(_) => msg::GETSPI,
            Request::Update(..) => msg::UPDATE,
            Request::Delete(_) => msg::DELETE,
            Request::Pair(..) | Request::List(_) | Request::Ungroup(_) => msg::GRPSA,
            Request::Flush(_) => msg::FLUSH,
        }
    }

    /// The SA that it names first.
    pub fn about(&self) -> Option<Said> {
        match self {
            Request::Add(said, _)
            | Request::Reserve(said)
            | Request::Update(said, _)
            | Request::Delete(said)
            | Request::Pair(said, _)
            | Request::Ungroup(said) => Some(*said),
            Request::List(list) => Some(list[0]),
            Request::Flush(_) => None,
        }
    }

    /// The message.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Request::Add(said, terms) | Request::Update(said, terms) => {
                let mut bytes = wire::limited(self.msg_type(), *said, terms.soft, terms.hard);
                bytes[WINDOW] = terms.window;
                bytes
            }
            Request::Reserve(said) => wire::reserve(*said),
            Request::Delete(said) => wire::delete(*said),
            Request::Pair(inner, outer) => wire::pair(*inner, *outer),
            Request::List(list) => wire::list(list),
            Request::Ungroup(said) => wire::ungroup(*said),
            Request::Flush(proto) => wire::flush(proto.map_or(0, satype)),
        }
    }
}
