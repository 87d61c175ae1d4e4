// SPDX-License-Identifier: GPL-2.0

//! DELETE: removes an SA and the whole group that it is in (contract 5, reference 4.10).

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
            build::request,
            Address,
            Content,
            Ext,
            Message,
            MsgType,
            Sa, //
        },
    },
    memory::{
        self,
        Vector, //
    },
    sadb, //
};

pub(super) fn delete<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let said = message.said().ok_or(Errno::EINVAL)?;
    let reply = write(host, &reply(message, said.spi))?;

    let mut state = host.lock();
    let sa = state.sadb.find(&said).ok_or(Errno::ESRCH)?;
    let age = sa.age();
    let mut mates = Vector::new();
    for mate in state.sadb.chain(sa).filter(|mate| mate.age() != age) {
        memory::push(&mut mates, write(host, &removal_of(mate))?)?;
    }
    state.sadb.remove_chain(age, drop);
    // The named SA first: a historic client takes the first DELETE it reads for its answer.
    state.listeners.send(host, &reply, Audience::All);
    for mate in mates.iter() {
        state.listeners.send(host, mate, Audience::All);
    }
    Ok(())
}

fn reply<'a>(message: &Message<'a>, spi: u32) -> Content<'a> {
    let echo = |ext| message.address(ext).map(Address::without_proto);
    Content {
        sa: Some(Sa::naming(spi)),
        src: echo(Ext::AddressSrc),
        dst: echo(Ext::AddressDst),
        ..Content::reply_to(&message.header)
    }
}

/// Tells that an SA went with its group. Nobody asked for it by name, so it carries neither a
/// sequence number nor a process ID.
fn removal_of(sa: &sadb::Sa) -> Content<'static> {
    let address = |socket| Address { proto: 0, socket };
    Content {
        src: Some(address(sa.spec.src)),
        dst: Some(address(sa.spec.dst)),
        ..Content::about(request(MsgType::Delete, 0, 0, 0), &sa.spec.said)
    }
}
