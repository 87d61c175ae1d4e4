// SPDX-License-Identifier: GPL-2.0

//! What time does to SAs (RFC 2367 section 3.1.8): past its soft limits an SA is dying, past its
//! hard ones it is removed with its whole group. KLIPS only looked when there were packets.

use super::{
    delete,
    spec,
    write,
    Audience,
    Host,
    State, //
};
use crate::{
    klips_core::pfkey::{
        build::request,
        Content,
        Message,
        MsgType,
        SaType, //
    },
    memory::OutOfMemory,
    sadb::{
        Age,
        Sa, //
    }, //
};

/// How many SAs are dealt with before others get their turn.
const STEP: usize = 16;

/// EXPIRE from user space: told to everybody, and that is all (reference 4.12).
pub(super) fn expire<H: Host>(host: &H, message: &Message<'_>) -> Result<(), super::Refusal> {
    let echo = write(host, &Content::reply_to(&message.header))?;
    host.lock().listeners.send(host, echo, Audience::All);
    Ok(())
}

/// Deals with the SAs whose limits are passed, and asks to be called when the next ones will be.
pub fn run<H: Host>(host: &H) {
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
                true => end(host, &mut state, age),
                false => warn(host, &mut state, age),
            };
            if result.is_err() {
                // Without memory to tell of it, it has not happened yet.
                host.wake_at(Some(now.boot + 1));
                return;
            }
        }
        drop(state);
        host.breathe();
    }
}

fn end<H: Host>(host: &H, state: &mut State<H>, age: Age) -> Result<(), OutOfMemory> {
    state.seq = state.seq.wrapping_add(1);
    let Some(sa) = state.sadb.get(age) else {
        return Ok(());
    };
    let message = write(
        host,
        &Content {
            hard: Some(sa.spec.hard),
            ..expiry_of(sa, state.seq)
        },
    )?;
    delete::remove_chain(host, state, age, message)
}

fn warn<H: Host>(host: &H, state: &mut State<H>, age: Age) -> Result<(), OutOfMemory> {
    state.seq = state.seq.wrapping_add(1);
    let Some(sa) = state.sadb.get(age) else {
        return Ok(());
    };
    let mut content = Content {
        soft: Some(sa.spec.soft),
        ..expiry_of(sa, state.seq)
    };
    if let Some(sa) = &mut content.sa {
        sa.state = crate::klips_core::pfkey::SaState::Dying;
    }
    let message = write(host, &content)?;
    state.sadb.set_dying(age)?;
    state.listeners.send(host, message, Audience::All);
    Ok(())
}

/// The parts of EXPIRE that soft and hard limits have in common.
fn expiry_of(sa: &Sa, seq: u32) -> Content<'static> {
    let header = request(MsgType::Expire, SaType::of(sa.spec.proto) as u8, seq, 0);
    let told = spec::describe(&header, sa);
    Content {
        sa: told.sa,
        current: told.current,
        lifetime_form: told.lifetime_form,
        src: told.src,
        dst: told.dst,
        ..Content::new(header)
    }
}
