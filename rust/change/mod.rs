// SPDX-License-Identifier: GPL-2.0

//! The one door to the tables of a network namespace.
//!
//! Whatever changes them is a [`Change`], a value that says what is wanted, and goes through
//! [`make`], which takes it through these steps:
//!
//! | step | lock | may refuse | |
//! |---|---|---|---|
//! | prepare | no | yes | whoever makes the value checks the message, copies keys, writes the answer |
//! | plan | yes | yes | looks at the tables, takes all that is still needed, and last has the engine take in what is new |
//! | commit | yes | no | changes the tables |
//! | tell | yes | no | listeners hear of changes in the order in which they were made |
//! | free | no | no | what was removed, keys included, is freed when nobody waits for that |
//!
//! So a request is refused before anything has changed, or carried out whole. What a plan has taken
//! goes with it when a later part of it refuses. What is in the engine already is taken out again by the
//! step that put it there (`Planner::finish`), after which nothing may refuse.
//!
//! Memory is taken before the lock where it can be known what for. Under the lock, but still before
//! anything changes, a plan takes what depends on the tables: nodes for the table itself, and
//! messages about SAs that the request did not name or describe (the mates of one that goes, those
//! whose limits have passed, UPDATE of ports).

mod add;
mod events;
mod flow;
mod group;
mod interface;
mod limits;
mod remove;
mod replace;
mod routes;
mod traps;

pub(crate) use self::events::Unlogged;
pub use self::{
    add::Add,
    events::{
        policies_changed,
        states_changed, //
    },
    flow::{
        clear_eroutes,
        end,
        AddEroute,
        RemoveEroute,
        SetInflow, //
    },
    group::{
        Group,
        Link,
        Ungroup, //
    },
    interface::{
        attach,
        interfaces_changed,
        Plumb,
        Unplumb, //
    },
    limits::limits_due,
    remove::{
        remove_all,
        remove_type,
        Remove, //
    },
    replace::{
        Replace,
        SetPorts, //
    },
    routes::routes_changed,
    traps::packets_told, //
};

use crate::{
    engine::Engine,
    memory::Vector,
    netns::{
        Host,
        Refusal,
        State, //
    },
    post::{
        Audience,
        Draft, //
    }, //
};

/// A change that is wanted. What it holds has been prepared before the lock.
///
/// Its two functions are not inlined, and neither are the handlers of requests: the kernel's stack has
/// 16 KB, of which making a state takes some, and what is done one after the other takes its share one
/// after the other then.
pub trait Change<H: Host>: Sized {
    /// Who is told of it.
    const AUDIENCE: Audience = Audience::All;
    /// All that committing takes.
    type Plan;
    /// What was removed, to be freed without the lock; keys are wiped then.
    type Removed;

    /// Refuses, or takes all that is still needed. What can be seen of the tables stays as it is.
    fn plan(self, host: &H, state: &mut State<H>) -> Result<Self::Plan, Refusal>;

    /// Changes the tables. Nothing else has changed them since the plan was made.
    fn commit(plan: Self::Plan, host: &H, state: &mut State<H>) -> Done<Self::Removed>;
}

/// What a change leaves to be done.
pub struct Done<R> {
    /// What everybody is told: first the answer to a request, if there is one.
    answer: Option<Draft>,
    /// Then the rest, in order.
    others: Vector<Draft>,
    removed: R,
}

impl Done<()> {
    /// Nothing was removed, and this is all that is told.
    fn told(answer: Draft) -> Self {
        Done {
            answer: Some(answer),
            others: Vector::new(),
            removed: (),
        }
    }
}

/// Has a change made, whole or not at all. Returns what was removed; the caller drops it, now that
/// the lock is not held.
pub fn make<H: Host, C: Change<H>>(host: &H, change: C) -> Result<C::Removed, Refusal> {
    let mut tables = Tables::open(host);
    let plan = match change.plan(host, &mut tables.state) {
        Ok(plan) => plan,
        Err(refusal) => {
            tables.leave();
            return Err(refusal);
        }
    };
    let Done {
        answer,
        others,
        removed,
    } = C::commit(plan, host, &mut tables.state);
    tables.close(host, (answer, others), C::AUDIENCE);
    Ok(removed)
}

/// The tables while a change is made: what is the same for all of them is there once.
struct Tables<'a, H: Host + 'a> {
    /// Nobody else changes the engine between what a plan finds there and what it does.
    hold: <H::Engine as Engine>::Hold<'a>,
    state: H::Guard<'a>,
    /// As it was before.
    deadline: Option<u64>,
    in_use: bool,
}

impl<'a, H: Host> Tables<'a, H> {
    #[inline(never)]
    fn open(host: &'a H) -> Self {
        let state = host.lock();
        Tables {
            hold: host.engine().hold(),
            deadline: state.next_deadline(),
            in_use: state.flows.is_in_use(),
            state,
        }
    }

    #[inline(never)]
    fn leave(self) {}

    /// Tells of the change, and asks to be called when something is due.
    #[inline(never)]
    fn close(self, host: &H, (answer, others): (Option<Draft>, Vector<Draft>), audience: Audience) {
        let Tables {
            hold,
            mut state,
            deadline,
            in_use,
        } = self;
        drop(hold);
        if state.flows.is_in_use() != in_use {
            host.set_in_use(!in_use);
        }
        if state.next_deadline() != deadline {
            host.wake_at(state.next_deadline());
        }
        for message in answer.into_iter().chain(others) {
            state.listeners.send(host, message, audience);
        }
        state.update_acquires(host);
    }
}
