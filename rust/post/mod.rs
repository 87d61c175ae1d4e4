// SPDX-License-Identifier: GPL-2.0

//! Messages that are told: how they are written, what they say of SAs, and who gets them.

pub mod about;
mod listeners;

pub use self::listeners::{
    Audience,
    Dump,
    Listener,
    Listeners,
    Search, //
};

use crate::{
    klips_core::pfkey::{
        build::{
            build,
            Builder, //
        },
        Header, //
    },
    memory::OutOfMemory,
    netns::Host, //
};

/// Room that is enough for most messages about IPv4; the others are written twice. No more than
/// `KLIPS_USUAL_ROOM` in `include/klips_shim.h`, or no buffer is used again.
pub const USUAL_ROOM: usize = 192;

/// Writes a message with the extensions that `extensions` gives.
pub fn write<H: Host>(
    host: &H,
    header: &Header,
    extensions: impl Fn(&mut Builder<'_>),
) -> Result<H::Draft, OutOfMemory> {
    let mut draft = host.draft(USUAL_ROOM)?;
    let mut len = build(header, &mut draft, &extensions).ok_or(OutOfMemory)?;
    if len > USUAL_ROOM {
        draft = host.draft(len)?;
        len = build(header, &mut draft, &extensions).ok_or(OutOfMemory)?;
    }
    host.shorten(&mut draft, len);
    Ok(draft)
}
