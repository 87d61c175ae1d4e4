// SPDX-License-Identifier: GPL-2.0

//! Requests of every kind, and sockets that listen to all that is told of them: for tests that do
//! the same with each.

use crate::support::{
    KeySocket, add, bytes_of, flush, getspi, group, header, is_errno, link, loopback_up,
    manual_sas, naming, said, ungroup, update,
};
use anyhow::{Context, Result, ensure};
use klips::{
    errno::Errno,
    pfkey::{
        Address, Header, Ident, Lifetime, LifetimeForm, MsgType, SaType,
        debug::{Masks, SET},
    },
    said::Said,
};
use model::wire::{self, RawSa, ext, flag, msg, u16_at};
use pfkey::Content;

/// A request of one kind.
pub struct Kind {
    /// What it is.
    pub name: &'static str,
    /// Requests of the same socket that come before.
    pub before: Vec<Vec<u8>>,
    /// The request itself.
    pub request: Vec<u8>,
    /// Whether xfrm has something of it: states, policies.
    pub live: bool,
}

/// An SA that is not there beforehand.
fn fresh() -> Said {
    said("esp:5000@2001:db8::2")
}

/// Limits that nobody reaches.
pub fn limit(addtime: u64) -> Option<Lifetime> {
    Some(Lifetime {
        addtime,
        ..Lifetime::default()
    })
}

