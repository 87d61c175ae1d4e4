// SPDX-License-Identifier: GPL-2.0

//! Which messages group or ungroup SAs (reference 5.1, contract 4).

use crate::failure::Failure;
use klips::{
    pfkey::{
        Address, Header, MsgType, Sa, SaType,
        build::request,
        value::{GroupList, Second},
    },
    said::Said,
};
use pfkey::Content;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Take apart the group that an SA is in: one message.
    Ungroup(Said),
    /// Make one group of two to four SAs, inside to outside: one message, or to a kernel that
    /// doesn't know it the links one by one.
    Group(Vec<Said>),
}

impl Request {
    /// What is asked for by naming these SAs; nothing by naming none.
    pub(super) fn of(saids: Vec<Said>) -> Option<Self> {
        match *saids {
            [] => None,
            [said] => Some(Request::Ungroup(said)),
            _ => Some(Request::Group(saids)),
        }
    }

    /// What it is, in one word.
    pub(super) fn action(&self) -> &'static str {
        match self {
            Request::Ungroup(_) => "ungroup",
            Request::Group(_) => "group",
        }
    }

    /// The message that asks for it at once.
    pub(super) fn content(&self) -> Result<Content<'static>, Failure> {
        match self {
            Request::Ungroup(said) => Ok(ungroup(said)),
            Request::Group(saids) => group(saids)
                .ok_or_else(|| Failure::usage(format!("{} SAs can't be grouped", saids.len()))),
        }
    }

    /// The SAs that it names.
    pub(super) fn saids(&self) -> &[Said] {
        match self {
            Request::Ungroup(said) => std::slice::from_ref(said),
            Request::Group(saids) => saids,
        }
    }
}

/// Sequence number and process ID are the client's to set, the SA type comes with the SA.
fn header() -> Header {
    request(MsgType::GrpSa, 0, 0, 0)
}

/// Dissolves the group that an SA is in.
pub(crate) fn ungroup(said: &Said) -> Content<'static> {
    Content::about(header(), said)
}

/// Groups all SAs, inside to outside, or changes nothing.
pub(crate) fn group(saids: &[Said]) -> Option<Content<'static>> {
    let (first, others) = saids.split_first()?;
    Some(Content {
        group: Some(GroupList::new(others.iter().copied())?),
        ..Content::about(header(), first)
    })
}

/// Links `outer` to the outside of `inner`: the message that KLIPS knows.
pub(crate) fn link(inner: &Said, outer: &Said) -> Content<'static> {
    Content {
        second: Some(Second {
            satype: SaType::of(outer.proto),
            sa: Sa::naming(outer.spi),
            dst: Address::of(outer.dst),
        }),
        ..Content::about(header(), inner)
    }
}
