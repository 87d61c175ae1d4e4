// SPDX-License-Identifier: GPL-2.0

//! X_ADDFLOW: adds an eroute, replaces one, or says what may come out of a tunnel (contract 24,
//! reference 4.13).

use super::spec;
use crate::{
    change::{
        self,
        AddEroute,
        SetInflow, //
    },
    klips_core::{
        errno::Errno,
        pfkey::{
            types::{
                SAFLAG_INFLOW,
                SAFLAG_REPLACEFLOW, //
            },
            Ext,
            Message, //
        },
        selector::Selector, //
    },
    netns::{
        Host,
        Refusal, //
    },
    post::write, //
};

#[inline(never)]
pub(super) fn add_flow<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let said = message.said().ok_or(Errno::EINVAL)?;
    let sa = message.sa().ok_or(Errno::EINVAL)?;
    let flow = message.flow().ok_or(Errno::EINVAL)?;
    let selector = Selector::of(&flow)?;
    let answer = write(host, &message.header.reply(), |out| {
        out.sa(Ext::Sa, &spec::echo(sa, said.proto));
        spec::echo_addresses(message, out);
        out.flow(&flow);
        out.protocol(&flow);
    })?;
    if sa.flags & SAFLAG_INFLOW != 0 {
        // The one that there is for the tunnel is replaced in any case.
        let inflow = SetInflow {
            selector,
            said,
            answer,
        };
        return change::make(host, inflow);
    }
    let eroute = AddEroute {
        selector,
        said,
        gateway: message.address(Ext::AddressSrc).map(|it| it.socket.ip()),
        replaces: sa.flags & SAFLAG_REPLACEFLOW != 0,
        answer,
    };
    change::make(host, eroute)
}
