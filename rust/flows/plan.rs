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
    design::Wanted,
    Carrier,
    Eroute,
    Floor,
    Flows,
    Inflow,
    Installed,
    Live, //
};
use crate::{
    engine::Engine,
    klips_core::{
        fold::Protection,
        said::{
            Said,
            Shunt, //
        },
        selector::Selector,
        xfrm::{
            Action,
            Templates, //
        }, //
    },
    memory::{
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
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of it at a time, on the stack"
)]
pub(super) enum Verdict<P, const N: usize> {
    Drop,
    /// They are open, and ask for what they are to ask for.
    Stay(Protection),
    Replace([P; N], Wanted),
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
    pub(super) policy: P,
    /// For one that takes nobody's place and opens: what drops until the states are there.
    pub(super) claim: Option<P>,
    pub(super) templates: Templates,
    pub(super) action: Action,
    pub(super) floor: Floor,
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
    /// What drops.
    pub(super) claims: [P; 2],
    /// What then takes its place, and what that asks for.
    pub(super) open: Option<([P; 2], Wanted)>,
    pub(super) node: Node<u64, Inflow<P>>,
    pub(super) by_selector: Node<Selector, u64>,
}

/// All that a change asks of the engine, made and not yet done.
pub struct Plan<E: Engine> {
    pub(super) states: Vector<Renewal<E::State>>,
    pub(super) eroutes: Vector<(u64, Verdict<E::Policy, 1>)>,
    pub(super) inflows: Vector<(u64, Verdict<E::Policy, 2>)>,
    pub(super) catch_all: Vector<E::Policy>,
    pub(super) eroute: Option<NewEroute<E::Policy>>,
    pub(super) inflow: Option<NewInflow<E::Policy>>,
    /// For what goes past the eroute or inflow, if that is not there yet.
    pub(super) bypass: Option<(Bypass, NewBypass<E>)>,
}

impl<E: Engine> Plan<E> {
    /// Does it all, and leaves nothing of it.
    #[inline(never)]
    pub fn commit(&mut self, engine: &E, sadb: &Sadb, flows: &mut Flows<E>) {
        let states = mem::take(&mut self.states);
        let eroutes = mem::take(&mut self.eroutes);
        let inflows = mem::take(&mut self.inflows);
        let eroute = self.eroute.take();
        if let Some((key, (node, policies))) = self.bypass.take() {
            let installed = bypass::Installed { policies, count: 0 };
            flows.bypasses.insert(node, key, installed);
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
            match (node, flows.live.get_mut(&age)) {
                (_, Some(old)) => {
                    engine.state_swap(&old.state, &live.state, carry);
                    *old = live;
                }
                (Some(node), None) => {
                    engine.state_insert(&live.state);
                    flows.live.insert(node, age, live);
                }
                (None, None) => (),
            }
        }

        if flows.catch_all.is_empty() {
            mem::swap(&mut flows.catch_all, &mut self.catch_all);
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
    }
}

impl<P, const N: usize> Verdict<P, N> {
    /// What comes before states change.
    fn first(
        &self,
        engine: &impl Engine<Policy = P>,
        disturbs: bool,
        installed: &mut Installed<P, N>,
    ) {
        if match self {
            Verdict::Drop => true,
            Verdict::Stay(_) => false,
            Verdict::Replace(..) => disturbs,
        } {
            installed.block(engine);
        }
    }

    /// What comes after.
    fn then(self, engine: &impl Engine<Policy = P>, installed: &mut Installed<P, N>) {
        match self {
            Verdict::Drop => (),
            Verdict::Stay(protection) => installed.floor.raise(protection),
            Verdict::Replace(policies, (templates, protection)) => {
                for (old, new) in installed.policies.iter().zip(&policies) {
                    engine.policy_replace(old, new);
                }
                installed.policies = policies;
                installed.templates = templates;
                installed.action = Action::Allow;
                installed.floor.raise(protection);
            }
        }
    }
}

impl<P> NewEroute<P> {
    #[inline(never)]
    fn commit<E: Engine<Policy = P>>(self, engine: &E, flows: &mut Flows<E>) {
        let NewEroute {
            selector,
            said,
            policy,
            claim,
            templates,
            action,
            floor,
            nodes,
            replaces,
            replaces_hold,
            bypass,
        } = self;
        flows.acquire_bypass(bypass);
        let mut new = Eroute {
            selector,
            said,
            out: Installed {
                policies: [policy],
                templates,
                action,
                floor,
            },
            bypass,
        };
        if let Some((number, node)) = replaces {
            if let Some(old) = flows.eroutes.get_mut(&number) {
                engine.policy_replace(&old.out.policies[0], &new.out.policies[0]);
                mem::swap(old, &mut new);
                flows.by_said.remove(&(new.said, number));
                flows.by_said.insert(node, (said, number), ());
                flows.release_bypass(engine, new.bypass);
                if !Shunt::of(&said).is_some_and(Shunt::waits) {
                    flows.release_holds(engine, number);
                }
            }
        } else if let Some((node, by_selector, by_said)) = nodes {
            if let Some(claim) = claim {
                engine.policy_replace(&claim, &new.out.policies[0]);
            }
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
            let mut both = Installed {
                policies: new.claims,
                templates: Templates::NONE,
                action: Action::Block,
                floor: Floor::default(),
            };
            if let Some((policies, wanted)) = new.open {
                Verdict::Replace(policies, wanted).then(engine, &mut both);
            }
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
