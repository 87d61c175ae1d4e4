// SPDX-License-Identifier: GPL-2.0

//! SAIDs, addresses and bytes as text.

use klips::said::Said;
use pfkey::text::{address::Host, said};
use std::net::IpAddr;

/// The SAID in a text.
pub fn said(text: &str) -> Said {
    let unresolved = said::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    match unresolved.dst {
        Host::Address(address) => unresolved.with_dst(address),
        Host::Name(..) => panic!("{text} has a name"),
    }
}

/// An address in a text.
pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Bytes from hexadecimal digits with blanks and line ends between them.
pub fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).expect("a hexadecimal digit") as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// Hexadecimal digits of bytes, in words.
pub fn hex(bytes: &[u8]) -> String {
    let words: Vec<String> = bytes
        .chunks(8)
        .map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    words.join(" ")
}

/// The bytes that a text may stand for: itself, its hexadecimal digits, its decimal numbers.
pub fn readings(text: &str) -> [Vec<u8>; 4] {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|c| Some(c.to_digit(16)? as u8))
        .collect();
    let [even, odd] = [0, 1].map(|from| {
        let pairs = digits.get(from..).unwrap_or_default().chunks_exact(2);
        pairs.map(|pair| pair[0] << 4 | pair[1]).collect()
    });
    let numbers = text.split(|c: char| !c.is_ascii_digit());
    let decimal = numbers.filter_map(|number| number.parse().ok()).collect();
    [text.as_bytes().to_vec(), even, odd, decimal]
}
