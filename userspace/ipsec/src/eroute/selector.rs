// SPDX-License-Identifier: GPL-2.0

//! Which packets are meant: `--src`, `--dst`, `--eraf`, `--transport-proto` and ports; or the one
//! packet of `--get`.

use super::{
    network::{self, NetworkAndPort},
    transport::{self, Name},
};
use crate::{
    failure::Failure,
    given::Given,
    naming,
    system::System,
    text::{self, Shown},
};
use klips::{
    address::Family,
    selector::{Packet, Selector},
};
use std::{fmt, net::IpAddr};

/// The options that may be given once, and what the original calls them.
const ONCE: [(&str, &str); 6] = [
    ("eraf", "address family of eroute"),
    ("src", "--src"),
    ("dst", "--dst"),
    ("transport-proto", "--transport-proto"),
    ("src-port", "--src-port"),
    ("dst-port", "--dst-port"),
];

/// Reads the packets that an action is about. The family is known before any address is looked at,
/// whatever the order of options.
pub(super) fn selector(
    action: &str,
    given: &Given,
    system: &mut impl System,
) -> Result<Selector, Failure> {
    naming::check_given_once(given, &ONCE)?;
    let family = naming::family(given, "eraf")?;
    let mut end = |option| {
        let text = given.text(option).ok_or_else(|| {
            Failure::usage(format!(
                "Error -- {action} option '--{option}' is required."
            ))
        })?;
        network::parse(option, text, family, system)
    };
    let (src, dst) = (end("src")?, end("dst")?);
    if Family::of(&src.0.address()) != Family::of(&dst.0.address()) {
        return Err(Failure::usage(
            "--src and --dst are not of the same address family.",
        ));
    }
    let proto = protocol(given, system)?;
    Ok(Selector {
        src: src.0,
        dst: dst.0,
        proto,
        sport: port(given, "src-port", src, proto, system)?,
        dport: port(given, "dst-port", dst, proto, system)?,
    })
}

/// Reads the packet that `--get` is about.
pub(super) fn packet(given: &Given, system: &mut impl System) -> Result<Packet, Failure> {
    naming::check_given_once(given, &ONCE[3..])?;
    let mut ends = given.all("get");
    let (src, dst) = (
        ends.next().unwrap_or_default(),
        ends.next().unwrap_or_default(),
    );
    let mut address = |what: &str, text: &str, family| {
        text::address(text, family, system).map_err(|error| {
            error.failure(format!(
                "Error, {error} converting {what} of --get:{}",
                Shown(text)
            ))
        })
    };
    let src: IpAddr = address("source", src, None)?;
    let dst = address("destination", dst, Some(Family::of(&src)))?;
    let proto = protocol(given, system)?;
    let mut port = |option| match given.text(option) {
        Some(text) => {
            ports_need_a_protocol(proto).and_then(|()| transport::port(option, text, proto, system))
        }
        None => Ok(0),
    };
    Ok(Packet {
        src,
        dst,
        proto,
        sport: port("src-port")?,
        dport: port("dst-port")?,
    })
}

fn protocol(given: &Given, system: &mut impl System) -> Result<u8, Failure> {
    let text = given.text("transport-proto");
    text.map_or(Ok(0), |text| transport::protocol(text, system))
}

/// The port of an end: of the option, or behind the network.
fn port(
    given: &Given,
    option: &str,
    (network, own): NetworkAndPort,
    proto: u8,
    system: &mut impl System,
) -> Result<u16, Failure> {
    match (given.text(option), own) {
        (None, None) => return Ok(0),
        (Some(text), Some(port)) => {
            return Err(Failure::usage(format!(
                "Error, --{option} parameter redefined:{}, already defined in {network}:{port}",
                Shown(text)
            )));
        }
        _ => ports_need_a_protocol(proto)?,
    }
    match given.text(option) {
        Some(text) => transport::port(option, text, proto, system),
        None => Ok(own.unwrap_or(0)),
    }
}

fn ports_need_a_protocol(proto: u8) -> Result<(), Failure> {
    if transport::has_ports(proto) {
        Ok(())
    } else {
        Err(Failure::usage(
            "--transport-proto with either UDP or TCP must be specified if --src-port or \
             --dst-port is used",
        ))
    }
}

/// The packets of a selector, in messages: `10.0.1.0/24 -> 10.0.2.0/24:80 (tcp)`.
pub(crate) struct Packets<'a>(pub(crate) &'a Selector);

impl fmt::Display for Packets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Packets(selector) = self;
        write!(f, "{} -> {}", selector.src_text(), selector.dst_text())?;
        match selector.proto {
            0 => Ok(()),
            proto => write!(f, " ({})", Name(proto)),
        }
    }
}
