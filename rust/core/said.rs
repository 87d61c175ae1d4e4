// SPDX-License-Identifier: GPL-2.0

//! The SAID: destination, SPI and protocol, which together name an SA, and its text forms
//! (reference 7.1 and 7.2).

use super::address::Family;
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
