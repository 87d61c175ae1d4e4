// SPDX-License-Identifier: GPL-2.0

//! The requests, in the form that both modules understand: RFC 2367's, with the SA extension of 16
//! bytes.

use klips::pfkey::MsgType;
use std::{net::Ipv4Addr, process, sync::LazyLock};

/// Bytes of a header.
pub(crate) const HEADER: usize = 16;

/// This process. Asking the kernel each time would be part of what is measured.
static PID: LazyLock<u32> = LazyLock::new(process::id);

/// Where the sequence number stands in a header.
const SEQ: std::ops::Range<usize> = 8..12;

const ESP: u8 = 3;
const TUN: u8 = 9;

/// Where all SAs come from whose packets leave.
const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 255, 255, 1);
/// Where they all go if there is one gateway; or where they come from.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 255, 255, 2);

/// Whether SAs share a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gateways {
    /// All go to one.
    One,
    /// Each goes to its own.
    Many,
}

impl Gateways {
    /// As it is in the output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Gateways::One => "one",
            Gateways::Many => "many",
        }
    }
}

/// An SA of the benchmark.
#[derive(Clone, Copy)]
pub(crate) struct Sa {
    satype: u8,
    pub(crate) spi: u32,
    pub(crate) src: Ipv4Addr,
    pub(crate) dst: Ipv4Addr,
}

impl Sa {
    /// The ESP SA with this number.
    pub(crate) fn new(number: u32, gateways: Gateways) -> Self {
        Sa {
            satype: ESP,
            spi: 0x1000 + number,
            src: SOURCE,
            dst: match gateways {
                Gateways::One => GATEWAY,
                Gateways::Many => Ipv4Addr::from_bits(0x0a00_0000 + number),
            },
        }
    }

    /// The ESP SA with this SPI between two hosts.
    pub(crate) fn between(spi: u32, src: Ipv4Addr, dst: Ipv4Addr) -> Self {
        Sa {
            satype: ESP,
            spi,
            src,
            dst,
        }
    }

    /// The one for what comes from there: its packets are for this machine.
    pub(crate) fn inbound(self) -> Self {
        Sa {
            src: self.dst,
            dst: Ipv4Addr::LOCALHOST,
            ..self
        }
    }

    /// The tunnel with its number and its ends.
    pub(crate) fn tunnel(self) -> Self {
        Sa {
            satype: TUN,
            ..self
        }
    }

    /// The network of its own, of 24 bits, to which packets go through it.
    pub(crate) fn network(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(0x1400_0000 + (self.spi << 8))
    }

    /// Its name, as `ipsec spigrp --said` reads it.
    pub(crate) fn said(&self) -> String {
        format!("esp.{:x}@{}", self.spi, self.dst)
    }
}

/// The network, of 24 bits, from which packets go through all of them.
pub(crate) const NETWORK: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 0);

/// A request of one type about an SA, complete but for what only some types have.
fn about(msg_type: MsgType, sa: &Sa, algorithms: [u8; 2]) -> Vec<u8> {
    about_with(msg_type, sa, algorithms, 0)
}

/// The same with flags.
fn about_with(msg_type: MsgType, sa: &Sa, algorithms: [u8; 2], flags: u32) -> Vec<u8> {
    let mut message = header(msg_type, sa.satype);
    // Mainline looks a new SA up by this number as well: it must not be the same for all.
    message[SEQ].copy_from_slice(&sa.spi.to_ne_bytes());
    let [auth, encrypt] = algorithms;
    extension(
        &mut message,
        1,
        &[
            &sa.spi.to_be_bytes(),
            &[32, 1, auth, encrypt],
            &flags.to_ne_bytes(),
        ],
    );
    address(&mut message, 5, sa.src);
    address(&mut message, 6, sa.dst);
    message
}

fn header(msg_type: MsgType, satype: u8) -> Vec<u8> {
    header_of(msg_type as u8, satype)
}

/// A header without length.
pub(crate) fn header_of(msg_type: u8, satype: u8) -> Vec<u8> {
    let mut header = vec![0; HEADER];
    header[0] = 2;
    header[1] = msg_type;
    header[3] = satype;
    header[SEQ].copy_from_slice(&1_u32.to_ne_bytes());
    header[12..].copy_from_slice(&PID.to_ne_bytes());
    header
}

