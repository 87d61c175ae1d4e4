// SPDX-License-Identifier: GPL-2.0

//! What time and packets do to an SA (RFC 2367 section 3.1.8): past its soft limits it is dying, past
//! its hard ones it is removed with its whole group. Limits of time since it was made are kept here,
//! those of what goes through it by the engine, where they are looked at. What somebody else takes out
//! of the engine is removed likewise.

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

/// How many states are looked at before others get their turn.
const STEP: usize = 64;

/// Has happen what is due to one SA, if to any.
pub struct PassLimit {
    /// The time.
    pub now: Moment,
}

/// Has happen what the engine has to say of the state of an SA.
struct PassUsage {
    age: Age,
    /// The time.
    now: Moment,
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

    fn commit(plan: Passed, host: &H, state: &mut State<H>) -> Done<Vector<Removed>> {
        plan.commit(host, state)
    }
}

impl<H: Host> Change<H> for PassUsage {
    type Plan = Passed;
    type Removed = Vector<Removed>;

    fn plan(self, host: &H, state: &mut State<H>) -> Result<Passed, Refusal> {
        let seq = state.seq.wrapping_add(1);
        let (Some(live), Some(sa)) = (state.flows.live(self.age), state.sadb.get(self.age)) else {
            return Ok(Passed::None);
        };
        let usage = host.engine().usage(&live.state);
        match usage.health {
            Health::Dying if sa.spec.state == SaState::Mature => {
                Passed::soft(host, state, self.age, seq)
            }
            Health::Dead if is_used_up(&sa.spec.hard, &usage, self.now) => {
                Passed::hard(host, state, sa, seq)
            }
            Health::Dead => {
                let message = about::removal_of(host, sa)?;
                let removal = Removal::told(host, state, self.age, message)?;
                Ok(Passed::Taken(removal))
            }
            Health::Alive | Health::Dying => Ok(Passed::None),
        }
    }

    fn commit(plan: Passed, host: &H, state: &mut State<H>) -> Done<Vector<Removed>> {
        plan.commit(host, state)
    }
}

/// Whether more was used than a hard limit says.
fn is_used_up(hard: &Lifetime, usage: &Usage, now: Moment) -> bool {
    let is_past = |limit: u64, used: u64| limit != 0 && used > limit;
    let since_used = match usage.use_time {
        0 => 0,
        first => now.real.saturating_sub(first).saturating_add(1),
    };
    is_past(hard.bytes, usage.bytes)
        || is_past(hard.packets.into(), usage.packets)
        || is_past(hard.usetime, since_used)
}

/// Looks at all states there are, step by step, and has happen what has come to pass. Whether there
/// was the memory for that.
pub fn look_at_states<H: Host>(host: &H, now: Moment) -> Result<(), Refusal> {
    let mut next = Some(Age::FIRST);
    while let Some(from) = next {
        let found;
        (found, next) = find_ended(host, from);
        if let Some(age) = found {
            drop(make(host, PassUsage { age, now })?);
        }
        host.cond_resched();
    }
    Ok(())
}

/// Looks at some states from an age on for one of which something is to be told. Returns that, and
/// where to go on.
fn find_ended<H: Host>(host: &H, from: Age) -> (Option<Age>, Option<Age>) {
    let state = host.lock();
    let mut next = from;
    for _ in 0..STEP {
        let Some(age) = state.flows.live_at_or_after(next) else {
            return (None, None);
        };
        next = age.next();
        let live = state.flows.live(age);
        let health = live.map(|live| host.engine().usage(&live.state).health);
        let is_mature = || {
            let sa = state.sadb.get(age);
            sa.is_some_and(|sa| sa.spec.state == SaState::Mature)
        };
        if health == Some(Health::Dead) || health == Some(Health::Dying) && is_mature() {
            return (Some(age), Some(next));
        }
    }
    (None, Some(next))
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
