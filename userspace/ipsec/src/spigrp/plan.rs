// SPDX-License-Identifier: GPL-2.0

//! Which messages group or ungroup SAs (reference 5.1, contract 4).

use crate::{about::About, failure::Failure};
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
    /// Link two to four SAs, or the groups that they are at the ends of, inside to outside: a message
    /// for each pair.
    Join(Vec<Said>),
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

    /// What it is about.
    pub(super) fn about(&self) -> About<'_> {
        match self {
            Request::Ungroup(said) => About::sas("ungroup", std::slice::from_ref(said)),
            Request::Group(saids) => About::sas("group", saids),
            Request::Join(saids) => About::sas("join", saids),
        }
    }

    /// The messages that ask for it.
    pub(super) fn messages(&self) -> Result<Vec<Content<'static>>, Failure> {
        match self {
            Request::Ungroup(said) => Ok(vec![ungroup(said)]),
            Request::Group(saids) => match group(saids) {
                Some(content) => Ok(vec![content]),
                None => Err(Failure::usage(format!(
                    "{} SAs can't be grouped",
                    saids.len()
                ))),
            },
            Request::Join(saids) => Ok(pairs(saids)
                .map(|(inner, outer)| link(inner, outer))
                .collect()),
        }
    }
}

/// Neighbours, the inner one first.
pub(super) fn pairs(saids: &[Said]) -> impl Iterator<Item = (&Said, &Said)> {
    saids.iter().zip(saids.iter().skip(1))
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
