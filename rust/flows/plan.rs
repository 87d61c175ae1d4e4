// SPDX-License-Identifier: GPL-2.0

//! What a change asks of the engine: states that are made or made anew, policies that open, drop or
//! change their templates.
//!
//! A [`Planner`](super::Planner) makes whatever that takes; it may fail, and then it was for
//! nothing. [`Plan::commit`] can't fail. Before states go or change, the policies that ask for them
//! drop; and no policy opens before its states are there.

use super::{
    bypass::{
        self,
        Bypass,
        NewBypass, //
    },
    Carrier,
    Common,
    Eroute,
    Floor,
    Flows,
    Inflow,
    Installed,
    Live,
    Placed, //
};
use crate::{
    engine::Engine,
    klips_core::{
        errno::Errno,
        fold::Protection,
        interface::Interface,
        said::{
            Said,
            Shunt, //
        },
        selector::Selector,
        xfrm::Action, //
    },
    memory::{
        self,
        Node,
        Vector, //
    },
    sadb::{
        Age,
        Sadb, //
    }, //
};

use core::mem;

/// Memory to find an eroute by the SA that it names.
type NamedNode = Node<(Said, u64), ()>;

/// What becomes of the policies of an eroute or inflow.
pub(super) enum Verdict<P> {
    Drop,
    /// They are open, and ask for what they are to ask for.
    Stay(Protection),
    Replace(Vector<Placed<P>>, Protection),
    /// They drop, or do what they did, for the packets of other interfaces.
    Move(Vector<Placed<P>>, Action),
}

/// A state that was made.
pub(super) struct Renewal<S> {
    pub(super) age: Age,
    pub(super) live: Live<S>,
    /// For one that had none.
    pub(super) node: Option<Node<Age, Live<S>>>,
    /// Whether it goes on with the sequence numbers of the one before.
    pub(super) carry: bool,
}

pub(super) type Nodes<P> = (Node<u64, Eroute<P>>, Node<Selector, u64>, NamedNode);

/// An eroute that is asked for.
pub(super) struct NewEroute<P> {
    pub(super) selector: Selector,
    pub(super) said: Said,
    pub(super) out: Installed<P>,
    /// For one that takes nobody's place.
    pub(super) nodes: Option<Nodes<P>>,
    /// For one that does, and its number.
    pub(super) replaces: Option<(u64, NamedNode)>,
    /// Whether it takes the place of what is listed as a %hold.
    pub(super) replaces_hold: bool,
    pub(super) bypass: Option<Bypass>,
}

/// An inflow that is asked for.
pub(super) struct NewInflow<P> {
    pub(super) number: u64,
    pub(super) selector: Selector,
    /// The tunnel.
    pub(super) age: Age,
    pub(super) place: u64,
    pub(super) bypass: Option<Bypass>,
    pub(super) carrier: Node<Age, Carrier>,
    pub(super) by_inflow: Node<(u64, u64), Age>,
    /// For one that is not there yet.
    pub(super) new: Option<FirstInflow<P>>,
}

pub(super) struct FirstInflow<P> {
    pub(super) both: Installed<P>,
    pub(super) node: Node<u64, Inflow<P>>,
    pub(super) by_selector: Node<Selector, u64>,
}

/// All that a change asks of the engine, made and not yet done.
pub struct Plan<E: Engine> {
    pub(super) states: Vector<Renewal<E::State>>,
    /// Whether they are in the engine.
    pub(super) has_states: bool,
    pub(super) eroutes: Vector<(u64, Verdict<E::Policy>)>,
    pub(super) inflows: Vector<(u64, Verdict<E::Policy>)>,
    /// What comes to those that there are, for which there is room.
    pub(super) common: Vector<(Common, Placed<E::Policy>)>,
    /// The interface that changes, and what it is known by from then on; 0 if it is not used.
    pub(super) interface: Option<(Interface, u32)>,
    /// Whether policies take the place of what others have made in the meantime where these belong.
    pub(super) over: bool,
    pub(super) eroute: Option<NewEroute<E::Policy>>,
    pub(super) inflow: Option<NewInflow<E::Policy>>,
    /// For what goes past the eroute or inflow, if that is not there yet.
    pub(super) bypass: Option<(Bypass, NewBypass<E>)>,
}

impl<E: Engine> Plan<E> {
    /// What is new among the policies is in the engine from now on, and drops. Whatever comes after
    /// can't fail.
    ///
    /// A new eroute whose states, if any, are all new goes in behind them, and is open at once.
    #[inline(never)]
    pub(super) fn claim(&mut self, engine: &E) -> Result<(), Errno> {
        let all_new = self.states.iter().all(|renewal| renewal.node.is_some());
        if let Some(eroute) = self.eroute.as_mut().filter(|_| all_new) {
            for placed in &mut eroute.out.policies {
                if mem::take(&mut placed.opens) {
                    engine.policy_open(&placed.policy);
                    self.has_states = true;
                }
            }
        }
        if self.has_states {
            for renewal in &self.states {
                engine.state_insert(&renewal.live.state);
            }
        }
        let claimed = self.insert_claims(engine);
        if claimed.is_err() && self.has_states {
            for renewal in &self.states {
                engine.state_delete(&renewal.live.state);
            }
        }
        claimed
    }

