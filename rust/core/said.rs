// SPDX-License-Identifier: GPL-2.0

//! The SAID: destination, SPI and protocol, which together name an SA, and its text forms
//! (reference 7.1 and 7.2).

use super::{
    address::{
        self,
        AddressError,
        Family,
        Host, //
    },
    number::{
        self,
        NumberError, //
    },
};
use core::{
    fmt,
    net::{
        IpAddr,
        Ipv4Addr, //
    },
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
    /// Every protocol, in the order in which `ttosa` tries them.
    pub const ALL: [Proto; 5] = [
        Proto::Ah,
        Proto::Esp,
        Proto::Tun,
        Proto::Comp,
        Proto::Int, //
    ];

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

    /// The protocol with this prefix.
    pub fn from_name(name: &str) -> Option<Proto> {
        Proto::ALL.into_iter().find(|proto| proto.name() == name)
    }
}

/// The magic SPIs of protocol `int` and their keywords, for IPv4 addresses.
const MAGIC: [(u32, &str); 6] = [
    (256, "%pass"),
    (257, "%drop"),
    (258, "%reject"),
    (259, "%hold"),
    (260, "%trap"),
    (261, "%trapsubnet"),
];

/// The name of an SA.
///
/// Prints as `/proc/net/ipsec_spigrp` has it, `tun0x113@10.0.0.2`; `{:#}` gives the form of the
/// manual pages, `tun.113@10.0.0.2`, in which a colon instead of the dot stands for IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Said {
    /// Destination of the SA.
    pub dst: IpAddr,
    /// Security Parameters Index.
    pub spi: u32,
    /// Protocol.
    pub proto: Proto,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f, f.alternate())
    }
}

impl Said {
    /// Writes what `{}`, or for `alternate` what `{:#}`, prints. Formatting costs more than that
    /// text itself, of which long lists mostly consist.
    pub fn write_to(&self, out: &mut impl fmt::Write, alternate: bool) -> fmt::Result {
        if self.proto == Proto::Int {
            if let Some((_, keyword)) = MAGIC.iter().find(|(spi, _)| *spi == self.spi) {
                return out.write_str(keyword);
            }
        }
        let family = Family::of(&self.dst);
        if self.proto == Proto::Tun && self.spi == 0 && self.dst.is_unspecified() {
            return out.write_str(match family {
                Family::Inet => "%passthrough4",
                Family::Inet6 => "%passthrough6",
            });
        }
        let before_spi = match (alternate, family) {
            (false, _) => "0x",
            (true, Family::Inet) => ".",
            (true, Family::Inet6) => ":",
        };
        let mut text = Text::new();
        text.push(self.proto.name());
        text.push(before_spi);
        text.push_hex(self.spi);
        text.push("@");
        match self.dst {
            IpAddr::V4(ip) => text.push_ipv4(ip),
            IpAddr::V6(ip) => return write!(out, "{}{ip}", text.as_str()),
        }
        out.write_str(text.as_str())
    }
}

/// A short text that is put together by hand: lists of a million SAs are mostly this.
struct Text {
    bytes: [u8; Text::SIZE],
    len: usize,
}

impl Text {
    /// Room for `comp0xffffffff@255.255.255.255`, and a power of 2, so that no index has to be
    /// compared with it.
    const SIZE: usize = 32;

    fn new() -> Self {
        Text {
            bytes: [0; Text::SIZE],
            len: 0,
        }
    }

    fn push(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.push_byte(byte));
    }

    fn push_byte(&mut self, byte: u8) {
        self.bytes[self.len % Text::SIZE] = byte;
        self.len += 1;
    }

    fn push_hex(&mut self, number: u32) {
        let digits = (u32::BITS - number.leading_zeros()).div_ceil(4).max(1);
        for digit in (0..digits).rev() {
            // CAST: masked to four bits.
            let digit = (number >> (4 * digit)) as u8 & 0xf;
            self.push_byte(digit + if digit < 10 { b'0' } else { b'a' - 10 });
        }
    }

    fn push_ipv4(&mut self, ip: Ipv4Addr) {
        for (index, byte) in ip.octets().into_iter().enumerate() {
            if index > 0 {
                self.push_byte(b'.');
            }
            if byte >= 100 {
                self.push_byte(b'0' + byte / 100);
            }
            if byte >= 10 {
                self.push_byte(b'0' + byte / 10 % 10);
            }
            self.push_byte(b'0' + byte % 10);
        }
    }

    fn as_str(&self) -> &str {
        let text = self.bytes.get(..self.len).unwrap_or_default();
        // All of it is ASCII.
        core::str::from_utf8(text).unwrap_or_default()
    }
}

