// SPDX-License-Identifier: GPL-2.0

//! UPDATE: replaces an SA in its place, group included, or changes its ports behind NAT
//! (RFC 2367 section 3.1.2, reference 4.8).
//!
//! KLIPS 2.4 deleted the whole group of the SA that was replaced.

use super::spec;
use crate::{
    klips_core::{
        errno::Errno,
        pfkey::{
            debug::Part,
            Ext,
            Lifetime,
            Message, //
        }, //
    },
    netns::{
        Host,
        Refusal, //
    },
    post::{
        about,
        write,
        Audience, //
    }, //
};

pub(super) fn update<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    if message.has(Ext::NatTSport) || message.has(Ext::NatTDport) {
        return change_ports(host, message);
    }
    let new = spec::of_message(host, message)?;
    let algorithms = spec::check_algorithms(message, &new.spec);
    let current = Lifetime {
        addtime: new.spec.added.real,
        ..Lifetime::default()
    };
    let reply = write(host, &message.header.reply(), |out| {
        spec::reply_to(message, &new.spec, Some(&current), out);
    })?;

    let mut state = host.lock();
    let sa = state.sadb.find(&new.spec.said()).ok_or(Errno::ENOENT)?;
    let age = sa.age();
    algorithms?;
    let replacement = state.sadb.prepare_replacement(new)?;
    let before = state.sadb.replace(age, replacement);
    state.trace(
        host,
        Part::Spi,
        format_args!("{}: replaced", before.spec.said()),
    );
    host.wake_at(state.sadb.next_deadline());
    state.listeners.send(host, reply, Audience::All);
    drop(state);
    // Keys are wiped without the lock.
    drop(before);
    Ok(())
}

fn change_ports<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let said = message.said().ok_or(Errno::EINVAL)?;
    let (sport, dport) = (
        message.natt_port(Ext::NatTSport),
        message.natt_port(Ext::NatTDport),
    );
    let mut state = host.lock();
    let sa = state.sadb.find(&said).ok_or(Errno::ENOENT)?;
    let age = sa.age();
    let reply = write(host, &message.header.reply(), |out| {
        out.sa(Ext::Sa, &about::sa_extension(&sa.spec));
        out.lifetime(Ext::LifetimeCurrent, &sa.current(), sa.spec.lifetime_form);
        spec::echo_addresses(message, out);
        out.natt_ports(sport, dport);
    })?;
    state.sadb.change_ports(age, sport, dport);
    state.listeners.send(host, reply, Audience::All);
    Ok(())
}
