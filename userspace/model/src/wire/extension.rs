// SPDX-License-Identifier: GPL-2.0

//! Extensions (reference 1.4).

use super::number::{ext, satype};
use klips::said::Said;
use std::net::IpAddr;

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

/// A range of SPIs.
pub fn spi_range(min: u32, max: u32) -> Vec<u8> {
    let mut body = [min.to_be_bytes(), max.to_be_bytes()].concat();
    body.extend([0; 4]);
    extension(ext::SPIRANGE, &body)
}