    fn insert_claims(&self, engine: &E) -> Result<(), Errno> {
        let mut done = 0;
        let inserted = self.each_claim(&mut |policy| {
            engine.policy_insert(policy, self.over)?;
            done += 1;
            Ok(())
        });
        if let Err(errno) = inserted {
            // Those that are in, which come first.
            let _ = self.each_claim(&mut |policy| {
                if done == 0 {
                    return Err(errno);
                }
                done -= 1;
                engine.policy_delete(policy);
                Ok(())
            });
        }
        inserted
    }

    /// Goes through what is to be in the engine before anything else changes, up to an error.
    fn each_claim(
        &self,
        then: &mut dyn FnMut(&E::Policy) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        if let Some((_, (_, policies))) = &self.bypass {
            for policy in policies {
                then(policy)?;
            }
        }
        let mut claim = |placed: &Placed<E::Policy>| {
            if !placed.is_new {
                return Ok(());
            }
            then(&placed.policy)
        };
        for (_, placed) in &self.common {
            claim(placed)?;
        }
        if let Some(new) = &self.eroute {
            for placed in &new.out.policies {
                claim(placed)?;
            }
        }
        if let Some(new) = self.inflow.as_ref().and_then(|new| new.new.as_ref()) {
            for placed in &new.both.policies {
                claim(placed)?;
            }
        }
        for (_, verdict) in self.eroutes.iter().chain(&self.inflows) {
            for placed in verdict.policies() {
                claim(placed)?;
            }
        }
        Ok(())
    }

    /// Does it all, and leaves nothing of it.
    #[inline(never)]
    pub fn commit(&mut self, engine: &E, sadb: &Sadb, flows: &mut Flows<E>) {
        flows.plans += 1;
        let states = mem::take(&mut self.states);
        let eroutes = mem::take(&mut self.eroutes);
        let inflows = mem::take(&mut self.inflows);
        let eroute = self.eroute.take();
        let interface = self.interface.take();
        if let Some((interface, ifindex)) = interface {
            flows.interfaces.set(interface, ifindex);
            engine.look_at_routes();
        }
        if let Some((key, (node, policies))) = self.bypass.take() {
            let installed = bypass::Installed { policies, count: 0 };
            flows.bypasses.insert(node, key, installed);
            engine.look_at_routes();
        }
        // Whether a state that policies ask for goes in between.
        let disturbs = states.iter().any(|renewal| renewal.node.is_none());
        for (number, verdict) in &eroutes {
            if let Some(eroute) = flows.eroutes.get_mut(number) {
                verdict.first(engine, disturbs, &mut eroute.out);
            }
        }
        for (number, verdict) in &inflows {
            if let Some(inflow) = flows.inflows.get_mut(number) {
                verdict.first(engine, disturbs, &mut inflow.both);
            }
        }
        if let Some((number, _)) = eroute.as_ref().and_then(|it| it.replaces.as_ref()) {
            if let Some(old) = flows.eroutes.get_mut(number).filter(|_| disturbs) {
                old.out.block(engine);
            }
        }

        for Renewal {
            age,
            live,
            node,
            carry,
        } in states
        {
            if let Some(node) = node {
                if !self.has_states {
                    engine.state_insert(&live.state);
                }
                flows.common_len.add(&live.shape);
                flows.live.insert(node, age, live);
                flows.live_len += 1;
            } else if let Some(old) = flows.live.get_mut(&age) {
                engine.state_swap(&old.state, &live.state, carry);
                flows.common_len.remove(&old.shape);
                flows.common_len.add(&live.shape);
                *old = live;
            }
        }

        if !self.common.is_empty() {
            mem::swap(&mut flows.common, &mut self.common);
            for policy in mem::take(&mut self.common) {
                memory::push_reserved(&mut flows.common, policy);
            }
        }
        if let Some((interface, 0)) = interface {
            flows.forget_common_of(engine, interface.if_id());
        }
        for (number, verdict) in eroutes {
            if let Some(eroute) = flows.eroutes.get_mut(&number) {
                verdict.then(engine, &mut eroute.out);
            }
        }
        if let Some(inflow) = self.inflow.take() {
            inflow.commit(engine, sadb, flows);
        }
        for (number, verdict) in inflows {
            if let Some(inflow) = flows.inflows.get_mut(&number) {
                verdict.then(engine, &mut inflow.both);
            }
        }
        if let Some(eroute) = eroute {
            eroute.commit(engine, flows);
        }
        flows.end_common(engine);
    }
}

