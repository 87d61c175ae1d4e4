// SPDX-License-Identifier: GPL-2.0

//! X_GRPSA: groups two SAs, groups a list of SAs at once, or ungroups (contract 2 to 4,
//! reference 5).

use super::spec;
use crate::{
    klips_core::{
        errno::Errno,
        group::{
            LinkError,
            ListError,
            ListReason, //
        },
        pfkey::{
            build::Builder,
            debug::Part,
            types::SAREF_NULL,
            value::{
                GroupList,
                Second, //
            },
            Ext,
            Message,
            Sa,
            SaType, //
        },
        said::Said, //
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

impl From<LinkError> for Refusal {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::InnerTaken | LinkError::OuterTaken | LinkError::Cycle => Errno::EEXIST,
            LinkError::TooLong => Errno::EMLINK,
        }
        .into()
    }
}

impl From<ListError> for Refusal {
    fn from(error: ListError) -> Self {
        Refusal {
            errno: match error.reason {
                ListReason::Missing => Errno::ENOENT,
                ListReason::Grouped | ListReason::Twice => Errno::EEXIST,
            },
            fault: Some(error.into()),
        }
    }
}

pub(super) fn grpsa<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let first = message.said().ok_or(Errno::EINVAL)?;
    let reply = write(host, &message.header.reply(), |out| reply(message, out))?;

    let mut state = host.lock();
    let find = |said: &Said| state.sadb.find(said).map(|sa| sa.age());
    match (message.group_list(), message.has_second()) {
        // One request or the other.
        (Some(_), true) => return Err(Errno::EINVAL.into()),
        (Some(list), false) => {
            let mut ages = [None; 1 + GroupList::MAX];
            let mut len = 0;
            for said in core::iter::once(first).chain(list.iter()) {
                ages[len] = find(&said);
                len += 1;
            }
            state.sadb.link_list(&ages[..len])?;
            state.trace(
                host,
                Part::Spi,
                format_args!("{first}: innermost of a group of {len}"),
            );
        }
        (None, true) => {
            let inner = find(&first).ok_or(Errno::ENOENT)?;
            // An incomplete second SA names none that could exist.
            let outer = message
                .second()
                .and_then(|second| find(&second.said()))
                .ok_or(Errno::ENOENT)?;
            state.sadb.link(inner, outer)?;
            state.trace(
                host,
                Part::Spi,
                format_args!("{first}: linked to its outer neighbour"),
            );
        }
        (None, false) => {
            let sa = find(&first).ok_or(Errno::ENOENT)?;
            state.sadb.ungroup(sa);
            state.trace(host, Part::Spi, format_args!("{first}: ungrouped"));
        }
    }
    state.listeners.send(host, reply, Audience::All);
    Ok(())
}

/// The reply echoes the request, SAref and address protocol zeroed.
fn reply(message: &Message<'_>, out: &mut Builder<'_>) {
    let echo = |sa, satype: SaType| Sa {
        sa_ref: SAREF_NULL,
        ..spec::meaningful(sa, satype.proto())
    };
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
