// SPDX-License-Identifier: GPL-2.0

//! Makes plans.

use super::{
    bypass::Bypass,
    design::{
        served_by,
        state_spec,
        Design,
        Folded,
        Member,
        Unusable,
        Wanted,
        LONGEST, //
    },
    plan::{
        FirstInflow,
        NewEroute,
        NewInflow,
        Plan,
        Renewal,
        Verdict, //
    },
    reqid_of_inflow,
    reqid_of_trap,
    Common,
    Eroute,
    Floor,
    Flows,
    Installed,
    Live,
    Place,
    Placed,
    Shape,
    REQID_FREE,
    REQID_HOLD, //
};
use crate::{
    engine::Engine,
    klips_core::{
        address::Family,
        errno::Errno,
        fold::{
            Mode,
            Transform, //
        },
        interface::{
            Interface,
            NO_INTERFACE, //
        },
        said::{
            Proto,
            Said,
            Shunt, //
        },
        selector::{
            Network,
            Selector,
            PRIORITY_FIRST,
            PRIORITY_FRAGMENTS,
            PRIORITY_LAST, //
        },
        xfrm::{
            Action,
            Direction,
            PolicySpec,
            Template,
            Templates, //
        }, //
    },
    memory::{
        self,
        Boxed,
        Map,
        OutOfMemory,
        Vector, //
    },
    netns::Refusal,
    sadb::{
        Age,
        Sadb, //
    }, //
};
use core::net::IpAddr;

/// Makes a [`Plan`].
pub struct Planner<'a, E: Engine> {
    engine: &'a E,
    sadb: &'a Sadb,
    flows: &'a Flows<E>,
    /// In memory of its own: a thread of the kernel has a stack of 16 KB, and making a state, for
    /// which algorithms are set up, takes a good part of that.
    plan: Boxed<Plan<E>>,
    /// The SA that is replaced, and whether its keys stay.
    renewed: Option<(Age, bool)>,
    /// The tunnel that gets an inflow, and that inflow's number.
    pending: Option<(Age, u64)>,
    /// The eroute that is replaced.
    replaced: Option<u64>,
    /// Whether an eroute that is asked for wants the chain's states.
    demanded: bool,
    /// The innermost SA of a chain that is taken apart.
    dissolved: Option<Age>,
}

impl<'a, E: Engine> Planner<'a, E> {
    /// Without anything to do.
    #[inline(never)]
    pub fn new(engine: &'a E, sadb: &'a Sadb, flows: &'a Flows<E>) -> Result<Self, OutOfMemory> {
        let plan = memory::boxed(|| Plan {
            states: Vector::new(),
            has_states: false,
            eroutes: Vector::new(),
            inflows: Vector::new(),
            common: Vector::new(),
            interface: None,
            over: false,
            eroute: None,
            inflow: None,
            bypass: None,
        })?;
        Ok(Planner {
            engine,
            sadb,
            flows,
            plan,
            renewed: None,
            pending: None,
            replaced: None,
            demanded: false,
            dissolved: None,
        })
    }

    /// An SA is replaced, and with it its state; with the same keys it goes on where it was.
    pub fn renew(&mut self, age: Age, same_keys: bool) {
        self.renewed = Some((age, same_keys));
    }

