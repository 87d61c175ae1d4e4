// SPDX-License-Identifier: GPL-2.0

//! Removal: of an SA with its group (contract 5, reference 4.10), of those of one type, of all.

use super::{
    make,
    Change,
    Done, //
};
use crate::{
    flows::RemovedStates,
    klips_core::{
        errno::Errno,
        pfkey::{
            debug::Part,
            SaType, //
        },
        said::Said, //
    },
    memory::{
        self,
        OutOfMemory,
        Vector, //
    },
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
        Removed,
        RemovedAll, //
    }, //
};

/// How many SAs are looked at, or freed, before others get their turn.
const STEP: usize = 64;

/// Removes an SA and the whole group that it is in. Each of them is told of.
pub struct Remove {
    /// The SA.
    pub said: Said,
    /// The answer, which tells of the SA itself.
    pub answer: Draft,
}

impl<H: Host> Change<H> for Remove {
    type Plan = Removal;
    type Removed = Vector<Removed>;

    #[inline(never)]
    fn plan(self, host: &H, state: &mut State<H>) -> Result<Removal, Refusal> {
        let sa = state.sadb.find(&self.said).ok_or(Errno::ESRCH)?;
        let age = sa.age();
        Ok(Removal::told(host, state, age, self.answer)?)
    }

    #[inline(never)]
    fn commit(plan: Removal, host: &H, state: &mut State<H>) -> Done<Vector<Removed>> {
        plan.commit(host, state)
    }
}

/// What it takes to remove a chain.
pub struct Removal {
    age: Age,
    /// What is told of that SA, and of each of its mates.
    answer: Option<Draft>,
    mates: Vector<Draft>,
    /// Room for them.
    removed: Vector<Removed>,
}

impl Removal {
    /// Of the chain that an SA is in, with nobody told. Nothing depends on the room for it: without,
    /// it is freed under the lock.
    fn silent<H: Host>(state: &State<H>, age: Age) -> Self {
        let mut removed = Vector::new();
        if let Some(sa) = state.sadb.get(age) {
            let _ = memory::reserve(&mut removed, state.sadb.chain(sa).count());
        }
        Removal {
            age,
            answer: None,
            mates: Vector::new(),
            removed,
        }
    }

    /// The same with everybody told: by `answer` of the SA itself, and by a message of each of its
    /// mates.
    pub(super) fn told<H: Host>(
        host: &H,
        state: &State<H>,
        age: Age,
        answer: Draft,
    ) -> Result<Self, OutOfMemory> {
        let mut removal = Removal::silent(state, age);
        removal.answer = Some(answer);
        if let Some(sa) = state.sadb.get(age) {
            for mate in state.sadb.chain(sa).filter(|mate| mate.age() != age) {
                memory::push(&mut removal.mates, about::removal_of(host, mate)?)?;
            }
        }
        Ok(removal)
    }

    pub(super) fn commit<H: Host>(self, host: &H, state: &mut State<H>) -> Done<Vector<Removed>> {
        let Removal {
            age,
            answer,
            mates: others,
            mut removed,
        } = self;
        if let Some(sa) = state.sadb.get(age) {
            let said = sa.spec.said();
            let len = state.sadb.chain(sa).count();
            state.trace(
                host,
                Part::Spi,
                format_args!("{said}: removed, a chain of {len}"),
            );
            state.flows.remove_chain(host.engine(), &state.sadb, sa);
        }
        state.sadb.remove_chain(age, |sa| {
            let _ = memory::push(&mut removed, sa);
        });
        Done {
            answer,
            others,
            removed,
        }
    }
}

/// Removes a chain of which nobody is told.
struct RemoveSilently {
    age: Age,
}

impl<H: Host> Change<H> for RemoveSilently {
    type Plan = Removal;
    type Removed = Vector<Removed>;

    #[inline(never)]
    fn plan(self, _host: &H, state: &mut State<H>) -> Result<Removal, Refusal> {
        Ok(Removal::silent(state, self.age))
    }

    #[inline(never)]
    fn commit(plan: Removal, host: &H, state: &mut State<H>) -> Done<Vector<Removed>> {
        plan.commit(host, state)
    }
}

/// Removes the SAs of one type that are there now, with the groups that they are in.
///
/// It is a change for each group, which goes in one piece; between them others get their turn.
pub fn remove_type<H: Host>(host: &H, satype: SaType) {
    let end = host.lock().sadb.next_age();
    let mut next = Some(Age::FIRST);
    while let Some(from) = next {
        let (found, after) = find_type(&host.lock(), satype, from, end);
        next = after;
        if let Some(age) = found {
            // It may have gone meanwhile, which is as well.
            drop(make(host, RemoveSilently { age }));
        }
        host.cond_resched();
    }
}

/// Looks at some SAs from an age on for one of a type. Returns that, and where to go on.
fn find_type<H: Host>(
    state: &State<H>,
    satype: SaType,
    from: Age,
    end: Age,
) -> (Option<Age>, Option<Age>) {
    let mut next = None;
    for sa in state.sadb.sas_from(from).take(STEP) {
        if sa.age() >= end {
            return (None, None);
        }
        next = Some(sa.age().next());
        if sa.spec.proto == satype.proto() {
            return (Some(sa.age()), next);
        }
    }
    (None, next)
}

/// Has eroutes drop, from a position on; they are about to lose their SAs.
struct BlockSome(u64);

impl<H: Host> Change<H> for BlockSome {
    type Plan = Self;
    type Removed = Option<u64>;

    #[inline(never)]
    fn plan(self, _host: &H, _state: &mut State<H>) -> Result<Self, Refusal> {
        Ok(self)
    }

    #[inline(never)]
    fn commit(BlockSome(position): Self, host: &H, state: &mut State<H>) -> Done<Option<u64>> {
        Done {
            answer: None,
            others: Vector::new(),
            removed: state.flows.block_some(host.engine(), position, STEP),
        }
    }
}

/// Removes all SAs.
struct RemoveAll {
    /// The answer, if there was a request.
    answer: Option<Draft>,
    /// How many plans had been carried out before eroutes were blocked.
    blocked: u64,
}

impl<H: Host> Change<H> for RemoveAll {
    type Plan = Self;
    type Removed = (RemovedAll, RemovedStates<H::Engine>);

    #[inline(never)]
    fn plan(self, _host: &H, _state: &mut State<H>) -> Result<Self, Refusal> {
        Ok(self)
    }

    #[inline(never)]
    fn commit(
        RemoveAll { answer, blocked }: Self,
        host: &H,
        state: &mut State<H>,
    ) -> Done<Self::Removed> {
        let (engine, sadb) = (host.engine(), &state.sadb);
        let states = state.flows.remove_all(engine, sadb, blocked);
        let removed = state.sadb.remove_all();
        state.trace(
            host,
            Part::Spi,
            format_args!("all {} SAs removed", removed.len()),
        );
        Done {
            answer,
            others: Vector::new(),
            removed: (removed, states),
        }
    }
}

/// Removes all SAs, and answers if there was a request. What takes long is done step by step: eroutes
/// drop before, and SAs are freed afterwards.
pub fn remove_all<H: Host>(host: &H, answer: Option<Draft>) -> Result<(), Refusal> {
    let blocked = host.lock().flows.plans();
    let mut position = 0;
    while let Some(next) = make(host, BlockSome(position))? {
        position = next;
        host.cond_resched();
    }
    let (mut removed, mut states) = make(host, RemoveAll { answer, blocked })?;
    while states.delete_some(host.engine(), STEP) {
        host.cond_resched();
    }
    while removed.free_some() {
        host.cond_resched();
    }
    Ok(())
}