impl<P> Verdict<P> {
    /// What takes the place of what is there.
    fn policies(&self) -> &[Placed<P>] {
        match self {
            Verdict::Drop | Verdict::Stay(_) => &[],
            Verdict::Replace(policies, _) | Verdict::Move(policies, _) => policies,
        }
    }

    /// What comes before states change.
    fn first(
        &self,
        engine: &impl Engine<Policy = P>,
        disturbs: bool,
        installed: &mut Installed<P>,
    ) {
        if match self {
            Verdict::Drop => true,
            Verdict::Stay(_) => false,
            Verdict::Replace(..) => disturbs,
            Verdict::Move(_, action) => *action == Action::Block,
        } {
            installed.block(engine);
        }
    }

    /// What comes after.
    fn then(self, engine: &impl Engine<Policy = P>, installed: &mut Installed<P>) {
        match self {
            Verdict::Drop => (),
            Verdict::Stay(protection) => installed.floor.raise(protection),
            Verdict::Replace(policies, protection) => {
                installed.replace(engine, policies);
                installed.action = Action::Allow;
                installed.floor.raise(protection);
            }
            Verdict::Move(policies, _) => installed.replace(engine, policies),
        }
    }
}

impl<P> NewEroute<P> {
    #[inline(never)]
    fn commit<E: Engine<Policy = P>>(self, engine: &E, flows: &mut Flows<E>) {
        let NewEroute {
            selector,
            said,
            mut out,
            nodes,
            replaces,
            replaces_hold,
            bypass,
        } = self;
        flows.acquire_bypass(bypass);
        let policies = mem::take(&mut out.policies);
        if let Some((number, node)) = replaces {
            if let Some(eroute) = flows.eroutes.get_mut(&number) {
                eroute.out.replace(engine, policies);
                mem::swap(&mut out.policies, &mut eroute.out.policies);
                let new = Eroute {
                    selector,
                    said,
                    out,
                    bypass,
                };
                let old = mem::replace(eroute, new);
                let waits = eroute.waits();
                flows.by_said.remove(&(old.said, number));
                flows.by_said.insert(node, (said, number), ());
                flows.release_bypass(engine, old.bypass);
                if old.waits() && !waits {
                    flows.release_holds(engine, number);
                }
            }
        } else if let Some((node, by_selector, by_said)) = nodes {
            out.replace(engine, policies);
            let new = Eroute {
                selector,
                said,
                out,
                bypass,
            };
            let number = flows.next;
            flows.next += 1;
            flows.len += 1;
            flows.eroutes.insert(node, number, new);
            flows.by_selector.insert(by_selector, selector, number);
            flows.by_said.insert(by_said, (said, number), ());
        }
        if replaces_hold {
            flows.release_hold(engine, &selector);
        }
        if Shunt::of(&said) == Some(Shunt::Pass) {
            flows.release_mirrored(engine, &selector);
        }
    }
}

impl<P> NewInflow<P> {
    #[inline(never)]
    fn commit<E: Engine<Policy = P>>(self, engine: &E, sadb: &Sadb, flows: &mut Flows<E>) {
        let NewInflow {
            number,
            selector,
            age,
            place,
            bypass,
            carrier,
            by_inflow,
            new,
        } = self;
        flows.acquire_bypass(bypass);
        let known = new.is_none();
        if let Some(new) = new {
            let mut both = new.both;
            let policies = mem::take(&mut both.policies);
            both.replace(engine, policies);
            let inflow = Inflow {
                selector,
                both,
                bypass: None,
                carriers: 0,
                released: false,
            };
            flows.inflows.insert(new.node, number, inflow);
            flows
                .inflow_by_selector
                .insert(new.by_selector, selector, number);
            flows.len += 1;
        }
        flows.next += 1;
        let before = flows.carriers.get(&age).copied();
        let again = before.filter(|before| before.inflow == number);
        if let Some(before) = again {
            flows.by_inflow.remove(&(number, before.place));
        } else {
            // What was said of the tunnel before does not count any more.
            flows.uncarry(engine, sadb, age);
        }
        if let Some(inflow) = flows.inflows.get_mut(&number) {
            inflow.carriers += u64::from(again.is_none());
            flows.released -= usize::from(inflow.released);
            inflow.released = false;
            if known {
                inflow.both.floor = Floor::default();
            }
            let before = mem::replace(&mut inflow.bypass, bypass);
            flows.release_bypass(engine, before);
        }
        let inflow = number;
        flows
            .carriers
            .insert(carrier, age, Carrier { inflow, place });
        flows.by_inflow.insert(by_inflow, (number, place), age);
    }
}
