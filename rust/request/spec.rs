// SPDX-License-Identifier: GPL-2.0

//! What a message says of an SA, and what of that its answer echoes.

use crate::{
    engine::Engine,
    klips_core::{
        errno::Errno,
        pfkey::{
            algorithm::{
                self,
                auth,
                encrypt, //
            },
            build::Builder,
            types::SAREF_NULL,
            Ext,
            Ident,
            Key,
            Lifetime,
            Message,
            MsgType,
            Sa, //
        },
        said::Proto, //
    },
    memory::{
        self,
        Boxed,
        OutOfMemory,
        Secret, //
    },
    netns::{
        Host,
        Refusal, //
    },
    post::about,
    sadb::{
        self,
        NatT,
        Rarities,
        SaIdent,
        SaSpec, //
    }, //
};

/// An SA extension with the algorithms that mean something for SAs of this protocol; KLIPS has the
/// others 0.
pub(super) fn meaningful(sa: Sa, proto: Proto) -> Sa {
    let (auth, encrypt) = match proto {
        Proto::Esp => (sa.auth, sa.encrypt),
        Proto::Ah => (sa.auth, encrypt::NONE),
        Proto::Comp => (auth::NONE, sa.encrypt),
        Proto::Tun | Proto::Int => (auth::NONE, encrypt::NONE),
    };
    Sa {
        auth,
        encrypt,
        ..sa
    }
}

/// An SA extension of a request as its answer has it, without SAref.
pub(super) fn echo(sa: Sa, proto: Proto) -> Sa {
    Sa {
        sa_ref: SAREF_NULL,
        ..meaningful(sa, proto)
    }
}

/// Longest text of an identity. The longest that there is names a mailbox: 64 bytes, `@`, 255 bytes
/// of domain (RFC 5321 section 4.5.3.1) and a zero, in whole words.
const IDENT_MAX: usize = 328;

/// What ADD and UPDATE say of an SA, and whether its algorithms and keys go together. Keys are copied
/// only if they do.
pub(super) fn of_message<H: Host>(
    host: &H,
    message: &Message<'_>,
) -> Result<(Boxed<sadb::Sa>, Result<(), Refusal>), Refusal> {
    let said = message.said().ok_or(Errno::EINVAL)?;
    let sa = meaningful(message.sa().ok_or(Errno::EINVAL)?, said.proto);
    let hard = message.lifetime(Ext::LifetimeHard);
    let soft = message.lifetime(Ext::LifetimeSoft);
    let (key_auth, key_encrypt) = (message.key(Ext::KeyAuth), message.key(Ext::KeyEncrypt));
    let mut new = named(host, message, sa.spi)?;
    let spec = &mut new.spec;
    spec.state = sa.state;
    spec.replay = sa.replay;
    spec.auth = sa.auth;
    spec.encrypt = sa.encrypt;
    spec.flags = sa.flags;
    if let Some((_, form)) = hard.or(soft) {
        let hard = hard.map(|(lifetime, _)| lifetime).unwrap_or_default();
        let soft = soft.map(|(lifetime, _)| lifetime).unwrap_or_default();
        spec.lifetime_form = form;
        spec.hard = hard;
        spec.soft = capped(&soft, &hard);
    }
    spec.auth_bits = key_auth.map_or(0, |key| key.bits);
    spec.encrypt_bits = key_encrypt.map_or(0, |key| key.bits);
    let algorithms = check_algorithms(host, message, spec);
    if algorithms.is_ok() {
        spec.keys = keep_keys(key_auth, key_encrypt)?;
    }
    spec.natt = NatT {
        kind: message.natt_type().unwrap_or(0),
        sport: message.natt_port(Ext::NatTSport).unwrap_or(0),
        dport: message.natt_port(Ext::NatTDport).unwrap_or(0),
    };
    spec.allocations = match message.header.msg_type {
        MsgType::Add => 1,
        _ => 0,
    };
    Ok((new, algorithms))
}

/// An SA of which is known what names it, where it comes from, and what few SAs have. It is made in
/// its place: to move one would be to copy some hundreds of bytes.
pub(super) fn named<H: Host>(
    host: &H,
    message: &Message<'_>,
    spi: u32,
) -> Result<Boxed<sadb::Sa>, Refusal> {
    let address = |ext| message.address(ext).map(|address| address.socket);
    let proto = message.header.known_satype().ok_or(Errno::EINVAL)?.proto();
    let src = address(Ext::AddressSrc).ok_or(Errno::EINVAL)?;
    let dst = address(Ext::AddressDst).ok_or(Errno::EINVAL)?;
    let mut new = sadb::Sa::boxed(|| SaSpec::new(proto, spi, src, dst))?;
    new.spec.inbound = host.is_local(dst.ip());
    new.spec.rarities = rarities(message)?;
    new.spec.added = host.now();
    Ok(new)
}

