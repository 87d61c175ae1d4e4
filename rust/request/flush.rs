// SPDX-License-Identifier: GPL-2.0

//! FLUSH: removes all SAs, or all of one type with the groups that they are in (contract 5).

use crate::{
    change,
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

#[inline(never)]
pub(super) fn flush<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let satype = message.header.satype_or_all()?;
    let answer = write(host, &message.header.reply(), |_| ())?;
    match satype {
        None => change::remove_all(host, Some(answer)),
        Some(satype) => {
            change::remove_type(host, satype);
            host.lock().listeners.send(host, answer, Audience::All);
            Ok(())
        }
    }
}
