// SPDX-License-Identifier: GPL-2.0

//! What of IKE goes past eroutes and inflows: packets between a gateway of here and those that it
//! negotiates with, by UDP from ports 500 and 4500 of here, and to them (RFC 3947).
//!
//! Else an eroute from host to host would have IKE go through the SA that it negotiates, and a %trap
//! have it wait for itself; KLIPS let such packets of its own host pass whatever an eroute said.

use crate::{
    engine::Engine,
    klips_core::{
        selector::{
            Network,
            Selector, //
        },
        xfrm::Direction, //
    },
    memory::Node,
};
use core::net::IpAddr;

/// The ports of IKE, and of IKE with ESP in UDP.
const PORTS: [u16; 2] = [500, 4500];

/// IP protocol UDP.
const UDP: u8 = 17;

/// Whose IKE goes past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bypass {
    /// Out or in.
    pub(super) direction: Direction,
    /// An address of this host.
    own: IpAddr,
    /// The others.
    peers: Network,
}

impl Bypass {
    /// None comes before it in a table.
    pub const LEAST: Self = Bypass {
        direction: Direction::In,
        own: IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED),
        peers: Network::of_host(IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED)),
    };

    /// What an eroute would have in its way, `None` if it has nothing to do with it.
    pub fn past_eroute(selector: &Selector, own: IpAddr, peers: Network) -> Option<Self> {
        let bypass = Bypass {
            direction: Direction::Out,
            own,
            peers,
        };
        bypass.concerns(selector).then_some(bypass)
    }

    /// The same for an inflow.
    pub fn past_inflow(selector: &Selector, own: IpAddr, peer: IpAddr) -> Option<Self> {
        let bypass = Bypass {
            direction: Direction::In,
            own,
            peers: Network::of_host(peer),
        };
        bypass.concerns(&selector.mirrored()).then_some(bypass)
    }

    /// The gateway of here.
    pub fn own(&self) -> IpAddr {
        self.own
    }

    /// Whether it is among what leaves by a selector.
    fn concerns(&self, selector: &Selector) -> bool {
        selector.src.contains(self.own)
            && selector.dst.contains(self.peers.address())
            && matches!(selector.proto, 0 | UDP)
            && (selector.sport == 0 || PORTS.contains(&selector.sport))
    }

    /// Between which addresses it is, of those that leave for one peer.
    pub fn leaves(&self) -> Option<(IpAddr, IpAddr)> {
        let peer = self.peers.host()?;
        (self.direction == Direction::Out).then_some((self.own, peer))
    }

    /// The packets.
    pub(super) fn selectors(&self) -> [Selector; 2] {
        PORTS.map(|sport| {
            let leaving = Selector {
                src: Network::of_host(self.own),
                dst: self.peers,
                proto: UDP,
                sport,
                dport: 0,
            };
            match self.direction {
                Direction::Out => leaving,
                Direction::In | Direction::Forward => leaving.mirrored(),
            }
        })
    }
}

/// The policies of one, for as many eroutes and inflows as want them.
pub(super) struct Installed<P> {
    pub(super) policies: [P; 2],
    pub(super) count: u64,
}

/// One that is not there yet.
pub(super) type NewBypass<E> = (
    Node<Bypass, Installed<<E as Engine>::Policy>>,
    [<E as Engine>::Policy; 2],
);
