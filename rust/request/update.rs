// SPDX-License-Identifier: GPL-2.0

//! UPDATE: replaces an SA in its place, group included, or changes its ports behind NAT
//! (RFC 2367 section 3.1.2, reference 4.8).
//!
//! KLIPS 2.4 deleted the whole group of the SA that was replaced.

use super::spec;
use crate::{
    change::{
        self,
        Replace,
        SetPorts, //
    },
    klips_core::{
        errno::Errno,
        pfkey::{
            Ext,
            Lifetime,
            Message, //
        },
        xfrm::Usage, //
    },
    netns::{
        Host,
        Refusal, //
    },
    post::{
        about,
        write, //
    },
    sadb::Sa, //
};

#[inline(never)]
pub(super) fn update<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    if message.has(Ext::NatTSport) || message.has(Ext::NatTDport) {
        return set_ports(host, message);
    }
    let (sa, algorithms) = spec::of_message(host, message)?;
    let current = Lifetime {
        addtime: sa.spec.added.real,
        ..Lifetime::default()
    };
    let answer = write(host, &message.header.reply(), |out| {
        spec::reply_to(message, &sa.spec, Some(&current), out);
    })?;

    // What it was goes, keys and all, when the lock is not held.
    change::make(
        host,
        Replace {
            sa,
            algorithms,
            answer,
        },
    )?;
    Ok(())
}

fn set_ports<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let (sport, dport) = (
        message.natt_port(Ext::NatTSport),
        message.natt_port(Ext::NatTDport),
    );
    change::make(
        host,
        SetPorts {
            said: message.said().ok_or(Errno::EINVAL)?,
            sport,
            dport,
            answer: |sa: &Sa, usage: &Usage| {
                write(host, &message.header.reply(), |out| {
                    out.sa(Ext::Sa, &about::sa_extension(&sa.spec));
                    out.lifetime(
                        Ext::LifetimeCurrent,
                        &sa.current(usage),
                        sa.spec.lifetime_form,
                    );
                    spec::echo_addresses(message, out);
                    out.natt_ports(sport, dport);
                })
            },
        },
    )
}
