// SPDX-License-Identifier: GPL-2.0

//! The layouts on the wire (reference 1.1 and 1.4), byte for byte.
//!
//! All are unaligned, so that a message may lie anywhere; reading and writing them needs no
//! `unsafe`, by way of `zerocopy`.

use zerocopy::byteorder::{
    native_endian::{
        U16,
        U32,
        U64, //
    },
    network_endian, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

/// A layout, for the reference page that is checked against it.
#[cfg(not(MODULE))]
pub struct Layout {
    /// Name of the type.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static [&'static str],
    /// Size in bytes.
    pub size: usize,
    /// Its fields in order.
    pub fields: &'static [Field],
}

/// A field of a layout.
#[cfg(not(MODULE))]
pub struct Field {
    /// Name.
    pub name: &'static str,
    /// Offset in bytes.
    pub offset: usize,
    /// Type, which tells size and byte order.
    pub ty: &'static str,
    /// What it is.
    pub doc: &'static [&'static str],
}

macro_rules! layout {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident, $size:literal {
            $($(#[doc = $field_doc:literal])* $field:ident: $ty:ty,)*
        }
    )*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
            #[repr(C)]
            pub struct $name {
                $($(#[doc = $field_doc])* pub $field: $ty,)*
            }

            const _: () = assert!(core::mem::size_of::<$name>() == $size);
        )*

        /// Every layout.
        #[cfg(not(MODULE))]
        pub const LAYOUTS: &[Layout] = &[
            $(Layout {
                name: stringify!($name),
                doc: &[$($doc),*],
                size: $size,
                fields: &[
                    $(Field {
                        name: stringify!($field),
                        offset: core::mem::offset_of!($name, $field),
                        ty: stringify!($ty),
                        doc: &[$($field_doc),*],
                    }),*
                ],
            }),*
        ];
    };
}

layout! {
    /// `struct sadb_msg`: begins every message.
    MsgHeader, 16 {
        /// 2.
        version: u8,
        /// Type of the message.
        msg_type: u8,
        /// Error number of a reply; 0 in requests, except ACQUIRE.
        errno: u8,
        /// SA type.
        satype: u8,
        /// Length of the message in words, this header included.
        len: U16,
        /// 0.
        reserved: U16,
        /// Chosen by the sender; replies carry it.
        seq: U32,
        /// Process ID as told by the sender; replies carry it.
        pid: U32,
    }

    /// `struct sadb_ext`: begins every extension.
    ExtHeader, 4 {
        /// Length of the extension in words, this header included.
        len: U16,
        /// Type of the extension.
        ext_type: U16,
    }

    /// `struct sadb_sa`: extensions 1 and 19, the 16 bytes of RFC 2367.
    Sa, 16 {
        /// Length and type.
        header: ExtHeader,
        /// SPI.
        spi: network_endian::U32,
        /// Replay window in packets.
        replay: u8,
        /// State.
        state: u8,
        /// Authentication algorithm.
        auth: u8,
        /// Encryption or compression algorithm.
        encrypt: u8,
        /// Flags.
        flags: U32,
    }

    /// The 8 bytes that KLIPS appends to [`Sa`].
    SaTail, 8 {
        /// SAref.
        sa_ref: U32,
        /// 0.
        reserved: U32,
    }

    /// `struct sadb_lifetime`: extensions 2 to 4, the 32 bytes of RFC 2367.
    Lifetime, 32 {
        /// Length and type.
        header: ExtHeader,
        /// Connections.
        allocations: U32,
        /// Bytes.
        bytes: U64,
        /// Seconds since the SA was made.
        addtime: U64,
        /// Seconds since the SA was first used.
        usetime: U64,
    }

    /// The 8 bytes that Openswan 2.4 appends to [`Lifetime`].
    LifetimeTail, 8 {
        /// Packets.
        packets: U32,
        /// 0.
        reserved: U32,
    }

    /// `struct sadb_address`: begins the address extensions; a `sockaddr` follows.
    Address, 8 {
        /// Length and type.
        header: ExtHeader,
        /// Protocol; ignored.
        proto: u8,
        /// 0.
        prefixlen: u8,
        /// 0.
        reserved: U16,
    }

    /// `struct sockaddr_in`.
    SockAddrIn, 16 {
        /// `AF_INET`.
        family: U16,
        /// Port.
        port: network_endian::U16,
        /// Address.
        address: [u8; 4],
        /// 0.
        zero: [u8; 8],
    }

    /// `struct sockaddr_in6`.
    SockAddrIn6, 28 {
        /// `AF_INET6`.
        family: U16,
        /// Port.
        port: network_endian::U16,
        /// Flow information.
        flowinfo: network_endian::U32,
        /// Address.
        address: [u8; 16],
        /// Scope.
        scope_id: U32,
    }

    /// `struct sadb_key`: extensions 8 and 9; the key follows.
    Key, 8 {
        /// Length and type.
        header: ExtHeader,
        /// Length of the key in bits.
        bits: U16,
        /// 0.
        reserved: U16,
    }

    /// `struct sadb_ident`: extensions 10 and 11; a text follows.
    Ident, 16 {
        /// Length and type.
        header: ExtHeader,
        /// Kind of identity.
        kind: U16,
        /// 0.
        reserved: U16,
        /// Numeric identity.
        id: U64,
    }

    /// `struct sadb_sens`: extension 12; bitmaps follow.
    Sensitivity, 16 {
        /// Length and type.
        header: ExtHeader,
        /// Protection domain.
        dpd: U32,
        /// Sensitivity level.
        sens_level: u8,
        /// Length of the sensitivity bitmap in words.
        sens_len: u8,
        /// Integrity level.
        integ_level: u8,
        /// Length of the integrity bitmap in words.
        integ_len: u8,
        /// 0.
        reserved: U32,
    }

    /// `struct sadb_prop`: extension 13; combinations follow.
    Proposal, 8 {
        /// Length and type.
        header: ExtHeader,
        /// Replay window.
        replay: u8,
        /// 0.
        reserved: [u8; 3],
    }

    /// `struct sadb_comb`, the 72 bytes of RFC 2367. Openswan 2.4 appends two limits of packets, soft
    /// and hard, of 4 bytes each.
    Comb, 72 {
        /// Authentication algorithm.
        auth: u8,
        /// Encryption algorithm.
        encrypt: u8,
        /// Flags.
        flags: U16,
        /// Bits of the shortest authentication key.
        auth_minbits: U16,
        /// Bits of the longest authentication key.
        auth_maxbits: U16,
        /// Bits of the shortest encryption key.
        encrypt_minbits: U16,
        /// Bits of the longest encryption key.
        encrypt_maxbits: U16,
        /// 0.
        reserved: U32,
        /// Soft limit of allocations.
        soft_allocations: U32,
        /// Hard limit of allocations.
        hard_allocations: U32,
        /// Soft limit of bytes.
        soft_bytes: U64,
        /// Hard limit of bytes.
        hard_bytes: U64,
        /// Soft limit of seconds since made.
        soft_addtime: U64,
        /// Hard limit of seconds since made.
        hard_addtime: U64,
        /// Soft limit of seconds since used.
        soft_usetime: U64,
        /// Hard limit of seconds since used.
        hard_usetime: U64,
    }

    /// `struct sadb_supported`: extensions 14 and 15; algorithms follow.
    Supported, 8 {
        /// Length and type.
        header: ExtHeader,
        /// 0.
        reserved: U32,
    }

    /// `struct sadb_alg`.
    Alg, 8 {
        /// Number of the algorithm.
        id: u8,
        /// Length of the IV in bits.
        ivlen: u8,
        /// Shortest key in bits.
        minbits: U16,
        /// Longest key in bits.
        maxbits: U16,
        /// 0.
        reserved: U16,
    }

    /// `struct sadb_spirange`: extension 16.
    SpiRange, 16 {
        /// Length and type.
        header: ExtHeader,
        /// Lowest SPI.
        min: network_endian::U32,
        /// Highest SPI.
        max: network_endian::U32,
        /// 0.
        reserved: U32,
    }

    /// `struct sadb_x_satype`: extension 18.
    SaType2, 8 {
        /// Length and type.
        header: ExtHeader,
        /// SA type.
        satype: u8,
        /// 0.
        reserved: [u8; 3],
    }

    /// `struct sadb_x_debug`: extension 25.
    Debug, 56 {
        /// Length and type.
        header: ExtHeader,
        /// Masks: tunnel, netlink, xform, eroute, spi, radij, esp, ah, rcv, pfkey, ipcomp, verbose.
        masks: [U32; 12],
        /// 0.
        reserved: U32,
    }

    /// `struct sadb_protocol`: extension 26.
    Protocol, 8 {
        /// Length and type.
        header: ExtHeader,
        /// IP protocol.
        proto: u8,
        /// Direction.
        direction: u8,
        /// Flags.
        flags: u8,
        /// 0.
        reserved: u8,
    }

    /// `struct sadb_x_nat_t_type`: extension 27.
    NatTType, 8 {
        /// Length and type.
        header: ExtHeader,
        /// 1 non-IKE marker, 2 non-ESP marker.
        kind: u8,
        /// 0.
        reserved: [u8; 3],
    }

    /// `struct sadb_x_nat_t_port`: extensions 28 and 29.
    NatTPort, 8 {
        /// Length and type.
        header: ExtHeader,
        /// Port, in host order.
        port: U16,
        /// 0.
        reserved: U16,
    }

    /// Extension 31.
    PlumbIf, 8 {
        /// Length and type.
        header: ExtHeader,
        /// Number of the interface.
        ifnum: U16,
        /// 0.
        reserved: U16,
    }

    /// Extension 32.
    SaRef, 16 {
        /// Length and type.
        header: ExtHeader,
        /// Reference of this SA.
        me: U32,
        /// Reference of the peer's SA.
        him: U32,
        /// 0.
        reserved: U32,
    }

    /// Begins extension 48, `struct klips_group`; [`GroupMember`]s follow.
    Group, 8 {
        /// Length and type.
        header: ExtHeader,
        /// How many members follow: 1 to 3.
        count: u8,
        /// 0.
        reserved: [u8; 3],
    }

    /// `struct klips_group_member`: one SA of extension 48.
    GroupMember, 24 {
        /// SPI.
        spi: network_endian::U32,
        /// SA type.
        satype: u8,
        /// 0.
        reserved: u8,
        /// `AF_INET` or `AF_INET6`.
        family: U16,
        /// Destination; IPv4 in the first four bytes, the rest 0.
        address: [u8; 16],
    }

    /// `struct klips_fault`: extension 49.
    Fault, 8 {
        /// Length and type.
        header: ExtHeader,
        /// Which SA of the request, 0 being the innermost.
        member: u8,
        /// 1 there is no such SA, 2 it is part of a group, 3 it is named twice.
        reason: u8,
        /// 0.
        reserved: U16,
    }
}
