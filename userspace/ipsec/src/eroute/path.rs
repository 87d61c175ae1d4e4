// SPDX-License-Identifier: GPL-2.0

//! The way that packets of an eroute take: through which SAs, and as what they are sent. How a
//! chain of SAs works on packets is decided by the rules of the module itself.

use super::{table::Row, transport::Name};
use crate::{
    failure::Failure,
    groups::Groups,
    listing::{self, SaRow},
    system::System,
};
use klips::{
    address::Family,
    fold::{self, Layers, Member, Mode, Transform},
    said::{Proto, Said, Shunt},
    selector::Packet,
};
use serde::Serialize;
use std::{collections::HashMap, fmt, net::IpAddr};

/// All SAs: in which groups they are, and what else matters to packets.
pub(crate) struct Sas {
    groups: Groups,
    rows: HashMap<Said, SaRow>,
}

/// Why no packet can go through an SA that an eroute names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// There is no such SA.
    Missing(Said),
    /// Another one is inside of it, the innermost of their group.
    NotInnermost(Said, String),
    /// An SA of its chain is only a reserved SPI.
    NotMade(Said),
    /// An SA of its chain asks for UDP with a non-IKE marker, which the kernel does not know any more.
    NonIke(Said),
    /// It is neither an SA nor a word for what is done without one.
    NoWord(Said),
    /// An SA of its chain whose name can't be read.
    Unreadable(String),
    /// The module has no way to do what its chain says.
    Refused(fold::Refusal),
    /// An SA in transport mode that is not between the ends of the packet.
    OtherEnds(Said),
    /// There is a way, but the eroute has had a better one, or waited for one: the module drops its
    /// packets.
    LessProtection,
}

impl Obstacle {
    /// Whether it is in the way of an eroute too, and not only of its packets.
    pub(crate) const fn is_lasting(&self) -> bool {
        matches!(
            self,
            Obstacle::NotInnermost(..)
                | Obstacle::NonIke(_)
                | Obstacle::NoWord(_)
                | Obstacle::Refused(_)
        )
    }
}

/// Why no states can carry out a group.
fn why(refusal: fold::Refusal) -> &'static str {
    match refusal {
        fold::Refusal::NotATransform => "an SA of the group is no transform",
        fold::Refusal::Destinations => "the SAs of the group have different destinations",
        fold::Refusal::Sources => "the SAs of the group have different sources",
        fold::Refusal::NoSource => "the tunnel has no source address",
        fold::Refusal::TunnelInTunnel => "a tunnel is right inside of another",
        fold::Refusal::TooLong => "the group takes more than five transforms",
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::Missing(said) => write!(f, "there is no SA {said:#}"),
            Obstacle::NotInnermost(said, innermost) => write!(
                f,
                "{said:#} is not the innermost SA of its group; name {innermost}"
            ),
            Obstacle::NotMade(said) => {
                write!(f, "{said:#} is not made yet, only its SPI is reserved")
            }
            Obstacle::NonIke(said) => write!(
                f,
                "{said:#} asks for UDP with a non-IKE marker, which the kernel does not know"
            ),
            Obstacle::NoWord(said) => {
                write!(f, "{said:#} is neither an SA nor a word such as %drop")
            }
            Obstacle::Unreadable(name) => write!(f, "the name of an SA can't be read: {name}"),
            Obstacle::Refused(refusal) => f.write_str(why(*refusal)),
            Obstacle::OtherEnds(said) => write!(
                f,
                "without a tunnel, {said:#} only takes packets between its own ends"
            ),
            Obstacle::LessProtection => f.write_str(
                "its SAs protect less than they did, or not at all; group them as they were, or --replace \
                 the eroute if that is meant",
            ),
        }
    }
}

/// A chain of SAs, and how it works on packets.
pub(crate) struct Path {
    /// Inside to outside.
    pub(crate) saids: Vec<Said>,
    layers: Layers,
    /// The ports of SAs whose packets go in UDP.
    udp: Vec<Option<(u16, u16)>>,
}

impl Sas {
    /// Reads the lists.
    pub(crate) fn read(system: &mut impl System) -> Result<Self, Failure> {
        Ok(Self::of(Groups::read(system)?, listing::sas(system)?))
    }

    /// Of what the lists say.
    pub(crate) fn of(groups: Groups, rows: impl IntoIterator<Item = SaRow>) -> Self {
        let rows = rows.into_iter().map(|row| (row.said, row)).collect();
        Sas { groups, rows }
    }

    /// The chain that an SA is in, inside to outside.
    pub(crate) fn chain(&self, said: &Said) -> Result<Vec<Said>, Obstacle> {
        if self.groups.find(said).is_none() {
            return Err(Obstacle::Missing(*said));
        }
        match self.groups.group_of(said).as_slice() {
            [] => Ok(vec![*said]),
            chain => chain
                .iter()
                .map(|entry| {
                    let unreadable = || Obstacle::Unreadable(entry.text().to_owned());
                    entry.said().ok_or_else(unreadable)
                })
                .collect(),
        }
    }

    /// The way through the SA that an eroute names.
    pub(crate) fn path(&self, said: &Said) -> Result<Path, Obstacle> {
        if said.proto == Proto::Int {
            return Err(Obstacle::NoWord(*said));
        }
        let saids = self.chain(said)?;
        match saids.first() {
            Some(innermost) if innermost != said => {
                return Err(Obstacle::NotInnermost(*said, format!("{innermost:#}")));
            }
            _ => (),
        }
        let row = |said: &Said| self.rows.get(said);
        let first =
            |is_it: fn(&SaRow) -> bool| saids.iter().find(|said| row(said).is_some_and(is_it));
        if let Some(larval) = first(|row| !row.is_made) {
            return Err(Obstacle::NotMade(*larval));
        }
        if let Some(said) = first(|row| row.has_nonike) {
            return Err(Obstacle::NonIke(*said));
        }
        let members = saids.iter().map(|said| Member {
            said: *said,
            src: row(said)
                .and_then(|row| row.src)
                .unwrap_or(Family::of(&said.dst).unspecified()),
        });
        let layers = fold::fold(members).map_err(Obstacle::Refused)?;
        let udp = saids.iter().map(|said| row(said)?.udp).collect();
        Ok(Path { saids, layers, udp })
    }

