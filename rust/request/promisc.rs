// SPDX-License-Identifier: GPL-2.0

//! X_PROMISC: a socket asks for copies of what others are told (RFC 2367 section 3.1.11).
//!
//! Copies come behind a header of this type. They are of replies and announcements, never of
//! requests, which may hold keys.

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
pub(super) fn promisc<H: Host>(
    host: &H,
    sender: SocketId,
    message: &Message<'_>,
) -> Result<(), Refusal> {
    // The field for the SA type says whether.
    let on = match message.header.satype {
        0 => false,
        1 => true,
        _ => return Err(Errno::EINVAL.into()),
    };
    let reply = write(host, &message.header.reply(), |_| ())?;
    let mut state = host.lock();
    state.listeners.set_promiscuous(sender, on);
    state.listeners.send(host, reply, Audience::Only(sender));
    Ok(())
}
