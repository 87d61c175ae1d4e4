// SPDX-License-Identifier: GPL-2.0

//! Which messages add and delete eroutes (reference 8.4 and 4.13).

use super::selector::Packets;
use crate::about::About;
use klips::{
    address::Family,
    pfkey::{
        Address, Flow, Header, MsgType, Sa, SaType,
        build::request,
        types::{SAFLAG_CLEARFLOW, SAFLAG_INFLOW, SAFLAG_REPLACEFLOW},
    },
    said::Said,
    selector::{Network, Selector},
};
use pfkey::Content;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    slice,
};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Add an eroute.
    Add(Eroute),
    /// Delete one.
    Delete {
        selector: Selector,
        /// The SA type in the header, of which the kernel makes nothing.
        satype: Option<SaType>,
    },
    /// Delete all.
    Clear,
}

/// An eroute to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Eroute {
    /// For which packets.
    pub(super) selector: Selector,
    /// The innermost SA that they go through.
    pub(super) said: Said,
    /// Whether it takes the place of another one.
    pub(super) replaces: bool,
    /// Whether it is no eroute but says what may come out of the tunnel.
    pub(super) inbound: bool,
}

impl Eroute {
    /// What is done, in one word: the option.
    pub(super) const fn action(&self) -> &'static str {
        match (self.replaces, self.inbound) {
            (false, false) => "add",
            (false, true) => "addin",
            (true, false) => "replace",
            (true, true) => "replacein",
        }
    }

    /// Flags of the SA extension.
    const fn flags(&self) -> u32 {
        let replace = if self.replaces { SAFLAG_REPLACEFLOW } else { 0 };
        let inbound = if self.inbound { SAFLAG_INFLOW } else { 0 };
        replace | inbound
    }
}

impl Request {
    /// What it is about.
    pub(super) const fn about(&self) -> About<'_> {
        match self {
            Request::Add(eroute) => About {
                selector: Some(&eroute.selector),
                ..About::sas(eroute.action(), slice::from_ref(&eroute.said))
            },
            Request::Delete { selector, .. } => About {
                selector: Some(selector),
                ..About::nothing("delete")
            },
            Request::Clear => About::nothing("clear"),
        }
    }

    /// The message to be sent.
    pub(super) fn content(&self) -> Content<'static> {
        match self {
            Request::Add(eroute) => {
                let said = &eroute.said;
                Content {
                    sa: Some(Sa {
                        flags: eroute.flags(),
                        ..Sa::naming(said.spi)
                    }),
                    src: Some(Address::of(Family::of(&said.dst).unspecified())),
                    flow: Some(flow(&eroute.selector)),
                    ..Content::about(header(MsgType::AddFlow, None), said)
                }
            }
            Request::Delete { selector, satype } => Content {
                flow: Some(flow(selector)),
                ..Content::new(header(MsgType::DelFlow, *satype))
            },
            Request::Clear => Content {
                sa: Some(Sa {
                    flags: SAFLAG_CLEARFLOW,
                    ..Sa::naming(0)
                }),
                ..Content::new(header(MsgType::DelFlow, None))
            },
        }
    }
}

/// What is being done, as progress.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Add(eroute) => {
                let doing = match (eroute.replaces, eroute.inbound) {
                    (false, false) => "adding",
                    (true, false) => "replacing",
                    (_, true) => "letting in only",
                };
                let Eroute { selector, said, .. } = eroute;
                write!(f, "{doing} {} => {said:#}", Packets(selector))
            }
            Request::Delete { selector, .. } => write!(f, "deleting {}", Packets(selector)),
            Request::Clear => f.write_str("deleting all eroutes"),
        }
    }
}

/// Sequence number and process ID are the client's to set.
fn header(msg_type: MsgType, satype: Option<SaType>) -> Header {
    request(msg_type, satype.map_or(0, |satype| satype as u8), 0, 0)
}

/// The extensions that select these packets.
fn flow(selector: &Selector) -> Flow {
    let mask = |network: Network, port: u16| {
        let selects = if port == 0 { 0 } else { u16::MAX };
        SocketAddr::new(mask(network), selects)
    };
    Flow {
        src: SocketAddr::new(selector.src.address(), selector.sport),
        dst: SocketAddr::new(selector.dst.address(), selector.dport),
        src_mask: mask(selector.src, selector.sport),
        dst_mask: mask(selector.dst, selector.dport),
        proto: selector.proto,
    }
}

/// The mask of a network, as an address: what is left of one that is all ones.
fn mask(network: Network) -> IpAddr {
    let ones = match network.address() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::BROADCAST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)),
    };
    Network::of(ones, network.prefix()).map_or(ones, |mask| mask.address())
}
