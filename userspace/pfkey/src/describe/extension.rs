// SPDX-License-Identifier: GPL-2.0

//! The fields of each extension.
//!
//! Unlike the checks of `klips::pfkey::parse` this takes whatever values it finds, for messages
//! may come from a KLIPS of another release. Bytes that the layout has no use for are shown only if
//! they are not zero.

use super::{
    fields::{Fields, Value},
    names,
};
use klips::{
    address::Family,
    pfkey::{Ext, SaType, debug::Part, types::WORD, wire},
    said::Said,
};
use std::net::IpAddr;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned, byteorder::native_endian};

/// What an extension says.
#[derive(Default)]
pub(super) struct Body {
    pub(super) fields: Fields,
    /// What it has several of.
    pub(super) list: Vec<Fields>,
}

/// Reads an extension, its header included, of a message about SAs of a type; `None` if it is too
/// short for its layout.
pub(super) fn read(ext: Ext, bytes: &[u8], satype: Option<SaType>) -> Option<Body> {
    let mut body = Body::default();
    let fields = &mut body.fields;
    let rest = match ext {
        Ext::Sa | Ext::Sa2 => sa(fields, bytes, satype)?,
        Ext::LifetimeCurrent | Ext::LifetimeHard | Ext::LifetimeSoft => lifetime(fields, bytes)?,
        Ext::AddressSrc
        | Ext::AddressDst
        | Ext::AddressProxy
        | Ext::AddressDst2
        | Ext::AddressSrcFlow
        | Ext::AddressDstFlow
        | Ext::AddressSrcMask
        | Ext::AddressDstMask
        | Ext::NatTOa => address(fields, bytes)?,
        Ext::KeyAuth | Ext::KeyEncrypt => key(fields, bytes)?,
        Ext::IdentitySrc | Ext::IdentityDst => identity(fields, bytes)?,
        Ext::Sensitivity => sensitivity(fields, bytes)?,
        Ext::Proposal => proposal(&mut body, bytes, satype)?,
        Ext::SupportedAuth => supported(&mut body, bytes, satype, true)?,
        Ext::SupportedEncrypt => supported(&mut body, bytes, satype, false)?,
        Ext::SpiRange => {
            let (range, rest) = split::<wire::SpiRange>(bytes)?;
            fields.hex("min", range.min.get());
            fields.hex("max", range.max.get());
            fields.odd("reserved", &range.reserved.get().to_ne_bytes());
            rest
        }
        Ext::KmPrivate => bytes.get(size_of::<wire::ExtHeader>()..)?,
        Ext::SaType2 => {
            let (satype2, rest) = split::<wire::SaType2>(bytes)?;
            fields.named("satype", satype2.satype, names::satype(satype2.satype));
            fields.odd("reserved", &satype2.reserved);
            rest
        }
        Ext::Debug => {
            let (debug, rest) = split::<wire::Debug>(bytes)?;
            for (part, mask) in Part::ALL.into_iter().zip(debug.masks) {
                fields.hex(part.name(), mask.get());
            }
            fields.odd("reserved", &debug.reserved.get().to_ne_bytes());
            rest
        }
        Ext::Protocol => {
            let (protocol, rest) = split::<wire::Protocol>(bytes)?;
            fields.number("proto", protocol.proto);
            fields.number("direction", protocol.direction);
            fields.number("flags", protocol.flags);
            fields.odd("reserved", &[protocol.reserved]);
            rest
        }
        Ext::NatTType => {
            let (natt, rest) = split::<wire::NatTType>(bytes)?;
            fields.named("type", natt.kind, names::natt(natt.kind));
            fields.odd("reserved", &natt.reserved);
            rest
        }
        Ext::NatTSport | Ext::NatTDport => {
            let (natt, rest) = split::<wire::NatTPort>(bytes)?;
            fields.number("port", natt.port.get());
            fields.odd("reserved", &natt.reserved.get().to_ne_bytes());
            rest
        }
        Ext::PlumbIf => {
            let (plumb, rest) = split::<wire::PlumbIf>(bytes)?;
            let number = plumb.ifnum.get();
            fields.named("ifnum", number, Some(names::interface(number)));
            fields.odd("reserved", &plumb.reserved.get().to_ne_bytes());
            rest
        }
        Ext::SaRef => {
            let (saref, rest) = split::<wire::SaRef>(bytes)?;
            fields.hex("me", saref.me.get());
            fields.hex("him", saref.him.get());
            fields.odd("reserved", &saref.reserved.get().to_ne_bytes());
            rest
        }
        Ext::Group => group(&mut body, bytes)?,
        Ext::Fault => {
            let (fault, rest) = split::<wire::Fault>(bytes)?;
            fields.number("member", fault.member);
            fields.named("reason", fault.reason, names::fault(fault.reason));
            fields.odd("reserved", &fault.reserved.get().to_ne_bytes());
            rest
        }
    };
    body.fields.odd("rest", rest);
    Some(body)
}