/// Why a text is not an SAID. The texts are those of `ttosa`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaidError {
    /// Nothing there.
    Empty,
    /// Fewer than five characters.
    TooShort,
    /// Starts with `%` but is no keyword.
    UnknownKeyword,
    /// No `@`.
    NoAt,
    /// No protocol in front.
    NoProto,
    /// Nothing between protocol and `@`.
    NoSpi,
    /// Only a delimiter between protocol and `@`.
    NoSpiFound,
    /// Something wrong in the SPI.
    Spi(NumberError),
    /// Something wrong in the address.
    Address(AddressError),
}

impl fmt::Display for SaidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SaidError::Empty => "empty string",
            SaidError::TooShort => "string too short to be SA identifier",
            SaidError::UnknownKeyword => "unknown % keyword",
            SaidError::NoAt => "no @ in SA specifier",
            SaidError::NoProto => "SA specifier lacks valid protocol prefix",
            SaidError::NoSpi => "no SPI in SA specifier",
            SaidError::NoSpiFound => "no SPI found in SA specifier",
            SaidError::Spi(error) => return error.fmt(f),
            SaidError::Address(error) => return error.fmt(f),
        })
    }
}

/// An SAID whose destination may still have to be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unresolved<'a> {
    /// Protocol.
    pub proto: Proto,
    /// Security Parameters Index.
    pub spi: u32,
    /// Destination.
    pub dst: Host<'a>,
}

impl Unresolved<'_> {
    /// The SAID, with `address` in the place of a name.
    pub fn with_dst(&self, address: IpAddr) -> Said {
        Said {
            dst: address,
            spi: self.spi,
            proto: self.proto,
        }
    }
}

/// Reads an SAID: `<proto><spi>@<address>`, where the SPI is `.hex` for IPv4, `:hex` for IPv6, or a
/// number as in C.
pub fn parse(text: &str) -> Result<Unresolved<'_>, SaidError> {
    if text.is_empty() {
        return Err(SaidError::Empty);
    }
    if text.len() < 5 {
        return Err(SaidError::TooShort);
    }
    if text.starts_with('%') {
        return parse_keyword(text);
    }
    let (id, dst) = text.split_once('@').ok_or(SaidError::NoAt)?;
    let (proto, spi) = Proto::ALL
        .into_iter()
        .find_map(|proto| Some((proto, id.strip_prefix(proto.name())?)))
        .ok_or(SaidError::NoProto)?;
    let (family, spi) = match spi.as_bytes().first() {
        None => return Err(SaidError::NoSpi),
        Some(b'.' | b':') if spi.len() == 1 => return Err(SaidError::NoSpiFound),
        Some(b'.') => (Family::Inet, number::parse_hex(&spi[1..])),
        Some(b':') => (Family::Inet6, number::parse_hex(&spi[1..])),
        Some(_) if dst.contains(':') => (Family::Inet6, number::parse(spi)),
        Some(_) => (Family::Inet, number::parse(spi)),
    };
    Ok(Unresolved {
        proto,
        spi: spi.map_err(SaidError::Spi)?,
        dst: address::parse(dst, Some(family)).map_err(SaidError::Address)?,
    })
}

fn parse_keyword(text: &str) -> Result<Unresolved<'_>, SaidError> {
    let (proto, spi, family) = match text {
        "%passthrough" | "%passthrough4" => (Proto::Tun, 0, Family::Inet),
        "%passthrough6" => (Proto::Tun, 0, Family::Inet6),
        _ => match MAGIC.iter().find(|(_, keyword)| *keyword == text) {
            Some((spi, _)) => (Proto::Int, *spi, Family::Inet),
            None => return Err(SaidError::UnknownKeyword),
        },
    };
    Ok(Unresolved {
        proto,
        spi,
        dst: Host::Address(family.unspecified()),
    })
}
