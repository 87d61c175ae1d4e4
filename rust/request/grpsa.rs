// SPDX-License-Identifier: GPL-2.0

//! X_GRPSA: groups two SAs, groups a list of SAs at once, or ungroups (contract 2 to 4,
//! reference 5).

use super::spec;
use crate::{
    change::{
        self,
        Group,
        Link,
        Ungroup, //
    },
    klips_core::{
        errno::Errno,
        pfkey::{
            build::Builder,
            value::Second,
            Ext,
            Message,
            SaType, //
        }, //
    },
    netns::{
        Host,
        Refusal, //
    },
    post::write, //
};

#[inline(never)]
pub(super) fn grpsa<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let said = message.said().ok_or(Errno::EINVAL)?;
    let answer = write(host, &message.header.reply(), |out| reply(message, out))?;
    match (message.group_list(), message.has_second()) {
        // One request or the other.
        (Some(_), true) => Err(Errno::EINVAL.into()),
        (Some(others), false) => change::make(
            host,
            Group {
                first: said,
                others: *others,
                answer,
            },
        ),
        (None, true) => change::make(
            host,
            Link {
                inner: said,
                // An incomplete second SA names none that could exist.
                outer: message.second().map(|second| second.said()),
                answer,
            },
        ),
        (None, false) => change::make(host, Ungroup { said, answer }),
    }
}

/// The reply echoes the request, SAref and address protocol zeroed.
fn reply(message: &Message<'_>, out: &mut Builder<'_>) {
    let echo = |sa, satype: SaType| spec::echo(sa, satype.proto());
    if let (Some(sa), Some(satype)) = (message.sa(), message.header.known_satype()) {
        out.sa(Ext::Sa, &echo(sa, satype));
    }
    spec::echo_address(message, Ext::AddressDst, out);
    if let Some(second) = message.second() {
        out.second(&Second {
            sa: echo(second.sa, second.satype),
            dst: second.dst.without_proto(),
            ..second
        });
    }
    if let Some(group) = message.group_list() {
        out.group(group);
    }
}
