// SPDX-License-Identifier: GPL-2.0

//! The tables: eroutes by number, selector and SA, inflows by selector and SA, states by SA.

#[cfg(any(test, feature = "check"))]
use super::reqid_of_inflow;
use super::{
    bypass::{
        self,
        Bypass, //
    },
    design,
    holds::{
        Held,
        Holds,
        NewHold, //
    },
    Carrier,
    Common,
    CommonCounts,
    Eroute,
    Inflow,
    Live,
    Placed,
    ToldMapping,
    KIND,
    REQID_MASK,
    TRAP,
    WAITING, //
};
use crate::{
    engine::{
        Acquire,
        Engine,
        Mapping, //
    },
    klips_core::{
        interface::Interfaces,
        said::{
            Proto,
            Said,
            Shunt, //
        },
        selector::Selector,
        xfrm::Usage, //
    },
    memory::{
        Boxed,
        Map,
        OutOfMemory,
        Vector, //
    },
    sadb::{
        Age,
        Sa,
        Sadb, //
    }, //
};
use core::net::SocketAddr;
#[cfg(any(test, feature = "check"))]
use std::collections::BTreeMap;

/// The eroutes and inflows of a network namespace, and the states of its SAs.
///
/// # Invariants
///
/// - `by_selector` has the number of each eroute under its selector, `by_said` under the SA that it
///   names; `inflow_by_selector` has the number of each inflow.
/// - `carriers` and `by_inflow` say the same of which SA an inflow is set for.
/// - Every policy and every state here is in the engine, unless somebody else has taken it out.
/// - A policy that lets packets through has the templates of a chain whose states are all in `live`,
///   or belongs to a %pass; that of a %hold, %trap or %trapsubnet waits for a state that there
///   never is.
pub struct Flows<E: Engine> {
    pub(super) eroutes: Map<u64, Eroute<E::Policy>>,
    pub(super) by_selector: Map<Selector, u64>,
    pub(super) by_said: Map<(Said, u64), ()>,
    pub(super) inflows: Map<u64, Inflow<E::Policy>>,
    pub(super) inflow_by_selector: Map<Selector, u64>,
    pub(super) carriers: Map<Age, Carrier>,
    /// By inflow and place.
    pub(super) by_inflow: Map<(u64, u64), Age>,
    pub(super) live: Map<Age, Live<E::State>>,
    /// How many these are.
    pub(super) live_len: usize,
    /// How many of them there are policies for that no one of them has.
    pub(super) common_len: CommonCounts,
    /// These policies.
    pub(super) common: Vector<(Common, Placed<E::Policy>)>,
    /// What goes past eroutes and inflows.
    pub(super) bypasses: Map<Bypass, bypass::Installed<E::Policy>>,
    /// The packets for which SAs have been asked.
    pub(super) holds: Holds<E::Waiting>,
    /// Interfaces in use.
    pub(crate) interfaces: Interfaces,
    /// Number of the next eroute, inflow or hold.
    pub(super) next: u64,
    /// How many plans have been carried out.
    pub(super) plans: u64,
    pub(super) len: usize,
    /// How many of the inflows go with their SAs.
    pub(super) released: usize,
    limit: usize,
    /// How many states there may be.
    state_limit: usize,
}

impl<E: Engine> Flows<E> {
    /// Without any; allocates nothing.
    pub fn new() -> Self {
        Flows {
            eroutes: Map::new(),
            by_selector: Map::new(),
            by_said: Map::new(),
            inflows: Map::new(),
            inflow_by_selector: Map::new(),
            carriers: Map::new(),
            by_inflow: Map::new(),
            live: Map::new(),
            live_len: 0,
            common_len: CommonCounts::default(),
            common: Vector::new(),
            bypasses: Map::new(),
            holds: Holds::new(),
            interfaces: Interfaces::NONE,
            next: 1,
            plans: 0,
            len: 0,
            released: 0,
            limit: usize::MAX,
            state_limit: usize::MAX,
        }
    }

