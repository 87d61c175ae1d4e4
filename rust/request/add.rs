// SPDX-License-Identifier: GPL-2.0

//! ADD: makes an SA (RFC 2367 section 3.1.3, reference 4.7).

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
            algorithm::{
                self,
                auth,
                encrypt, //
            },
            types::SAFLAG_PFS,
            Address,
            Content,
            Ext,
            Ident,
            Key,
            Lifetime,
            Message,
            Sa, //
        },
        said::Proto, //
    },
    memory::{
        OutOfMemory,
        Secret, //
    },
    sadb::{
        AddError,
        NatT,
        SaIdent,
        SaKey,
        SaSpec, //
    }, //
};

pub(super) fn add<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let satype = message.header.known_satype().ok_or(Errno::EINVAL)?;
    let spec = spec(host, message)?;
    let bits = |key: &Option<SaKey>| key.as_ref().map_or(0, |key| key.bits);
    let algorithms = algorithm::check(
        satype,
        spec.auth,
        bits(&spec.key_auth),
        spec.encrypt,
        bits(&spec.key_encrypt),
    );
    let reply = write(host, &reply(message, &spec))?;

    let mut state = host.lock();
    // That there is such an SA already is told before what is wrong with this one.
    if state.sadb.find(&spec.said).is_some() {
        return Err(AddError::Exists.into());
    }
    algorithms?;
    let prepared = state.sadb.prepare(spec)?;
    state.sadb.add(prepared).map_err(|_| OutOfMemory)?;
    state.listeners.send(host, &reply, Audience::All);
    Ok(())
}

/// What the message says of the SA.
fn spec<H: Host>(host: &H, message: &Message<'_>) -> Result<SaSpec, Refusal> {
    let said = message.said().ok_or(Errno::EINVAL)?;
    let sa = message.sa().ok_or(Errno::EINVAL)?;
    let address = |ext| message.address(ext).map(|address| address.socket);
    let hard = message.lifetime(Ext::LifetimeHard);
    let soft = message.lifetime(Ext::LifetimeSoft);
    // The algorithm fields of a tunnel mean nothing.
    let (auth, encrypt) = match said.proto {
        Proto::Tun => (auth::NONE, encrypt::NONE),
        _ => (sa.auth, sa.encrypt),
    };
    let form = hard.or(soft).map(|(_, form)| form).unwrap_or_default();
    let hard = hard.map(|(lifetime, _)| lifetime).unwrap_or_default();
    let soft = soft.map(|(lifetime, _)| lifetime).unwrap_or_default();
    Ok(SaSpec {
        said,
        dst: address(Ext::AddressDst).ok_or(Errno::EINVAL)?,
        src: address(Ext::AddressSrc).ok_or(Errno::EINVAL)?,
        proxy: address(Ext::AddressProxy),
        state: sa.state,
        replay: sa.replay,
        auth,
        encrypt,
        flags: sa.flags,
        // The same bit means perfect forward secrecy in a request and inbound in KLIPS.
        inbound: sa.flags & SAFLAG_PFS != 0 || host.is_local(said.dst),
        hard,
        soft: capped(&soft, &hard),
        lifetime_form: form,
        key_auth: message.key(Ext::KeyAuth).map(keep_key).transpose()?,
        key_encrypt: message.key(Ext::KeyEncrypt).map(keep_key).transpose()?,
        ident_src: message
            .ident(Ext::IdentitySrc)
            .map(keep_ident)
            .transpose()?,
        ident_dst: message
            .ident(Ext::IdentityDst)
            .map(keep_ident)
            .transpose()?,
        natt: NatT {
            kind: message.natt_type().unwrap_or(0),
            sport: message.natt_port(Ext::NatTSport).unwrap_or(0),
            dport: message.natt_port(Ext::NatTDport).unwrap_or(0),
            original: address(Ext::NatTOa),
        },
        added: host.now(),
    })
}

/// Soft limits that are not above the hard ones, where those are set.
fn capped(soft: &Lifetime, hard: &Lifetime) -> Lifetime {
    fn cap<T: Ord + Default>(soft: T, hard: T) -> T {
        match hard == T::default() {
            true => soft,
            false => soft.min(hard),
        }
    }
    Lifetime {
        allocations: cap(soft.allocations, hard.allocations),
        packets: cap(soft.packets, hard.packets),
        bytes: cap(soft.bytes, hard.bytes),
        addtime: cap(soft.addtime, hard.addtime),
        usetime: cap(soft.usetime, hard.usetime),
    }
}

fn keep_key(key: Key<'_>) -> Result<SaKey, OutOfMemory> {
    Ok(SaKey {
        bits: key.bits,
        data: Secret::copy_of(key.data)?,
    })
}

fn keep_ident(ident: Ident<'_>) -> Result<SaIdent, OutOfMemory> {
    Ok(SaIdent {
        kind: ident.kind,
        id: ident.id,
        text: match ident.text {
            [] => None,
            text => Some(Secret::copy_of(text)?),
        },
    })
}

/// The reply: the SA as it is now, what of lifetimes and identities was given, never the keys.
fn reply<'a>(message: &Message<'a>, spec: &SaSpec) -> Content<'a> {
    let given = |ext, lifetime| message.has(ext).then_some(lifetime);
    let echo = |ext| message.address(ext).map(Address::without_proto);
    Content {
        sa: Some(Sa {
            replay: spec.replay,
            state: spec.state,
            auth: spec.auth,
            encrypt: spec.encrypt,
            flags: super::get::shown_flags(spec),
            ..Sa::naming(spec.said.spi)
        }),
        hard: given(Ext::LifetimeHard, spec.hard),
        soft: given(Ext::LifetimeSoft, spec.soft),
        lifetime_form: spec.lifetime_form,
        src: echo(Ext::AddressSrc),
        dst: echo(Ext::AddressDst),
        ident_src: message.ident(Ext::IdentitySrc),
        ident_dst: message.ident(Ext::IdentityDst),
        ..Content::reply_to(&message.header)
    }
}
