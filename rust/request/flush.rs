// SPDX-License-Identifier: GPL-2.0

//! FLUSH: removes all SAs, or all of one type with the groups that they are in (contract 5).

use crate::{
    klips_core::{
        pfkey::{
            debug::Part,
            Message,
            SaType, //
        }, //
    },
    netns::{
        Host,
        Refusal, //
    },
    post::{
        write,
        Audience, //
    },
    sadb::{
        Age,
        Bin,
        Removed, //
    }, //
};

/// How many SAs are looked at before others get their turn.
const STEP: usize = 64;

pub(super) fn flush<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let satype = message.header.satype_or_all()?;
    let reply = write(host, &message.header.reply(), |_| ())?;
    match satype {
        None => {
            let mut state = host.lock();
            let removed = state.sadb.take_all();
            state.trace(
                host,
                Part::Spi,
                format_args!("all {} SAs removed", removed.len()),
            );
            state.listeners.send(host, reply, Audience::All);
            drop(state);
            free(host, removed);
        }
        Some(satype) => {
            remove_type(host, satype);
            host.lock().listeners.send(host, reply, Audience::All);
        }
    }
    Ok(())
}

/// Frees a table that nobody else can see, step by step.
pub fn free<H: Host>(host: &H, mut removed: Removed) {
    while removed.free_some() {
        host.breathe();
    }
}

/// Removes the SAs of one type that are there now, step by step. Each group goes in one piece.
fn remove_type<H: Host>(host: &H, satype: SaType) {
    let mut bin = Bin::with_room(STEP);
    let end = host.lock().sadb.next_age();
    let mut next = Some(Age::FIRST);
    while let Some(mut age) = next {
        let mut state = host.lock();
        next = None;
        for _ in 0..STEP {
            let Some(sa) = state.sadb.at_or_after(age).filter(|sa| sa.age() < end) else {
                break;
            };
            let (found, proto) = (sa.age(), sa.spec.proto);
            age = found.next();
            next = Some(age);
            if proto == satype.proto() {
                state.sadb.remove_chain(found, |sa| bin.put(sa));
            }
        }
        drop(state);
        bin.empty();
        host.breathe();
    }
}
