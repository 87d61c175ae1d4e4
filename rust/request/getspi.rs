// SPDX-License-Identifier: GPL-2.0

//! GETSPI: reserves an SPI by a larval SA (RFC 2367 section 3.1.1, reference 4.6).

use super::spec;
use crate::{
    change::{
        self,
        Add, //
    },
    klips_core::{
        errno::Errno,
        pfkey::{
            Ext,
            Message,
            SaState, //
        },
        said::Said, //
    },
    netns::{
        Host,
        Refusal, //
    },
    post::{
        about,
        write, //
    }, //
};

/// How many SPIs are tried before others get their turn.
const STEP: usize = 64;

#[inline(never)]
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
    let start = first + host.random() % count;
    // CAST: within the range, which is of 32 bits.
    let mut spis = (start..=last).chain(first..start).map(|spi| spi as u32);
    while let Some(spi) = next_free(host, named, &mut spis) {
        let mut sa = spec::named(host, message, spi)?;
        sa.spec.state = SaState::Larval;
        let answer = write(host, &message.header.reply(), |out| {
            out.sa(Ext::Sa, &about::sa_extension(&sa.spec));
            spec::echo_addresses(message, out);
        })?;
        let change = Add {
            sa,
            algorithms: Ok(()),
            answer,
        };
        match change::make(host, change) {
            // Somebody else has taken it meanwhile.
            Err(refusal) if refusal.errno == Errno::EEXIST => (),
            result => return result,
        }
    }
    Err(Errno::EEXIST.into())
}

/// The next SPI under which there is no SA.
fn next_free<H: Host>(host: &H, named: Said, spis: &mut impl Iterator<Item = u32>) -> Option<u32> {
    loop {
        let state = host.lock();
        for _ in 0..STEP {
            let spi = spis.next()?;
            if state.sadb.find(&Said { spi, ..named }).is_none() {
                return Some(spi);
            }
        }
        drop(state);
        host.cond_resched();
    }
}