fn ident(text: &'static [u8]) -> Option<Ident<'static>> {
    Some(Ident {
        kind: 2,
        id: 9,
        text,
    })
}

/// A request with all that an SA can have, and longer than what the stack has room for.
pub fn rich(base: Content<'static>) -> Content<'static> {
    let is_add = base.header.msg_type == MsgType::Add;
    Content {
        hard: limit(100_000),
        soft: limit(90_000),
        lifetime_form: LifetimeForm::WithPackets,
        proxy: Some(Address::of("10.9.9.9".parse().expect("an address"))),
        // As long as one may be.
        ident_src: ident(&[0; 328]),
        ident_dst: ident(b"right.example\0\0\0"),
        natt_type: is_add.then_some(2),
        natt_sport: is_add.then_some(4500),
        natt_dport: is_add.then_some(4501),
        natt_oa: is_add.then(|| Address::of("10.8.8.8".parse().expect("an address"))),
        ..base
    }
}

fn plain(msg_type: MsgType, satype: u8) -> Vec<u8> {
    bytes_of(&Content::new(header(msg_type, satype)))
}

/// X_DEBUG with one value for all masks.
pub fn debug(mask: u32) -> Vec<u8> {
    let mut masks = [mask; 12];
    masks[1] = SET;
    bytes_of(&Content {
        debug: Some(Masks(masks)),
        ..Content::new(header(MsgType::Debug, 0))
    })
}

/// The flow that requests about eroutes are for.
fn usual_flow() -> Vec<Vec<u8>> {
    wire::flow(("10.1.0.0/24", 0), ("10.2.0.0/24", 0), 0)
}

/// X_ADDFLOW, well formed.
fn add_flow(said: &Said, flags: u32) -> Vec<u8> {
    wire::add_flow(*said, flags, &usual_flow())
}

/// A request of each kind: every type of message, with what makes a difference to the memory that
/// it takes and to what is told of it.
pub fn all() -> Vec<Kind> {
    let sas @ [tun, esp, ah] = manual_sas();
    let made: Vec<_> = sas.iter().map(|said| bytes_of(&add(said))).collect();
    let grouped = [made.clone(), vec![bytes_of(&group(&sas))]].concat();
    let rich_sa = vec![bytes_of(&rich(add(&fresh())))];
    let ports = Content {
        natt_sport: Some(4500),
        natt_dport: Some(4501),
        ..update(&esp)
    };
    let register = plain(MsgType::Register, 3);
    let failed = bytes_of(&Content::new(Header {
        errno: Errno::EPERM.0,
        ..header(MsgType::Acquire, 3)
    }));
    let interface = wire::extension(ext::PLUMBIF, &[0; 20]);
    let kind = |name, before: &[Vec<u8>], request| Kind {
        name,
        before: before.to_vec(),
        request,
        live: false,
    };
    let live = |name, before: &[&[Vec<u8>]], request| Kind {
        live: true,
        ..kind(name, &before.concat(), request)
    };
    // In use, and in the place of others that are.
    let protected = [grouped.clone(), vec![add_flow(&tun, 0)]].concat();
    let others = ["tun.213@10.0.0.2", "esp.215@10.0.0.2"].map(said);
    let other: Vec<_> = others.iter().map(|said| bytes_of(&add(said))).collect();
    let other = [other, vec![bytes_of(&group(&others))]].concat();
    // Of this host.
    let incoming = ["tun.313@127.0.0.1", "esp.315@127.0.0.1", "ah.316@127.0.0.1"].map(said);
    let come: Vec<_> = incoming.iter().map(|said| bytes_of(&add(said))).collect();
    let let_in = add_flow(&incoming[0], flag::IN);
    let incoming_group = bytes_of(&group(&incoming));
    let of =
        |name, before: &[Vec<u8>], content: Content<'_>| kind(name, before, bytes_of(&content));
    vec![
        of("ADD", &[], add(&esp)),
        of("ADD of all there is", &made, rich(add(&fresh()))),
        of("ADD of what exists", &made, add(&esp)),
        of("UPDATE", &grouped, update(&esp)),
        of("UPDATE of all there is", &grouped, rich(update(&esp))),
        of("UPDATE of ports", &grouped, ports),
        of("UPDATE of nothing", &[], update(&esp)),
        of("GETSPI", &[], getspi(&fresh(), 0x5000, 0x5000)),
        of("DELETE", &made, naming(MsgType::Delete, &esp)),
        of("DELETE in a group", &grouped, naming(MsgType::Delete, &ah)),
        of("DELETE of nothing", &[], naming(MsgType::Delete, &esp)),
        of("GET", &rich_sa, naming(MsgType::Get, &fresh())),
        of("FLUSH", &grouped, flush(0)),
        of("FLUSH of a type", &grouped, flush(SaType::Esp as u8)),
        kind("REGISTER", &[], register.clone()),
        kind("ACQUIRE", &[register], failed.clone()),
        kind("ACQUIRE without listeners", &[], failed),
        kind("EXPIRE", &[], plain(MsgType::Expire, 3)),
        kind(
            "DUMP",
            &[grouped.clone(), rich_sa].concat(),
            plain(MsgType::Dump, 0),
        ),
        kind("DUMP of a type", &grouped, plain(MsgType::Dump, 2)),
        kind("DUMP of nothing", &[], plain(MsgType::Dump, 0)),
        kind("X_PROMISC", &[], plain(MsgType::Promisc, 1)),
        of("X_GRPSA of a pair", &made, link(&tun, &esp)),
        of("X_GRPSA of a list", &made, group(&sas)),
        of("X_GRPSA of a grouped one", &grouped, group(&[esp, ah])),
        of("X_GRPSA that ungroups", &grouped, ungroup(&esp)),
        kind("X_DEBUG", &[], debug(0x10)),
        kind("X_ADDFLOW", &made, add_flow(&esp, 0)),
        live("an eroute to a group", &[&grouped], add_flow(&tun, 0)),
        live(
            "an eroute in the place of another",
            &[&protected, &other],
            add_flow(&others[0], flag::REPLACE),
        ),
        live(
            "ADD of what an eroute waits for",
            &[&[add_flow(&esp, 0)]],
            bytes_of(&add(&esp)),
        ),
        live(
            "X_GRPSA that an eroute waits for",
            &[&[add_flow(&tun, 0)], &made],
            bytes_of(&group(&sas)),
        ),
        live("UPDATE in use", &[&protected], bytes_of(&update(&esp))),
        live(
            "UPDATE of ports in use",
            &[&protected],
            bytes_of(&Content {
                natt_sport: Some(4500),
                natt_dport: Some(4501),
                ..update(&esp)
            }),
        ),
        live(
            "X_GRPSA that ungroups what is in use",
            &[&protected],
            bytes_of(&ungroup(&esp)),
        ),
        live(
            "DELETE of what is in use",
            &[&protected],
            bytes_of(&naming(MsgType::Delete, &ah)),
        ),
        live(
            "FLUSH of what is in use",
            &[&protected],
            bytes_of(&flush(0)),
        ),
        live(
            "X_DELFLOW of one",
            &[&protected],
            wire::del_flow(&usual_flow()),
        ),
        live("ADD of what comes in", &[], come[1].clone()),
        live("an inflow", &[&come[..1]], let_in.clone()),
        live(
            "X_GRPSA that an inflow waits for",
            &[&come, std::slice::from_ref(&let_in)],
            incoming_group.clone(),
        ),
        live("an inflow to a group", &[&come, &[incoming_group]], let_in),
        kind("X_DELFLOW", &[], {
            let mut clear = RawSa::naming(0);
            clear.flags = 4;
            wire::message(msg::DELFLOW, 0, &[clear.ext(ext::SA)])
        }),
        kind(
            "X_PLUMBIF",
            &[],
            wire::message(msg::PLUMBIF, 0, std::slice::from_ref(&interface)),
        ),
        kind(
            "X_UNPLUMBIF",
            &[],
            wire::message(msg::UNPLUMBIF, 0, &[interface]),
        ),
        kind(
            "X_NAT_T_NEW_MAPPING",
            &[],
            wire::message(
                msg::NAT_T_NEW_MAPPING,
                3,
                &[
                    &wire::naming(esp)[..],
                    &[ext::NAT_T_SPORT, ext::NAT_T_DPORT]
                        .map(|number| wire::extension(number, &[0x94, 0x11])),
                ]
                .concat(),
            ),
        ),
        kind("X_PCHANGE", &[], wire::message(msg::PCHANGE, 0, &[])),
    ]
}

/// What a socket has been told.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Heard {
    /// The messages.
    pub messages: Vec<Vec<u8>>,
    /// Whether it was told that it has lost some.
    pub lost: bool,
}

/// Reads all that there is at a socket.
pub fn hear(socket: &KeySocket) -> Result<Heard> {
    let mut heard = Heard::default();
    loop {
        match socket.read() {
            Ok(Some(message)) => heard.messages.push(message),
            Ok(None) => return Ok(heard),
            Err(error) if is_errno(&error, Errno::ENOBUFS) => heard.lost = true,
            Err(error) => return Err(error),
        }
    }
}

/// The sockets that are told of a request: one that writes it, one that only listens, one that is
/// promiscuous as well.
pub struct Audience(pub [KeySocket; 3]);

impl Audience {
    /// Opens them, and makes the requests that come before one of this kind.
    pub fn of(kind: &Kind) -> Result<Self> {
        if kind.live {
            // What is to come in has to be for an address of this host.
            loopback_up()?;
        }
        let audience = Audience([KeySocket::open()?, KeySocket::open()?, KeySocket::open()?]);
        let nosy = audience.0[2].write(&plain(MsgType::Promisc, 1));
        ensure!(nosy == Ok(()), "X_PROMISC: {nosy:?}");
        for request in &kind.before {
            let result = audience.writer().write(request);
            ensure!(result == Ok(()), "before {}: {result:?}", kind.name);
        }
        audience.hear()?;
        Ok(audience)
    }

    /// The one that writes.
    pub fn writer(&self) -> &KeySocket {
        &self.0[0]
    }

    /// What they have been told.
    pub fn hear(&self) -> Result<[Heard; 3]> {
        let [writer, listener, nosy] = &self.0;
        Ok([hear(writer)?, hear(listener)?, hear(nosy)?])
    }
}

/// The messages of a DUMP of all SAs. Sockets that listen are told nothing but what a promiscuous
/// one sees.
pub fn dump(socket: &KeySocket) -> Result<Vec<Vec<u8>>> {
    match socket.write(&plain(MsgType::Dump, 0)) {
        Ok(()) => socket.drain(),
        Err(Errno::ENOENT) => socket.drain().map(|_| Vec::new()),
        Err(errno) => Err(anyhow::anyhow!("{errno:?}")).context("DUMP"),
    }
}

/// A message without when its SA was made.
pub fn timeless(message: &[u8]) -> Vec<u8> {
    let mut bytes = message.to_vec();
    let mut at = message.len() - wire::unwrapped(message).len() + 16;
    while at < bytes.len() {
        if u16_at(&bytes, at + 2) == ext::LIFETIME_CURRENT {
            bytes[at + 16..at + 24].fill(0);
        }
        at += usize::from(u16_at(&bytes, at)) * 8;
    }
    bytes
}