    /// The way of the packets of an eroute, through the SA that it names.
    pub(crate) fn way(&self, row: &Row, said: &Said) -> Result<Path, Obstacle> {
        let path = self.path(said)?;
        if row.drops == Some(true) {
            return Err(Obstacle::LessProtection);
        }
        Ok(path)
    }

    /// Whether a tunnel is in the chain of an SA, at its place or further inside.
    pub(crate) fn has_tunnel_inside(&self, said: &Said) -> bool {
        self.chain(said).is_ok_and(|chain| {
            let inner = chain.iter().position(|member| member == said);
            let inner = inner.map_or(&chain[..], |at| &chain[..=at]);
            inner.iter().any(|member| member.proto == Proto::Tun)
        })
    }
}

impl Path {
    /// Whether what is sent can be read by everybody.
    pub(crate) fn is_in_clear(&self) -> bool {
        !self.layers.protection().is_some()
    }

    /// The address of this end, if it has a tunnel.
    pub(crate) fn own_end(&self) -> Option<IpAddr> {
        let has_tunnel = self.layers.iter().any(|layer| layer.mode == Mode::Tunnel);
        let outermost = self.layers.iter().last().filter(|_| has_tunnel)?;
        Some(outermost.src)
    }

    /// A packet as it is sent, the outermost header first.
    pub(crate) fn sent(&self, packet: &Packet) -> Result<Vec<Header>, Obstacle> {
        let mut headers = in_clear(packet);
        let mut tunnelled = false;
        for layer in self.layers.iter() {
            tunnelled |= layer.mode == Mode::Tunnel;
            let said = self.saids[layer.member];
            if !tunnelled && !is_between((layer.src, self.layers.dst), packet) {
                return Err(Obstacle::OtherEnds(said));
            }
            let spi = said.spi;
            let own = match layer.transform {
                Transform::IpIp | Transform::Ipv6 => None,
                Transform::Esp => Some(Header::Esp { spi }),
                Transform::Ah => Some(Header::Ah { spi }),
                Transform::Comp => Some(Header::Comp { spi }),
            };
            let udp = self.udp[layer.member].filter(|_| layer.transform == Transform::Esp);
            let udp = udp.map(|(sport, dport)| Header::Udp { sport, dport });
            let behind = match layer.mode {
                Mode::Tunnel => {
                    headers.insert(
                        0,
                        Header::Ip {
                            src: layer.src,
                            dst: self.layers.dst,
                        },
                    );
                    1
                }
                Mode::Transport => 1,
            };
            headers.splice(behind..behind, udp.into_iter().chain(own));
        }
        Ok(headers)
    }
}

/// Whether this is no SA but a word for what is done without one, such as %drop.
pub(crate) fn is_word(said: &Said) -> bool {
    Shunt::of(said).is_some()
}

/// Whether a state in transport mode between two ends is for a packet.
fn is_between((src, dst): (IpAddr, IpAddr), packet: &Packet) -> bool {
    dst == packet.dst && (src.is_unspecified() || src == packet.src)
}

/// A packet that nothing is done to.
pub(crate) fn in_clear(packet: &Packet) -> Vec<Header> {
    let (src, dst) = (packet.src, packet.dst);
    let payload = Header::Payload {
        proto: packet.proto,
        sport: packet.sport,
        dport: packet.dport,
    };
    vec![Header::Ip { src, dst }, payload]
}

/// A header of a packet, or what is in the packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "header", rename_all = "lowercase")]
pub(crate) enum Header {
    Ip {
        src: IpAddr,
        dst: IpAddr,
    },
    Udp {
        sport: u16,
        dport: u16,
    },
    Ah {
        spi: u32,
    },
    Esp {
        spi: u32,
    },
    Comp {
        spi: u32,
    },
    /// 0 is what was not told.
    Payload {
        proto: u8,
        sport: u16,
        dport: u16,
    },
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Header::Ip { src, dst } => write!(f, "IP {src} > {dst}"),
            Header::Udp { sport, dport } => write!(f, "UDP {sport} > {dport}"),
            Header::Ah { spi } => write!(f, "AH {spi:#x}"),
            Header::Esp { spi } => write!(f, "ESP {spi:#x}"),
            Header::Comp { spi } => write!(f, "COMP {spi:#x} (if that is shorter)"),
            Header::Payload { proto: 0, .. } => f.write_str("..."),
            Header::Payload {
                proto,
                sport,
                dport,
            } => {
                write!(f, "{}", Name(*proto).to_string().to_uppercase())?;
                match (sport, dport) {
                    (0, 0) => Ok(()),
                    (0, dport) => write!(f, " > {dport}"),
                    (sport, 0) => write!(f, " {sport} >"),
                    (sport, dport) => write!(f, " {sport} > {dport}"),
                }
            }
        }
    }
}

/// A packet on the wire, the outermost header first.
pub(crate) struct Wire<'a>(pub(crate) &'a [Header]);

impl fmt::Display for Wire<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, header) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { " | " };
            write!(f, "{separator}{header}")?;
        }
        Ok(())
    }
}
