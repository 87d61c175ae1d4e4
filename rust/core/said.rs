// SPDX-License-Identifier: GPL-2.0

//! The SAID: destination, SPI and protocol, which together name an SA, and its text forms
//! (reference 7.1 and 7.2).

use super::address::Family;
use core::{
    fmt,
    net::IpAddr, //
};

/// The protocol of an SA.
///
/// `tun` and `int` are KLIPS's own: an IP-in-IP tunnel, and the family of magic SAIDs that mean
/// "pass", "drop" and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Proto {
    /// Authentication Header, IP protocol 51.
    Ah = 51,
    /// Encapsulating Security Payload, IP protocol 50.
    Esp = 50,
    /// IP-in-IP tunnel, IP protocol 4.
    Tun = 4,
    /// IP compression, IP protocol 108.
    Comp = 108,
    /// Internal: the magic SAIDs, IP protocol 61.
    Int = 61,
}

impl Proto {
    /// The prefix in an SAID's text.
    pub const fn name(self) -> &'static str {
        match self {
            Proto::Ah => "ah",
            Proto::Esp => "esp",
            Proto::Tun => "tun",
            Proto::Comp => "comp",
            Proto::Int => "int",
        }
    }
}

/// The magic SPIs of protocol `int` and their keywords, for IPv4 addresses.
pub const MAGIC: [(u32, &str); 6] = [
    (Shunt::Pass as u32, "%pass"),
    (Shunt::Drop as u32, "%drop"),
    (Shunt::Reject as u32, "%reject"),
    (Shunt::Hold as u32, "%hold"),
    (Shunt::Trap as u32, "%trap"),
    (Shunt::TrapSubnet as u32, "%trapsubnet"),
];

/// What an eroute does without an SA, by the magic SPI of protocol `int` that it names
/// (reference 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Shunt {
    /// Lets packets through as they are.
    Pass = 256,
    /// Drops them.
    Drop = 257,
    /// Drops them.
    Reject = 258,
    /// Drops or queues them: somebody is negotiating.
    Hold = 259,
    /// Drops or queues them, and asks key daemons for SAs, once for each pair of hosts.
    Trap = 260,
    /// The same, once for all of them.
    TrapSubnet = 261,
}

impl Shunt {
    /// That of an SAID, if it is a magic one.
    pub const fn of(said: &Said) -> Option<Self> {
        match (said.proto, said.spi) {
            (Proto::Int, 256) => Some(Shunt::Pass),
            (Proto::Int, 257) => Some(Shunt::Drop),
            (Proto::Int, 258) => Some(Shunt::Reject),
            (Proto::Int, 259) => Some(Shunt::Hold),
            (Proto::Int, 260) => Some(Shunt::Trap),
            (Proto::Int, 261) => Some(Shunt::TrapSubnet),
            _ => None,
        }
    }

    /// The SAID that names it.
    pub const fn said(self) -> Said {
        Said {
            dst: Family::Inet.unspecified(),
            spi: self as u32,
            proto: Proto::Int,
        }
    }

    /// Whether packets wait for SAs that a key daemon is to bring.
    pub const fn waits(self) -> bool {
        matches!(self, Shunt::Hold | Shunt::Trap | Shunt::TrapSubnet)
    }
}

/// The name of an SA.
///
/// Prints as `/proc/net/ipsec_spigrp` has it, `tun0x113@10.0.0.2`; `{:#}` gives the form of the
/// manual pages, `tun.113@10.0.0.2`, in which a colon instead of the dot stands for IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Said {
    // Compared in this order: what differs between most SAs comes first.
    /// Security Parameters Index.
    pub spi: u32,
    /// Protocol.
    pub proto: Proto,
    /// Destination of the SA.
    pub dst: IpAddr,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.proto == Proto::Int {
            if let Some((_, keyword)) = MAGIC.iter().find(|(spi, _)| *spi == self.spi) {
                return f.write_str(keyword);
            }
        }
        let family = Family::of(&self.dst);
        if self.proto == Proto::Tun && self.spi == 0 && self.dst.is_unspecified() {
            return f.write_str(match family {
                Family::Inet => "%passthrough4",
                Family::Inet6 => "%passthrough6",
            });
        }
        let delimiter = match (f.alternate(), family) {
            (false, _) => "0x",
            (true, Family::Inet) => ".",
            (true, Family::Inet6) => ":",
        };
        let name = self.proto.name();
        write!(f, "{name}{delimiter}{:x}@{}", self.spi, self.dst)
    }
}
