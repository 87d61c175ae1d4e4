// SPDX-License-Identifier: GPL-2.0

//! The packet side of a network namespace: eroutes, what may come out of tunnels, and which SAs have
//! states in the engine.
//!
//! An eroute is a policy for packets that leave, whose templates are the chain of the SA that it
//! names. Where there is no such chain, or none that can be used, the policy is there and drops. An
//! *inflow*, from X_ADDFLOW with INFLOW, is a pair of policies for packets that come in, for this
//! host and for others; it belongs to the tunnel SAs that it was set for and wants what comes out of
//! their chains.
//!
//! A [`Planner`] is shown chains and flows as a change wants them and makes a [`Plan`] of what that
//! asks of the engine.

mod bypass;
mod design;
mod holds;
mod plan;
mod planner;
mod table;

#[cfg(not(MODULE))]
pub use self::holds::MAX_HOLDS;

pub use self::{
    bypass::Bypass,
    design::Member,
    holds::NewHold,
    plan::Plan,
    planner::Planner,
    table::{
        Flows,
        Listed,
        RemovedStates, //
    }, //
};

use crate::{
    engine::Engine,
    klips_core::{
        fold::{
            Mode,
            Protection,
            Transform, //
        },
        said::{
            Said,
            Shunt, //
        },
        selector::Selector,
        xfrm::{
            Action,
            Direction,
            PolicySpec,
            Templates, //
        }, //
    },
    memory::{
        Boxed,
        Vector, //
    },
    sadb::Age,
};
use core::net::{
    IpAddr,
    SocketAddr, //
};

/// Reqid that is the SA's own, for templates of packets that leave. Daemons use small numbers.
///
/// Two SAs of one namespace share one only if half a billion others were added between them; then
/// they are told apart by their ends, protocol and mode.
const fn reqid_of(age: Age) -> u32 {
    // CAST: the low bits.
    OURS | age.number() as u32 & REQID_MASK
}

/// Set in every reqid that klips gives.
pub const OURS: u32 = 0x8000_0000;
/// Set in those of inflows.
const INFLOW: u32 = 0x4000_0000;
/// Set in those that no state has, of eroutes that wait for SAs.
const WAITING: u32 = 0x2000_0000;
const REQID_MASK: u32 = WAITING - 1;

/// Reqid of the states of tunnels that come in and for which no inflow was set.
const REQID_FREE: u32 = OURS | INFLOW;

/// Reqid of an inflow, by its number.
const fn reqid_of_inflow(number: u64) -> u32 {
    // CAST: the low bits. 0 is that of tunnels without any.
    REQID_FREE | (number % REQID_MASK as u64 + 1) as u32
}

/// Reqid of %hold: packets wait for a state that nobody is asked for.
const REQID_HOLD: u32 = OURS | INFLOW | WAITING;

/// Set in the reqid of a %trap or %trapsubnet.
pub const TRAP: u32 = OURS | WAITING;

/// The bits of a reqid that say what has it.
pub const KIND: u32 = !REQID_MASK;

/// Reqid of a %trap or %trapsubnet, by its number: who wants a state of it is to be told.
const fn reqid_of_trap(number: u64) -> u32 {
    // CAST: the low bits.
    TRAP | number as u32 & REQID_MASK
}

/// How a state works, as far as its chain decides that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Protocol.
    pub transform: Transform,
    /// Mode.
    pub mode: Mode,
    /// Source.
    pub src: IpAddr,
    /// Destination.
    pub dst: IpAddr,
    /// By which templates name it.
    pub reqid: u32,
    /// Of which interface's packets it is.
    pub if_id: u32,
    /// Whether it is a tunnel that comes in and has others of its chain inside.
    pub is_outer: bool,
}

impl Shape {
    /// The policies that have to be there with it.
    const fn common(&self) -> Option<Common> {
        if self.reqid == REQID_FREE {
            Some(Common::Free)
        } else if self.is_outer {
            Some(Common::Between)
        } else {
            None
        }
    }
}

/// What policies are for that no eroute and no inflow has. They are there while there are such states,
/// for each packet in clear would be held against them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Common {
    /// They let in what comes out of tunnels without an inflow.
    Free,
    /// They let ESP, AH and IPComp go on from one tunnel to the next: where the kernel has xfrm
    /// interfaces, it asks for that (`xfrmi_input`). What comes out in the end is held against the
    /// inflow, as ever.
    Between,
}

/// How many states there are with which there have to be such policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct CommonCounts {
    free: usize,
    between: usize,
}

impl CommonCounts {
    const fn of(&self, common: Common) -> usize {
        match common {
            Common::Free => self.free,
            Common::Between => self.between,
        }
    }

    fn of_mut(&mut self, common: Common) -> &mut usize {
        match common {
            Common::Free => &mut self.free,
            Common::Between => &mut self.between,
        }
    }

    fn add(&mut self, shape: &Shape) {
        if let Some(common) = shape.common() {
            *self.of_mut(common) += 1;
        }
    }

    fn remove(&mut self, shape: &Shape) {
        if let Some(common) = shape.common() {
            *self.of_mut(common) -= 1;
        }
    }
}

