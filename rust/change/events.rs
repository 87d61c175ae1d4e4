// SPDX-License-Identifier: GPL-2.0

//! What the engine has done by itself, and what others have done to it: limits of states that are
//! passed, states and policies that are gone. The engine tells that something has happened; what it was
//! is read from what is there, so that no event has to be kept.

use super::{
    limits::{
        Due,
        PassUsage, //
    },
    make, //
};
use crate::{
    engine::{
        Engine,
        Event, //
    },
    netns::{
        Host,
        Refusal, //
    },
    sadb::{
        Age,
        Moment, //
    }, //
};

/// How many states, eroutes or inflows are looked at before others get their turn.
const STEP: usize = 64;

/// How long the log says nothing of policies that are put back after it has done so, in seconds.
const LOG_SECONDS: u64 = 5;

/// Policies that were put back and of which the log has not told.
#[derive(Default)]
pub(crate) struct Unlogged {
    policies: usize,
    /// The second since boot from which on it may.
    from: u64,
}

/// Something has happened to states: has happen to SAs what that means. Without memory to tell of it,
/// it has not happened yet, and is looked at again.
pub fn states_changed<H: Host>(host: &H) {
    while let Some(event) = host.engine().next_event() {
        let now = host.now();
        let result = match event {
            Event::State(said) => {
                let age = host.lock().sadb.find(&said).map(|sa| sa.age());
                age.map_or(Ok(()), |age| pass(host, age, now))
            }
            Event::AnyState => look_at_all(host, now),
        };
        if result.is_err() {
            host.engine().look_at_states_later();
            break;
        }
        host.cond_resched();
    }
    if host.lock().listeners.is_telling() {
        // A chain that ends is told of by many messages, and there may be many to tell: that is
        // the work of who deals with limits of time.
        host.wake_at(Some(host.now().boot));
    }
}

/// Has happen to an SA what has happened to its state.
fn pass<H: Host>(host: &H, age: Age, now: Moment) -> Result<(), Refusal> {
    while Due::of(host, &host.lock(), age, now).is_some() {
        drop(make(host, PassUsage { age, now })?);
    }
    Ok(())
}

/// Looks at all states that there are, step by step.
fn look_at_all<H: Host>(host: &H, now: Moment) -> Result<(), Refusal> {
    let mut next = Some(Age::FIRST);
    while let Some(from) = next {
        let found;
        (found, next) = find_due(host, from, now);
        if let Some(age) = found {
            pass(host, age, now)?;
        }
        host.cond_resched();
    }
    Ok(())
}

/// Looks at some states from an age on for one of which something is to be told. Returns that, and
/// where to go on.
fn find_due<H: Host>(host: &H, from: Age, now: Moment) -> (Option<Age>, Option<Age>) {
    let state = host.lock();
    let mut next = from;
    for _ in 0..STEP {
        let Some(age) = state.flows.live_at_or_after(next) else {
            return (None, None);
        };
        next = age.next();
        if Due::of(host, &state, age, now).is_some() {
            return (Some(age), Some(next));
        }
    }
    (None, Some(next))
}

/// Somebody else may have removed policies of eroutes, or put others in their place: puts those back
/// that are gone. Without them packets would leave in clear that are to be protected, while the eroutes
/// are listed; whoever wants that removes the eroutes.
pub fn policies_changed<H: Host>(host: &H) {
    let mut restored = 0;
    let mut has_all = true;
    let mut next = Some(0);
    while let Some(from) = next {
        let state = host.lock();
        let hold = host.engine().hold();
        let done = state.flows.restore_some(host.engine(), from, STEP);
        drop(hold);
        drop(state);
        restored += done.restored;
        has_all &= done.has_all;
        next = done.next;
        host.cond_resched();
    }
    if !has_all {
        host.engine().look_at_policies_later();
    }
    log_restored(host, restored);
}

fn log_restored<H: Host>(host: &H, restored: usize) {
    let now = host.now().boot;
    let mut state = host.lock();
    let unlogged = &mut state.unlogged;
    unlogged.policies += restored;
    let policies = unlogged.policies;
    if policies == 0 || now < unlogged.from {
        return;
    }
    *unlogged = Unlogged {
        policies: 0,
        from: now + LOG_SECONDS,
    };
    drop(state);
    host.log(format_args!(
        "policies of eroutes that others removed or replaced are back ({policies}): \
         \"ipsec eroute --del\" and \"--clear\" remove eroutes"
    ));
}
