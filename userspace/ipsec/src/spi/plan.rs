// SPDX-License-Identifier: GPL-2.0

//! The message for each request (reference 8.3).

use super::key::KeyBytes;
use crate::about::About;
use klips::{
    pfkey::{Address, Header, Key, Lifetime, LifetimeForm, MsgType, Sa, SaState, build::request},
    said::Said,
};
use pfkey::{Content, SaRefs};
use std::{fmt, net::IpAddr, slice};

/// A request, and what is to be told of it.
pub(crate) struct Request {
    pub(super) plan: Plan,
    /// Whether to say that the kernel has answered.
    pub(super) listen: bool,
    /// What to print of the references that the kernel gave.
    pub(super) show: Show,
}

/// What to print of the references that the kernel gave to an SA and to its peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    Nothing,
    /// The SA's, as Openswan 2.4 did for `--saref`.
    OwnReference,
    /// Both, as later releases did for `--dumpsaref`.
    BothReferences,
}

/// What is asked of the kernel.
pub(super) enum Plan {
    /// Read an SA.
    Get(Addresses),
    /// Delete all SAs.
    Clear,
    /// Delete an SA.
    Delete(Addresses),
    /// Add an SA.
    Add(Box<NewSa>),
}

/// The SA that a request is about, and where it comes from.
#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub(super) said: Said,
    pub(super) src: IpAddr,
}

/// NAT traversal.
#[derive(Clone, Copy)]
pub(super) struct NatT {
    pub(super) kind: u8,
    pub(super) sport: u16,
    pub(super) dport: u16,
}

/// An SA to be added.
pub(super) struct NewSa {
    pub(super) addresses: Addresses,
    pub(super) auth: u8,
    pub(super) encrypt: u8,
    pub(super) replay: u8,
    pub(super) key_auth: Option<KeyBytes>,
    pub(super) key_encrypt: Option<KeyBytes>,
    pub(super) soft: Option<Lifetime>,
    pub(super) hard: Option<Lifetime>,
    pub(super) natt: Option<NatT>,
    pub(super) sa_refs: Option<SaRefs>,
    pub(super) outif: Option<u16>,
}

/// Sequence number and process ID are the client's to set, the SA type comes with the SA.
fn header(msg_type: MsgType) -> Header {
    request(msg_type, 0, 0, 0)
}

impl Plan {
    /// What it is about.
    pub(super) fn about(&self) -> About<'_> {
        match self {
            Plan::Get(addresses) => About::sas("get", slice::from_ref(&addresses.said)),
            Plan::Clear => About::nothing("clear"),
            Plan::Delete(addresses) => About::sas("delete", slice::from_ref(&addresses.said)),
            Plan::Add(sa) => About::sas("add", slice::from_ref(&sa.addresses.said)),
        }
    }

    /// The message to be sent.
    pub(super) fn content(&self) -> Content<'_> {
        match self {
            Plan::Get(addresses) => about(MsgType::Get, addresses),
            Plan::Clear => Content::new(header(MsgType::Flush)),
            Plan::Delete(addresses) => about(MsgType::Delete, addresses),
            Plan::Add(sa) => sa.content(),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Plan::Get(addresses) => write!(f, "reading {:#}", addresses.said),
            Plan::Clear => f.write_str("deleting all SAs"),
            Plan::Delete(addresses) => write!(f, "deleting {:#}", addresses.said),
            Plan::Add(sa) => write!(f, "adding {:#}", sa.said()),
        }
    }
}

fn about<'a>(msg_type: MsgType, addresses: &Addresses) -> Content<'a> {
    Content {
        src: Some(Address::of(addresses.src)),
        ..Content::about(header(msg_type), &addresses.said)
    }
}

impl NewSa {
    pub(super) fn said(&self) -> Said {
        self.addresses.said
    }

    fn content(&self) -> Content<'_> {
        let natt = self.natt.as_ref();
        Content {
            sa: Some(Sa {
                replay: self.replay,
                state: SaState::Mature,
                auth: self.auth,
                encrypt: self.encrypt,
                ..Sa::naming(self.said().spi)
            }),
            soft: self.soft,
            hard: self.hard,
            lifetime_form: LifetimeForm::WithPackets,
            key_auth: self.key_auth.as_ref().map(key),
            key_encrypt: self.key_encrypt.as_ref().map(key),
            natt_type: natt.map(|natt| natt.kind),
            natt_sport: natt.map(|natt| natt.sport),
            natt_dport: natt.map(|natt| natt.dport),
            outif: self.outif,
            sa_refs: self.sa_refs,
            ..about(MsgType::Add, &self.addresses)
        }
    }
}

fn key(bytes: &KeyBytes) -> Key<'_> {
    Key {
        // CAST: the arguments' check lets no key pass that is longer than an algorithm's.
        bits: (bytes.len() * 8) as u16,
        data: bytes,
    }
}
