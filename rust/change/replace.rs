// SPDX-License-Identifier: GPL-2.0

//! What UPDATE does to an SA that is there.

use super::{
    Change,
    Done, //
};
use crate::{
    klips_core::{
        errno::Errno,
        pfkey::debug::Part,
        said::Said, //
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
    sadb::{
        Age,
        Replacement,
        Sa, //
    }, //
};

/// Replaces an SA in its place in its group.
pub struct Replace<H: Host> {
    /// What it is to be.
    pub sa: Boxed<Sa>,
    /// Whether its algorithms and keys go together. That there is no such SA is told before what is
    /// wrong with this one.
    pub algorithms: Result<(), Refusal>,
    /// The answer.
    pub answer: H::Draft,
}

impl<H: Host> Change<H> for Replace<H> {
    type Plan = (Age, Replacement, H::Draft);
    type Removed = Boxed<Sa>;

    fn plan(self, _host: &H, state: &mut State<H>) -> Result<Self::Plan, Refusal> {
        let sa = state.sadb.find(&self.sa.spec.said());
        let age = sa.ok_or(Errno::ENOENT)?.age();
        self.algorithms?;
        let replacement = state.sadb.prepare_replacement(self.sa)?;
        Ok((age, replacement, self.answer))
    }

    fn commit(
        (age, replacement, answer): Self::Plan,
        host: &H,
        state: &mut State<H>,
    ) -> Done<H, Boxed<Sa>> {
        let removed = state.sadb.replace(age, replacement);
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
    A: FnOnce(&Sa) -> Result<H::Draft, OutOfMemory>,
{
    type Plan = (Age, Option<u16>, Option<u16>, H::Draft);
    type Removed = ();

    fn plan(self, _host: &H, state: &mut State<H>) -> Result<Self::Plan, Refusal> {
        let sa = state.sadb.find(&self.said).ok_or(Errno::ENOENT)?;
        let answer = (self.answer)(sa)?;
        Ok((sa.age(), self.sport, self.dport, answer))
    }

    fn commit(
        (age, sport, dport, answer): Self::Plan,
        _host: &H,
        state: &mut State<H>,
    ) -> Done<H, ()> {
        state.sadb.set_ports(age, sport, dport);
        Done::told(answer)
    }
}
