// SPDX-License-Identifier: GPL-2.0

//! What time does to SAs (RFC 2367 section 3.1.8): past its soft limits an SA is dying, past its
//! hard ones it is removed with its whole group. KLIPS only looked when there were packets.

use super::delete;
use crate::{
    klips_core::pfkey::{
        Ext,
        Message, //
    },
    memory::OutOfMemory,
    netns::{
        Host,
        Refusal,
        State, //
    },
    post::{
        about,
        write,
        Audience, //
    },
    sadb::{
        Age,
        Bin, //
    }, //
};

/// How many SAs are dealt with before others get their turn.
const STEP: usize = 16;

/// EXPIRE from user space: told to everybody, and that is all (reference 4.12).
pub(super) fn expire<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let echo = write(host, &message.header.reply(), |_| ())?;
    host.lock().listeners.send(host, echo, Audience::All);
    Ok(())
}

/// Deals with the SAs whose limits are passed, and asks to be called when the next ones will be.
pub fn run<H: Host>(host: &H) {
    // Emptied when the lock is not held any more, also where this returns.
    let mut bin = Bin::new();
    loop {
        let now = host.now();
        let mut state = host.lock();
        for _ in 0..STEP {
            let Some(sa) = state.sadb.due(now) else {
                host.wake_at(state.sadb.next_deadline());
                return;
            };
            let (age, over) = (sa.age(), sa.spec.is_over(now));
            let result = match over {
                true => end(host, &mut state, age, &mut bin),
                false => warn(host, &mut state, age),
            };
            if result.is_err() {
                // Without memory to tell of it, it has not happened yet.
                host.wake_at(Some(now.boot + 1));
                return;
            }
        }
        drop(state);
        bin.empty();
        host.breathe();
    }
}

fn end<H: Host>(
    host: &H,
    state: &mut State<H>,
    age: Age,
    bin: &mut Bin,
) -> Result<(), OutOfMemory> {
    state.seq = state.seq.wrapping_add(1);
    let Some(sa) = state.sadb.get(age) else {
        return Ok(());
    };
    let message = about::expiry_of(host, sa, state.seq, (Ext::LifetimeHard, &sa.spec.hard))?;
    delete::remove_chain(host, state, age, message, bin)
}

fn warn<H: Host>(host: &H, state: &mut State<H>, age: Age) -> Result<(), OutOfMemory> {
    state.seq = state.seq.wrapping_add(1);
    let Some(sa) = state.sadb.get(age) else {
        return Ok(());
    };
    let message = about::expiry_of(host, sa, state.seq, (Ext::LifetimeSoft, &sa.spec.soft))?;
    state.sadb.set_dying(age)?;
    state.listeners.send(host, message, Audience::All);
    Ok(())
}
