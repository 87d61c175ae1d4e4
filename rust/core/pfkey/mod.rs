// SPDX-License-Identifier: GPL-2.0

//! PF_KEYv2 (RFC 2367) in KLIPS's dialect.
//!
//! [`parse`] turns the bytes of a message into a checked [`Message`] that borrows them; [`build`]
//! turns plain values into bytes. Integers are in host order, except for SPIs and what is inside a
//! `sockaddr`. Lengths on the wire count words of eight bytes.

pub mod algorithm;
pub mod build;
pub mod debug;
pub mod parse;
pub mod table;
pub mod types;
pub mod value;
pub mod wire;

pub use self::{
    parse::{
        Header,
        Message, //
    },
    types::{
        Direction,
        Ext,
        MsgType,
        SaState,
        SaType, //
    },
    value::{
        Address,
        Fault,
        Flow,
        Ident,
        Key,
        Lifetime,
        LifetimeForm,
        Sa, //
    },
};
