// SPDX-License-Identifier: GPL-2.0

//! Messages put together and taken apart byte by byte, as the reference has them (1.1 to 1.4) and
//! independently of the code under test.

use klips::{
    errno::Errno,
    said::{Proto, Said},
};
use std::net::IpAddr;

/// The SAID in a text.
pub fn said(text: &str) -> Said {
    let unresolved = klips::said::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    match unresolved.dst {
        klips::address::Host::Address(address) => unresolved.with_dst(address),
        klips::address::Host::Name(..) => panic!("{text} has a name"),
    }
}

/// An address in a text.
pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// SA type of a protocol.
pub fn satype(proto: Proto) -> u8 {
    match proto {
        Proto::Ah => 2,
        Proto::Esp => 3,
        Proto::Tun => 9,
        Proto::Comp => 10,
        Proto::Int => 11,
    }
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

/// Numbers of messages.
#[expect(missing_docs, reason = "the names are those of the reference")]
pub mod msg {
    pub const GETSPI: u8 = 1;
    pub const UPDATE: u8 = 2;
    pub const ADD: u8 = 3;
    pub const DELETE: u8 = 4;
    pub const GET: u8 = 5;
    pub const ACQUIRE: u8 = 6;
    pub const REGISTER: u8 = 7;
    pub const EXPIRE: u8 = 8;
    pub const FLUSH: u8 = 9;
    pub const DUMP: u8 = 10;
    pub const PROMISC: u8 = 11;
    pub const PCHANGE: u8 = 12;
    pub const GRPSA: u8 = 13;
    pub const ADDFLOW: u8 = 14;
    pub const DELFLOW: u8 = 15;
    pub const DEBUG: u8 = 16;
    pub const NAT_T_NEW_MAPPING: u8 = 17;
    pub const PLUMBIF: u8 = 18;
    pub const UNPLUMBIF: u8 = 19;
}

/// Numbers of extensions.
#[expect(missing_docs, reason = "the names are those of the reference")]
pub mod ext {
    pub const SA: u16 = 1;
    pub const LIFETIME_CURRENT: u16 = 2;
    pub const LIFETIME_HARD: u16 = 3;
    pub const LIFETIME_SOFT: u16 = 4;
    pub const ADDRESS_SRC: u16 = 5;
    pub const ADDRESS_DST: u16 = 6;
    pub const ADDRESS_PROXY: u16 = 7;
    pub const KEY_AUTH: u16 = 8;
    pub const KEY_ENCRYPT: u16 = 9;
    pub const IDENTITY_SRC: u16 = 10;
    pub const IDENTITY_DST: u16 = 11;
    pub const SENSITIVITY: u16 = 12;
    pub const PROPOSAL: u16 = 13;
    pub const SUPPORTED_AUTH: u16 = 14;
    pub const SUPPORTED_ENCRYPT: u16 = 15;
    pub const SPIRANGE: u16 = 16;
    pub const KMPRIVATE: u16 = 17;
    pub const SATYPE2: u16 = 18;
    pub const SA2: u16 = 19;
    pub const ADDRESS_DST2: u16 = 20;
    pub const ADDRESS_SRC_FLOW: u16 = 21;
    pub const ADDRESS_DST_FLOW: u16 = 22;
    pub const ADDRESS_SRC_MASK: u16 = 23;
    pub const ADDRESS_DST_MASK: u16 = 24;
    pub const DEBUG: u16 = 25;
    pub const PROTOCOL: u16 = 26;
    pub const NAT_T_TYPE: u16 = 27;
    pub const NAT_T_SPORT: u16 = 28;
    pub const NAT_T_DPORT: u16 = 29;
    pub const NAT_T_OA: u16 = 30;
    pub const PLUMBIF: u16 = 31;
    pub const SAREF: u16 = 32;
    pub const GROUP: u16 = 48;
    pub const FAULT: u16 = 49;
}

/// An extension: header, whose length is right, and whatever follows, zeros added to a full word.
pub fn extension(number: u16, body: &[u8]) -> Vec<u8> {
    let words = (4 + body.len()).div_ceil(8);
    let mut bytes = Vec::new();
    bytes.extend((words as u16).to_ne_bytes());
    bytes.extend(number.to_ne_bytes());
    bytes.extend(body);
    bytes.resize(words * 8, 0);
    bytes
}

/// The 24 bytes of an SA extension, by its fields.
#[derive(Clone, Copy)]
#[expect(missing_docs, reason = "the names are those of the reference")]
pub struct RawSa {
    pub spi: u32,
    pub replay: u8,
    pub state: u8,
    pub auth: u8,
    pub encrypt: u8,
    pub flags: u32,
    pub sa_ref: u32,
}

impl RawSa {
    /// An SA as ADD has it.
    pub fn mature(spi: u32) -> Self {
        RawSa {
            state: 1,
            ..RawSa::naming(spi)
        }
    }

    /// Only an SPI.
    pub fn naming(spi: u32) -> Self {
        RawSa {
            spi,
            replay: 0,
            state: 0,
            auth: 0,
            encrypt: 0,
            flags: 0,
            sa_ref: 0,
        }
    }

    /// The extension.
    pub fn ext(self, number: u16) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(self.spi.to_be_bytes());
        body.extend([self.replay, self.state, self.auth, self.encrypt]);
        body.extend(self.flags.to_ne_bytes());
        body.extend(self.sa_ref.to_ne_bytes());
        body.extend([0; 4]);
        extension(number, &body)
    }

    /// The extension in its 16-byte form.
    pub fn short_ext(self, number: u16) -> Vec<u8> {
        extension(number, &self.ext(number)[4..16])
    }
}

