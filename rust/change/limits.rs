// SPDX-License-Identifier: GPL-2.0

//! What time and packets do to an SA (RFC 2367 section 3.1.8): past its soft limits it is dying, past
//! its hard ones it is removed with its whole group. Limits of time since it was made are kept here,
//! those of what goes through it by the engine, which tells when one is passed. What somebody else takes
//! out of the engine is removed likewise.

use super::{
    make,
    remove::Removal,
    Change,
    Done, //
};
use crate::{
    engine::Engine,
    klips_core::{
        pfkey::{
            Ext,
            Lifetime,
            SaState, //
        },
        xfrm::{
            Health,
            Usage, //
        }, //
    },
    memory::Vector,
    netns::{
        Host,
        Refusal,
        State, //
    },
    post::{
        about,
        Draft, //
    },
    sadb::{
        Age,
        Dying,
        Moment,
        Removed,
        Sa, //
    }, //
};

/// How many SAs are dealt with in one go.
const STEP: usize = 16;

/// Tells what is still to be told, deals with the SAs whose limits are passed, and asks to be called
/// when the next ones will be.
pub fn limits_due<H: Host>(host: &H) {
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
            if make(host, PassLimit { now }).is_err() {
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

/// Has happen what is due to one SA, if to any.
struct PassLimit {
    /// The time.
    now: Moment,
}

/// Has happen what the engine has to say of the state of an SA.
pub(super) struct PassUsage {
    /// The SA.
    pub(super) age: Age,
    /// The time.
    pub(super) now: Moment,
}

/// What has happened to the state of an SA, and is still to happen to the SA.
pub(super) enum Due {
    /// A soft limit is passed.
    Soft,
    /// A hard one is.
    Hard,
    /// Somebody has taken it out.
    Taken,
}

impl Due {
    /// What the engine says of an SA, if anything. One that is past both its limits is first told of
    /// as past the soft one.
    pub(super) fn of<H: Host>(host: &H, state: &State<H>, age: Age, now: Moment) -> Option<Self> {
        let (live, sa) = (state.flows.live(age)?, state.sadb.get(age)?);
        let spec = &sa.spec;
        let usage = host.engine().usage(&live.state);
        let is_mature = spec.state == SaState::Mature;
        match usage.health {
            Health::Alive => None,
            Health::Dying => is_mature.then_some(Due::Soft),
            Health::Dead if !is_used_up(&spec.hard, &usage, now) => Some(Due::Taken),
            Health::Dead if is_mature && is_used_up(&spec.soft, &usage, now) => Some(Due::Soft),
            Health::Dead => Some(Due::Hard),
        }
    }
}

/// What is due.
pub enum Passed {
    /// Nothing.
    None,
    /// A soft limit is passed: the SA becomes dying, and the message says so.
    Soft(Dying, Draft),
    /// A hard limit is passed, or nobody has come for a larval SA.
    Hard(Removal),
    /// Somebody has taken its state out.
    Taken(Removal),
}

impl<H: Host> Change<H> for PassLimit {
    type Plan = Passed;
    type Removed = Vector<Removed>;

    #[inline(never)]
    fn plan(self, host: &H, state: &mut State<H>) -> Result<Passed, Refusal> {
        let seq = state.seq.wrapping_add(1);
        let Some(sa) = state.sadb.due(self.now) else {
            return Ok(Passed::None);
        };
        if sa.spec.is_over(self.now) {
            return Passed::hard(host, state, sa, seq);
        }
        let age = sa.age();
        Passed::soft(host, state, age, seq)
    }

    #[inline(never)]
    fn commit(plan: Passed, host: &H, state: &mut State<H>) -> Done<Vector<Removed>> {
        plan.commit(host, state)
    }
}

impl<H: Host> Change<H> for PassUsage {
    type Plan = Passed;
    type Removed = Vector<Removed>;

    #[inline(never)]
    fn plan(self, host: &H, state: &mut State<H>) -> Result<Passed, Refusal> {
        let seq = state.seq.wrapping_add(1);
        let due = Due::of(host, state, self.age, self.now);
        let (Some(due), Some(sa)) = (due, state.sadb.get(self.age)) else {
            return Ok(Passed::None);
        };
        match due {
            Due::Soft => Passed::soft(host, state, self.age, seq),
            Due::Hard => Passed::hard(host, state, sa, seq),
            Due::Taken => {
                let message = about::removal_of(host, sa)?;
                let removal = Removal::told(host, state, self.age, message)?;
                Ok(Passed::Taken(removal))
            }
        }
    }

    #[inline(never)]
    fn commit(plan: Passed, host: &H, state: &mut State<H>) -> Done<Vector<Removed>> {
        plan.commit(host, state)
    }
}

/// Whether more was used than limits say.
fn is_used_up(limits: &Lifetime, usage: &Usage, now: Moment) -> bool {
    let is_past = |limit: u64, used: u64| limit != 0 && used > limit;
    let since_used = match usage.use_time {
        0 => 0,
        first => now.real.saturating_sub(first).saturating_add(1),
    };
    is_past(limits.bytes, usage.bytes)
        || is_past(limits.packets.into(), usage.packets)
        || is_past(limits.usetime, since_used)
}

impl Passed {
    fn soft<H: Host>(host: &H, state: &mut State<H>, age: Age, seq: u32) -> Result<Self, Refusal> {
        let Some(sa) = state.sadb.get(age) else {
            return Ok(Passed::None);
        };
        let used = (sa, &state.usage(host, sa));
        let message = about::expiry_of(host, used, seq, (Ext::LifetimeSoft, &sa.spec.soft))?;
        Ok(Passed::Soft(state.sadb.prepare_dying(age)?, message))
    }

    fn hard<H: Host>(host: &H, state: &State<H>, sa: &Sa, seq: u32) -> Result<Self, Refusal> {
        let used = (sa, &state.usage(host, sa));
        let message = about::expiry_of(host, used, seq, (Ext::LifetimeHard, &sa.spec.hard))?;
        Ok(Passed::Hard(Removal::told(host, state, sa.age(), message)?))
    }

    fn commit<H: Host>(self, host: &H, state: &mut State<H>) -> Done<Vector<Removed>> {
        let answer = match self {
            Passed::None => None,
            Passed::Soft(dying, message) => {
                state.sadb.set_dying(dying);
                Some(message)
            }
            Passed::Taken(removal) => return removal.commit(host, state),
            Passed::Hard(removal) => {
                state.seq = state.seq.wrapping_add(1);
                return removal.commit(host, state);
            }
        };
        state.seq = state.seq.wrapping_add(answer.is_some().into());
        Done {
            answer,
            others: Vector::new(),
            removed: Vector::new(),
        }
    }
}
