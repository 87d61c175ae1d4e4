// SPDX-License-Identifier: GPL-2.0

//! Networks as KLIPS's `ttosubnet` reads them: an address, a slash, and a number of bits or, for
//! IPv4, a mask. A port may follow a colon, as in `/proc/net/ipsec_eroute`.

use super::address::{self, AddressError, Host};
use klips::{address::Family, selector::Network};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

/// The word for all addresses of a family.
const DEFAULT: &str = "%default";

/// Why a text is no network. The texts are those of `ttosubnet`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkError {
    /// Nothing behind the address.
    NoSlash,
    /// More bits than an address has.
    TooManyBits,
    /// A mask whose ones don't stand in front.
    Mask,
    /// A mask instead of a number of bits.
    Ipv6Mask,
    /// Something wrong behind the colon.
    Port,
    /// Something wrong in the address, or in a mask.
    Address(AddressError),
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NetworkError::NoSlash => {
                "no / in subnet specification (an IPv4 host has /32, an IPv6 host /128)"
            }
            NetworkError::TooManyBits => "subnet mask bit count too large",
            NetworkError::Mask => "non-contiguous or otherwise erroneous mask",
            NetworkError::Ipv6Mask => "masks are not permitted for IPv6 addresses",
            NetworkError::Port => "no port from 1 to 65535",
            NetworkError::Address(error) => return error.fmt(f),
        })
    }
}

/// A network whose address may still have to be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unresolved<'a> {
    /// An address in it.
    pub address: Host<'a>,
    /// How many bits of that count; no more than its family has.
    pub prefix: u8,
    /// The port behind it.
    pub port: Option<u16>,
}

impl Unresolved<'_> {
    /// The network, with `address` in the place of a name; `None` if that is of another family and
    /// has fewer bits. Bits of the address that the mask does not cover don't count.
    pub fn with_address(&self, address: IpAddr) -> Option<Network> {
        Network::of(address, self.prefix)
    }
}

/// Reads a network. Without a family, a colon in front of the slash makes it IPv6 and anything else
/// IPv4.
pub fn parse(text: &str, family: Option<Family>) -> Result<Unresolved<'_>, NetworkError> {
    if text == DEFAULT {
        return Ok(Unresolved {
            address: Host::Address(family.unwrap_or(Family::Inet).unspecified()),
            prefix: 0,
            port: None,
        });
    }
    let (address, rest) = match text.split_once('/') {
        Some(parts) => parts,
        None if text.is_empty() => return Err(NetworkError::Address(AddressError::Empty)),
        None => return Err(NetworkError::NoSlash),
    };
    let (mask, port) = match rest.split_once(':') {
        Some((mask, port)) => (mask, Some(port)),
        None => (rest, None),
    };
    let address = address::parse(address, family).map_err(NetworkError::Address)?;
    let family = match address {
        Host::Address(ip) => Family::of(&ip),
        Host::Name(_, family) => family,
    };
    Ok(Unresolved {
        address,
        prefix: parse_prefix(mask, family)?,
        port: port.map(parse_port).transpose()?,
    })
}

/// The prefix length that a mask stands for.
fn parse_prefix(mask: &str, family: Family) -> Result<u8, NetworkError> {
    if !mask.is_empty() && mask.bytes().all(|byte| byte.is_ascii_digit()) {
        let prefix = mask.parse().ok();
        return prefix
            .filter(|prefix| Network::of(family.unspecified(), *prefix).is_some())
            .ok_or(NetworkError::TooManyBits);
    }
    match (family, address::parse(mask, Some(Family::Inet))) {
        (Family::Inet6, _) => Err(NetworkError::Ipv6Mask),
        (Family::Inet, Ok(Host::Address(IpAddr::V4(mask)))) => {
            of_mask(mask).ok_or(NetworkError::Mask)
        }
        (Family::Inet, Ok(_)) => Err(NetworkError::Mask),
        (Family::Inet, Err(error)) => Err(NetworkError::Address(error)),
    }
}

fn of_mask(mask: Ipv4Addr) -> Option<u8> {
    let mask = mask.to_bits();
    let is_contiguous = mask.leading_ones() + mask.trailing_zeros() >= u32::BITS;
    let prefix = u8::try_from(mask.leading_ones()).ok();
    prefix.filter(|_| is_contiguous)
}

fn parse_port(text: &str) -> Result<u16, NetworkError> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| is_number && *port != 0);
    port.ok_or(NetworkError::Port)
}