/// The state of an SA in the engine.
pub struct Live<S> {
    /// The state.
    pub state: S,
    /// How it works.
    pub shape: Shape,
    /// What was told of where its packets come from, in memory of its own: few are behind NAT.
    pub mapping: Option<Boxed<ToldMapping>>,
}

/// That it was told from where packets of an SA behind NAT come.
pub struct ToldMapping {
    /// Address and port.
    pub from: SocketAddr,
    /// The second since boot.
    pub at: u64,
}

/// What a chain has to have for an eroute or inflow to use it.
///
/// A chain that changes by itself, without a request about the eroute, never comes to protect less
/// than it did: then the eroute drops, until a request says again what it is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Floor {
    /// What the chains so far had.
    least: Protection,
    /// Whether a chain without any protection was what the request itself found.
    bare: bool,
}

impl Floor {
    const fn admits(self, protection: Protection) -> bool {
        protection.covers(self.least) && (self.bare || protection.is_some())
    }

    fn raise(&mut self, protection: Protection) {
        self.least = self.least.max(protection);
    }
}

/// Whose packets meet a policy of an eroute or inflow.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    direction: Direction,
    if_id: u32,
    /// Where it is for fragments only, of which protocol; else 0.
    fragments: u8,
}

impl Place {
    fn of(spec: &PolicySpec) -> Self {
        let PolicySpec {
            direction,
            if_id,
            fragments_of,
            ..
        } = *spec;
        Place {
            direction,
            if_id,
            fragments: fragments_of.map_or(0, |_| spec.selector.proto),
        }
    }
}

/// A policy in the engine, and whose packets meet it there.
struct Placed<P> {
    place: Place,
    policy: P,
    /// Whether none was before.
    is_new: bool,
    /// Whether it drops at first, and opens when the change is made.
    opens: bool,
}

/// Policies in the engine, and what they do there.
struct Installed<P> {
    policies: Vector<Placed<P>>,
    action: Action,
    floor: Floor,
}

impl<P> Installed<P> {
    /// Whether packets get through.
    fn is_open(&self) -> bool {
        self.action == Action::Allow
    }

    /// Whether one of the policies is open and asks for exactly these templates.
    fn is_open_by(&self, engine: &impl Engine<Policy = P>, templates: &Templates) -> bool {
        let mut policies = self.policies.iter();
        self.is_open()
            && policies.any(|placed| {
                placed.place.if_id == templates.if_id()
                    && engine.policy_has(&placed.policy, templates)
            })
    }

    /// Whether there is a policy for these packets.
    fn is_at(&self, place: Place) -> bool {
        self.policies.iter().any(|placed| placed.place == place)
    }

    /// Has packets dropped.
    fn block(&mut self, engine: &impl Engine<Policy = P>) {
        if self.is_open() {
            for placed in &self.policies {
                engine.policy_block(&placed.policy);
            }
            self.action = Action::Block;
        }
    }

    /// Has other policies take the place of these, which are made, and in the engine where none were.
    fn replace(&mut self, engine: &impl Engine<Policy = P>, mut policies: Vector<Placed<P>>) {
        for new in &mut policies {
            let old = self.policies.iter();
            let mut old = old.filter(|old| old.place == new.place);
            if new.opens {
                engine.policy_open(&new.policy);
            } else if let Some(old) = old.next() {
                engine.policy_replace(&old.policy, &new.policy);
            }
            new.is_new = false;
            new.opens = false;
        }
        let old = core::mem::replace(&mut self.policies, policies);
        for old in &old {
            if !self.is_at(old.place) {
                engine.policy_delete(&old.policy);
            }
        }
    }

    /// Takes them out.
    fn delete(&self, engine: &impl Engine<Policy = P>) {
        for placed in &self.policies {
            engine.policy_delete(&placed.policy);
        }
    }
}

/// An eroute.
pub struct Eroute<P> {
    /// Which packets it is for.
    pub selector: Selector,
    /// The SA that they go through first, or a magic one.
    pub said: Said,
    out: Installed<P>,
    /// What goes past it.
    bypass: Option<Bypass>,
}

impl<P> Eroute<P> {
    /// Whether packets get through, or wait.
    pub fn is_open(&self) -> bool {
        self.out.is_open()
    }

    /// Whether its packets wait for SAs.
    fn waits(&self) -> bool {
        Shunt::of(&self.said).is_some_and(Shunt::waits)
    }

    /// Whether its packets have SAs asked for.
    fn is_trap(&self) -> bool {
        matches!(Shunt::of(&self.said), Some(Shunt::Trap | Shunt::TrapSubnet))
    }
}

/// What may come out of tunnels.
struct Inflow<P> {
    selector: Selector,
    /// For this host, and for others.
    both: Installed<P>,
    /// What goes past it.
    bypass: Option<Bypass>,
    /// How many SAs it is set for.
    carriers: u64,
    /// Whether it goes with the last of them. Else it stays, and drops: what was to be protected does
    /// not come to be let in as cleartext because an SA's time is over.
    released: bool,
}

/// That an inflow is set for an SA.
#[derive(Clone, Copy)]
struct Carrier {
    inflow: u64,
    /// Its place among those of the inflow, the newest first.
    place: u64,
}
