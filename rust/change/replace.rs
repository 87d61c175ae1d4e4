// SPDX-License-Identifier: GPL-2.0

//! What UPDATE does to an SA that is there.

use super::{
    Change,
    Done, //
};
use crate::{
    flows::Plan,
    klips_core::{
        errno::Errno,
        pfkey::debug::Part,
        said::Said,
        xfrm::Usage, //
    },
    memory::{
        Boxed,
        OutOfMemory,
        Vector, //
    },
    netns::{
        Host,
        Refusal,
        State, //
    },
    post::Draft,
    sadb::{
        Age,
        Replacement,
        Sa, //
    }, //
};

/// Replaces an SA in its place in its group.
pub struct Replace {
    /// What it is to be.
    pub sa: Boxed<Sa>,
    /// Whether its algorithms and keys go together. That there is no such SA is told before what is
    /// wrong with this one.
    pub algorithms: Result<(), Refusal>,
    /// The answer.
    pub answer: Draft,
}

impl<H: Host> Change<H> for Replace {
    type Plan = (Age, Replacement, Boxed<Plan<H::Engine>>, Draft);
    type Removed = Boxed<Sa>;

    #[inline(never)]
    fn plan(self, host: &H, state: &mut State<H>) -> Result<Self::Plan, Refusal> {
        let sa = state.sadb.find(&self.sa.spec.said()).ok_or(Errno::ENOENT)?;
        let (age, keeps_keys) = (sa.age(), sa.spec.has_keys_of(&self.sa.spec));
        self.algorithms?;
        let replacement = state.sadb.prepare_replacement(self.sa)?;
        let mut planner = state.planner(host)?;
        planner.renew(age, keeps_keys);
        let mut chain = planner.members(age)?;
        for member in chain.iter_mut().filter(|member| member.age == age) {
            member.spec = replacement.spec();
        }
        planner.chain(&chain)?;
        drop(chain);
        let plan = planner.finish()?;
        Ok((age, replacement, plan, self.answer))
    }

    #[inline(never)]
    fn commit(
        (age, replacement, mut plan, answer): Self::Plan,
        host: &H,
        state: &mut State<H>,
    ) -> Done<Boxed<Sa>> {
        let removed = state.sadb.replace(age, replacement);
        state.carry_out(host, &mut plan);
        let said = removed.spec.said();
        state.trace(host, Part::Spi, format_args!("{said}: replaced"));
        Done {
            answer: Some(answer),
            others: Vector::new(),
            removed,
        }
    }
}

/// Changes the ports of an SA behind NAT.
pub struct SetPorts<A> {
    /// Its name.
    pub said: Said,
    /// Source port, if it changes.
    pub sport: Option<u16>,
    /// Destination port, if it changes.
    pub dport: Option<u16>,
    /// Writes the answer, which tells of the SA as it was.
    pub answer: A,
}

impl<H, A> Change<H> for SetPorts<A>
where
    H: Host,
    A: FnOnce(&Sa, &Usage) -> Result<Draft, OutOfMemory>,
{
    type Plan = (Age, Option<u16>, Option<u16>, Draft);
    type Removed = ();

    #[inline(never)]
    fn plan(self, host: &H, state: &mut State<H>) -> Result<Self::Plan, Refusal> {
        let sa = state.sadb.find(&self.said).ok_or(Errno::ENOENT)?;
        let answer = (self.answer)(sa, &state.usage(host, sa))?;
        Ok((sa.age(), self.sport, self.dport, answer))
    }

    #[inline(never)]
    fn commit((age, sport, dport, answer): Self::Plan, host: &H, state: &mut State<H>) -> Done<()> {
        state.sadb.set_ports(age, sport, dport);
        if let Some(sa) = state.sadb.get(age) {
            state.flows.set_ports(host.engine(), sa);
        }
        Done::told(answer)
    }
}
