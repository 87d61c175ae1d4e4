// SPDX-License-Identifier: GPL-2.0

//! What is told of an SA. Its keys never are.

use super::{
    write,
    Draft, //
};
use crate::{
    klips_core::{
        pfkey::{
            build::{
                request,
                Builder, //
            },
            types::SAFLAG_PFS,
            Address,
            Ext,
            Ident,
            Lifetime,
            MsgType,
            Sa,
            SaState,
            SaType, //
        },
        xfrm::Usage, //
    },
    memory::OutOfMemory,
    netns::Host,
    sadb::{
        self,
        SaIdent,
        SaSpec, //
    }, //
};
use core::net::{
    IpAddr,
    SocketAddr, //
};

/// An SA's own extension: flags are those given, and the lowest bit for an inbound SA.
pub fn sa_extension(spec: &SaSpec) -> Sa {
    Sa {
        replay: spec.replay,
        state: spec.state,
        auth: spec.auth,
        encrypt: spec.encrypt,
        flags: if spec.inbound {
            spec.flags | SAFLAG_PFS
        } else {
            spec.flags
        },
        ..Sa::naming(spec.spi)
    }
}

fn address(socket: SocketAddr) -> Address {
    Address { proto: 0, socket }
}

/// Source and destination of an SA.
pub fn put_ends(spec: &SaSpec, out: &mut Builder<'_>) {
    out.address(Ext::AddressSrc, &address(spec.src));
    out.address(Ext::AddressDst, &address(spec.dst));
}

/// All that is told of an SA, keys excepted.
pub fn describe(sa: &sadb::Sa, usage: &Usage, out: &mut Builder<'_>) {
    let spec = &sa.spec;
    out.sa(Ext::Sa, &sa_extension(spec));
    out.lifetime(Ext::LifetimeCurrent, &sa.current(usage), spec.lifetime_form);
    for (ext, lifetime) in [
        (Ext::LifetimeHard, &spec.hard),
        (Ext::LifetimeSoft, &spec.soft),
    ] {
        if *lifetime != Lifetime::default() {
            out.lifetime(ext, lifetime, spec.lifetime_form);
        }
    }
    put_ends(spec, out);
    if let Some(rare) = &spec.rarities {
        if let Some(proxy) = rare.proxy {
            out.address(Ext::AddressProxy, &address(proxy));
        }
        for (ext, ident) in [
            (Ext::IdentitySrc, &rare.ident_src),
            (Ext::IdentityDst, &rare.ident_dst),
        ] {
            if let Some(SaIdent { kind, id, text }) = ident {
                let text = text.as_ref().map_or(&[][..], |text| text.as_slice());
                let (kind, id) = (*kind, *id);
                out.ident(ext, &Ident { kind, id, text });
            }
        }
    }
    if spec.natt.kind != 0 {
        out.natt_type(spec.natt.kind);
    }
    let given = |port: u16| (port != 0).then_some(port);
    out.natt_ports(given(spec.natt.sport), given(spec.natt.dport));
    if let Some(original) = spec.rarities.as_ref().and_then(|rare| rare.natt_original) {
        out.address(Ext::NatTOa, &address(original));
    }
}

/// Tells that an SA went with its group. Nobody asked for it by name, so it carries neither a
/// sequence number nor a process ID.
pub fn removal_of<H: Host>(host: &H, sa: &sadb::Sa) -> Result<Draft, OutOfMemory> {
    let spec = &sa.spec;
    let header = request(MsgType::Delete, SaType::of(spec.proto) as u8, 0, 0);
    write(host, &header, |out| {
        out.sa(Ext::Sa, &Sa::naming(spec.spi));
        put_ends(spec, out);
    })
}

/// Asks those who negotiate for SAs for packets like this (RFC 2367 section 3.1.6).
pub fn acquire_for<H: Host>(
    host: &H,
    seq: u32,
    (src, dst, proto): (SocketAddr, SocketAddr, u8),
) -> Result<Draft, OutOfMemory> {
    let header = request(MsgType::Acquire, SaType::Esp as u8, seq, 0);
    write(host, &header, |out| {
        for (ext, socket) in [(Ext::AddressSrc, src), (Ext::AddressDst, dst)] {
            out.address(ext, &Address { proto, socket });
        }
        out.proposal();
    })
}

/// Tells that packets of an SA behind NAT come from elsewhere now. As in KLIPS, the source is where
/// they came from before, and the destination where they come from now.
pub fn mapping_of<H: Host>(
    host: &H,
    seq: u32,
    spec: &SaSpec,
    (src, sport): (IpAddr, u16),
) -> Result<Draft, OutOfMemory> {
    let satype = SaType::of(spec.proto) as u8;
    let header = request(MsgType::NatTNewMapping, satype, seq, 0);
    write(host, &header, |out| {
        out.sa(Ext::Sa, &sa_extension(spec));
        out.address(Ext::AddressSrc, &address(spec.src));
        out.address(Ext::AddressDst, &address(SocketAddr::new(src, 0)));
        out.natt_ports(Some(spec.natt.sport), Some(sport));
    })
}

/// The message that tells that a limit is passed. An SA that is past its soft limits is told as
/// dying, which it will be once it is told.
pub fn expiry_of<H: Host>(
    host: &H,
    (sa, usage): (&sadb::Sa, &Usage),
    seq: u32,
    (limit, lifetime): (Ext, &Lifetime),
) -> Result<Draft, OutOfMemory> {
    let spec = &sa.spec;
    let header = request(MsgType::Expire, SaType::of(spec.proto) as u8, seq, 0);
    let mut told = sa_extension(spec);
    if limit == Ext::LifetimeSoft {
        told.state = SaState::Dying;
    }
    write(host, &header, |out| {
        out.sa(Ext::Sa, &told);
        out.lifetime(Ext::LifetimeCurrent, &sa.current(usage), spec.lifetime_form);
        out.lifetime(limit, lifetime, spec.lifetime_form);
        put_ends(spec, out);
    })
}
