// SPDX-License-Identifier: GPL-2.0

//! DELETE: removes an SA and the whole group that it is in (contract 5, reference 4.10).

use super::spec;
use crate::{
    klips_core::{
        errno::Errno,
        pfkey::{
            debug::Part,
            Ext,
            Message,
            Sa, //
        }, //
    },
    memory::{
        self,
        OutOfMemory,
        Vector, //
    },
    netns::{
        Host,
        Refusal,
        State, //
    },
    post::{
        about,
        write,
        Audience, //
    },
    sadb::{
        Age,
        Bin, //
    }, //
};

pub(super) fn delete<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let said = message.said().ok_or(Errno::EINVAL)?;
    // The named SA is announced by the reply: a historic client takes the first DELETE that it
    // reads for its answer.
    let reply = write(host, &message.header.reply(), |out| {
        out.sa(Ext::Sa, &Sa::naming(said.spi));
        spec::echo_addresses(message, out);
    })?;
    // Emptied when the lock is not held any more.
    let mut bin = Bin::new();
    let mut state = host.lock();
    let age = state.sadb.find(&said).ok_or(Errno::ESRCH)?.age();
    remove_chain(host, &mut state, age, reply, &mut bin)?;
    Ok(())
}

/// Removes an SA with its whole group, into `bin`. `announcement` tells of the SA itself, and a
/// message each of its mates.
pub(super) fn remove_chain<H: Host>(
    host: &H,
    state: &mut State<H>,
    age: Age,
    announcement: H::Draft,
    bin: &mut Bin,
) -> Result<(), OutOfMemory> {
    // Most SAs have none, and to drop a vector takes a call, even if it is empty.
    let mut mates = None;
    let (mut removed, mut named) = (0, None);
    if let Some(sa) = state.sadb.get(age) {
        for mate in state.sadb.chain(sa).filter(|mate| mate.age() != age) {
            let mates = mates.get_or_insert_with(Vector::new);
            memory::push(mates, about::removal_of(host, mate)?)?;
        }
    }
    state.sadb.remove_chain(age, |sa| {
        removed += 1;
        if sa.age() == age {
            named = Some(sa.spec.said());
        }
        bin.put(sa);
    });
    if let Some(said) = named {
        state.trace(
            host,
            Part::Spi,
            format_args!("{said}: removed, a chain of {removed}"),
        );
    }
    for message in core::iter::once(announcement).chain(mates.into_iter().flatten()) {
        state.listeners.send(host, message, Audience::All);
    }
    Ok(())
}
