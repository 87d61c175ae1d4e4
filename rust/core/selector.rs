// SPDX-License-Identifier: GPL-2.0

//! Which packets an eroute is for: source and destination network, protocol and ports.
//!
//! PF_KEY gives them as two addresses and two masks, whose port fields select a port or leave it
//! open; here they are networks with the bits that don't count cleared, so that equal selectors are
//! equal values.

use super::{
    errno::Errno,
    pfkey::Flow, //
};
use core::{
    fmt,
    net::{
        IpAddr,
        SocketAddr, //
    }, //
};

/// A network: an address and how many of its bits count, the others being 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// The network of this prefix length that an address is in, `None` if it has fewer bits.
    pub fn of(address: IpAddr, prefix: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(ip) if prefix <= 32 => {
                let mask = !u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
                IpAddr::from((u32::from(ip) & mask).to_be_bytes())
            }
            IpAddr::V6(ip) if prefix <= 128 => {
                let mask = !u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
                IpAddr::from((u128::from(ip) & mask).to_be_bytes())
            }
            _ => return None,
        };
        Some(Network { address, prefix })
    }

    /// The network of an address and a mask of the same family, whose ones stand in front.
    fn of_mask(address: IpAddr, mask: IpAddr) -> Option<Self> {
        let (ones, zeros, bits) = match (address, mask) {
            (IpAddr::V4(_), IpAddr::V4(mask)) => {
                let mask = u32::from(mask);
                (mask.leading_ones(), mask.trailing_zeros(), u32::BITS)
            }
            (IpAddr::V6(_), IpAddr::V6(mask)) => {
                let mask = u128::from(mask);
                (mask.leading_ones(), mask.trailing_zeros(), u128::BITS)
            }
            _ => return None,
        };
        let prefix = u8::try_from(ones).ok().filter(|_| ones + zeros == bits)?;
        Network::of(address, prefix)
    }

    /// The network of one address alone.
    pub const fn of_host(address: IpAddr) -> Self {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        Network { address, prefix }
    }

    /// Its address, if it has but one.
    pub const fn host(&self) -> Option<IpAddr> {
        if self.prefix == self.bits() {
            Some(self.address)
        } else {
            None
        }
    }

    /// Its first address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits of the address count.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Bits of an address of its family.
    const fn bits(&self) -> u8 {
        if self.address.is_ipv4() {
            32
        } else {
            128
        }
    }

    /// Whether an address is in it.
    #[inline]
    pub fn contains(&self, address: IpAddr) -> bool {
        Network::of(address, self.prefix) == Some(*self)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Which packets an eroute is for. 0 stands for any protocol and any port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selector {
    /// Where they go; of the same family. It comes first, for that is what most eroutes differ in.
    pub dst: Network,
    /// Where they come from.
    pub src: Network,
    /// IP protocol.
    pub proto: u8,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
}

/// What of a packet selectors look at. Ports are 0 where the protocol has none.
#[cfg(not(MODULE))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source.
    pub src: IpAddr,
    /// Destination.
    pub dst: IpAddr,
    /// IP protocol.
    pub proto: u8,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
}

impl Selector {
    /// What the extensions of X_ADDFLOW and X_DELFLOW say.
    ///
    /// All four have to be of one family, the ones of a mask have to stand in front, and the port of
    /// a mask is all zeros, for any port, or all ones; EINVAL otherwise.
    pub fn of(flow: &Flow) -> Result<Self, Errno> {
        let network = |address: SocketAddr, mask: SocketAddr| {
            Network::of_mask(address.ip(), mask.ip()).ok_or(Errno::EINVAL)
        };
        let port = |address: SocketAddr, mask: SocketAddr| match (mask.port(), address.port()) {
            (0, _) => Ok(0),
            // Port 0 alone can't be told from any port.
            (u16::MAX, port @ 1..) => Ok(port),
            _ => Err(Errno::EINVAL),
        };
        if flow.src.is_ipv4() != flow.dst.is_ipv4() {
            return Err(Errno::EINVAL);
        }
        Ok(Selector {
            src: network(flow.src, flow.src_mask)?,
            dst: network(flow.dst, flow.dst_mask)?,
            proto: flow.proto,
            sport: port(flow.src, flow.src_mask)?,
            dport: port(flow.dst, flow.dst_mask)?,
        })
    }

