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
    fmt::{
        self,
        Write, //
    },
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
        let mut text = Text::new();
        self.write_to(&mut text, f.alternate());
        f.write_str(text.as_str())
    }
}

impl Said {
    /// Makes `text` what `{}`, or for `alternate` what `{:#}`, prints. Formatting costs more than
    /// that text itself, of which long lists mostly consist.
    // In the one loop that counts, most of it turns out to be constant.
    #[inline(always)]
    pub fn write_to(&self, text: &mut Text, alternate: bool) {
        text.len = 0;
        if self.proto == Proto::Int {
            if let Some((_, keyword)) = MAGIC.iter().find(|(spi, _)| *spi == self.spi) {
                text.push(keyword);
                return;
            }
        }
        let family = Family::of(&self.dst);
        if self.proto == Proto::Tun && self.spi == 0 && self.dst.is_unspecified() {
            text.push(match family {
                Family::Inet => "%passthrough4",
                Family::Inet6 => "%passthrough6",
            });
            return;
        }
        text.push_padded(match self.proto {
            Proto::Ah => const { pad(Proto::Ah.name()) },
            Proto::Esp => const { pad(Proto::Esp.name()) },
            Proto::Tun => const { pad(Proto::Tun.name()) },
            Proto::Comp => const { pad(Proto::Comp.name()) },
            Proto::Int => const { pad(Proto::Int.name()) },
        });
        text.push_padded(match (alternate, family) {
            (false, _) => const { pad("0x") },
            (true, Family::Inet) => const { pad(".") },
            (true, Family::Inet6) => const { pad(":") },
        });
        text.push_hex(self.spi);
        text.push_padded(const { pad("@") });
        match self.dst {
            IpAddr::V4(ip) => text.push_ipv4(ip),
            // All of it fits.
            IpAddr::V6(ip) => drop(write!(text, "{ip}")),
        }
    }
}

/// The text of an SAID. It is put together by hand, in pieces of fixed size: lists of a million SAs
/// are mostly this.
pub struct Text {
    bytes: [u8; Text::SIZE + Text::PADDING],
    len: usize,
}

/// A few bytes, of which only the first so many count.
type Padded<const N: usize> = ([u8; N], usize);

impl Text {
    /// Room for `comp0xffffffff@` and the longest IPv6 address, of 45 characters, and a power of 2.
    const SIZE: usize = 64;
    /// Room for the padding of what comes last.
    const PADDING: usize = 8;

    /// No text.
    pub fn new() -> Self {
        Text {
            bytes: [0; Text::SIZE + Text::PADDING],
            len: 0,
        }
    }

    /// The text, all of it ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Appends a blank.
    pub fn push_blank(&mut self) {
        self.push_padded(const { pad(" ") });
    }

    fn push(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.push_padded(([byte], 1)));
    }

    /// Appends with the padding, which what follows overwrites.
    #[inline]
    fn push_padded<const N: usize>(&mut self, (bytes, len): Padded<N>) {
        // The remainder, so that the compiler knows that there is room.
        if let Some(room) = self.bytes[self.len % Text::SIZE..].first_chunk_mut() {
            *room = bytes;
            // At most what is checked above: no more checks.
            self.len = self.len.wrapping_add(len);
        }
    }

    fn push_hex(&mut self, number: u32) {
        self.push_padded(hex(number));
    }

    fn push_ipv4(&mut self, ip: Ipv4Addr) {
        for octet in ip.octets() {
            self.push_padded(OCTETS[usize::from(octet)]);
        }
        // The last dot.
        self.len -= 1;
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

/// A text of at most four characters.
const fn pad(text: &str) -> Padded<4> {
    let mut bytes = [0; 4];
    let mut at = 0;
    while at < text.len() {
        bytes[at] = text.as_bytes()[at];
        at += 1;
    }
    (bytes, at)
}

/// The digits of each octet of an address, and a dot.
const OCTETS: [Padded<4>; 256] = {
    let mut octets = [([0; 4], 0); 256];
    let mut octet = 0;
    while octet < octets.len() {
        // CAST: all are digits.
        let (a, b, c) = (
            b'0' + (octet / 100) as u8,
            b'0' + (octet / 10 % 10) as u8,
            b'0' + (octet % 10) as u8,
        );
        octets[octet] = match octet {
            0..10 => ([c, b'.', 0, 0], 2),
            10..100 => ([b, c, b'.', 0], 3),
            _ => ([a, b, c, b'.'], 4),
        };
        octet += 1;
    }
    octets
};

/// A number in hexadecimal, without zeros in front: all eight digits at a time.
const fn hex(number: u32) -> Padded<8> {
    // Each digit in a byte of its own, the last one in the lowest.
    let mut digits = number as u64;
    digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff;
    digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff;
    digits = (digits | digits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // 1 where it is a letter.
    let letters = (digits + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    let text = digits + 0x3030_3030_3030_3030 + letters * (b'a' - b'0' - 10) as u64;
    let zeros = number.leading_zeros() / 4;
    let zeros = if zeros == 8 { 7 } else { zeros };
    ((text << (8 * zeros)).to_be_bytes(), 8 - zeros as usize)
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
