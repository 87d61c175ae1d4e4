// SPDX-License-Identifier: GPL-2.0

//! Whole messages (reference 1.1 and 2.4).

use super::{
    extension::{RawSa, address, extension, group, key, lifetime, spi_range},
    number::{ext, msg, satype},
    text::ip,
};
use klips::{
    errno::Errno,
    said::{Proto, Said},
};
use std::net::IpAddr;

/// A message, its length right.
pub fn message(msg_type: u8, satype: u8, exts: &[Vec<u8>]) -> Vec<u8> {
    message_of(msg_type, satype, 7, 1234, exts)
}

/// A message with sequence number and process ID.
pub fn message_of(msg_type: u8, satype: u8, seq: u32, pid: u32, exts: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![2, msg_type, 0, satype, 0, 0, 0, 0];
    bytes.extend(seq.to_ne_bytes());
    bytes.extend(pid.to_ne_bytes());
    bytes.extend(exts.concat());
    fix_len(&mut bytes);
    bytes
}

/// Sets the length of a message to what it is.
pub fn fix_len(bytes: &mut [u8]) {
    let words = (bytes.len() / 8) as u16;
    bytes[4..6].copy_from_slice(&words.to_ne_bytes());
}

/// The bytes with an outer form that is right, without which nothing else is looked at.
pub fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(8).clamp(16, 65535 * 8), 0);
    bytes[0] = 2;
    bytes[6..8].fill(0);
    fix_len(&mut bytes);
    bytes
}

/// The 16-byte message that tells of an error.
pub fn error_message(request: &[u8], errno: Errno) -> Vec<u8> {
    let mut bytes = request[..16].to_vec();
    bytes[2] = errno.0;
    fix_len(&mut bytes);
    bytes
}

/// Source of all SAs of the following requests.
pub fn source() -> Vec<u8> {
    address(ext::ADDRESS_SRC, ip("10.0.0.1"), 0)
}

/// The other end of an SA, of the same family.
pub fn source_of(dst: IpAddr) -> IpAddr {
    ip(if dst.is_ipv4() {
        "10.0.0.1"
    } else {
        "2001:db8::1"
    })
}

/// Extensions that name an SA.
pub fn naming(said: Said) -> [Vec<u8>; 3] {
    [
        RawSa::naming(said.spi).ext(ext::SA),
        source(),
        address(ext::ADDRESS_DST, said.dst, 0),
    ]
}

/// The algorithms that [`add`] gives an SA, for authentication and for anything else: HMAC-MD5 for
/// AH, 3DES with HMAC-MD5 for ESP, DEFLATE for COMP.
pub fn algorithms(proto: Proto) -> (u8, u8) {
    match proto {
        Proto::Ah => (2, 0),
        Proto::Esp => (2, 3),
        Proto::Comp => (0, 2),
        Proto::Tun | Proto::Int => (0, 0),
    }
}

/// ADD.
pub fn add(said: Said) -> Vec<u8> {
    let (auth, encrypt) = algorithms(said.proto);
    let mut exts = naming(said).to_vec();
    exts[0] = RawSa {
        auth,
        encrypt,
        ..RawSa::mature(said.spi)
    }
    .ext(ext::SA);
    if auth != 0 {
        exts.push(key(ext::KEY_AUTH, 128, 0x5e));
    }
    if encrypt == 3 {
        exts.push(key(ext::KEY_ENCRYPT, 192, 0x5c));
    }
    message(msg::ADD, satype(said.proto), &exts)
}

/// A limit of seconds since an SA was made.
pub fn seconds(number: u16, limit: u64) -> Vec<u8> {
    lifetime(number, [0, 0, 0, limit, 0])
}

/// ADD or UPDATE with limits in seconds, 0 for none.
pub fn limited(msg_type: u8, said: Said, soft: u64, hard: u64) -> Vec<u8> {
    let mut request = add(said);
    request[1] = msg_type;
    for (number, limit) in [(ext::LIFETIME_HARD, hard), (ext::LIFETIME_SOFT, soft)] {
        if limit != 0 {
            request.extend(seconds(number, limit));
        }
    }
    fix_len(&mut request);
    request
}

/// GETSPI of just this SA.
pub fn reserve(said: Said) -> Vec<u8> {
    let exts = [
        source(),
        address(ext::ADDRESS_DST, said.dst, 0),
        spi_range(said.spi, said.spi),
    ];
    message(msg::GETSPI, satype(said.proto), &exts)
}

/// DELETE.
pub fn delete(said: Said) -> Vec<u8> {
    message(msg::DELETE, satype(said.proto), &naming(said))
}

/// GET.
pub fn get(said: Said) -> Vec<u8> {
    message(msg::GET, satype(said.proto), &naming(said))
}

/// FLUSH of an SA type, 0 for all.
pub fn flush(satype: u8) -> Vec<u8> {
    message(msg::FLUSH, satype, &[])
}

/// GRPSA that takes a group apart.
pub fn ungroup(said: Said) -> Vec<u8> {
    let [sa, _, dst] = naming(said);
    message(msg::GRPSA, satype(said.proto), &[sa, dst])
}

/// The three extensions of a pair's outer SA.
pub fn second(said: Said) -> [Vec<u8>; 3] {
    [
        extension(ext::SATYPE2, &[satype(said.proto), 0, 0, 0]),
        RawSa::naming(said.spi).ext(ext::SA2),
        address(ext::ADDRESS_DST2, said.dst, 0),
    ]
}

/// GRPSA of two.
pub fn pair(inner: Said, outer: Said) -> Vec<u8> {
    let [sa, _, dst] = naming(inner);
    let [satype2, sa2, dst2] = second(outer);
    message(
        msg::GRPSA,
        satype(inner.proto),
        &[sa, dst, satype2, sa2, dst2],
    )
}

/// GRPSA of a list, inside to outside.
pub fn list(saids: &[Said]) -> Vec<u8> {
    let [sa, _, dst] = naming(saids[0]);
    message(
        msg::GRPSA,
        satype(saids[0].proto),
        &[sa, dst, group(&saids[1..])],
    )
}
