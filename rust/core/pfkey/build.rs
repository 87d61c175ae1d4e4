// SPDX-License-Identifier: GPL-2.0

//! From plain values to bytes: extensions in ascending order of their numbers, padding zero.
//!
//! A [`Builder`] takes one extension after the other.

use super::{
    algorithm::{
        self,
        auth,
        encrypt, //
    },
    types::{
        Ext,
        MsgType,
        PF_KEY_V2,
        REPLAY_MAX,
        SAFLAG_PFS,
        WORD, //
    },
    value::{
        Address,
        Fault,
        Flow,
        GroupList,
        Ident,
        Lifetime,
        LifetimeForm,
        Sa,
        Second, //
    },
    wire,
    Header,
    SaType, //
};
use crate::klips_core::address::Family;
use core::{
    mem::size_of,
    net::{
        IpAddr,
        SocketAddr, //
    }, //
};
use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

/// The header of a request.
pub fn request(msg_type: MsgType, satype: u8, seq: u32, pid: u32) -> Header {
    Header {
        msg_type,
        errno: 0,
        satype,
        seq,
        pid,
    }
}

/// Writes a message to the front of `out`, with the extensions that `extensions` gives, in
/// ascending order of their numbers. Returns its length, or `None` if that can't be told in 16 bits
/// of words. What there is no room for is left out, but counted.
pub fn build(
    header: &Header,
    out: &mut [u8],
    extensions: impl FnOnce(&mut Builder<'_>),
) -> Option<usize> {
    let mut builder = Builder::begin(header, out);
    extensions(&mut builder);
    builder.end()
}

/// A message that is being written.
pub struct Builder<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> Builder<'a> {
    fn begin(header: &Header, out: &'a mut [u8]) -> Self {
        let mut builder = Builder { out, at: 0 };
        builder.put(&wire::MsgHeader {
            version: PF_KEY_V2,
            msg_type: header.msg_type as u8,
            errno: header.errno,
            satype: header.satype,
            // Filled in at the end.
            len: 0.into(),
            reserved: 0.into(),
            seq: header.seq.into(),
            pid: header.pid.into(),
        });
        builder
    }

    fn end(self) -> Option<usize> {
        let words = u16::try_from(self.at / WORD).ok()?;
        if let Ok((header, _)) = wire::MsgHeader::mut_from_prefix(self.out) {
            header.len = words.into();
        }
        Some(self.at)
    }

    /// An extension as it is.
    pub fn put<T: IntoBytes + Immutable>(&mut self, value: &T) {
        self.bytes(value.as_bytes());
    }

    /// Bytes as they are: a whole message in the data form of X_PROMISC.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        if let Some(room) = self.out.get_mut(self.at..end) {
            room.copy_from_slice(bytes);
        }
        self.at = end;
    }

    /// Zeros up to the next word.
    pub fn pad(&mut self) {
        let end = self.at.next_multiple_of(WORD);
        if let Some(room) = self.out.get_mut(self.at..end) {
            room.fill(0);
        }
        self.at = end;
    }

    /// An SA.
    pub fn sa(&mut self, ext: Ext, sa: &Sa) {
        self.put(&wire::Sa {
            header: ext_header(ext, size_of::<wire::Sa>() + size_of::<wire::SaTail>()),
            spi: sa.spi.into(),
            replay: sa.replay,
            state: sa.state as u8,
            auth: sa.auth,
            encrypt: sa.encrypt,
            flags: sa.flags.into(),
        });
        self.put(&wire::SaTail {
            sa_ref: sa.sa_ref.into(),
            reserved: 0.into(),
        });
    }

    /// A lifetime.
    pub fn lifetime(&mut self, ext: Ext, lifetime: &Lifetime, form: LifetimeForm) {
        let tail = match form {
            LifetimeForm::Rfc => 0,
            LifetimeForm::WithPackets => size_of::<wire::LifetimeTail>(),
        };
        self.put(&wire::Lifetime {
            header: ext_header(ext, size_of::<wire::Lifetime>() + tail),
            allocations: lifetime.allocations.into(),
            bytes: lifetime.bytes.into(),
            addtime: lifetime.addtime.into(),
            usetime: lifetime.usetime.into(),
        });
        if form == LifetimeForm::WithPackets {
            self.put(&wire::LifetimeTail {
                packets: lifetime.packets.into(),
                reserved: 0.into(),
            });
        }
    }

    /// An address.
    pub fn address(&mut self, ext: Ext, address: &Address) {
        let header = |sockaddr: usize| wire::Address {
            header: ext_header(ext, size_of::<wire::Address>() + sockaddr),
            proto: address.proto,
            prefixlen: 0,
            reserved: 0.into(),
        };
        match &address.socket {
            SocketAddr::V4(socket) => {
                self.put(&header(size_of::<wire::SockAddrIn>()));
                self.put(&wire::SockAddrIn {
                    family: Family::Inet.number().into(),
                    port: socket.port().into(),
                    address: socket.ip().octets(),
                    zero: [0; 8],
                });
            }
            SocketAddr::V6(socket) => {
                self.put(&header(size_of::<wire::SockAddrIn6>()));
                self.put(&wire::SockAddrIn6 {
                    family: Family::Inet6.number().into(),
                    port: socket.port().into(),
                    flowinfo: socket.flowinfo().into(),
                    address: socket.ip().octets(),
                    scope_id: socket.scope_id().into(),
                });
                self.pad();
            }
        }
    }

    /// An identity.
    pub fn ident(&mut self, ext: Ext, ident: &Ident<'_>) {
        self.put(&wire::Ident {
            header: ext_header(ext, size_of::<wire::Ident>() + ident.text.len()),
            kind: ident.kind.into(),
            reserved: 0.into(),
            id: ident.id.into(),
        });
        self.bytes(ident.text);
        self.pad();
    }

    /// Of what KLIPS proposed for every SA that it asked for (reference 4.12), the better. Openswan 2.4
    /// has combinations of 80 bytes, 2.6 of 72, and neither says which it is; so there are as many of
    /// zeros after it as make whole ones of both, which both take.
    pub fn proposal(&mut self) {
        // Seconds, and bits of keys.
        const SOFT: u64 = 57_600;
        const HARD: u64 = 86_400;
        const SHA1_BITS: u16 = 160;
        const TRIPLE_DES_BITS: u16 = 168;
        /// Ten of 72 bytes, nine of 80.
        const COMBS: usize = 10 * size_of::<wire::Comb>();
        self.put(&wire::Proposal {
            header: ext_header(Ext::Proposal, size_of::<wire::Proposal>() + COMBS),
            replay: REPLAY_MAX,
            reserved: [0; 3],
        });
        self.put(&wire::Comb {
            auth: auth::SHA1_HMAC,
            encrypt: encrypt::TRIPLE_DES_CBC,
            // CAST: a low bit.
            flags: (SAFLAG_PFS as u16).into(),
            auth_minbits: SHA1_BITS.into(),
            auth_maxbits: SHA1_BITS.into(),
            encrypt_minbits: TRIPLE_DES_BITS.into(),
            encrypt_maxbits: TRIPLE_DES_BITS.into(),
            reserved: 0.into(),
            soft_allocations: 0.into(),
            hard_allocations: 0.into(),
            soft_bytes: 0.into(),
            hard_bytes: 0.into(),
            soft_addtime: SOFT.into(),
            hard_addtime: HARD.into(),
            soft_usetime: SOFT.into(),
            hard_usetime: HARD.into(),
        });
        self.bytes(&[0; COMBS - size_of::<wire::Comb>()]);
    }

    /// The algorithms of an SA type, in two extensions.
    pub fn supported(&mut self, satype: SaType) {
        self.algorithms(Ext::SupportedAuth, satype);
        self.algorithms(Ext::SupportedEncrypt, satype);
    }

    /// No extension if there are none.
    fn algorithms(&mut self, ext: Ext, satype: SaType) {
        let algorithms = || algorithm::supported(satype, ext == Ext::SupportedAuth);
        let count = algorithms().count();
        if count == 0 {
            return;
        }
        self.put(&wire::Supported {
            header: ext_header(
                ext,
                size_of::<wire::Supported>() + count * size_of::<wire::Alg>(),
            ),
            reserved: 0.into(),
        });
        for algorithm in algorithms() {
            let (minbits, maxbits) = algorithm.told_bits;
            self.put(&wire::Alg {
                id: algorithm.id,
                ivlen: algorithm.iv_bits,
                minbits: minbits.into(),
                maxbits: maxbits.into(),
                reserved: 0.into(),
            });
        }
    }

    /// The second SA of a pair, in three extensions.
    pub fn second(&mut self, second: &Second) {
        self.put(&wire::SaType2 {
            header: sized::<wire::SaType2>(Ext::SaType2),
            satype: second.satype as u8,
            reserved: [0; 3],
        });
        self.sa(Ext::Sa2, &second.sa);
        self.address(Ext::AddressDst2, &second.dst);
    }

    /// Networks and ports that an eroute is for, in four extensions.
    pub fn flow(&mut self, flow: &Flow) {
        for (ext, socket) in [
            (Ext::AddressSrcFlow, flow.src),
            (Ext::AddressDstFlow, flow.dst),
            (Ext::AddressSrcMask, flow.src_mask),
            (Ext::AddressDstMask, flow.dst_mask),
        ] {
            self.address(ext, &Address { proto: 0, socket });
        }
    }

    /// Protocol that an eroute is for, if it is for one only. [`Ext::Debug`] may come before.
    pub fn protocol(&mut self, flow: &Flow) {
        if flow.proto != 0 {
            self.put(&wire::Protocol {
                header: sized::<wire::Protocol>(Ext::Protocol),
                proto: flow.proto,
                direction: 0,
                flags: 0,
                reserved: 0,
            });
        }
    }

    /// Kind of NAT traversal.
    pub fn natt_type(&mut self, kind: u8) {
        self.put(&wire::NatTType {
            header: sized::<wire::NatTType>(Ext::NatTType),
            kind,
            reserved: [0; 3],
        });
    }

    /// Source and destination port behind NAT.
    pub fn natt_ports(&mut self, sport: Option<u16>, dport: Option<u16>) {
        for (ext, port) in [(Ext::NatTSport, sport), (Ext::NatTDport, dport)] {
            if let Some(port) = port {
                self.put(&wire::NatTPort {
                    header: sized::<wire::NatTPort>(ext),
                    port: port.into(),
                    reserved: 0.into(),
                });
            }
        }
    }

    /// Number of an interface.
    pub fn ifnum(&mut self, ifnum: u16) {
        self.put(&wire::PlumbIf {
            header: sized::<wire::PlumbIf>(Ext::PlumbIf),
            ifnum: ifnum.into(),
            reserved: 0.into(),
        });
    }

    /// SAs to be grouped with the message's own.
    pub fn group(&mut self, group: &GroupList) {
        let count = group.iter().count();
        let members = count * size_of::<wire::GroupMember>();
        self.put(&wire::Group {
            header: ext_header(Ext::Group, size_of::<wire::Group>() + members),
            // CAST: a list has at most three members.
            count: count as u8,
            reserved: [0; 3],
        });
        for said in group.iter() {
            let mut address = [0; 16];
            match said.dst {
                IpAddr::V4(ip) => address[..4].copy_from_slice(&ip.octets()),
                IpAddr::V6(ip) => address = ip.octets(),
            }
            self.put(&wire::GroupMember {
                spi: said.spi.into(),
                satype: SaType::of(said.proto) as u8,
                reserved: 0,
                family: Family::of(&said.dst).number().into(),
                address,
            });
        }
    }

    /// Which SA is at fault.
    pub fn fault(&mut self, fault: &Fault) {
        self.put(&wire::Fault {
            header: sized::<wire::Fault>(Ext::Fault),
            member: fault.member,
            reason: fault.reason as u8,
            reserved: 0.into(),
        });
    }
}

/// The header of an extension of `len` bytes, padding included or not.
pub fn ext_header(ext: Ext, len: usize) -> wire::ExtHeader {
    wire::ExtHeader {
        // CAST: `build` refuses messages whose length is more than 16 bits of words.
        len: (len.div_ceil(WORD) as u16).into(),
        ext_type: (ext as u16).into(),
    }
}

/// The header of an extension that is as long as its layout.
pub fn sized<T>(ext: Ext) -> wire::ExtHeader {
    ext_header(ext, size_of::<T>())
}
