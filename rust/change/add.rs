// SPDX-License-Identifier: GPL-2.0

//! A new SA.

use super::{
    Change,
    Done, //
};
use crate::{
    flows::{
        Member,
        Plan, //
    },
    klips_core::pfkey::{
        debug::Part,
        SaState, //
    },
    memory::Boxed,
    netns::{
        Host,
        Refusal,
        State, //
    },
    post::Draft,
    sadb::{
        AddError,
        Prepared,
        Sa, //
    }, //
};

/// Adds an SA: one that ADD describes, or a larval one that reserves an SPI.
pub struct Add {
    /// The SA.
    pub sa: Boxed<Sa>,
    /// Whether its algorithms and keys go together. That there is such an SA already is told before
    /// what is wrong with this one.
    pub algorithms: Result<(), Refusal>,
    /// The answer.
    pub answer: Draft,
}

impl<H: Host> Change<H> for Add {
    type Plan = (Prepared, Boxed<Plan<H::Engine>>, Draft);
    type Removed = ();

    #[inline(never)]
    fn plan(self, host: &H, state: &mut State<H>) -> Result<Self::Plan, Refusal> {
        if self.algorithms.is_err() && state.sadb.find(&self.sa.spec.said()).is_some() {
            return Err(AddError::Exists.into());
        }
        self.algorithms?;
        let age = state.sadb.next_age();
        let sa = state.sadb.prepare(self.sa)?;
        let spec = sa.spec();
        let mut planner = state.planner(host)?;
        planner.chain(&[Member { age, spec }])?;
        let plan = planner.finish()?;
        Ok((sa, plan, self.answer))
    }

    #[inline(never)]
    fn commit((sa, mut plan, answer): Self::Plan, host: &H, state: &mut State<H>) -> Done<()> {
        let (said, larval) = (sa.spec().said(), sa.spec().state == SaState::Larval);
        state.sadb.add(sa);
        state.carry_out(host, &mut plan);
        let what = if larval { "reserved" } else { "added" };
        state.trace(host, Part::Spi, format_args!("{said}: {what}"));
        Done::told(answer)
    }
}
