// SPDX-License-Identifier: GPL-2.0

//! Messages taken apart.

use super::number::{ext, msg, protocol};
use klips::said::Said;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A message's extensions, by number.
pub fn exts_of(bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut exts = Vec::new();
    let mut rest = &bytes[16..];
    while !rest.is_empty() {
        let len = usize::from(u16_at(rest, 0)) * 8;
        let (ext, after) = rest.split_at(len);
        exts.push((u16_at(ext, 2), ext.to_vec()));
        rest = after;
    }
    exts
}

/// The SA that a message is about, if it names one.
pub fn said_of(bytes: &[u8]) -> Option<Said> {
    let exts = exts_of(bytes);
    let find = |number| exts.iter().find(|(found, _)| *found == number);
    let (_, sa) = find(ext::SA)?;
    let (_, dst) = find(ext::ADDRESS_DST)?;
    Some(Said {
        dst: ip_of(dst),
        spi: u32::from_be_bytes(sa[4..8].try_into().expect("four bytes")),
        proto: protocol(bytes[3]),
    })
}

/// The address in an address extension.
fn ip_of(ext: &[u8]) -> IpAddr {
    match u16_at(ext, 8) {
        2 => Ipv4Addr::from(<[u8; 4]>::try_from(&ext[12..16]).expect("four bytes")).into(),
        10 => Ipv6Addr::from(<[u8; 16]>::try_from(&ext[16..32]).expect("16 bytes")).into(),
        family => panic!("an address of family {family}"),
    }
}

/// Two bytes in host order.
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

/// Four bytes in host order.
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Eight bytes in host order.
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// The message that is in a copy for a promiscuous socket, or the message itself.
pub fn unwrapped(bytes: &[u8]) -> &[u8] {
    if bytes[1] == msg::PROMISC && bytes.len() > 16 {
        &bytes[16..]
    } else {
        bytes
    }
}

/// Checks that every byte without a meaning is 0 in a message that the kernel sent: reserved
/// fields, padding, and what it is not to tell.
pub fn assert_clean(message: &[u8]) {
    let zero = |bytes: &[u8], at: std::ops::Range<usize>| {
        assert!(
            bytes[at.clone()].iter().all(|byte| *byte == 0),
            "bytes {at:?} of {bytes:02x?} are 0 in {message:02x?}"
        );
    };
    let inner = unwrapped(message);
    if inner.len() < message.len() {
        // The header before a copy tells its length, and nothing else.
        zero(message, 2..4);
        zero(message, 6..16);
    }
    let message = inner;
    zero(message, 6..8);
    for (number, ext) in exts_of(message) {
        match number {
            // No SAref, and the reserved field behind it.
            ext::SA | ext::SA2 => zero(&ext, 16..24),
            ext::LIFETIME_CURRENT | ext::LIFETIME_HARD | ext::LIFETIME_SOFT => {
                zero(&ext, ext.len().min(36)..ext.len());
            }
            ext::ADDRESS_SRC
            | ext::ADDRESS_DST
            | ext::ADDRESS_PROXY
            | ext::ADDRESS_DST2
            | ext::NAT_T_OA => {
                // No protocol, no prefix length.
                zero(&ext, 4..8);
                match u16_at(&ext, 8) {
                    2 => zero(&ext, 16..24),
                    _ => zero(&ext, 36..40),
                }
            }
            ext::ADDRESS_SRC_FLOW
            | ext::ADDRESS_DST_FLOW
            | ext::ADDRESS_SRC_MASK
            | ext::ADDRESS_DST_MASK => {
                zero(&ext, 4..8);
                match u16_at(&ext, 8) {
                    2 => zero(&ext, 16..24),
                    // Neither flow information nor scope are of an eroute.
                    _ => {
                        zero(&ext, 12..16);
                        zero(&ext, 32..40);
                    }
                }
            }
            ext::PROTOCOL => zero(&ext, 5..8),
            ext::IDENTITY_SRC | ext::IDENTITY_DST => zero(&ext, 6..8),
            ext::SUPPORTED_AUTH | ext::SUPPORTED_ENCRYPT => {
                zero(&ext, 4..8);
                ext[8..]
                    .chunks(8)
                    .for_each(|algorithm| zero(algorithm, 6..8));
            }
            ext::SATYPE2 | ext::NAT_T_TYPE => zero(&ext, 5..8),
            ext::NAT_T_SPORT | ext::NAT_T_DPORT | ext::FAULT => zero(&ext, 6..8),
            ext::GROUP => {
                zero(&ext, 5..8);
                for member in ext[8..].chunks(24) {
                    zero(member, 5..6);
                    if u16_at(member, 6) == 2 {
                        zero(member, 12..24);
                    }
                }
            }
            _ => panic!("the kernel sends no extension {number}: {message:02x?}"),
        }
    }
}
