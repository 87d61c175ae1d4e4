// SPDX-License-Identifier: GPL-2.0

//! GETSPI: reserves an SPI by a larval SA (RFC 2367 section 3.1.1, reference 4.6).

use super::spec;
use crate::{
    klips_core::{
        errno::Errno,
        pfkey::{
            debug::Part,
            Ext,
            Message,
            SaState, //
        },
        said::Said, //
    },
    memory::OutOfMemory,
    netns::{
        Host,
        Refusal, //
    },
    post::{
        about,
        write,
        Audience, //
    }, //
};

/// How many SPIs are tried before others get their turn.
const STEP: u64 = 64;

pub(super) fn getspi<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let range = message.spi_range().ok_or(Errno::EINVAL)?;
    let dst = message.address(Ext::AddressDst).ok_or(Errno::EINVAL)?;
    let satype = message.header.known_satype().ok_or(Errno::EINVAL)?;
    let named = Said {
        dst: dst.socket.ip(),
        spi: 0,
        proto: satype.proto(),
    };
    let (first, last) = (u64::from(*range.start()), u64::from(*range.end()));
    let count = last - first + 1;
    // From a random SPI on, round the range: a free one is found if there is any, and nobody can
    // tell which it will be.
    let start = host.random() % count;
    let mut tried = 0;
    while tried < count {
        let mut state = host.lock();
        for _ in 0..STEP.min(count - tried) {
            // CAST: within the range, which is of 32 bits.
            let spi = (first + (start + tried) % count) as u32;
            tried += 1;
            if state.sadb.find(&Said { spi, ..named }).is_some() {
                continue;
            }
            let mut new = spec::named(host, message, spi)?;
            new.spec.state = SaState::Larval;
            let reply = write(host, &message.header.reply(), |out| {
                out.sa(Ext::Sa, &about::sa_extension(&new.spec));
                spec::echo_addresses(message, out);
            })?;
            let prepared = state.sadb.prepare(new)?;
            state.sadb.add(prepared).map_err(|_| OutOfMemory)?;
            host.wake_at(state.sadb.next_deadline());
            state.trace(host, Part::Spi, format_args!("SPI {spi:#x} reserved"));
            state.listeners.send(host, reply, Audience::All);
            return Ok(());
        }
        drop(state);
        host.breathe();
    }
    Err(Errno::EEXIST.into())
}
