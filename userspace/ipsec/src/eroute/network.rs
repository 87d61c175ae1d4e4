// SPDX-License-Identifier: GPL-2.0

//! Networks as KLIPS's `ttosubnet` reads them: an address, a slash, and a number of bits or, for
//! IPv4, a mask. As the list has it, a port may follow.

use crate::{
    system::System,
    text::{self, Unusable},
};
use klips::{address::Family, selector::Network};
use pfkey::text::address::{self, AddressError, Host};
use std::{fmt, net::IpAddr};

/// Why a text is no network. The texts are those of `ttosubnet`.
pub(super) enum NetworkError {
    NoSlash,
    TooManyBits,
    Mask,
    Ipv6Mask,
    Port,
    Address(Unusable),
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

/// A network, and a port if the text has one.
pub(super) type NetworkAndPort = (Network, Option<u16>);

/// Reads a network. Bits of the address that the mask does not cover don't count.
pub(super) fn parse(
    text: &str,
    family: Option<Family>,
    system: &mut impl System,
) -> Result<NetworkAndPort, NetworkError> {
    if text == "%default" {
        let any = address::unspecified(family.unwrap_or(Family::Inet));
        return Ok((network(any, 0)?, None));
    }
    let empty = || NetworkError::Address(Unusable::Address(AddressError::Empty));
    let (address, rest) = text.split_once('/').ok_or_else(|| match text {
        "" => empty(),
        _ => NetworkError::NoSlash,
    })?;
    let address = text::address(address, family, system).map_err(NetworkError::Address)?;
    let (mask, port) = match rest.split_once(':') {
        None => (rest, None),
        Some((mask, port)) => (mask, Some(port)),
    };
    let network = network(address, prefix(mask, address)?)?;
    Ok((network, port.map(parse_port).transpose()?))
}

fn parse_port(text: &str) -> Result<u16, NetworkError> {
    let port = text.parse().ok().filter(|port| *port != 0);
    port.ok_or(NetworkError::Port)
}

fn network(address: IpAddr, prefix: u8) -> Result<Network, NetworkError> {
    Network::of(address, prefix).ok_or(NetworkError::TooManyBits)
}

/// The prefix length that a mask stands for.
fn prefix(mask: &str, of: IpAddr) -> Result<u8, NetworkError> {
    if !mask.is_empty() && mask.bytes().all(|byte| byte.is_ascii_digit()) {
        return mask.parse().map_err(|_| NetworkError::TooManyBits);
    }
    if of.is_ipv6() {
        return Err(NetworkError::Ipv6Mask);
    }
    let mask = match address::parse(mask, Some(Family::Inet)) {
        Ok(Host::Address(IpAddr::V4(mask))) => u32::from(mask),
        Ok(_) => return Err(NetworkError::Mask),
        Err(error) => return Err(NetworkError::Address(Unusable::Address(error))),
    };
    match mask.leading_ones() + mask.trailing_zeros() {
        // CAST: at most 32.
        u32::BITS => Ok(mask.leading_ones() as u8),
        _ if mask == 0 => Ok(0),
        _ => Err(NetworkError::Mask),
    }
}