/// The SPI of an SA extension.
pub(super) fn spi(bytes: &[u8]) -> Option<u32> {
    Some(split::<wire::Sa>(bytes)?.0.spi.get())
}

/// The address of an address extension.
pub(super) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let (_, sockaddr) = split::<wire::Address>(bytes)?;
    match split::<native_endian::U16>(sockaddr)?.0.get() {
        family if family == Family::Inet.number() => {
            let (sin, _) = split::<wire::SockAddrIn>(sockaddr)?;
            Some(sin.address.into())
        }
        family if family == Family::Inet6.number() => {
            let (sin6, _) = split::<wire::SockAddrIn6>(sockaddr)?;
            Some(sin6.address.into())
        }
        _ => None,
    }
}

/// The SA type of a SATYPE2 extension.
pub(super) fn satype(bytes: &[u8]) -> Option<SaType> {
    SaType::from_number(split::<wire::SaType2>(bytes)?.0.satype)
}

/// A layout, and what is behind it.
fn split<T>(bytes: &[u8]) -> Option<(&T, &[u8])>
where
    T: FromBytes + KnownLayout + Immutable + Unaligned,
{
    T::ref_from_prefix(bytes).ok()
}

fn sa<'a>(fields: &mut Fields, bytes: &'a [u8], satype: Option<SaType>) -> Option<&'a [u8]> {
    let (sa, rest) = split::<wire::Sa>(bytes)?;
    let algorithm = |for_auth, number| names::algorithm(satype, for_auth, number);
    fields.hex("spi", sa.spi.get());
    fields.number("replay", sa.replay);
    fields.named("state", sa.state, names::state(sa.state));
    fields.named("auth", sa.auth, algorithm(true, sa.auth));
    fields.named("encrypt", sa.encrypt, algorithm(false, sa.encrypt));
    fields.hex("flags", sa.flags.get());
    Some(match split::<wire::SaTail>(rest) {
        None => rest,
        Some((tail, rest)) => {
            fields.hex("ref", tail.sa_ref.get());
            fields.odd("reserved", &tail.reserved.get().to_ne_bytes());
            rest
        }
    })
}

fn lifetime<'a>(fields: &mut Fields, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (lifetime, rest) = split::<wire::Lifetime>(bytes)?;
    fields.number("allocations", lifetime.allocations.get());
    fields.number("bytes", lifetime.bytes.get());
    fields.seconds("addtime", lifetime.addtime.get());
    fields.seconds("usetime", lifetime.usetime.get());
    Some(match split::<wire::LifetimeTail>(rest) {
        None => rest,
        Some((tail, rest)) => {
            fields.number("packets", tail.packets.get());
            fields.odd("reserved", &tail.reserved.get().to_ne_bytes());
            rest
        }
    })
}

