// SPDX-License-Identifier: GPL-2.0

//! Which messages group or ungroup SAs (reference 5.1, contract 4).

use klips::{
    pfkey::{
        Address, Content, Header, MsgType, Sa, SaType,
        build::request,
        value::{GroupList, Second},
    },
    said::Said,
};

/// The messages to be sent.
#[derive(Debug)]
pub(crate) enum Plan<'a> {
    /// One message dissolves the group of this SA.
    Ungroup(Said),
    /// One message groups all, or a kernel that doesn't know it is sent the links one by one.
    Group(&'a [Said]),
}

/// What is to be done with SAs, inside to outside.
pub(crate) fn plan(saids: &[Said]) -> Plan<'_> {
    match saids {
        [said] => Plan::Ungroup(*said),
        saids => Plan::Group(saids),
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
