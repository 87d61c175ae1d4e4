// SPDX-License-Identifier: GPL-2.0

//! GET: reads an SA (RFC 2367 section 3.1.5, reference 4.9). Its keys are not given.

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
        about,
        write,
        Audience,
        SocketId, //
    }, //
};

#[inline(never)]
pub(super) fn get<H: Host>(
    host: &H,
    sender: SocketId,
    message: &Message<'_>,
) -> Result<(), Refusal> {
    let said = message.said().ok_or(Errno::EINVAL)?;
    let mut state = host.lock();
    let sa = state.sadb.find(&said).ok_or(Errno::ESRCH)?;
    let header = message.header.reply();
    let usage = state.usage(host, sa);
    let reply = write(host, &header, |out| about::describe(sa, &usage, out))?;
    state.listeners.send(host, reply, Audience::Only(sender));
    Ok(())
}