    /// The chain that an SA of the table is in, inside to outside.
    pub fn members(&self, age: Age) -> Result<Vector<Member<'a>>, OutOfMemory> {
        let mut members = Vector::new();
        if let Some(sa) = self.sadb.get(age) {
            memory::reserve(&mut members, LONGEST)?;
            for sa in self.sadb.chain(sa) {
                memory::push(&mut members, Member::of(sa))?;
            }
        }
        Ok(members)
    }

    /// Whether nothing in the engine has to do with a chain.
    fn is_idle(&self, chain: &[Member<'_>]) -> bool {
        let has_to_do = |link: &Member<'_>| {
            link.spec.inbound
                || self.flows.live(link.age).is_some()
                || self.flows.naming(link.spec.said(), 0).is_some()
                || self.flows.carriers.get(&link.age).is_some()
        };
        !self.demanded && self.pending.is_none() && !chain.iter().any(has_to_do)
    }

    /// The inflow that the tunnel has that an SA is.
    fn inflow_of(&self, age: Age) -> Option<u64> {
        match self.pending {
            Some((pending, number)) if pending == age => Some(number),
            _ => Some(self.flows.carriers.get(&age)?.inflow),
        }
    }

    /// The chain that an SA is in is taken apart.
    pub fn dissolve(&mut self, age: Age) -> Result<(), Refusal> {
        let members = self.members(age)?;
        self.dissolved = members.first().map(|member| member.age);
        for member in &members {
            self.chain(core::slice::from_ref(member))?;
        }
        Ok(())
    }

    /// A chain as it is going to be, inside to outside: makes the states that it is to have, and
    /// decides what becomes of what names its SAs.
    pub fn chain(&mut self, chain: &[Member<'_>]) -> Result<(), Refusal> {
        // One that can't be used is none of the change's business.
        self.resolve(chain).map(drop)
    }

    fn resolve(&mut self, chain: &[Member<'_>]) -> Result<Folded, Refusal> {
        if self.is_idle(chain) {
            return Ok(Err(Unusable::NotYet));
        }
        let governing = chain.iter().find_map(|link| self.inflow_of(link.age));
        let reqid = governing.map(reqid_of_inflow);
        let design = Design::of(chain, reqid, |own| self.locate(own));
        let usable = design.as_ref().ok();
        let demanded = self.demanded || self.is_demanded(chain, usable);
        for (member, link) in chain.iter().enumerate() {
            let current = self.flows.live(link.age).map(|live| live.shape);
            let is_asked_for =
                demanded || link.spec.inbound && usable.is_some_and(|it| !it.is_bare());
            // A state that was part of a group goes on as it is until something else is asked of it.
            let stays = chain.len() == 1 && !demanded;
            let shape = match usable {
                Some(design) if is_asked_for => match design.shape_of(member) {
                    Some(shape) if !stays => Some(shape),
                    shape => current.or(shape),
                },
                _ => current,
            };
            if let Some(shape) = shape {
                self.state(link, shape, current)?;
            }
        }
        // What was asked of a chain before, and is again by an eroute that is added, is as it was: that
        // one costs the same however many there are for the chain.
        if self.demanded && self.plan.states.is_empty() {
            return Ok(design);
        }
        // Nor is there one that goes through a chain none of whose states was there.
        let new = self
            .plan
            .states
            .iter()
            .filter(|it| it.node.is_some())
            .count();
        if !(self.demanded && usable.is_some_and(|it| it.layers.len() == new)) {
            for (member, link) in chain.iter().enumerate() {
                self.judge_eroutes(link.spec.said(), usable.filter(|_| member == 0))?;
            }
        }
        for link in chain {
            let carried = self.flows.carriers.get(&link.age).map(|it| it.inflow);
            let carries = self.inflow_of(link.age);
            for number in carries
                .into_iter()
                .chain(carried.filter(|_| carried != carries))
            {
                let wanted = self.wanted_of(number, chain, &design, governing, demanded);
                self.judge_inflow(number, wanted.as_ref())?;
            }
        }
        Ok(design)
    }

    /// Whether an eroute that is there would use a chain.
    fn is_demanded(&self, chain: &[Member<'_>], design: Option<&Design>) -> bool {
        let (Some(link), Some(design)) = (chain.first(), design) else {
            return false;
        };
        let protection = design.layers.protection();
        let said = link.spec.said();
        let mut next = 0;
        while let Some(number) = self.flows.naming(said, next) {
            let eroute = self.flows.eroutes.get(&number);
            if Some(number) != self.replaced
                && eroute.is_some_and(|eroute| eroute.out.floor.admits(protection))
            {
                return true;
            }
            next = number + 1;
        }
        false
    }

    /// The interfaces in use once all is done.
    fn interfaces(&self) -> impl Iterator<Item = (Interface, u32)> + '_ {
        self.flows.interfaces.in_use(self.plan.interface)
    }

    /// The `if_id` for a chain whose own end is at an address: that of the interface whose physical one
    /// has it.
    fn locate(&self, own: IpAddr) -> u32 {
        let found = self
            .interfaces()
            .find(|(_, ifindex)| self.engine.is_end_of(*ifindex, own));
        found.map_or(NO_INTERFACE, |(interface, _)| interface.if_id())
    }

    /// Policies for an eroute, some of which there may be: for the packets of the interface that its
    /// chain is of; without a chain, for those of all interfaces. But for %pass, they have fragments
    /// dropped that may be among its packets.
    #[inline(never)]
    fn out_policies(
        &self,
        number: u64,
        (selector, said): (Selector, Said),
        (action, templates): (Action, &Templates),
        there: Option<&Installed<E::Policy>>,
    ) -> Result<Vector<Placed<E::Policy>>, Refusal> {
        let all = self
            .interfaces()
            .filter(|_| said.proto == Proto::Int)
            .map(|(interface, _)| interface.if_id());
        let mut all = all.peekable();
        let one = all.peek().is_none().then(|| templates.if_id());
        let mut policies = Vector::new();
        for if_id in one.into_iter().chain(all) {
            let spec = PolicySpec {
                if_id,
                ..policy_spec(Direction::Out, selector, action, templates)
            };
            memory::push(&mut policies, placed(self.engine, spec, there)?)?;
            if Shunt::of(&said) != Some(Shunt::Pass) {
                drop_fragments(self.engine, &mut policies, number, &spec, there)?;
            }
        }
        Ok(policies)
    }

    /// An SA is to have a state like this; it may have one.
    #[inline(never)]
    fn state(
        &mut self,
        link: &Member<'_>,
        shape: Shape,
        current: Option<Shape>,
    ) -> Result<(), Refusal> {
        let renewed = self.renewed.filter(|(age, _)| *age == link.age);
        if renewed.is_none() && current == Some(shape) {
            return Ok(());
        }
        let node = if current.is_some() {
            None
        } else {
            let taken = self
                .engine
                .is_taken(shape.dst, link.spec.spi, shape.transform);
            if taken {
                return Err(Errno::EEXIST.into());
            }
            let is_new = |renewal: &&Renewal<E::State>| renewal.node.is_some();
            let new = self.plan.states.iter().filter(is_new).count();
            if !self.flows.has_room_for(new + 1) {
                return Err(Errno::ENOSPC.into());
            }
            Some(Map::reserve()?)
        };
        let state = self.engine.state_new(&state_spec(link.spec, &shape))?;
        let renewal = Renewal {
            age: link.age,
            live: Live {
                state,
                shape,
                mapping: None,
            },
            node,
            carry: renewed.is_none_or(|(_, same_keys)| same_keys),
        };
        Ok(memory::push(&mut self.plan.states, renewal)?)
    }

    /// Decides what becomes of the eroutes that name an SA.
    #[inline(never)]
    fn judge_eroutes(&mut self, said: Said, design: Option<&Design>) -> Result<(), Refusal> {
        // The same for all of them, and made if there is one.
        let mut wanted = None;
        let mut next = 0;
        while let Some(number) = self.flows.naming(said, next) {
            next = number + 1;
            let Some(eroute) = self.flows.eroutes.get(&number) else {
                continue;
            };
            if Some(number) == self.replaced {
                continue;
            }
            let engine = self.engine;
            let wanted = wanted.get_or_insert_with(|| design.map(Design::outbound));
            let wanted = wanted.as_ref();
            let mut verdict = judge(engine, &eroute.out, eroute.out.floor, wanted, |templates| {
                let open = (Action::Allow, templates);
                self.out_policies(number, (eroute.selector, said), open, Some(&eroute.out))
            })?;
            if matches!(verdict, Verdict::Drop) && self.is_lost(&eroute.out) {
                verdict = Verdict::Move(self.dropping(number, eroute)?, Action::Block);
            }
            memory::push(&mut self.plan.eroutes, (number, verdict))?;
        }
        Ok(())
    }

    /// Decides what becomes of an inflow that is there.
    #[inline(never)]
    fn judge_inflow(&mut self, number: u64, wanted: Option<&Wanted>) -> Result<(), Refusal> {
        let Some(inflow) = self.flows.inflows.get(&number) else {
            return Ok(());
        };
        let floor = if self.pending.is_some_and(|(_, pending)| pending == number) {
            Floor::default()
        } else {
            inflow.both.floor
        };
        let (engine, selector, there) = (self.engine, inflow.selector, Some(&inflow.both));
        let verdict = judge(engine, &inflow.both, floor, wanted, |templates| {
            both_policies(engine, number, selector, (Action::Allow, templates), there)
        })?;
        Ok(memory::push(&mut self.plan.inflows, (number, verdict))?)
    }

    /// What an inflow is to ask for: that of the newest of its chains that can be used. `chain` is
    /// one that changes, all others are as they are.
    fn wanted_of(
        &self,
        number: u64,
        chain: &[Member<'_>],
        design: &Folded,
        governing: Option<u64>,
        demanded: bool,
    ) -> Option<Wanted> {
        let changed = || {
            let design = design.as_ref().ok()?;
            let is_live = |(member, shape): (usize, Shape)| {
                chain.get(member).is_some_and(|link| {
                    let live = self.flows.live(link.age);
                    link.spec.inbound || demanded || live.is_some_and(|it| it.shape == shape)
                })
            };
            let fits = governing == Some(number) && !design.is_bare() && design.iter().all(is_live);
            fits.then(|| design.inbound())
        };
        let of = |age: Age| {
            if chain.iter().any(|link| link.age == age) {
                changed()
            } else {
                served_by(self.flows, self.sadb, number, age, self.dissolved)
            }
        };
        let pending = self.pending.filter(|(_, pending)| *pending == number);
        let newest = pending.and_then(|(age, _)| of(age));
        if newest.is_some() {
            return newest;
        }
        let mut next = 0;
        while let Some((place, age)) = self.flows.carrying(number, next) {
            // One that is to carry another inflow does not count any more.
            let moved = self.pending.is_some_and(|(moved, _)| moved == age);
            if let Some(wanted) = Some(age).filter(|_| !moved).and_then(of) {
                return Some(wanted);
            }
            next = place + 1;
        }
        None
    }

    /// An eroute is asked for, in the place of one that is there or as a new one.
    #[inline(never)]
    pub fn add_eroute(
        &mut self,
        selector: Selector,
        said: Said,
        replace: bool,
        bypass: Option<Bypass>,
    ) -> Result<(), Refusal> {
        let number = self.flows.by_selector.get(&selector).copied();
        let replaces_hold =
            replace && number.is_none() && self.flows.holds.find(&selector).is_some();
        match number {
            Some(_) if !replace => return Err(Errno::EEXIST.into()),
            None if !replace && self.flows.holds.is_listed(&selector) => {
                return Err(Errno::EEXIST.into());
            }
            None if replace && !replaces_hold => return Err(Errno::ENOENT.into()),
            None if self.flows.is_full() => return Err(Errno::ENOSPC.into()),
            _ => self.replaced = number,
        }
        let mut floor = Floor::default();
        let (mut templates, mut action) = (Templates::NONE, Action::Block);
        if said.proto == Proto::Int {
            let shunt = Shunt::of(&said).ok_or(Errno::EINVAL)?;
            let number = number.unwrap_or(self.flows.next);
            (action, templates) = shunted(shunt, &selector, number);
        } else if let Some(sa) = self.sadb.find(&said) {
            if sa.inext().is_some() {
                // One state can't be in two modes, and only from the inside on is a chain whole.
                return Err(Errno::EINVAL.into());
            }
            self.demanded = true;
            let links = self.members(sa.age())?;
            match self.resolve(&links)? {
                Ok(design) => {
                    let protection;
                    (templates, protection) = design.outbound();
                    action = Action::Allow;
                    floor = Floor {
                        least: protection,
                        bare: !protection.is_some(),
                    };
                }
                Err(Unusable::NotYet) => (),
                Err(Unusable::Refused(errno)) => return Err(errno.into()),
            }
        }
        let there = number.and_then(|number| self.flows.eroutes.get(&number));
        let there = there.map(|eroute| &eroute.out);
        let out = Installed {
            policies: self.out_policies(
                number.unwrap_or(self.flows.next),
                (selector, said),
                (action, &templates),
                there,
            )?,
            action,
            floor,
        };
        let by_said = Map::reserve()?;
        let (nodes, replaces) = match number {
            Some(number) => (None, Some((number, by_said))),
            None => (Some((Map::reserve()?, Map::reserve()?, by_said)), None),
        };
        self.plan.eroute = Some(NewEroute {
            selector,
            said,
            out,
            nodes,
            replaces,
            replaces_hold,
            bypass,
        });
        self.let_past(bypass)
    }

    /// Makes the policies for what goes past an eroute or inflow, if they are not there.
    fn let_past(&mut self, bypass: Option<Bypass>) -> Result<(), Refusal> {
        let Some(bypass) = bypass.filter(|it| self.flows.bypasses.get(it).is_none()) else {
            return Ok(());
        };
        let make = |selector| {
            self.engine.policy_new(&PolicySpec {
                direction: bypass.direction,
                selector,
                fragments_of: None,
                if_id: NO_INTERFACE,
                priority: PRIORITY_FIRST,
                action: Action::Allow,
                templates: Templates::NONE,
            })
        };
        let [first, second] = bypass.selectors();
        let policies = [make(first)?, make(second)?];
        self.plan.bypass = Some((bypass, (Map::reserve()?, policies)));
        Ok(())
    }

    /// What may come out of the tunnel that an SA is or that is inside of it.
    #[inline(never)]
    pub fn add_inflow(&mut self, selector: Selector, said: Said) -> Result<(), Refusal> {
        let sadb = self.sadb;
        let sa = sadb.find(&said).ok_or(Errno::ENOENT)?;
        let mut inwards = core::iter::successors(Some(sa), |sa| sadb.get(sa.inext()?));
        let tunnel = inwards.find(|sa| sa.spec.proto == Proto::Tun);
        let tunnel = tunnel.ok_or(Errno::ENOENT)?;
        let age = tunnel.age();
        let (own, peer) = (tunnel.spec.dst.ip(), tunnel.spec.src.ip());
        let bypass = Bypass::past_inflow(&selector, own, peer);
        let bypass = bypass.filter(|_| tunnel.spec.inbound && !peer.is_unspecified());
        let known = self.flows.inflow_by_selector.get(&selector).copied();
        if known.is_none() && self.flows.is_full() {
            return Err(Errno::ENOSPC.into());
        }
        let number = known.unwrap_or(self.flows.next);
        self.pending = Some((age, number));
        let links = self.members(age)?;
        let governing = links.iter().find_map(|link| self.inflow_of(link.age));
        let design = self.resolve(&links)?;
        let new = match known {
            Some(_) => None,
            None => {
                let wanted = self.wanted_of(number, &links, &design, governing, false);
                let wanted = wanted.filter(|(_, it)| Floor::default().admits(*it));
                let action = if wanted.is_some() {
                    Action::Allow
                } else {
                    Action::Block
                };
                let (templates, protection) = wanted.unwrap_or_default();
                let mut floor = Floor::default();
                floor.raise(protection);
                Some(FirstInflow {
                    both: Installed {
                        policies: both_policies(
                            self.engine,
                            number,
                            selector,
                            (action, &templates),
                            None,
                        )?,
                        action,
                        floor,
                    },
                    node: Map::reserve()?,
                    by_selector: Map::reserve()?,
                })
            }
        };
        self.plan.inflow = Some(NewInflow {
            number,
            selector,
            age,
            place: u64::MAX - self.flows.next,
            bypass,
            carrier: Map::reserve()?,
            by_inflow: Map::reserve()?,
            new,
        });
        self.let_past(bypass)
    }

    /// Policies are to take the place of what others have where they belong.
    pub fn take_over(&mut self) {
        self.plan.over = true;
    }

    /// An interface comes to be used, or to be known by another `ifindex`, or with 0 is not used any
    /// more: eroutes and states go where they belong then.
    #[inline(never)]
    pub fn set_interface(&mut self, interface: Interface, ifindex: u32) -> Result<(), Refusal> {
        self.plan.interface = Some((interface, ifindex));
        let (flows, sadb) = (self.flows, self.sadb);
        let first_live = |age: Age| {
            let mut chain = sadb.chain(sadb.get(age)?);
            chain.find(|sa| flows.live(sa.age()).is_some())
        };
        let mut next = Age::FIRST;
        while let Some(age) = flows.live_at_or_after(next) {
            next = age.next();
            // A chain has its turn once.
            if first_live(age).is_some_and(|first| first.age() == age) {
                let members = self.members(age)?;
                self.chain(&members)?;
            }
        }
        let mut next = 0;
        while let Some((number, eroute)) = flows.at_or_after(next) {
            next = number + 1;
            let verdict = if let Some(shunt) = Shunt::of(&eroute.said) {
                let (action, templates) = shunted(shunt, &eroute.selector, number);
                let (does, there) = ((action, &templates), Some(&eroute.out));
                let packets = (eroute.selector, eroute.said);
                let policies = self.out_policies(number, packets, does, there)?;
                Verdict::Move(policies, action)
            } else {
                let judged = sadb.find(&eroute.said).and_then(|sa| first_live(sa.age()));
                if judged.is_some() || !self.is_lost(&eroute.out) {
                    continue;
                }
                Verdict::Move(self.dropping(number, eroute)?, Action::Block)
            };
            memory::push(&mut self.plan.eroutes, (number, verdict))?;
        }
        Ok(())
    }

    /// Whether policies are for the packets of an interface that is not used any more.
    fn is_lost(&self, installed: &Installed<E::Policy>) -> bool {
        let mut policies = installed.policies.iter();
        policies.any(|placed| {
            let if_id = placed.place.if_id;
            let is_it = |(interface, _): (Interface, u32)| interface.if_id() == if_id;
            if_id != NO_INTERFACE && !self.interfaces().any(is_it)
        })
    }

    /// Policies for an eroute that drops, whatever way its packets take.
    fn dropping(
        &self,
        number: u64,
        eroute: &Eroute<E::Policy>,
    ) -> Result<Vector<Placed<E::Policy>>, Refusal> {
        let does = (Action::Block, &Templates::NONE);
        let packets = (eroute.selector, eroute.said);
        self.out_policies(number, packets, does, Some(&eroute.out))
    }

    /// Makes the policies that are there with states but belong to none, where they are missing.
    #[inline(never)]
    fn common(&mut self) -> Result<(), Refusal> {
        for renewal in 0..self.plan.states.len() {
            let shape = self.plan.states.get(renewal).map(|it| it.live.shape);
            let Some((shape, common)) = shape.and_then(|it| Some((it, it.common()?))) else {
                continue;
            };
            let mut there = self.flows.common.iter().chain(&self.plan.common);
            if !there.any(|(of, placed)| *of == common && placed.place.if_id == shape.if_id) {
                self.common_of(common, shape.if_id)?;
            }
        }
        if !self.plan.common.is_empty() {
            memory::reserve(&mut self.plan.common, self.flows.common.len())?;
        }
        Ok(())
    }

    #[inline(never)]
    fn common_of(&mut self, common: Common, if_id: u32) -> Result<(), Refusal> {
        use Transform::{
            Ah,
            Comp,
            Esp, //
        };
        // CAST: the numbers that IP has for them.
        let [esp, ah, comp] = [Esp, Ah, Comp].map(|transform| transform as u8);
        let (directions, protos, (reqid, transforms), priority): (&[_], &[_], _, _) = match common {
            Common::Free => {
                let both = &[Direction::In, Direction::Forward];
                let tunnels = (REQID_FREE, &[Ah, Esp, Ah, Esp][..]);
                (both, &[0], tunnels, PRIORITY_LAST)
            }
            Common::Between => {
                let tunnels = (0, &[Ah, Esp, Comp, Ah, Esp][..]);
                // Inflows would be asked first, and want all of the chain already.
                (&[Direction::In], &[esp, ah, comp], tunnels, PRIORITY_FIRST)
            }
        };
        for family in [Family::Inet, Family::Inet6] {
            let any = family.unspecified();
            let network = Network::of(any, 0).ok_or(Errno::EINVAL)?;
            let templates = any_tunnels(any, reqid, transforms);
            for (&direction, &proto) in directions
                .iter()
                .flat_map(|direction| protos.iter().map(move |proto| (direction, proto)))
            {
                let selector = Selector {
                    src: network,
                    dst: network,
                    proto,
                    sport: 0,
                    dport: 0,
                };
                let spec = PolicySpec {
                    if_id,
                    priority,
                    ..policy_spec(direction, selector, Action::Allow, &templates)
                };
                let placed = Placed {
                    place: Place::of(&spec),
                    policy: self.engine.policy_new(&spec)?,
                    is_new: true,
                    opens: false,
                };
                memory::push(&mut self.plan.common, (common, placed))?;
            }
        }
        Ok(())
    }

    /// The plan. What is new among the policies is in the engine from now on; what may still fail
    /// comes before.
    #[inline(never)]
    pub fn finish(mut self) -> Result<Boxed<Plan<E>>, Refusal> {
        self.common()?;
        let mut plan = self.plan;
        if let Err(errno) = plan.claim(self.engine) {
            return Err(errno.into());
        }
        Ok(plan)
    }
}

/// What becomes of policies that are to have such templates, or none.
fn judge<P>(
    engine: &impl Engine<Policy = P>,
    installed: &Installed<P>,
    floor: Floor,
    wanted: Option<&Wanted>,
    make: impl FnOnce(&Templates) -> Result<Vector<Placed<P>>, Refusal>,
) -> Result<Verdict<P>, Refusal> {
    match wanted.filter(|(_, protection)| floor.admits(*protection)) {
        None => Ok(Verdict::Drop),
        Some((templates, protection)) if installed.is_open_by(engine, templates) => {
            Ok(Verdict::Stay(*protection))
        }
        Some((templates, protection)) => Ok(Verdict::Replace(make(templates)?, *protection)),
    }
}

/// What a policy asks for that lets in what comes out of one tunnel, or of two, one in the other.
///
/// xfrm goes through the states of a packet, outer to inner, and through the templates from the last
/// on; one that does not fit is passed over. So each pair is there in both orders, and ESP and AH in
/// themselves.
fn any_tunnels(any: IpAddr, reqid: u32, transforms: &[Transform]) -> Templates {
    let mut templates = Templates::NONE;
    for &transform in transforms {
        let _ = templates.push(Template {
            transform,
            mode: Mode::Tunnel,
            reqid,
            src: any,
            dst: any,
            optional: true,
            strict: true,
        });
    }
    templates
}

/// What the policies do of an eroute without SAs, by its number.
fn shunted(shunt: Shunt, selector: &Selector, number: u64) -> (Action, Templates) {
    let reqid = match shunt {
        Shunt::Drop | Shunt::Reject => return (Action::Block, Templates::NONE),
        Shunt::Pass => return (Action::Allow, Templates::NONE),
        Shunt::Hold => REQID_HOLD,
        Shunt::Trap | Shunt::TrapSubnet => reqid_of_trap(number),
    };
    (Action::Allow, waiting(selector, reqid))
}

/// What a policy asks for whose packets are to wait: a state that there is not.
///
/// Such packets are dropped without an error to their sender, or queued where
/// `net.core.xfrm_larval_drop` is 0; those of a policy that drops would make `connect()` fail.
fn waiting(selector: &Selector, reqid: u32) -> Templates {
    let any = Family::of(&selector.dst.address()).unspecified();
    let mut templates = Templates::NONE;
    let _ = templates.push(Template {
        transform: Transform::Esp,
        mode: Mode::Transport,
        reqid,
        src: any,
        dst: any,
        optional: false,
        strict: false,
    });
    templates
}

fn policy_spec(
    direction: Direction,
    selector: Selector,
    action: Action,
    templates: &Templates,
) -> PolicySpec {
    PolicySpec {
        direction,
        if_id: templates.if_id(),
        selector,
        fragments_of: None,
        priority: selector.priority(),
        action,
        templates: *templates,
    }
}

/// A policy that takes the place of one that is there, or else drops at first.
fn placed<E: Engine>(
    engine: &E,
    spec: PolicySpec,
    there: Option<&Installed<E::Policy>>,
) -> Result<Placed<E::Policy>, Errno> {
    let place = Place::of(&spec);
    let is_new = there.is_none_or(|there| !there.is_at(place));
    let opens = is_new && spec.action == Action::Allow;
    let action = if opens { Action::Block } else { spec.action };
    Ok(Placed {
        place,
        policy: engine.policy_new(&PolicySpec { action, ..spec })?,
        is_new,
        opens,
    })
}

/// Adds policies that drop what may be fragments of the packets of another policy: xfrm does not look
/// for ports in fragments, not even in the first. What this host sends is whole when xfrm looks at it,
/// and so is what is for this host; what is forwarded may not be.
///
/// They come after all eroutes and inflows, for one without ports takes fragments as any other packets.
#[inline(never)]
fn drop_fragments<E: Engine>(
    engine: &E,
    policies: &mut Vector<Placed<E::Policy>>,
    number: u64,
    whole: &PolicySpec,
    there: Option<&Installed<E::Policy>>,
) -> Result<(), Refusal> {
    for selector in whole.selector.fragments() {
        let spec = PolicySpec {
            selector,
            fragments_of: Some(number),
            priority: PRIORITY_FRAGMENTS,
            action: Action::Block,
            templates: Templates::NONE,
            ..*whole
        };
        memory::push(policies, placed(engine, spec, there)?)?;
    }
    Ok(())
}

/// The policies of an inflow, some of which there may be.
fn both_policies<E: Engine>(
    engine: &E,
    number: u64,
    selector: Selector,
    (action, templates): (Action, &Templates),
    there: Option<&Installed<E::Policy>>,
) -> Result<Vector<Placed<E::Policy>>, Refusal> {
    let mut policies = Vector::new();
    for direction in [Direction::In, Direction::Forward] {
        let spec = policy_spec(direction, selector, action, templates);
        memory::push(&mut policies, placed(engine, spec, there)?)?;
        let by_itself = PolicySpec {
            if_id: NO_INTERFACE,
            action: Action::Block,
            templates: Templates::NONE,
            ..spec
        };
        if spec.if_id != NO_INTERFACE {
            // What comes in by itself, and not out of a tunnel, does not get to the interface.
            memory::push(&mut policies, placed(engine, by_itself, there)?)?;
        }
        if direction == Direction::Forward {
            // What comes out of a tunnel, by an interface, is dropped where no policy is for it.
            drop_fragments(engine, &mut policies, number, &by_itself, there)?;
        }
    }
    Ok(policies)
}