fn address<'a>(fields: &mut Fields, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (address, sockaddr) = split::<wire::Address>(bytes)?;
    let (family, rest) = split::<native_endian::U16>(sockaddr)?;
    let family = family.get();
    fields.number("proto", address.proto);
    fields.number("prefixlen", address.prefixlen);
    fields.odd("reserved", &address.reserved.get().to_ne_bytes());
    fields.named("family", family, names::family(family));
    let Some(ip) = ip(bytes) else {
        return Some(rest);
    };
    fields.push("address", Value::Word(ip.to_string()));
    match ip {
        IpAddr::V4(_) => {
            let (sin, rest) = split::<wire::SockAddrIn>(sockaddr)?;
            fields.number("port", sin.port.get());
            fields.odd("zero", &sin.zero);
            Some(rest)
        }
        IpAddr::V6(_) => {
            let (sin6, rest) = split::<wire::SockAddrIn6>(sockaddr)?;
            fields.number("port", sin6.port.get());
            fields.hex("flowinfo", sin6.flowinfo.get());
            fields.number("scope_id", sin6.scope_id.get());
            Some(rest)
        }
    }
}

/// Never the key itself: nothing but its length. `None` also if that can't be trusted.
fn key<'a>(fields: &mut Fields, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (key, data) = split::<wire::Key>(bytes)?;
    let bits = key.bits.get();
    let len = usize::from(bits).div_ceil(8);
    if data.len() != len.next_multiple_of(WORD) {
        return None;
    }
    fields.number("bits", bits);
    fields.number("bytes", len as u64);
    fields.odd("reserved", &key.reserved.get().to_ne_bytes());
    Some(&[])
}

fn identity<'a>(fields: &mut Fields, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (ident, text) = split::<wire::Ident>(bytes)?;
    let kind = ident.kind.get();
    fields.named("type", kind, names::identity(kind));
    fields.odd("reserved", &ident.reserved.get().to_ne_bytes());
    fields.number("id", ident.id.get());
    let end = text.iter().position(|byte| *byte == 0);
    let (text, rest) = text.split_at(end.unwrap_or(text.len()));
    let text = String::from_utf8_lossy(text).into_owned();
    fields.push("text", Value::Text(text));
    Some(rest)
}

fn sensitivity<'a>(fields: &mut Fields, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (label, bitmaps) = split::<wire::Sensitivity>(bytes)?;
    fields.number("dpd", label.dpd.get());
    fields.number("sens_level", label.sens_level);
    fields.number("sens_len", label.sens_len);
    fields.number("integ_level", label.integ_level);
    fields.number("integ_len", label.integ_len);
    fields.odd("reserved", &label.reserved.get().to_ne_bytes());
    let sens = usize::from(label.sens_len) * WORD;
    let (sens, rest) = bitmaps.split_at_checked(sens)?;
    let integ = usize::from(label.integ_len) * WORD;
    let (integ, rest) = rest.split_at_checked(integ)?;
    fields.odd("sens_bitmap", sens);
    fields.odd("integ_bitmap", integ);
    Some(rest)
}

fn proposal<'a>(body: &mut Body, bytes: &'a [u8], satype: Option<SaType>) -> Option<&'a [u8]> {
    /// Length of a combination with the two packet limits that Openswan 2.4 appends to it.
    const LONG: usize = size_of::<wire::Comb>() + WORD;
    let (proposal, combs) = split::<wire::Proposal>(bytes)?;
    body.fields.number("replay", proposal.replay);
    body.fields.odd("reserved", &proposal.reserved);
    let size = match combs.len() % LONG {
        0 => LONG,
        _ => size_of::<wire::Comb>(),
    };
    let mut chunks = combs.chunks_exact(size);
    for chunk in &mut chunks {
        // One of zeros says nothing: it only fills up.
        if chunk.iter().any(|byte| *byte != 0) {
            body.list.push(combination(chunk, satype)?);
        }
    }
    Some(chunks.remainder())
}