/// Appends an extension; `parts` are what follows length and type.
pub(crate) fn extension(message: &mut Vec<u8>, number: u16, parts: &[&[u8]]) {
    let start = message.len();
    message.extend([0; 2]);
    message.extend(number.to_ne_bytes());
    for part in parts {
        message.extend_from_slice(part);
    }
    message.resize(message.len().next_multiple_of(8), 0);
    let words = u16::try_from((message.len() - start) / 8).expect("messages are short");
    message[start..start + 2].copy_from_slice(&words.to_ne_bytes());
}

fn address(message: &mut Vec<u8>, number: u16, ip: Ipv4Addr) {
    let family = 2_u16.to_ne_bytes();
    extension(
        message,
        number,
        &[&[0; 4], &family, &[0; 2], &ip.octets(), &[0; 8]],
    );
}

/// Writes the length.
pub(crate) fn finish(mut message: Vec<u8>) -> Vec<u8> {
    let words = u16::try_from(message.len() / 8).expect("messages are short");
    message[4..6].copy_from_slice(&words.to_ne_bytes());
    message
}

/// The byte that all keys consist of.
pub(crate) const KEY: u8 = 0x5a;

fn keys(message: &mut Vec<u8>) {
    for (number, bits) in [(8, 160_u16), (9, 128)] {
        let key = vec![KEY; usize::from(bits / 8)];
        extension(message, number, &[&bits.to_ne_bytes(), &[0; 2], &key]);
    }
}

/// ADD of an ESP SA with AES-CBC and HMAC-SHA1.
pub(crate) fn add(sa: &Sa) -> Vec<u8> {
    with_keys(MsgType::Add, sa)
}

/// UPDATE: the same in the place of one that is there.
pub(crate) fn update(sa: &Sa) -> Vec<u8> {
    with_keys(MsgType::Update, sa)
}

fn with_keys(msg_type: MsgType, sa: &Sa) -> Vec<u8> {
    let mut message = about(msg_type, sa, [3, 12]);
    keys(&mut message);
    finish(message)
}

/// The same to mainline, of an SA in tunnel mode.
pub(crate) fn add_in_tunnel_mode(sa: &Sa) -> Vec<u8> {
    /// `SADB_X_EXT_SA2`, and the mode in it.
    const SA2: u16 = 19;
    const TUNNEL: u8 = 2;
    let mut message = about(MsgType::Add, sa, [3, 12]);
    keys(&mut message);
    extension(&mut message, SA2, &[&[TUNNEL, 0, 0, 0], &[0; 8]]);
    finish(message)
}

/// ADD of an ESP SA that is over after some seconds.
pub(crate) fn add_limited(sa: &Sa, seconds: u64) -> Vec<u8> {
    let mut message = about(MsgType::Add, sa, [3, 12]);
    let limits = [[0; 8], seconds.to_ne_bytes(), [0; 8]];
    extension(&mut message, 3, &[&[0; 4], limits.as_flattened()]);
    keys(&mut message);
    finish(message)
}

/// ADD of an IPIP SA, which has no keys.
pub(crate) fn add_tunnel(sa: &Sa) -> Vec<u8> {
    finish(about(MsgType::Add, &sa.tunnel(), [0, 0]))
}

/// A message that is refused as soon as its header is looked at: its version is wrong.
pub(crate) fn refused() -> Vec<u8> {
    let mut message = finish(header(MsgType::Get, ESP));
    message[0] = 3;
    message
}

/// GET.
pub(crate) fn get(sa: &Sa) -> Vec<u8> {
    finish(about(MsgType::Get, sa, [0, 0]))
}

/// DELETE.
pub(crate) fn delete(sa: &Sa) -> Vec<u8> {
    finish(about(MsgType::Delete, sa, [0, 0]))
}

/// DUMP of all SAs.
pub(crate) fn dump() -> Vec<u8> {
    finish(header(MsgType::Dump, 0))
}

/// FLUSH of all SAs.
pub(crate) fn flush() -> Vec<u8> {
    finish(header(MsgType::Flush, 0))
}

/// FLUSH of all ESP SAs.
pub(crate) fn flush_esp() -> Vec<u8> {
    finish(header(MsgType::Flush, ESP))
}

