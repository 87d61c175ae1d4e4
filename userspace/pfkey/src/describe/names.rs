// SPDX-License-Identifier: GPL-2.0

//! What numbers stand for, in KLIPS's own words where it had some.

use klips::{
    address::Family,
    pfkey::{Ext, MsgType, SaState, SaType, algorithm},
};
use std::borrow::Cow;

/// The name of a message type.
pub(super) const fn msg_type(msg_type: MsgType) -> &'static str {
    match msg_type {
        MsgType::GetSpi => "getspi",
        MsgType::Update => "update",
        MsgType::Add => "add",
        MsgType::Delete => "delete",
        MsgType::Get => "get",
        MsgType::Acquire => "acquire",
        MsgType::Register => "register",
        MsgType::Expire => "expire",
        MsgType::Flush => "flush",
        MsgType::Dump => "dump",
        MsgType::Promisc => "x-promisc",
        MsgType::PChange => "x-pchange",
        MsgType::GrpSa => "x-groupsa",
        MsgType::AddFlow => "x-addflow(eroute)",
        MsgType::DelFlow => "x-delflow(eroute)",
        MsgType::Debug => "x-debug",
        MsgType::NatTNewMapping => "x-natt-new-mapping",
        MsgType::PlumbIf => "x-plumbif",
        MsgType::UnplumbIf => "x-unplumbif",
    }
}

/// The name of an extension.
pub(super) const fn ext(ext: Ext) -> &'static str {
    match ext {
        Ext::Sa => "security-association",
        Ext::LifetimeCurrent => "lifetime-current",
        Ext::LifetimeHard => "lifetime-hard",
        Ext::LifetimeSoft => "lifetime-soft",
        Ext::AddressSrc => "source-address",
        Ext::AddressDst => "destination-address",
        Ext::AddressProxy => "proxy-address",
        Ext::KeyAuth => "authentication-key",
        Ext::KeyEncrypt => "cipher-key",
        Ext::IdentitySrc => "source-identity",
        Ext::IdentityDst => "destination-identity",
        Ext::Sensitivity => "sensitivity-label",
        Ext::Proposal => "proposal",
        Ext::SupportedAuth => "supported-auth",
        Ext::SupportedEncrypt => "supported-cipher",
        Ext::SpiRange => "spi-range",
        Ext::KmPrivate => "X-kmprivate",
        Ext::SaType2 => "X-satype2",
        Ext::Sa2 => "X-security-association",
        Ext::AddressDst2 => "X-destination-address2",
        Ext::AddressSrcFlow => "X-source-flow-address",
        Ext::AddressDstFlow => "X-dest-flow-address",
        Ext::AddressSrcMask => "X-source-mask",
        Ext::AddressDstMask => "X-dest-mask",
        Ext::Debug => "X-set-debug",
        Ext::Protocol => "X-ext-protocol",
        Ext::NatTType => "X-NAT-T-type",
        Ext::NatTSport => "X-NAT-T-sport",
        Ext::NatTDport => "X-NAT-T-dport",
        Ext::NatTOa => "X-NAT-T-OA",
        Ext::PlumbIf => "X-plumbif",
        Ext::SaRef => "X-saref",
        Ext::Group => "X-group",
        Ext::Fault => "X-fault",
    }
}

/// The name of an SA type.
pub(super) fn satype(number: u8) -> Option<&'static str> {
    SaType::from_number(number).map(|satype| match satype {
        SaType::Ah => "AH",
        SaType::Esp => "ESP",
        SaType::IpIp => "IPIP",
        SaType::Comp => "COMP",
        SaType::Int => "INT",
    })
}

/// The name of an SA's state.
pub(super) fn state(number: u8) -> Option<&'static str> {
    SaState::from_number(number).map(|state| match state {
        SaState::Larval => "larval",
        SaState::Mature => "mature",
        SaState::Dying => "dying",
        SaState::Dead => "dead",
    })
}

/// The name of an algorithm that SAs of a type can have, for authentication or anything else.
pub(super) fn algorithm(
    satype: Option<SaType>,
    for_auth: bool,
    number: u8,
) -> Option<&'static str> {
    match (satype, number) {
        (_, 0) => Some("none"),
        (Some(SaType::IpIp), _) if !for_auth => tunnel(number),
        (Some(satype), _) => algorithm::find(satype, for_auth, number)
            .map(|algorithm| algorithm.proc_name.trim_start_matches('_')),
        (None, _) => None,
    }
}

const fn tunnel(number: u8) -> Option<&'static str> {
    Some(match number {
        1 => "IPv4-in-IPv4",
        2 => "IPv6-in-IPv4",
        3 => "IPv4-in-IPv6",
        4 => "IPv6-in-IPv6",
        _ => return None,
    })
}

/// The name of an address family.
pub(super) fn family(number: u16) -> Option<&'static str> {
    [(Family::Inet, "inet"), (Family::Inet6, "inet6")]
        .into_iter()
        .find_map(|(family, name)| (family.number() == number).then_some(name))
}

/// The name of a kind of identity.
pub(super) const fn identity(number: u16) -> Option<&'static str> {
    Some(match number {
        1 => "prefix",
        2 => "fqdn",
        3 => "userfqdn",
        4 => "connection",
        _ => return None,
    })
}

/// The name of a kind of UDP encapsulation, as `ipsec spi --natt` takes it.
pub(super) const fn natt(number: u8) -> Option<&'static str> {
    Some(match number {
        1 => "nonike",
        2 => "nonesp",
        _ => return None,
    })
}

/// The name of a virtual interface.
pub(super) fn interface(number: u16) -> Cow<'static, str> {
    /// From here on they are mast interfaces in transport mode.
    const TRANSPORT: u16 = 40960;
    /// From here on they are ipsec interfaces.
    const IPSEC: u16 = 49152;
    match number {
        IPSEC.. => format!("ipsec{}", number - IPSEC),
        TRANSPORT.. => format!("mast{} transport", number - TRANSPORT),
        _ => format!("mast{number}"),
    }
    .into()
}

/// What is wrong with a member of a group request.
pub(super) const fn fault(number: u8) -> Option<&'static str> {
    Some(match number {
        1 => "missing",
        2 => "grouped",
        3 => "twice",
        _ => return None,
    })
}