/// What few SAs have, if this one has any of it.
fn rarities(message: &Message<'_>) -> Result<Option<Boxed<Rarities>>, Refusal> {
    const RARE: u64 = Ext::AddressProxy.bit()
        | Ext::NatTOa.bit()
        | Ext::IdentitySrc.bit()
        | Ext::IdentityDst.bit();
    if message.present() & RARE == 0 {
        return Ok(None);
    }
    let address = |ext| message.address(ext).map(|address| address.socket);
    let ident = |ext| message.ident(ext).map(keep_ident).transpose();
    let (ident_src, ident_dst) = (ident(Ext::IdentitySrc)?, ident(Ext::IdentityDst)?);
    Ok(Some(memory::boxed(|| Rarities {
        proxy: address(Ext::AddressProxy),
        natt_original: address(Ext::NatTOa),
        ident_src,
        ident_dst,
    })?))
}

/// Whether algorithms and keys go together, and the kernel has them.
fn check_algorithms<H: Host>(
    host: &H,
    message: &Message<'_>,
    spec: &SaSpec,
) -> Result<(), Refusal> {
    let satype = message.header.known_satype().ok_or(Errno::EINVAL)?;
    algorithm::check(
        satype,
        spec.auth,
        spec.auth_bits,
        spec.encrypt,
        spec.encrypt_bits,
    )?;
    Ok(host.engine().probe(&spec.algorithms())?)
}

/// Soft limits that are not above the hard ones, where those are set.
fn capped(soft: &Lifetime, hard: &Lifetime) -> Lifetime {
    fn cap<T: Ord + Default>(soft: T, hard: T) -> T {
        if hard == T::default() {
            soft
        } else {
            soft.min(hard)
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

fn keep_keys(
    auth: Option<Key<'_>>,
    encrypt: Option<Key<'_>>,
) -> Result<Option<Secret>, OutOfMemory> {
    fn bytes<'a>(key: Option<Key<'a>>) -> &'a [u8] {
        key.map_or(&[], |key| key.data)
    }
    match (bytes(auth), bytes(encrypt)) {
        ([], []) => Ok(None),
        (auth, encrypt) => Secret::of_both(auth, encrypt).map(Some),
    }
}

fn keep_ident(ident: Ident<'_>) -> Result<SaIdent, Refusal> {
    if ident.text.len() > IDENT_MAX {
        return Err(Errno::EINVAL.into());
    }
    Ok(SaIdent {
        kind: ident.kind,
        id: ident.id,
        text: match ident.text {
            [] => None,
            text => Some(Secret::copy_of(text)?),
        },
    })
}

/// The reply to ADD and UPDATE: the SA as it is now, what of lifetimes and identities was given,
/// never the keys.
pub(super) fn reply_to(
    message: &Message<'_>,
    spec: &SaSpec,
    current: Option<&Lifetime>,
    out: &mut Builder<'_>,
) {
    out.sa(Ext::Sa, &about::sa_extension(spec));
    if let Some(current) = current {
        out.lifetime(Ext::LifetimeCurrent, current, spec.lifetime_form);
    }
    for (ext, lifetime) in [
        (Ext::LifetimeHard, &spec.hard),
        (Ext::LifetimeSoft, &spec.soft),
    ] {
        if message.has(ext) {
            out.lifetime(ext, lifetime, spec.lifetime_form);
        }
    }
    echo_addresses(message, out);
    for ext in [Ext::IdentitySrc, Ext::IdentityDst] {
        if let Some(ident) = message.ident(ext) {
            out.ident(ext, &ident);
        }
    }
}

/// Echoes source and destination.
pub(super) fn echo_addresses(message: &Message<'_>, out: &mut Builder<'_>) {
    echo_address(message, Ext::AddressSrc, out);
    echo_address(message, Ext::AddressDst, out);
}

/// Echoes an address.
pub(super) fn echo_address(message: &Message<'_>, ext: Ext, out: &mut Builder<'_>) {
    if let Some(address) = message.address(ext) {
        out.address(ext, &address.without_proto());
    }
}