    /// Sets how many eroutes and inflows there may be, and how many states; those that are there
    /// stay.
    pub fn set_limits(&mut self, flows: usize, states: usize) {
        self.limit = flows;
        self.state_limit = states;
    }

    /// How many eroutes and inflows there are.
    #[cfg(not(MODULE))]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[cfg(not(MODULE))]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether one of them stands in the way of cleartext with or without SAs.
    pub fn is_in_use(&self) -> bool {
        self.len > self.released
    }

    /// Whether there are as many as there may be.
    pub fn is_full(&self) -> bool {
        self.len >= self.limit
    }

    /// The number that the next eroute will have: all that are there have lower ones.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// What is listed at this number or, failing that, first after: an eroute, or what is held for
    /// one as if it was an eroute of its own; and the number.
    pub fn listed_at_or_after(&self, number: u64) -> Option<(u64, Listed<'_, E>)> {
        let eroute = self.at_or_after(number);
        let hold = self.holds.listed_at_or_after(number);
        match (eroute, hold) {
            (Some((number, eroute)), hold) if hold.is_none_or(|(of, _)| number < of) => {
                let held = self.holds.has(&Held::whole(number, &eroute.selector));
                let listed = if held && eroute.is_trap() {
                    Listed::Hold(&eroute.selector)
                } else {
                    Listed::Eroute(eroute)
                };
                Some((number, listed))
            }
            (_, Some((number, selector))) => Some((number, Listed::Hold(selector))),
            (_, None) => None,
        }
    }

    /// The eroute with this number or, failing that, the first one after, and its number.
    pub fn at_or_after(&self, number: u64) -> Option<(u64, &Eroute<E::Policy>)> {
        let number = self.eroutes.at_or_after(&number)?;
        Some((number, self.eroutes.get(&number)?))
    }

    /// The eroute for these packets.
    pub fn find(&self, selector: &Selector) -> Option<&Eroute<E::Policy>> {
        self.eroutes.get(self.by_selector.get(selector)?)
    }

    /// The %trap or %trapsubnet whose policy asks for this.
    fn trap(&self, reqid: u32) -> Option<(u64, &Eroute<E::Policy>)> {
        if reqid & KIND != TRAP {
            return None;
        }
        let first = u64::from(reqid & REQID_MASK);
        // CAST: of 32 bits.
        let mut numbers = (first..self.next).step_by(WAITING as usize);
        numbers.find_map(|number| {
            let eroute = self.eroutes.get(&number)?;
            eroute.is_trap().then_some((number, eroute))
        })
    }

    /// What is to be remembered of a packet that a %trap has taken: nothing if it was asked for SAs
    /// for such packets already, or if there is no such %trap any more.
    pub fn prepare_hold(
        &self,
        acquire: &Acquire<E::Waiting>,
    ) -> Result<Option<NewHold<E::Waiting>>, OutOfMemory> {
        let Some((number, eroute)) = self.trap(acquire.reqid) else {
            return Ok(None);
        };
        let Some(shunt) = Shunt::of(&eroute.said) else {
            return Ok(None);
        };
        let packet = (acquire.src, acquire.dst, acquire.proto);
        let of = Held::new((number, &eroute.selector, shunt), packet);
        if self.holds.has(&of) {
            return Ok(None);
        }
        Holds::prepare(of).map(Some)
    }

    /// Packets wait from now on, until a second since boot.
    pub fn hold(&mut self, hold: NewHold<E::Waiting>, until: u64, waiting: E::Waiting) {
        self.holds.insert(hold, self.next, until, waiting);
        self.next += 1;
    }

    /// Whether so much waits that no more may.
    pub fn holds_enough(&self) -> bool {
        self.holds.is_full()
    }

    /// The second since boot in which something has waited long enough.
    pub fn next_deadline(&self) -> Option<u64> {
        self.holds.next_deadline()
    }

    /// Forgets of what has waited long enough.
    pub fn end_holds(&mut self, now: u64) {
        self.holds.end_due(now);
    }

