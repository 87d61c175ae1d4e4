// SPDX-License-Identifier: GPL-2.0

//! EXPIRE from user space, and what the kernel does by itself when limits of time are passed
//! (RFC 2367 section 3.1.8, reference 4.12).

use crate::{
    change::{
        self,
        PassLimit, //
    },
    klips_core::pfkey::Message,
    netns::{
        Host,
        Refusal, //
    },
    post::{
        write,
        Audience, //
    }, //
};

/// How many SAs are dealt with in one go.
const STEP: usize = 16;

/// EXPIRE from user space: told to everybody, and that is all.
#[inline(never)]
pub(super) fn expire<H: Host>(host: &H, message: &Message<'_>) -> Result<(), Refusal> {
    let echo = write(host, &message.header.reply(), |_| ())?;
    host.lock().listeners.send(host, echo, Audience::All);
    Ok(())
}

/// Tells what is still to be told, deals with the SAs whose limits are passed, and asks to be called
/// when the next ones will be.
pub fn run<H: Host>(host: &H) {
    loop {
        let now = host.now();
        for _ in 0..STEP {
            let mut state = host.lock();
            state.listeners.tell_some(host);
            if state.listeners.is_telling() {
                // A chain that ends is told of by many messages, and there may be many to tell.
                break;
            }
            state.end_holds(host, now);
            let next = state.next_deadline();
            if next.is_none_or(|second| second > now.boot) {
                host.wake_at(next);
                return;
            }
            drop(state);
            if change::make(host, PassLimit { now }).is_err() {
                // Without memory to tell of it, it has not happened yet.
                host.wake_at(Some(now.boot + 1));
                return;
            }
        }
        if !host.may_go_on() {
            host.wake_at(Some(now.boot));
            return;
        }
        host.cond_resched();
    }
}
