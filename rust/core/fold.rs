// SPDX-License-Identifier: GPL-2.0

//! From a chain of SAs to the states that carry it out.
//!
//! A `tun` in front of another transform is not a state of its own: that transform works in tunnel
//! mode instead, between the ends of the `tun`. On the wire it is the same, byte for byte, and
//! nothing takes in IP-in-IP packets that no transform has vouched for.

use super::{
    errno::Errno,
    said::{
        Proto,
        Said, //
    }, //
};
use core::{
    net::IpAddr,
    slice, //
};

/// The most states that a packet goes through: xfrm has room for six templates
/// (`XFRM_MAX_DEPTH`), but takes none of the sixth.
pub const MAX_STATES: usize = 5;

/// What a state does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Mode {
    /// Transforms what is behind its IP header: `XFRM_MODE_TRANSPORT`.
    Transport = 0,
    /// Transforms all of it and puts an IP header in front: `XFRM_MODE_TUNNEL`.
    Tunnel = 1,
}

/// IP protocol of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Transform {
    /// Nothing but a header in front, IPv4.
    IpIp = 4,
    /// Nothing but a header in front, IPv6.
    Ipv6 = 41,
    /// ESP.
    Esp = 50,
    /// AH.
    Ah = 51,
    /// IPComp.
    Comp = 108,
}

impl Transform {
    /// Whether it keeps others from reading or changing a packet unnoticed.
    pub const fn protects(self) -> bool {
        matches!(self, Transform::Esp | Transform::Ah)
    }

    /// Whether it is nothing but a header.
    pub const fn is_header(self) -> bool {
        matches!(self, Transform::IpIp | Transform::Ipv6)
    }
}

/// What matters of an SA of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub said: Said,
    /// Its source, which may be the unspecified address.
    pub src: IpAddr,
}

/// A state that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Which SA of the chain it is, 0 being the innermost.
    pub member: usize,
    /// Its protocol.
    pub transform: Transform,
    /// Its mode.
    pub mode: Mode,
    /// Source; the unspecified address where the SA says none and the mode is transport.
    pub src: IpAddr,
}

/// The states of a chain, inner to outer. There is at least one.
#[derive(Debug, PartialEq, Eq)]
pub struct Layers {
    /// Destination of all of them.
    pub dst: IpAddr,
    /// There is at least one, and what is behind the last of them means nothing.
    layers: [Layer; MAX_STATES],
    len: usize,
}

impl Layers {
    const fn to(dst: IpAddr) -> Self {
        let none = Layer {
            member: 0,
            transform: Transform::IpIp,
            mode: Mode::Transport,
            src: dst,
        };
        Layers {
            dst,
            layers: [none; MAX_STATES],
            len: 0,
        }
    }

    fn push(&mut self, layer: Layer) -> Result<(), Refusal> {
        let place = self.layers.get_mut(self.len).ok_or(Refusal::TooLong)?;
        *place = layer;
        self.len += 1;
        Ok(())
    }

    /// The states, inner to outer.
    pub fn iter(&self) -> slice::Iter<'_, Layer> {
        self.layers.get(..self.len).unwrap_or_default().iter()
    }

    /// How many states there are.
    #[cfg_attr(
        not(MODULE),
        expect(clippy::len_without_is_empty, reason = "there is at least one")
    )]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the outermost state is a header that nothing vouches for. Such packets are sent, and
    /// never taken in.
    pub fn is_bare(&self) -> bool {
        self.iter().any(|layer| layer.transform.is_header())
    }

    /// How many of the states are ESP and how many AH.
    pub fn protection(&self) -> Protection {
        let count = |transform| {
            let layers = self.iter().filter(|layer| layer.transform == transform);
            // CAST: there are at most five.
            layers.count() as u8
        };
        Protection {
            esp: count(Transform::Esp),
            ah: count(Transform::Ah),
        }
    }
}

/// How well the packets of a chain are protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// How many times ESP.
    pub esp: u8,
    /// How many times AH.
    pub ah: u8,
}

impl Protection {
    /// Whether there is any.
    pub const fn is_some(self) -> bool {
        self.esp > 0 || self.ah > 0
    }

    /// Whether it is in nothing less than `other`.
    pub const fn covers(self, other: Protection) -> bool {
        self.esp >= other.esp && self.ah >= other.ah
    }

    /// As much of each as the one or the other has.
    pub fn max(self, other: Protection) -> Protection {
        Protection {
            esp: self.esp.max(other.esp),
            ah: self.ah.max(other.ah),
        }
    }
}

/// Why no states can carry out a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// An SA of protocol `int` is none.
    NotATransform,
    /// Not all SAs have one destination.
    Destinations,
    /// A source that is neither that of the header in front nor unspecified.
    Sources,
    /// A tunnel of which nobody has said where it begins.
    NoSource,
    /// A tunnel right inside of another.
    TunnelInTunnel,
    /// More than [`MAX_STATES`].
    TooLong,
}

impl Refusal {
    /// The errno of a request that asks for it.
    pub const fn errno(self) -> Errno {
        match self {
            Refusal::TooLong => Errno::EMLINK,
            _ => Errno::EINVAL,
        }
    }
}

/// The states that carry out a chain, which is given inside to outside.
pub fn fold(chain: impl IntoIterator<Item = Member>) -> Result<Layers, Refusal> {
    let mut chain = chain.into_iter().peekable();
    let dst = chain.peek().ok_or(Refusal::NotATransform)?.said.dst;
    let mut layers = Layers::to(dst);
    // A tunnel, and its place in the chain, that waits for what is outside of it.
    let mut tunnel: Option<(usize, Member)> = None;
    // Where the headers so far say that they are from.
    let mut source = None;
    for (index, member) in chain.enumerate() {
        let said = &member.said;
        if said.dst != dst {
            return Err(Refusal::Destinations);
        }
        let src = (!member.src.is_unspecified()).then_some(member.src);
        if src.is_some_and(|src| src.is_ipv4() != said.dst.is_ipv4()) {
            return Err(Refusal::Sources);
        }
        let transform = match said.proto {
            Proto::Int => return Err(Refusal::NotATransform),
            Proto::Tun if tunnel.is_some() => return Err(Refusal::TunnelInTunnel),
            Proto::Tun => {
                tunnel = Some((index, member));
                source = src;
                continue;
            }
            Proto::Comp => Transform::Comp,
            Proto::Esp => Transform::Esp,
            Proto::Ah => Transform::Ah,
        };
        if let (Some(source), Some(src)) = (source, src) {
            if source != src {
                return Err(Refusal::Sources);
            }
        }
        source = source.or(src);
        let mode = match tunnel.take() {
            Some(_) if source.is_none() => return Err(Refusal::NoSource),
            Some(_) => Mode::Tunnel,
            None => Mode::Transport,
        };
        layers.push(Layer {
            member: index,
            transform,
            mode,
            src: source.unwrap_or(member.src),
        })?;
    }
    if let Some((index, _)) = tunnel {
        layers.push(Layer {
            member: index,
            transform: if dst.is_ipv4() {
                Transform::IpIp
            } else {
                Transform::Ipv6
            },
            mode: Mode::Tunnel,
            src: source.ok_or(Refusal::NoSource)?,
        })?;
    }
    Ok(layers)
}
