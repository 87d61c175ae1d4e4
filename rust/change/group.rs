// SPDX-License-Identifier: GPL-2.0

//! Groups: how they are made and taken apart (contract 2 to 4, reference 5).

use super::{
    Change,
    Done, //
};
use crate::{
    flows::{
        Member,
        Plan, //
    },
    klips_core::{
        errno::Errno,
        group,
        pfkey::{
            debug::Part,
            value::GroupList, //
        },
        said::Said, //
    },
    memory::{
        self,
        Boxed,
        Vector, //
    },
    netns::{
        Host,
        Refusal,
        State, //
    },
    post::Draft,
    sadb::Age, //
};

/// Links one SA to the outside of another.
pub struct Link {
    /// The inner one.
    pub inner: Said,
    /// The outer one; `None` if its name is incomplete, which is no SA's.
    pub outer: Option<Said>,
    /// The answer.
    pub answer: Draft,
}

impl<H: Host> Change<H> for Link {
    type Plan = (Age, Age, Boxed<Plan<H::Engine>>, Draft);
    type Removed = ();

    #[inline(never)]
    fn plan(self, host: &H, state: &mut State<H>) -> Result<Self::Plan, Refusal> {
        let sadb = &state.sadb;
        let find = |said: &Said| sadb.find(said).ok_or(Errno::ENOENT);
        let inner = find(&self.inner)?.age();
        let outer = find(&self.outer.ok_or(Errno::ENOENT)?)?.age();
        group::check_link(sadb, inner, outer)?;
        let mut planner = state.planner(host)?;
        let mut chain = planner.members(inner)?;
        for member in planner.members(outer)? {
            memory::push(&mut chain, member)?;
        }
        planner.chain(&chain)?;
        let plan = planner.finish()?;
        Ok((inner, outer, plan, self.answer))
    }

    #[inline(never)]
    fn commit(
        (inner, outer, mut plan, answer): Self::Plan,
        host: &H,
        state: &mut State<H>,
    ) -> Done<()> {
        group::link(&mut state.sadb, inner, outer);
        state.carry_out(host, &mut plan);
        if let Some(sa) = state.sadb.get(inner) {
            let said = sa.spec.said();
            state.trace(
                host,
                Part::Spi,
                format_args!("{said}: linked to its outer neighbour"),
            );
        }
        Done::told(answer)
    }
}

/// Makes one group of a list of SAs.
pub struct Group {
    /// The innermost one.
    pub first: Said,
    /// The others, inside to outside.
    pub others: GroupList,
    /// The answer.
    pub answer: Draft,
}

/// The most SAs in a list.
const LIST_MAX: usize = 1 + GroupList::MAX;

impl<H: Host> Change<H> for Group {
    type Plan = (
        [Option<Age>; LIST_MAX],
        usize,
        Boxed<Plan<H::Engine>>,
        Draft,
    );
    type Removed = ();

    #[inline(never)]
    fn plan(self, host: &H, state: &mut State<H>) -> Result<Self::Plan, Refusal> {
        let mut ages = [None; LIST_MAX];
        let mut len = 0;
        let list = core::iter::once(self.first).chain(self.others.iter());
        for (age, said) in ages.iter_mut().zip(list) {
            *age = state.sadb.find(&said).map(|sa| sa.age());
            len += 1;
        }
        group::check_list(&state.sadb, &ages[..len])?;
        let mut chain = Vector::new();
        for sa in ages.iter().flatten().filter_map(|age| state.sadb.get(*age)) {
            memory::push(&mut chain, Member::of(sa))?;
        }
        let mut planner = state.planner(host)?;
        planner.chain(&chain)?;
        let plan = planner.finish()?;
        Ok((ages, len, plan, self.answer))
    }

    #[inline(never)]
    fn commit(
        (ages, len, mut plan, answer): Self::Plan,
        host: &H,
        state: &mut State<H>,
    ) -> Done<()> {
        group::link_list(&mut state.sadb, &ages[..len]);
        state.carry_out(host, &mut plan);
        if let Some(sa) = ages[0].and_then(|age| state.sadb.get(age)) {
            let said = sa.spec.said();
            state.trace(
                host,
                Part::Spi,
                format_args!("{said}: innermost of a group of {len}"),
            );
        }
        Done::told(answer)
    }
}

/// Takes the group apart that an SA is in.
pub struct Ungroup {
    /// The SA.
    pub said: Said,
    /// The answer.
    pub answer: Draft,
}

impl<H: Host> Change<H> for Ungroup {
    type Plan = (Age, Boxed<Plan<H::Engine>>, Draft);
    type Removed = ();

    #[inline(never)]
    fn plan(self, host: &H, state: &mut State<H>) -> Result<Self::Plan, Refusal> {
        let age = state.sadb.find(&self.said).ok_or(Errno::ENOENT)?.age();
        let mut planner = state.planner(host)?;
        planner.dissolve(age)?;
        let plan = planner.finish()?;
        Ok((age, plan, self.answer))
    }

    #[inline(never)]
    fn commit((age, mut plan, answer): Self::Plan, host: &H, state: &mut State<H>) -> Done<()> {
        group::ungroup(&mut state.sadb, age);
        state.carry_out(host, &mut plan);
        if let Some(sa) = state.sadb.get(age) {
            let said = sa.spec.said();
            state.trace(host, Part::Spi, format_args!("{said}: ungrouped"));
        }
        Done::told(answer)
    }
}
