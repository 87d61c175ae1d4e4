// SPDX-License-Identifier: GPL-2.0

//! Extensions as plain values, in host order, lengths and padding left out.

use super::types::{
    SaState,
    SaType,
    SAREF_NULL, //
};
use crate::klips_core::{
    group::{
        ListError,
        ListReason, //
    },
    said::Said, //
};
use core::net::SocketAddr;

/// `sadb_sa`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sa {
    /// SPI.
    pub spi: u32,
    /// Replay window in packets, at most 64.
    pub replay: u8,
    /// State.
    pub state: SaState,
    /// Authentication algorithm.
    pub auth: u8,
    /// Encryption or compression algorithm.
    pub encrypt: u8,
    /// Flags.
    pub flags: u32,
    /// SAref; 0 and `0xffffffff` mean none.
    pub sa_ref: u32,
}

impl Sa {
    /// An SA extension that only names an SPI.
    pub const fn naming(spi: u32) -> Self {
        Sa {
            spi,
            replay: 0,
            state: SaState::Larval,
            auth: 0,
            encrypt: 0,
            flags: 0,
            sa_ref: SAREF_NULL,
        }
    }
}

/// How long a lifetime extension is on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LifetimeForm {
    /// 32 bytes: RFC 2367, Openswan 2.6, libreswan.
    Rfc,
    /// 40 bytes, with a packet count: Openswan 2.4.
    #[default]
    WithPackets,
}

/// `sadb_lifetime`: limits, or what is used up. 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// Connections.
    pub allocations: u32,
    /// Packets; there is no room for them in [`LifetimeForm::Rfc`].
    pub packets: u32,
    /// Bytes.
    pub bytes: u64,
    /// Seconds since the SA was made.
    pub addtime: u64,
    /// Seconds since the SA was first used.
    pub usetime: u64,
}

/// `sadb_address`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Protocol; only ACQUIRE and flows give it a meaning.
    pub proto: u8,
    /// Address and port.
    pub socket: SocketAddr,
}

impl Address {
    /// An address without port and protocol.
    #[cfg(not(MODULE))]
    pub const fn of(ip: core::net::IpAddr) -> Self {
        Address {
            proto: 0,
            socket: SocketAddr::new(ip, 0),
        }
    }

    /// The same address as replies have it.
    pub const fn without_proto(self) -> Self {
        Address { proto: 0, ..self }
    }
}

/// `sadb_key`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// Length in bits, not 0.
    pub bits: u16,
    /// The key, as many bytes as the bits need.
    pub data: &'a [u8],
}

/// `sadb_ident`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ident<'a> {
    /// 1 prefix, 2 FQDN, 3 user FQDN, 4 connection.
    pub kind: u16,
    /// Numeric identity.
    pub id: u64,
    /// Text, its terminating and padding zeros included.
    pub text: &'a [u8],
}

/// The SAs that one request groups with its own, inside to outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupList {
    /// The first of them once more in the places that are free.
    saids: [Said; GroupList::MAX],
    len: usize,
}

impl GroupList {
    /// The most SAs beside the request's own.
    pub const MAX: usize = 3;

    /// A list of one SA.
    pub fn of(said: Said) -> Self {
        GroupList {
            saids: [said; Self::MAX],
            len: 1,
        }
    }

    /// Makes a list of one to three SAs.
    #[cfg(not(MODULE))]
    pub fn new(saids: impl IntoIterator<Item = Said>) -> Option<Self> {
        let mut saids = saids.into_iter();
        let mut list = Self::of(saids.next()?);
        saids.try_for_each(|said| list.push(said))?;
        Some(list)
    }

    /// Appends an SA, if there is room.
    pub fn push(&mut self, said: Said) -> Option<()> {
        *self.saids.get_mut(self.len)? = said;
        self.len += 1;
        Some(())
    }

    /// The SAs, inside to outside.
    pub fn iter(&self) -> impl Iterator<Item = Said> + '_ {
        self.saids.iter().take(self.len).copied()
    }
}

/// What an eroute is for, in the form of its four extensions and of PROTOCOL. A mask is an address; its
/// port is all ones where the port counts, else 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// X_ADDRESS_SRC_FLOW: source network and port.
    pub src: SocketAddr,
    /// X_ADDRESS_DST_FLOW: destination network and port.
    pub dst: SocketAddr,
    /// X_ADDRESS_SRC_MASK.
    pub src_mask: SocketAddr,
    /// X_ADDRESS_DST_MASK.
    pub dst_mask: SocketAddr,
    /// X_PROTOCOL: number of the protocol above IP; 0 is any, and then there is no such extension.
    pub proto: u8,
}

/// Which SA of a group request is at fault, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Index, 0 being the innermost.
    pub member: u8,
    /// What is wrong with it.
    pub reason: ListReason,
}

impl From<ListError> for Fault {
    fn from(error: ListError) -> Self {
        Fault {
            // CAST: a list has at most four members.
            member: error.member as u8,
            reason: error.reason,
        }
    }
}

/// The second SA of a pairwise group request, as far as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Second {
    /// SATYPE2.
    pub satype: SaType,
    /// SA2.
    pub sa: Sa,
    /// ADDRESS_DST2.
    pub dst: Address,
}

impl Second {
    /// The SAID that it names.
    pub fn said(&self) -> Said {
        Said {
            dst: self.dst.socket.ip(),
            spi: self.sa.spi,
            proto: self.satype.proto(),
        }
    }
}
