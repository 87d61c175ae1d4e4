// SPDX-License-Identifier: GPL-2.0

//! Addresses as KLIPS's `ttoaddr` reads them (reference 7.4).
//!
//! Every valid numeric form is accepted, the dotted tail of IPv6 included, which KLIPS did not
//! know. Names are told apart here and looked up by whoever can (contract 16 and 19).

use super::number::{self, NumberError};
use klips::address::Family;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// What a text in the place of an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// A numeric address.
    Address(IpAddr),
    /// A name to be looked up in the given family.
    Name(&'a str, Family),
}

/// Why a text is neither an address nor a name. The texts are those of `ttoaddr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// Nothing there.
    Empty,
    /// A colon where an IPv4 address was asked for.
    ColonInIpv4,
    /// A dotted address where an IPv6 address was asked for.
    NotIpv6,
    /// A single `:` in front.
    LeadingColon,
    /// A single `:` at the end.
    TrailingColon,
    /// `::` twice.
    TwoGaps,
    /// Fewer than eight groups and no `::`.
    EndsPrematurely,
    /// More than eight groups.
    ExtraGarbage,
    /// `::` where all eight groups are given.
    EmptyField,
    /// A character that is no hexadecimal digit.
    NonHexField,
    /// A group of more than four digits.
    LongField,
    /// A byte above 255.
    ByteOverflow,
    /// More than four bytes.
    DottedGarbage,
    /// A component of a dotted address that is no number.
    DottedNonNumeric,
    /// Two dots in a row.
    DottedEmpty,
    /// A `0x…` or `0h…` address with something wrong in its digits.
    Hexadecimal(NumberError),
    /// A character that no name has.
    IllegalName,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressError::Empty => "empty string",
            AddressError::ColonInIpv4 => "non-ipv6 address may not contain `:'",
            AddressError::NotIpv6 => "IPv4 address where an IPv6 address is needed",
            AddressError::LeadingColon => "illegal leading `:' in IPv6 numeric address",
            AddressError::TrailingColon => "illegal trailing `:' in IPv6 numeric address",
            AddressError::TwoGaps => "more than one :: in IPv6 numeric address",
            AddressError::EndsPrematurely => "IPv6 numeric address ends prematurely",
            AddressError::ExtraGarbage => "extra garbage on end of IPv6 numeric address",
            AddressError::EmptyField => "non-abbreviating empty field in IPv6 numeric address",
            AddressError::NonHexField => "non-hex field in IPv6 numeric address",
            AddressError::LongField => "field in IPv6 numeric address longer than 4 hex digits",
            AddressError::ByteOverflow => "byte overflow in dotted-decimal address",
            AddressError::DottedGarbage => "extra garbage on end of dotted-decimal address",
            AddressError::DottedNonNumeric => "non-numeric component in dotted-decimal address",
            AddressError::DottedEmpty => "empty number in dotted-decimal address",
            AddressError::Hexadecimal(error) => return error.fmt(f),
            AddressError::IllegalName => "illegal (non-DNS-name) character in name",
        })
    }
}

/// Reads an address or a name. Without a family, a colon makes it IPv6 and anything else IPv4.
pub fn parse(text: &str, family: Option<Family>) -> Result<Host<'_>, AddressError> {
    if text.is_empty() {
        return Err(AddressError::Empty);
    }
    let colon = text.contains(':');
    let family = family.unwrap_or(if colon { Family::Inet6 } else { Family::Inet });
    match (family, colon) {
        (Family::Inet, true) => Err(AddressError::ColonInIpv4),
        (Family::Inet6, true) => Ok(Host::Address(parse_ipv6(text)?.into())),
        (Family::Inet, false) => match parse_ipv4(text)? {
            Some(address) => Ok(Host::Address(address.into())),
            None => parse_name(text, family),
        },
        // A name may be all digits and dots, but then it is an IPv4 address.
        (Family::Inet6, false) => match parse_ipv4(text) {
            Ok(None) => parse_name(text, family),
            Ok(Some(_)) | Err(_) => Err(AddressError::NotIpv6),
        },
    }
}

fn parse_name(text: &str, family: Family) -> Result<Host<'_>, AddressError> {
    let legal =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') || !c.is_ascii();
    if text.chars().all(legal) {
        Ok(Host::Name(text, family))
    } else {
        Err(AddressError::IllegalName)
    }
}

/// One to four decimal bytes, missing ones being 0, or `0x…` and `0h…` with eight digits (network
/// and host order). `None` if it looks like a name.
fn parse_ipv4(text: &str) -> Result<Option<Ipv4Addr>, AddressError> {
    if text.len() == 10 {
        let digits = |prefix| text.strip_prefix(prefix).map(number::parse_hex);
        if let Some(value) = digits("0x") {
            let value = value.map_err(AddressError::Hexadecimal)?;
            return Ok(Some(Ipv4Addr::from(value)));
        }
        if let Some(value) = digits("0h") {
            let value = value.map_err(AddressError::Hexadecimal)?;
            return Ok(Some(Ipv4Addr::from(value.to_ne_bytes())));
        }
    }
    if !text.starts_with(|c: char| c.is_ascii_digit())
        || text.contains(|c: char| c.is_ascii_alphabetic() || c == '-' || c == '_')
    {
        return Ok(None);
    }
    let mut bytes = [0; 4];
    // `10.` is 10.0.0.0, as it ever was.
    let text = text.strip_suffix('.').unwrap_or(text);
    for (index, part) in text.split('.').enumerate() {
        let byte = bytes.get_mut(index).ok_or(AddressError::DottedGarbage)?;
        if part.is_empty() {
            return Err(AddressError::DottedEmpty);
        }
        if !part.bytes().all(|c| c.is_ascii_digit()) {
            return Err(AddressError::DottedNonNumeric);
        }
        *byte = part.parse().map_err(|_| AddressError::ByteOverflow)?;
    }
    Ok(Some(Ipv4Addr::from(bytes)))
}

fn parse_ipv6(text: &str) -> Result<Ipv6Addr, AddressError> {
    // All valid forms by the library; what is left is to say what is wrong.
    text.parse().map_err(|_| explain_ipv6(text))
}

fn explain_ipv6(text: &str) -> AddressError {
    if text.starts_with(':') && !text.starts_with("::") {
        return AddressError::LeadingColon;
    }
    if text.ends_with(':') && !text.ends_with("::") {
        return AddressError::TrailingColon;
    }
    let gaps = text.matches("::").count();
    if gaps > 1 || text.contains(":::") {
        return AddressError::TwoGaps;
    }
    let mut groups = 0;
    for group in text.split(':').filter(|group| !group.is_empty()) {
        if !group.bytes().all(|c| c.is_ascii_hexdigit()) {
            return AddressError::NonHexField;
        }
        if group.len() > 4 {
            return AddressError::LongField;
        }
        groups += 1;
    }
    match (groups, gaps) {
        (9.., _) => AddressError::ExtraGarbage,
        (8, 1) => AddressError::EmptyField,
        _ => AddressError::EndsPrematurely,
    }
}
