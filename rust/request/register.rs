// SPDX-License-Identifier: GPL-2.0

//! REGISTER and ACQUIRE: which sockets negotiate SAs of which type (RFC 2367 sections 3.1.6 and
//! 3.1.7, reference 3.6 and 4.12).

use crate::{
    klips_core::{
        errno::Errno,
        pfkey::Message, //
    },
    netns::{
        Host,
        Refusal, //
    },
    post::{
        write,
        Audience,
        SocketId, //
    }, //
};

#[inline(never)]
pub(super) fn register<H: Host>(
    host: &H,
    sender: SocketId,
    message: &Message<'_>,
) -> Result<(), Refusal> {
    let satype = message.header.satype;
    let reply = write(host, &message.header.reply(), |out| {
        if let Some(satype) = message.header.known_satype() {
            out.supported(satype);
        }
    })?;
    let mut state = host.lock();
    state.listeners.register(sender, satype);
    state
        .listeners
        .send(host, reply, Audience::Registered(satype));
    state.update_acquires(host);
    Ok(())
}

/// ACQUIRE from user space tells that a negotiation failed; others who negotiate are told so.
#[inline(never)]
pub(super) fn acquire<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let satype = message.header.satype;
    let copy = write(host, &message.header, |_| ())?;
    let mut state = host.lock();
    if !state.listeners.any_registered(satype) {
        return Err(Errno::EPROTONOSUPPORT.into());
    }
    state
        .listeners
        .send(host, copy, Audience::Registered(satype));
    Ok(())
}
