// SPDX-License-Identifier: GPL-2.0

//! DELETE: removes an SA and the whole group that it is in (contract 5, reference 4.10).

use super::spec;
use crate::{
    change::{
        self,
        Remove, //
    },
    klips_core::{
        errno::Errno,
        pfkey::{
            Ext,
            Message,
            Sa, //
        }, //
    },
    netns::{
        Host,
        Refusal, //
    },
    post::write, //
};

#[inline(never)]
pub(super) fn delete<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let said = message.said().ok_or(Errno::EINVAL)?;
    // The named SA is announced by the answer: a historic client takes the first DELETE that it
    // reads for that.
    let answer = write(host, &message.header.reply(), |out| {
        out.sa(Ext::Sa, &Sa::naming(said.spi));
        spec::echo_addresses(message, out);
    })?;
    change::make(host, Remove { said, answer })?;
    Ok(())
}
