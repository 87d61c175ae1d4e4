// SPDX-License-Identifier: GPL-2.0

//! Messages about eroutes (reference 1.4.3, 1.4.12 and 8.4).

use super::{
    extension::{RawSa, address, extension},
    message::message,
    number::{ext, msg, satype},
    text::ip,
};
use klips::said::Said;
use std::net::IpAddr;

/// Flags of ADDFLOW and DELFLOW.
#[expect(missing_docs, reason = "the names are those of the reference")]
pub mod flag {
    pub const REPLACE: u32 = 2;
    pub const CLEAR: u32 = 4;
    pub const IN: u32 = 8;
}

/// A network and a port, 0 for any: `("10.1.0.0/24", 80)`.
pub type FlowEnd<'a> = (&'a str, u16);

/// A mask with so many ones.
fn mask(like: IpAddr, ones: usize) -> IpAddr {
    let mut octets = [0_u8; 16];
    for bit in 0..ones {
        octets[bit / 8] |= 0x80 >> (bit % 8);
    }
    match like {
        IpAddr::V4(_) => IpAddr::from([octets[0], octets[1], octets[2], octets[3]]),
        IpAddr::V6(_) => IpAddr::from(octets),
    }
}

/// The extensions of a flow, and PROTOCOL if it is for one only.
pub fn flow(src: FlowEnd<'_>, dst: FlowEnd<'_>, proto: u8) -> Vec<Vec<u8>> {
    let split = |(network, port): FlowEnd<'_>| {
        let (address, ones) = network.split_once('/').expect("a network has a prefix");
        let address = ip(address);
        let ones = ones.parse().expect("a prefix is a number");
        let port_mask = if port == 0 { 0 } else { u16::MAX };
        ((address, port), (mask(address, ones), port_mask))
    };
    let ((src, src_mask), (dst, dst_mask)) = (split(src), split(dst));
    let mut exts: Vec<Vec<u8>> = [
        (ext::ADDRESS_SRC_FLOW, src),
        (ext::ADDRESS_DST_FLOW, dst),
        (ext::ADDRESS_SRC_MASK, src_mask),
        (ext::ADDRESS_DST_MASK, dst_mask),
    ]
    .into_iter()
    .map(|(number, (ip, port))| address(number, ip, port))
    .collect();
    if proto != 0 {
        exts.push(extension(ext::PROTOCOL, &[proto, 0, 0, 0]));
    }
    exts
}

/// ADDFLOW as `eroute` sends it, with these flags.
pub fn add_flow(said: Said, flags: u32, flow: &[Vec<u8>]) -> Vec<u8> {
    let sa = RawSa {
        flags,
        ..RawSa::naming(said.spi)
    };
    let any = if said.dst.is_ipv4() { "0.0.0.0" } else { "::" };
    let mut exts = vec![
        sa.ext(ext::SA),
        address(ext::ADDRESS_SRC, ip(any), 0),
        address(ext::ADDRESS_DST, said.dst, 0),
    ];
    exts.extend_from_slice(flow);
    message(msg::ADDFLOW, satype(said.proto), &exts)
}

/// DELFLOW of one eroute.
pub fn del_flow(flow: &[Vec<u8>]) -> Vec<u8> {
    message(msg::DELFLOW, 0, flow)
}

/// DELFLOW of all eroutes.
pub fn clear_flows() -> Vec<u8> {
    let sa = RawSa {
        flags: flag::CLEAR,
        ..RawSa::naming(0)
    };
    message(msg::DELFLOW, 0, &[sa.ext(ext::SA)])
}

/// ADD or UPDATE with another source than the usual one.
pub fn from_source(mut request: Vec<u8>, src: &str) -> Vec<u8> {
    let mut exts = super::read::exts_of(&request);
    for (number, bytes) in &mut exts {
        if *number == ext::ADDRESS_SRC {
            *bytes = address(ext::ADDRESS_SRC, ip(src), 0);
        }
    }
    request.truncate(16);
    request.extend(exts.into_iter().flat_map(|(_, bytes)| bytes));
    super::message::fix_len(&mut request);
    request
}
