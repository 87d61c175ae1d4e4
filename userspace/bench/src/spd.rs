// SPDX-License-Identifier: GPL-2.0

//! Requests to mainline's `af_key` about policies, which KLIPS has eroutes for: `SADB_X_SPDADD` and
//! others of `include/uapi/linux/pfkeyv2.h`.

use crate::message::{Flow, Sa, extension, finish, header_of};
use std::net::Ipv4Addr;

const SPDUPDATE: u8 = 13;
const SPDADD: u8 = 14;
const SPDDELETE: u8 = 15;
const SPDFLUSH: u8 = 19;
const POLICY: u16 = 18;

/// A socket address.
fn socket_address(ip: Ipv4Addr) -> [u8; 16] {
    let mut address = [0; 16];
    address[..2].copy_from_slice(&2_u16.to_ne_bytes());
    address[4..8].copy_from_slice(&ip.octets());
    address
}

/// A message about the policy for the packets of a flow that leave, with or without what it asks
/// for: ESP in tunnel mode between the ends of an SA.
fn about(msg_type: u8, flow: &Flow, sa: Option<&Sa>) -> Vec<u8> {
    /// `IPSEC_POLICY_IPSEC`, `IPSEC_DIR_OUTBOUND`.
    const IPSEC: u16 = 2;
    const OUT: u8 = 2;
    const ESP: u16 = 50;
    /// `IPSEC_MODE_TUNNEL`, `IPSEC_LEVEL_REQUIRE`.
    const TUNNEL: u8 = 2;
    const REQUIRE: u8 = 2;
    /// Length of a `struct sadb_x_ipsecrequest`, with its addresses.
    const REQUEST: u16 = 16 + 2 * 16;
    const ANY_PROTOCOL: u8 = 255;

    let mut message = header_of(msg_type, 0);
    for (number, (ip, bits)) in [(5, flow.from), (6, flow.to)] {
        let kind = [ANY_PROTOCOL, bits, 0, 0];
        extension(&mut message, number, &[&kind, &socket_address(ip)]);
    }
    let mut policy = Vec::new();
    policy.extend(IPSEC.to_ne_bytes());
    policy.extend([OUT, 0]);
    // Index and priority.
    policy.extend([0; 8]);
    if let Some(sa) = sa {
        policy.extend(REQUEST.to_ne_bytes());
        policy.extend(ESP.to_ne_bytes());
        policy.extend([TUNNEL, REQUIRE]);
        policy.extend([0; 10]);
        policy.extend(socket_address(sa.src));
        policy.extend(socket_address(sa.dst));
    }
    extension(&mut message, POLICY, &[&policy]);
    finish(message)
}

/// SPDADD: packets go through an SA.
pub(crate) fn add(flow: &Flow, sa: &Sa) -> Vec<u8> {
    about(SPDADD, flow, Some(sa))
}

/// SPDUPDATE: they go through another one.
pub(crate) fn update(flow: &Flow, sa: &Sa) -> Vec<u8> {
    about(SPDUPDATE, flow, Some(sa))
}

/// SPDDELETE.
pub(crate) fn delete(flow: &Flow) -> Vec<u8> {
    about(SPDDELETE, flow, None)
}

/// SPDFLUSH.
pub(crate) fn flush() -> Vec<u8> {
    finish(header_of(SPDFLUSH, 0))
}