    /// The selector of the packets that go the other way.
    pub const fn mirrored(&self) -> Self {
        Selector {
            src: self.dst,
            dst: self.src,
            proto: self.proto,
            sport: self.dport,
            dport: self.sport,
        }
    }

    /// Rank among the selectors that a packet matches; the lowest wins.
    ///
    /// The longest source decides, then the longest destination, then whether protocol, source port
    /// and destination port are given: the order in which KLIPS compares keys.
    pub const fn priority(&self) -> u32 {
        let bits = self.src.bits() as u32;
        let mut rank = bits - self.src.prefix as u32;
        rank = rank * (bits + 1) + (bits - self.dst.prefix as u32);
        rank = rank * 2 + (self.proto == 0) as u32;
        rank = rank * 2 + (self.sport == 0) as u32;
        rank = rank * 2 + (self.dport == 0) as u32;
        PRIORITY_BASE + rank
    }

    /// What fragments of these packets look like in the engine, which knows their protocol and no port:
    /// nothing where ports don't matter.
    pub fn fragments(&self) -> impl Iterator<Item = Self> {
        let whole = *self;
        let has_ports = whole.sport != 0 || whole.dport != 0;
        let is_one = move |proto: &u8| has_ports && (whole.proto == 0 || whole.proto == *proto);
        WITH_PORTS
            .into_iter()
            .filter(is_one)
            .map(move |proto| Selector {
                proto,
                sport: 0,
                dport: 0,
                ..whole
            })
    }

    /// Whether a packet is one of these.
    #[cfg(not(MODULE))]
    #[inline]
    pub fn matches(&self, packet: &Packet) -> bool {
        let fits = |wanted: u16, is: u16| wanted == 0 || wanted == is;
        self.src.contains(packet.src)
            && self.dst.contains(packet.dst)
            && fits(self.proto.into(), packet.proto.into())
            && fits(self.sport, packet.sport)
            && fits(self.dport, packet.dport)
    }

    /// The source as `/proc/net/ipsec_eroute` has it.
    pub fn src_text(&self) -> End {
        End(self.src, self.sport)
    }

    /// The destination as `/proc/net/ipsec_eroute` has it.
    pub fn dst_text(&self) -> End {
        End(self.dst, self.dport)
    }
}

/// The protocols whose ports xfrm looks at: TCP, UDP, SCTP and UDP-Lite.
///
/// It has other things in the place of ports for ICMP and GRE, and there 0 is one of them.
const WITH_PORTS: [u8; 4] = [6, 17, 132, 136];

/// Lowest priority number of an eroute's policy.
pub const PRIORITY_BASE: u32 = 0x0100_0000;

/// No eroute's policy has a higher one.
#[cfg(not(MODULE))]
pub const PRIORITY_MOST: u32 = 0x01ff_ffff;

/// Priority number of what is to come before all eroutes.
pub const PRIORITY_FIRST: u32 = PRIORITY_BASE - 1;

/// Priority number of what drops fragments that no eroute and no inflow without ports is for.
pub const PRIORITY_FRAGMENTS: u32 = PRIORITY_LAST - 1;

/// Priority number of what is to come after all eroutes, and after all that others have.
pub const PRIORITY_LAST: u32 = u32::MAX;

/// A network, and a port if there is one: `10.0.0.0/24:80`.
pub struct End(Network, u16);

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let End(network, port) = self;
        match port {
            0 => write!(f, "{network}"),
            _ => write!(f, "{network}:{port}"),
        }
    }
}
