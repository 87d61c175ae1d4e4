// SPDX-License-Identifier: GPL-2.0

//! Protocols above IP, and their ports.

use crate::{failure::Failure, system::System, text::Shown};
use pfkey::text::number;
use std::fmt;

/// Numbers and names of the common ones (IANA's registry "Protocol Numbers"), for systems without
/// `/etc/protocols` and for what is printed.
const NAMES: [(u8, &str); 9] = [
    (ICMP, "icmp"),
    (TCP, "tcp"),
    (UDP, "udp"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (ICMPV6, "ipv6-icmp"),
    (89, "ospf"),
    (132, "sctp"),
];

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;

/// Whether eroutes can tell its ports apart.
pub(crate) const fn has_ports(proto: u8) -> bool {
    matches!(proto, TCP | UDP)
}

/// A protocol by its name, or its number.
pub(crate) struct Name(pub(crate) u8);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "protocol {}", self.0),
        }
    }
}

/// Reads the value of `--transport-proto`; 0 is any.
pub(crate) fn protocol(text: &str, system: &mut impl System) -> Result<u8, Failure> {
    let text = text.trim();
    let known = NAMES.iter().find(|(_, name)| *name == text);
    if let Some(number) = known.map(|(number, _)| *number) {
        return Ok(number);
    }
    if let Some(number) = system.protocol(text) {
        return Ok(number);
    }
    let number = number::parse(text).map_err(|_| {
        Failure::usage(format!(
            "Invalid character in --transport-proto parameter: {}",
            Shown(text)
        ))
    })?;
    u8::try_from(number).map_err(|_| {
        Failure::usage(format!(
            "--transport-proto parameter: {} must be in the range 0 to 255 inclusive",
            Shown(text)
        ))
    })
}

/// Reads the value of `--src-port` or `--dst-port`; 0 is any.
pub(crate) fn port(
    option: &str,
    text: &str,
    protocol: u8,
    system: &mut impl System,
) -> Result<u16, Failure> {
    let text = text.trim();
    match number::parse(text) {
        Ok(number) => u16::try_from(number).map_err(|_| {
            Failure::usage(format!(
                "--{option} parameter: {} must be in the range 0 to 65535 inclusive",
                Shown(text)
            ))
        }),
        Err(_) => system.service(text, protocol).ok_or_else(|| {
            Failure::usage(format!(
                "Invalid character in --{option} parameter: {}",
                Shown(text)
            ))
        }),
    }
}
