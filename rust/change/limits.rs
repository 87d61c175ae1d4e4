// SPDX-License-Identifier: GPL-2.0

//! What time does to an SA (RFC 2367 section 3.1.8): past its soft limits it is dying, past its hard
//! ones it is removed with its whole group. KLIPS only looked when there were packets.

use super::{
    remove::Removal,
    Change,
    Done, //
};
use crate::{
    klips_core::pfkey::Ext,
    memory::Vector,
    netns::{
        Host,
        Refusal,
        State, //
    },
    post::about,
    sadb::{
        Dying,
        Moment,
        Removed, //
    }, //
};

/// Has happen what is due to one SA, if to any.
pub struct PassLimit {
    /// The time.
    pub now: Moment,
}

/// What is due.
pub enum Passed<H: Host> {
    /// Nothing.
    None,
    /// A soft limit is passed: the SA becomes dying, and the message says so.
    Soft(Dying, H::Draft),
    /// A hard limit is passed, or nobody has come for a larval SA.
    Hard(Removal<H>),
}

impl<H: Host> Change<H> for PassLimit {
    type Plan = Passed<H>;
    type Removed = Vector<Removed>;

    fn plan(self, host: &H, state: &mut State<H>) -> Result<Passed<H>, Refusal> {
        let seq = state.seq.wrapping_add(1);
        let Some(sa) = state.sadb.due(self.now) else {
            return Ok(Passed::None);
        };
        let age = sa.age();
        let usage = state.usage(host, sa);
        let used = (sa, &usage);
        if sa.spec.is_over(self.now) {
            let message = about::expiry_of(host, used, seq, (Ext::LifetimeHard, &sa.spec.hard))?;
            Ok(Passed::Hard(Removal::told(host, state, age, message)?))
        } else {
            let message = about::expiry_of(host, used, seq, (Ext::LifetimeSoft, &sa.spec.soft))?;
            Ok(Passed::Soft(state.sadb.prepare_dying(age)?, message))
        }
    }

    fn commit(plan: Passed<H>, host: &H, state: &mut State<H>) -> Done<H, Vector<Removed>> {
        let answer = match plan {
            Passed::None => None,
            Passed::Soft(dying, message) => {
                state.sadb.set_dying(dying);
                Some(message)
            }
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