/// X_GRPSA that links two SAs.
pub(crate) fn link(inner: &Sa, outer: &Sa) -> Vec<u8> {
    let mut message = header(MsgType::GrpSa, inner.satype);
    extension(&mut message, 1, &[&inner.spi.to_be_bytes(), &[0; 8]]);
    address(&mut message, 6, inner.dst);
    extension(&mut message, 18, &[&[outer.satype, 0, 0, 0]]);
    extension(&mut message, 19, &[&outer.spi.to_be_bytes(), &[0; 8]]);
    address(&mut message, 20, outer.dst);
    finish(message)
}

/// X_GRPSA that makes one group of SAs, inside to outside.
pub(crate) fn group(sas: &[Sa]) -> Vec<u8> {
    let [first, others @ ..] = sas else {
        return Vec::new();
    };
    let mut message = header(MsgType::GrpSa, ESP);
    extension(&mut message, 1, &[&first.spi.to_be_bytes(), &[0; 8]]);
    address(&mut message, 6, first.dst);
    let count = u8::try_from(others.len()).expect("groups are small");
    let mut members = vec![count, 0, 0, 0];
    for sa in others {
        members.extend(sa.spi.to_be_bytes());
        members.extend([ESP, 0]);
        members.extend(2_u16.to_ne_bytes());
        members.extend(sa.dst.octets());
        members.extend([0; 12]);
    }
    extension(&mut message, 48, &[&members]);
    finish(message)
}

/// X_GRPSA that dissolves the group of an SA.
pub(crate) fn ungroup(sa: &Sa) -> Vec<u8> {
    let mut message = header(MsgType::GrpSa, sa.satype);
    extension(&mut message, 1, &[&sa.spi.to_be_bytes(), &[0; 8]]);
    address(&mut message, 6, sa.dst);
    finish(message)
}

/// The flag of X_ADDFLOW for what takes the place of another eroute, and that of X_DELFLOW that
/// means all of them.
const REPLACE: u32 = 2;
const CLEAR: u32 = 4;
/// The extensions that say which packets an eroute is for: its two networks, and their masks.
const FLOW: [u16; 4] = [21, 22, 23, 24];

/// Packets from one network to another; both have a number of bits.
#[derive(Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) from: (Ipv4Addr, u8),
    pub(crate) to: (Ipv4Addr, u8),
}

impl Flow {
    /// From one network to one of its own for each SA.
    pub(crate) fn of(sa: &Sa) -> Self {
        Flow {
            from: (NETWORK, 24),
            to: (sa.network(), 24),
        }
    }

    fn put(&self, message: &mut Vec<u8>) {
        let mask = |bits: u8| Ipv4Addr::from_bits(u32::MAX << (32 - bits));
        let addresses = [self.from.0, self.to.0, mask(self.from.1), mask(self.to.1)];
        for (number, ip) in FLOW.into_iter().zip(addresses) {
            address(message, number, ip);
        }
    }
}

/// X_ADDFLOW: an eroute through an SA.
pub(crate) fn add_flow(flow: &Flow, sa: &Sa) -> Vec<u8> {
    let mut message = about(MsgType::AddFlow, sa, [0, 0]);
    flow.put(&mut message);
    finish(message)
}

/// X_ADDFLOW: an eroute through an SA in the place of what there is.
pub(crate) fn replace_flow(flow: &Flow, sa: &Sa) -> Vec<u8> {
    let mut message = about_with(MsgType::AddFlow, sa, [0, 0], REPLACE);
    flow.put(&mut message);
    finish(message)
}

/// X_DELFLOW of an eroute.
pub(crate) fn del_flow(flow: &Flow) -> Vec<u8> {
    let mut message = header(MsgType::DelFlow, ESP);
    flow.put(&mut message);
    finish(message)
}

/// X_DELFLOW of all eroutes.
pub(crate) fn clear_flows() -> Vec<u8> {
    let mut message = header(MsgType::DelFlow, ESP);
    extension(&mut message, 1, &[&[0; 4], &[0; 4], &CLEAR.to_ne_bytes()]);
    finish(message)
}

/// The sequence number of a message that was read.
pub(crate) fn seq_of(message: &[u8]) -> u32 {
    let bytes = message.get(SEQ).and_then(|seq| seq.try_into().ok());
    bytes.map_or(0, u32::from_ne_bytes)
}
