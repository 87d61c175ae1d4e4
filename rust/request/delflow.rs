// SPDX-License-Identifier: GPL-2.0

//! X_DELFLOW: removes an eroute, or all of them (contract 24, reference 4.13).

use super::spec;
use crate::{
    change::{
        self,
        RemoveEroute, //
    },
    klips_core::{
        errno::Errno,
        pfkey::{
            types::SAFLAG_CLEARFLOW,
            Ext,
            Message,
            Sa, //
        },
        said::Proto,
        selector::Selector, //
    },
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
pub(super) fn del_flow<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let proto = message.header.known_satype().map(|satype| satype.proto());
    let proto = proto.unwrap_or(Proto::Int);
    let sa = spec::echo(message.sa().unwrap_or(Sa::naming(0)), proto);
    if sa.flags & SAFLAG_CLEARFLOW != 0 {
        let answer = write(host, &message.header.reply(), |out| out.sa(Ext::Sa, &sa))?;
        change::clear_eroutes(host)?;
        host.lock().listeners.send(host, answer, Audience::All);
        return Ok(());
    }
    let flow = message.flow().ok_or(Errno::EINVAL)?;
    let selector = Selector::of(&flow)?;
    let answer = write(host, &message.header.reply(), |out| {
        out.sa(Ext::Sa, &sa);
        out.flow(&flow);
        out.protocol(&flow);
    })?;
    change::make(host, RemoveEroute { selector, answer })
}
