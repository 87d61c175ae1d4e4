// SPDX-License-Identifier: GPL-2.0

//! GET: reads an SA (RFC 2367 section 3.1.5, reference 4.9). Its keys are not given.

use super::{
    write,
    Audience,
    Host,
    Refusal, //
};
use crate::{
    klips_core::{
        errno::Errno,
        pfkey::{
            types::SAFLAG_PFS,
            Address,
            Content,
            Header,
            Ident,
            Lifetime,
            Message,
            Sa, //
        },
    },
    sadb::{
        self,
        SaIdent,
        SaSpec, //
    }, //
};
use core::net::SocketAddr;

pub(super) fn get<H: Host>(
    host: &H,
    sender: H::Socket,
    message: &Message<'_>,
) -> Result<(), Refusal> {
    let said = message.said().ok_or(Errno::EINVAL)?;
    let state = host.lock();
    let sa = state.sadb.find(&said).ok_or(Errno::ESRCH)?;
    let reply = write(host, &describe(&message.header, sa))?;
    state.listeners.send(host, &reply, Audience::Only(sender));
    Ok(())
}

/// Flags as replies show them: those given, and the lowest bit for an inbound SA.
pub(super) fn shown_flags(spec: &SaSpec) -> u32 {
    match spec.inbound {
        true => spec.flags | SAFLAG_PFS,
        false => spec.flags,
    }
}

/// All that is told of an SA, in answer to `header`.
fn describe<'a>(header: &Header, sa: &'a sadb::Sa) -> Content<'a> {
    let spec = &sa.spec;
    let address = |socket: SocketAddr| Address { proto: 0, socket };
    let set = |lifetime: Lifetime| (lifetime != Lifetime::default()).then_some(lifetime);
    let port = |port: u16| (port != 0).then_some(port);
    Content {
        sa: Some(Sa {
            replay: spec.replay,
            state: spec.state,
            auth: spec.auth,
            encrypt: spec.encrypt,
            flags: shown_flags(spec),
            ..Sa::naming(spec.said.spi)
        }),
        current: Some(sa.current()),
        hard: set(spec.hard),
        soft: set(spec.soft),
        lifetime_form: spec.lifetime_form,
        src: Some(address(spec.src)),
        dst: Some(address(spec.dst)),
        proxy: spec.proxy.map(address),
        ident_src: spec.ident_src.as_ref().map(ident),
        ident_dst: spec.ident_dst.as_ref().map(ident),
        natt_type: (spec.natt.kind != 0).then_some(spec.natt.kind),
        natt_sport: port(spec.natt.sport),
        natt_dport: port(spec.natt.dport),
        natt_oa: spec.natt.original.map(address),
        ..Content::reply_to(header)
    }
}

fn ident(ident: &SaIdent) -> Ident<'_> {
    Ident {
        kind: ident.kind,
        id: ident.id,
        text: ident.text.as_ref().map_or(&[], |text| text.as_slice()),
    }
}
