// SPDX-License-Identifier: GPL-2.0

//! X_DEBUG: sets the debugging masks (reference 1.4.11 and 4.14). It is not answered.

use crate::{
    klips_core::{
        errno::Errno,
        pfkey::{
            debug::{
                Masks,
                Part, //
            },
            Message, //
        }, //
    },
    netns::{
        Host,
        Refusal, //
    }, //
};

#[inline(never)]
pub(super) fn debug<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let request: Masks = message.debug_masks().ok_or(Errno::EINVAL)?;
    let mut state = host.lock();
    state.debug.change(&request);
    host.set_traced(state.debug.of(Part::PfKey) != 0);
    Ok(())
}