fn combination(bytes: &[u8], satype: Option<SaType>) -> Option<Fields> {
    let (comb, rest) = split::<wire::Comb>(bytes)?;
    let algorithm = |for_auth, number| names::algorithm(satype, for_auth, number);
    let mut fields = Fields::default();
    fields.named("auth", comb.auth, algorithm(true, comb.auth));
    fields.named("encrypt", comb.encrypt, algorithm(false, comb.encrypt));
    fields.hex("flags", comb.flags.get());
    fields.number("auth_minbits", comb.auth_minbits.get());
    fields.number("auth_maxbits", comb.auth_maxbits.get());
    fields.number("encrypt_minbits", comb.encrypt_minbits.get());
    fields.number("encrypt_maxbits", comb.encrypt_maxbits.get());
    fields.odd("reserved", &comb.reserved.get().to_ne_bytes());
    fields.number("soft_allocations", comb.soft_allocations.get());
    fields.number("hard_allocations", comb.hard_allocations.get());
    fields.number("soft_bytes", comb.soft_bytes.get());
    fields.number("hard_bytes", comb.hard_bytes.get());
    fields.seconds("soft_addtime", comb.soft_addtime.get());
    fields.seconds("hard_addtime", comb.hard_addtime.get());
    fields.seconds("soft_usetime", comb.soft_usetime.get());
    fields.seconds("hard_usetime", comb.hard_usetime.get());
    if let Some(([soft, hard], _)) = split::<[native_endian::U32; 2]>(rest) {
        fields.number("soft_packets", soft.get());
        fields.number("hard_packets", hard.get());
    }
    Some(fields)
}

fn supported<'a>(
    body: &mut Body,
    bytes: &'a [u8],
    satype: Option<SaType>,
    for_auth: bool,
) -> Option<&'a [u8]> {
    let (supported, mut rest) = split::<wire::Supported>(bytes)?;
    body.fields
        .odd("reserved", &supported.reserved.get().to_ne_bytes());
    while let Some((alg, behind)) = split::<wire::Alg>(rest) {
        let mut fields = Fields::default();
        fields.named("id", alg.id, names::algorithm(satype, for_auth, alg.id));
        fields.number("ivlen", alg.ivlen);
        fields.number("minbits", alg.minbits.get());
        fields.number("maxbits", alg.maxbits.get());
        fields.odd("reserved", &alg.reserved.get().to_ne_bytes());
        body.list.push(fields);
        rest = behind;
    }
    Some(rest)
}

fn group<'a>(body: &mut Body, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (group, mut rest) = split::<wire::Group>(bytes)?;
    body.fields.number("count", group.count);
    body.fields.odd("reserved", &group.reserved);
    while let Some((member, behind)) = split::<wire::GroupMember>(rest) {
        body.list.push(group_member(member));
        rest = behind;
    }
    Some(rest)
}

fn group_member(member: &wire::GroupMember) -> Fields {
    let family = member.family.get();
    let mut fields = Fields::default();
    fields.hex("spi", member.spi.get());
    fields.named("satype", member.satype, names::satype(member.satype));
    fields.odd("reserved", &[member.reserved]);
    fields.named("family", family, names::family(family));
    let [a, b, c, d, zeros @ ..] = member.address;
    let dst = match family {
        _ if family == Family::Inet.number() => {
            fields.odd("zero", &zeros);
            IpAddr::from([a, b, c, d])
        }
        _ if family == Family::Inet6.number() => IpAddr::from(member.address),
        _ => {
            fields.odd("address", &member.address);
            return fields;
        }
    };
    fields.push("address", Value::Word(dst.to_string()));
    if let Some(satype) = SaType::from_number(member.satype) {
        let said = Said {
            dst,
            spi: member.spi.get(),
            proto: satype.proto(),
        };
        fields.push("said", Value::Word(format!("{said:#}")));
    }
    fields
}