/// An address extension.
pub fn address(number: u16, ip: IpAddr, port: u16) -> Vec<u8> {
    let mut body = vec![0; 4];
    match ip {
        IpAddr::V4(ip) => {
            body.extend(2u16.to_ne_bytes());
            body.extend(port.to_be_bytes());
            body.extend(ip.octets());
            body.extend([0; 8]);
        }
        IpAddr::V6(ip) => {
            body.extend(10u16.to_ne_bytes());
            body.extend(port.to_be_bytes());
            body.extend([0; 4]);
            body.extend(ip.octets());
            body.extend([0; 4]);
        }
    }
    extension(number, &body)
}

/// A key extension, the key being `byte` over and over.
pub fn key(number: u16, bits: u16, byte: u8) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(bits.to_ne_bytes());
    body.extend([0; 2]);
    body.extend(vec![byte; usize::from(bits).div_ceil(8)]);
    extension(number, &body)
}

/// An identity extension.
pub fn identity(number: u16, kind: u16, id: u64, text: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(kind.to_ne_bytes());
    body.extend([0; 2]);
    body.extend(id.to_ne_bytes());
    body.extend(text);
    extension(number, &body)
}

/// A lifetime extension of 40 bytes.
pub fn lifetime(number: u16, limits: [u64; 5]) -> Vec<u8> {
    let [allocations, packets, bytes, addtime, usetime] = limits;
    let mut body = Vec::new();
    body.extend((allocations as u32).to_ne_bytes());
    body.extend(bytes.to_ne_bytes());
    body.extend(addtime.to_ne_bytes());
    body.extend(usetime.to_ne_bytes());
    body.extend((packets as u32).to_ne_bytes());
    body.extend([0; 4]);
    extension(number, &body)
}

/// A lifetime extension of 32 bytes.
pub fn short_lifetime(number: u16, limits: [u64; 5]) -> Vec<u8> {
    extension(number, &lifetime(number, limits)[4..32])
}

/// The extension for a list of SAs.
pub fn group(saids: &[Said]) -> Vec<u8> {
    let mut body = vec![saids.len() as u8, 0, 0, 0];
    for said in saids {
        body.extend(said.spi.to_be_bytes());
        body.extend([satype(said.proto), 0]);
        match said.dst {
            IpAddr::V4(ip) => {
                body.extend(2u16.to_ne_bytes());
                body.extend(ip.octets());
                body.extend([0; 12]);
            }
            IpAddr::V6(ip) => {
                body.extend(10u16.to_ne_bytes());
                body.extend(ip.octets());
            }
        }
    }
    extension(ext::GROUP, &body)
}

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

/// A message's extensions, by number.
pub fn exts_of(bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut exts = Vec::new();
    let mut rest = &bytes[16..];
    while !rest.is_empty() {
        let len = usize::from(u16::from_ne_bytes([rest[0], rest[1]])) * 8;
        let (ext, after) = rest.split_at(len);
        exts.push((u16::from_ne_bytes([ext[2], ext[3]]), ext.to_vec()));
        rest = after;
    }
    exts
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

/// Extensions that name an SA.
pub fn naming(said: Said) -> [Vec<u8>; 3] {
    [
        RawSa::naming(said.spi).ext(ext::SA),
        source(),
        address(ext::ADDRESS_DST, said.dst, 0),
    ]
}

/// ADD: HMAC-MD5 for AH, 3DES with HMAC-MD5 for ESP, DEFLATE for COMP.
pub fn add(said: Said) -> Vec<u8> {
    let (auth, encrypt) = match said.proto {
        Proto::Ah => (2, 0),
        Proto::Esp => (2, 3),
        Proto::Comp => (0, 2),
        Proto::Tun | Proto::Int => (0, 0),
    };
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
