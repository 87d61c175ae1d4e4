// SPDX-License-Identifier: GPL-2.0

//! EXPIRE from user space (RFC 2367 section 3.1.8, reference 4.12).

use crate::{
    klips_core::pfkey::Message,
    netns::{
        Host,
        Refusal, //
    },
    post::{
        write,
        Audience, //
    }, //
};

/// EXPIRE from user space: told to everybody, and that is all.
#[inline(never)]
pub(super) fn expire<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let echo = write(host, &message.header.reply(), |_| ())?;
    host.lock().listeners.send(host, echo, Audience::All);
    Ok(())
}
