// SPDX-License-Identifier: GPL-2.0

//! SAIDs as KLIPS's `ttosa` reads them (reference 7.1 and 7.2).

use super::{
    address::{self, AddressError, Host},
    number::{self, NumberError},
};
use klips::{
    address::Family,
    said::{MAGIC, Proto, Said},
};
use std::{fmt, net::IpAddr};

/// Every protocol, in the order in which `ttosa` tries them.
pub const PROTOS: [Proto; 5] = [Proto::Ah, Proto::Esp, Proto::Tun, Proto::Comp, Proto::Int];

/// The protocol with this prefix.
pub fn proto(name: &str) -> Option<Proto> {
    PROTOS.into_iter().find(|proto| proto.name() == name)
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
    let (proto, spi) = PROTOS
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