    /// The SA that something is to be told of: packets come from elsewhere, which has not been told
    /// yet, and nothing else in this second since boot.
    pub fn mapped<'a>(&self, sadb: &'a Sadb, mapping: &Mapping, now: u64) -> Option<&'a Sa> {
        let sa = sadb.find(&mapping.said)?;
        let live = self.live.get(&sa.age())?;
        let src = sa.spec.src.ip();
        let is_known =
            (src.is_unspecified() || src == mapping.src) && sa.spec.natt.sport == mapping.sport;
        let from = SocketAddr::new(mapping.src, mapping.sport);
        let is_told = live
            .mapping
            .as_ref()
            .is_some_and(|it| it.from == from || it.at == now);
        let is_new = design::is_encapsulated(&sa.spec, &live.shape) && !is_known && !is_told;
        is_new.then_some(sa)
    }

    /// It was told from where packets of an SA come.
    pub fn set_mapped(&mut self, age: Age, told: Boxed<ToldMapping>) {
        if let Some(live) = self.live.get_mut(&age) {
            live.mapping = Some(told);
        }
    }

    /// The state of an SA.
    pub fn live(&self, age: Age) -> Option<&Live<E::State>> {
        self.live.get(&age)
    }

    /// The first SA of this age or a later one that has a state.
    pub fn live_at_or_after(&self, age: Age) -> Option<Age> {
        self.live.at_or_after(&age)
    }

    /// Whether so many SAs more may have states.
    pub(super) fn has_room_for(&self, states: usize) -> bool {
        self.live_len.saturating_add(states) <= self.state_limit
    }

    /// What may come out of the tunnel that an SA is, if that was said.
    pub fn inflow_of(&self, age: Age) -> Option<Selector> {
        let carrier = self.carriers.get(&age)?;
        Some(self.inflows.get(&carrier.inflow)?.selector)
    }

    /// What the state of an SA has been used for. For a tunnel that is folded into the SA outside of
    /// it, what that has been used for.
    pub fn usage(&self, engine: &E, sadb: &Sadb, sa: &Sa) -> Option<Usage> {
        let folded = || {
            let outer = sa.onext().filter(|_| sa.spec.proto == Proto::Tun)?;
            self.live.get(&sadb.get(outer)?.age())
        };
        let live = self.live.get(&sa.age()).or_else(folded)?;
        Some(engine.usage(&live.state))
    }

    /// How many packets have gone through the SA that an eroute names.
    pub fn packets(&self, engine: &E, sadb: &Sadb, eroute: &Eroute<E::Policy>) -> u64 {
        let sa = sadb.find(&eroute.said);
        let usage = sa.and_then(|sa| self.usage(engine, sadb, sa));
        usage.map_or(0, |usage| usage.packets)
    }

    /// The first eroute that names an SA and has this number or a later one.
    pub(super) fn naming(&self, said: Said, from: u64) -> Option<u64> {
        let (found, number) = self.by_said.at_or_after(&(said, from))?;
        (found == said).then_some(number)
    }

    /// The newest SA that an inflow is set for, of those at `place` and after.
    pub(super) fn carrying(&self, inflow: u64, place: u64) -> Option<(u64, Age)> {
        let key = self.by_inflow.at_or_after(&(inflow, place))?;
        let age = self.by_inflow.get(&key)?;
        (key.0 == inflow).then_some((key.1, *age))
    }

    /// Has packets dropped that an eroute is for.
    fn block(&mut self, engine: &E, number: u64) {
        if let Some(eroute) = self.eroutes.get_mut(&number) {
            eroute.out.block(engine);
        }
    }

    /// Has packets dropped that no more than `count` eroutes from a position on are for, where these name
    /// SAs. Where to go on.
    pub fn block_some(&mut self, engine: &E, position: u64, count: usize) -> Option<u64> {
        let mut position = position;
        for _ in 0..count {
            let (number, eroute) = self.at_or_after(position)?;
            if eroute.said.proto != Proto::Int {
                self.block(engine, number);
            }
            position = number + 1;
        }
        Some(position)
    }

    /// How many plans have been carried out: as long as it stays the same, no eroute opens.
    pub fn plans(&self) -> u64 {
        self.plans
    }

    /// Has packets dropped whose chain is about to go, then takes the states of its SAs out. The SAs
    /// are still in the table.
    pub fn remove_chain(&mut self, engine: &E, sadb: &Sadb, sa: &Sa) {
        for sa in sadb.chain(sa) {
            let said = sa.spec.said();
            let mut next = 0;
            while let Some(number) = self.naming(said, next) {
                self.block(engine, number);
                next = number + 1;
            }
            self.uncarry(engine, sadb, sa.age());
        }
        for sa in sadb.chain(sa) {
            if let Some(live) = self.live.remove(&sa.age()) {
                self.live_len -= 1;
                self.common_len.remove(&live.shape);
                engine.state_delete(&live.state);
            }
        }
        self.end_common(engine);
    }

    /// Has the state of an SA behind NAT use its ports.
    pub fn set_ports(&self, engine: &E, sa: &Sa) {
        if let Some(live) = self.live.get(&sa.age()) {
            if design::is_encapsulated(&sa.spec, &live.shape) {
                engine.state_set_ports(&live.state, sa.spec.natt.sport, sa.spec.natt.dport);
            }
        }
    }

    /// Has all packets dropped that eroutes and inflows want transformed, because all SAs are about
    /// to go. Returns their states, which are to be taken out.
    ///
    /// `blocked` is how many plans had been carried out before all eroutes were blocked: if there has been
    /// none since, none has opened, and they are not looked at again.
    pub fn remove_all(&mut self, engine: &E, sadb: &Sadb, blocked: u64) -> RemovedStates<E> {
        if blocked != self.plans {
            self.block_some(engine, 0, usize::MAX);
        }
        let states = RemovedStates(core::mem::replace(&mut self.live, Map::new()));
        self.live_len = 0;
        self.common_len = CommonCounts::default();
        self.end_common(engine);
        let mut next = Age::FIRST;
        while let Some(age) = self.carriers.at_or_after(&next) {
            self.uncarry(engine, sadb, age);
            next = age.next();
        }
        states
    }

    /// Takes the inflow of an SA away.
    pub(super) fn uncarry(&mut self, engine: &E, sadb: &Sadb, age: Age) {
        let Some(Carrier { inflow, place }) = self.carriers.remove(&age) else {
            return;
        };
        self.by_inflow.remove(&(inflow, place));
        if let Some(inflow) = self.inflows.get_mut(&inflow) {
            inflow.carriers -= 1;
        }
        self.settle(engine, sadb, inflow);
    }

    /// Decides what becomes of an inflow when nothing can be made for it: it stays as it is where
    /// another of its chains has the states that it asks for, and drops otherwise.
    fn settle(&mut self, engine: &E, sadb: &Sadb, number: u64) {
        let Some(inflow) = self.inflows.get(&number) else {
            return;
        };
        if inflow.carriers == 0 && inflow.released {
            self.delete_inflow(engine, number);
        } else if !design::is_still_served(engine, self, sadb, number) {
            if let Some(inflow) = self.inflows.get_mut(&number) {
                inflow.both.block(engine);
            }
        }
    }

    /// What goes past eroutes and inflows: that which comes after another.
    pub fn bypass_after(&self, bypass: &Bypass) -> Option<Bypass> {
        self.bypasses.after(bypass)
    }

    /// An eroute or inflow wants that these go past it, for which there are policies.
    pub(super) fn acquire_bypass(&mut self, bypass: Option<Bypass>) {
        let installed = bypass.and_then(|bypass| self.bypasses.get_mut(&bypass));
        if let Some(installed) = installed {
            installed.count += 1;
        }
    }

    /// It does not any more.
    pub(super) fn release_bypass(&mut self, engine: &E, bypass: Option<Bypass>) {
        let Some(bypass) = bypass else {
            return;
        };
        let Some(installed) = self.bypasses.get_mut(&bypass) else {
            return;
        };
        installed.count -= 1;
        if installed.count > 0 {
            return;
        }
        if let Some(installed) = self.bypasses.remove(&bypass) {
            for policy in &installed.policies {
                engine.policy_delete(policy);
            }
            engine.look_at_routes();
        }
    }

    fn delete_inflow(&mut self, engine: &E, number: u64) {
        if let Some(inflow) = self.inflows.remove(&number) {
            self.release_bypass(engine, inflow.bypass);
            inflow.both.delete(engine);
            self.inflow_by_selector.remove(&inflow.selector);
            self.len -= 1;
            self.released -= usize::from(inflow.released);
        }
    }

    /// Has an inflow go with the last of its SAs, which may be now.
    fn release(&mut self, engine: &E, number: u64) {
        if let Some(inflow) = self.inflows.get_mut(&number) {
            self.released += usize::from(!inflow.released);
            inflow.released = true;
            if inflow.carriers == 0 {
                self.delete_inflow(engine, number);
            }
        }
    }

    /// Has the inflow go with its SAs that is for what comes back to an eroute.
    pub(super) fn release_mirrored(&mut self, engine: &E, selector: &Selector) {
        let number = self.inflow_by_selector.get(&selector.mirrored());
        if let Some(number) = number.copied() {
            self.release(engine, number);
        }
    }

    /// The inflow for these packets, if no SA has it any more.
    fn orphan(&self, selector: &Selector) -> Option<u64> {
        let number = *self.inflow_by_selector.get(selector)?;
        let inflow = self.inflows.get(&number)?;
        (inflow.carriers == 0).then_some(number)
    }

    /// Whether [`Flows::remove`] would remove something.
    pub fn has(&self, selector: &Selector) -> bool {
        self.by_selector.get(selector).is_some()
            || self.holds.find(selector).is_some()
            || self.orphan(selector).is_some()
    }

    /// Removes an eroute, or else what is listed as a %hold, or else an inflow that no SA has any
    /// more.
    pub fn remove(&mut self, engine: &E, selector: &Selector) {
        if let Some(number) = self.by_selector.get(selector).copied() {
            self.remove_number(engine, number);
        } else if self.holds.find(selector).is_some() {
            self.release_hold(engine, selector);
        } else if let Some(number) = self.orphan(selector) {
            self.delete_inflow(engine, number);
        }
    }

    /// Has packets ask again that wait between two hosts.
    pub(super) fn release_hold(&mut self, engine: &E, selector: &Selector) {
        if let Some(waiting) = self.holds.take(selector) {
            engine.stop_waiting(&waiting);
        }
    }

    /// Forgets of all that waits because of an eroute.
    pub(super) fn release_holds(&mut self, engine: &E, number: u64) {
        self.holds
            .remove_of(number, |waiting| engine.stop_waiting(waiting));
    }

    /// Removes an eroute. What comes back to it need not be protected any more either.
    fn remove_number(&mut self, engine: &E, number: u64) {
        if let Some(eroute) = self.eroutes.remove(&number) {
            eroute.out.delete(engine);
            self.by_selector.remove(&eroute.selector);
            self.by_said.remove(&(eroute.said, number));
            self.len -= 1;
            self.release_bypass(engine, eroute.bypass);
            if eroute.waits() {
                self.release_holds(engine, number);
            }
            self.release_mirrored(engine, &eroute.selector);
        }
    }

    /// Removes eroutes whose numbers are lower than `end`, and has such inflows go with their SAs;
    /// looks at no more than `count` of them, from `position` on. Returns where to go on.
    pub fn clear_some(&mut self, engine: &E, position: u64, end: u64, count: usize) -> Option<u64> {
        let mut position = position;
        for _ in 0..count {
            let eroute = self.eroutes.at_or_after(&position);
            let inflow = self.inflows.at_or_after(&position);
            let number = eroute.into_iter().chain(inflow).min()?;
            if number >= end {
                return None;
            }
            self.remove_number(engine, number);
            self.release(engine, number);
            position = number + 1;
        }
        Some(position)
    }

    /// Puts policies back that somebody else has taken out, of no more than `count` eroutes and inflows
    /// from a position on. The first position, 0, is that of what belongs to neither.
    pub fn restore_some(&self, engine: &E, position: u64, count: usize) -> Restored {
        let mut done = Restored {
            restored: 0,
            has_all: true,
            next: None,
        };
        let mut restore_one = |policy: &E::Policy| match engine.policy_restore(policy) {
            Ok(is_restored) => done.restored += usize::from(is_restored),
            Err(_) => done.has_all = false,
        };
        if position == 0 {
            let policies = self.common.iter().map(|(_, placed)| &placed.policy);
            policies.for_each(&mut restore_one);
        }
        let mut restore = |policies: &[Placed<E::Policy>], others: &[E::Policy]| {
            let policies = policies.iter().map(|placed| &placed.policy);
            policies.chain(others).for_each(&mut restore_one);
        };
        let mut position = position;
        for _ in 0..count {
            let eroute = self.eroutes.at_or_after(&position);
            let inflow = self.inflows.at_or_after(&position);
            let Some(number) = eroute.into_iter().chain(inflow).min() else {
                return done;
            };
            let mut bypass = None;
            if let Some(eroute) = self.eroutes.get(&number) {
                restore(&eroute.out.policies, &[]);
                bypass = eroute.bypass;
            }
            if let Some(inflow) = self.inflows.get(&number) {
                restore(&inflow.both.policies, &[]);
                bypass = inflow.bypass;
            }
            if let Some(bypass) = bypass.and_then(|bypass| self.bypasses.get(&bypass)) {
                restore(&[], &bypass.policies);
            }
            position = number + 1;
        }
        done.next = Some(position);
        done
    }

    /// Takes some of the common policies out.
    fn forget_common(&mut self, engine: &E, is_one: impl Fn(Common, &Placed<E::Policy>) -> bool) {
        let mut place = 0;
        while let Some((common, placed)) = self.common.get(place) {
            if !is_one(*common, placed) {
                place += 1;
                continue;
            }
            let last = self.common.len() - 1;
            self.common.swap(place, last);
            if let Some((_, placed)) = self.common.pop() {
                engine.policy_delete(&placed.policy);
            }
        }
    }

    /// Takes those of an interface out.
    pub(super) fn forget_common_of(&mut self, engine: &E, if_id: u32) {
        self.forget_common(engine, |_, placed| placed.place.if_id == if_id);
    }

    /// Takes those out that there are no more states for.
    pub(super) fn end_common(&mut self, engine: &E) {
        let counts = self.common_len;
        self.forget_common(engine, |common, _| counts.of(common) == 0);
    }

    /// Takes out what [`Flows::clear_some`] leaves of a namespace that ends.
    pub fn end(&mut self, engine: &E) {
        self.forget_common(engine, |_, _| true);
    }

    /// Checks that all tables say the same; for tests.
    #[cfg(any(test, feature = "check"))]
    pub fn check(&self, engine: &E, sadb: &Sadb) {
        let _hold = engine.hold();
        let mut count = 0;
        let mut next = 0;
        while let Some((number, eroute)) = self.at_or_after(next) {
            assert_eq!(self.by_selector.get(&eroute.selector), Some(&number));
            assert_eq!(self.naming(eroute.said, number), Some(number));
            assert!(number < self.next);
            if eroute.is_open() && eroute.said.proto != Proto::Int {
                let sa = sadb.find(&eroute.said).expect("an SA that is there");
                let links: Vec<_> = sadb.outwards(sa).map(design::Member::of).collect();
                let shape = |link: &design::Member<'_>| Some(self.live(link.age)?.shape);
                let if_id = links.iter().find_map(shape).expect("a state").if_id;
                let inflow = links.iter().find_map(|link| self.carriers.get(&link.age));
                let inflow = inflow.map(|carrier| reqid_of_inflow(carrier.inflow));
                let design = design::Design::of(&links, inflow, |_| if_id);
                let design = design.ok().expect("a chain that can be used");
                for (member, wanted) in design.iter() {
                    assert_eq!(shape(&links[member]), Some(wanted));
                }
                assert!(eroute.out.is_open_by(engine, &design.outbound().0));
            }
            count += 1;
            next = number + 1;
        }
        let mut past: BTreeMap<Bypass, u64> = BTreeMap::new();
        let mut next = 0;
        while let Some((number, eroute)) = self.at_or_after(next) {
            if let Some(bypass) = eroute.bypass {
                *past.entry(bypass).or_default() += 1;
            }
            next = number + 1;
        }
        let mut carried = 0;
        let mut released = 0;
        let mut next = 0;
        while let Some(number) = self.inflows.at_or_after(&next) {
            let inflow = self.inflows.get(&number).expect("just found");
            assert_eq!(self.inflow_by_selector.get(&inflow.selector), Some(&number));
            if let Some(bypass) = inflow.bypass {
                *past.entry(bypass).or_default() += 1;
            }
            let mut place = 0;
            let mut of_this = 0;
            while let Some((at, age)) = self.carrying(number, place) {
                let carrier = self.carriers.get(&age).expect("both tables");
                assert_eq!((carrier.inflow, carrier.place), (number, at));
                assert!(sadb.get(age).is_some(), "an inflow of no SA");
                of_this += 1;
                place = at + 1;
            }
            assert_eq!(inflow.carriers, of_this);
            assert!(of_this > 0 || !inflow.both.is_open());
            carried += of_this;
            released += usize::from(inflow.released);
            count += 1;
            next = number + 1;
        }
        let mut ages = 0;
        let mut next = Age::FIRST;
        while let Some(age) = self.carriers.at_or_after(&next) {
            ages += 1;
            next = age.next();
        }
        assert_eq!(ages, carried);
        assert_eq!(count, self.len);
        assert_eq!(released, self.released);
        self.holds
            .check(|trap| self.eroutes.get(&trap).is_some_and(Eroute::waits));
        for (bypass, count) in &past {
            let installed = self.bypasses.get(bypass).expect("policies of a bypass");
            assert_eq!(installed.count, *count);
        }
        let next = |bypass: &Bypass| self.bypass_after(bypass);
        let found = core::iter::successors(next(&Bypass::LEAST), next);
        assert_eq!(found.count(), past.len(), "a bypass that nobody wants");
        let (mut states, mut counts) = (0, CommonCounts::default());
        let mut next = Age::FIRST;
        while let Some(age) = self.live.at_or_after(&next) {
            assert!(sadb.get(age).is_some(), "a state of no SA");
            states += 1;
            counts.add(&self.live.get(&age).expect("just found").shape);
            next = age.next();
        }
        assert_eq!((states, counts), (self.live_len, self.common_len));
        for common in [Common::Free, Common::Between] {
            let is_there = self.common.iter().any(|(of, _)| *of == common);
            assert_eq!(is_there, counts.of(common) > 0);
        }
    }
}

/// What became of policies that somebody else may have taken out.
pub struct Restored {
    /// How many are back.
    pub restored: usize,
    /// Whether there was the memory for all of them.
    pub has_all: bool,
    /// Where to go on.
    pub next: Option<u64>,
}

/// A line of `/proc/net/ipsec_eroute`.
pub enum Listed<'a, E: Engine> {
    /// An eroute.
    Eroute(&'a Eroute<E::Policy>),
    /// Packets that a %trap has taken, which are listed as a %hold.
    Hold(&'a Selector),
}

/// States that nothing asks for any more.
pub struct RemovedStates<E: Engine>(Map<Age, Live<E::State>>);

impl<E: Engine> RemovedStates<E> {
    /// Takes some of them out of the engine. Returns whether there may be more.
    pub fn delete_some(&mut self, engine: &E, count: usize) -> bool {
        let _hold = engine.hold();
        for _ in 0..count {
            let live = self.0.at_or_after(&Age::FIRST);
            match live.and_then(|age| self.0.remove(&age)) {
                Some(live) => engine.state_delete(&live.state),
                None => return false,
            }
        }
        true
    }
}

impl<E: Engine> Default for Flows<E> {
    fn default() -> Self {
        Self::new()
    }
}
