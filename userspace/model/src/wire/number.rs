// SPDX-License-Identifier: GPL-2.0

//! The numbers of messages, extensions and SA types (reference 1.2, 1.3 and 1.6).

use klips::said::Proto;
use pfkey::text::said::PROTOS;

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

/// The protocol of an SA type.
pub fn protocol(number: u8) -> Proto {
    *PROTOS
        .iter()
        .find(|proto| satype(**proto) == number)
        .unwrap_or_else(|| panic!("no SAs have type {number}"))
}
