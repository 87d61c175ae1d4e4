// SPDX-License-Identifier: GPL-2.0

//! A network namespace as the rest of the module sees it: its [`State`], behind one lock, what the
//! kernel gives, behind [`Host`], so that all of this runs in tests on the host as well, and why
//! the kernel says no, a [`Refusal`].

use crate::{
    change::Unlogged,
    engine::Engine,
    flows::{
        Flows,
        Plan,
        Planner, //
    },
    klips_core::{
        errno::Errno,
        group::{
            LinkError,
            ListError,
            ListReason, //
        },
        interface::Interface,
        pfkey::{
            algorithm::AlgorithmError,
            debug::{
                Masks,
                Part, //
            },
            Fault,
            SaType, //
        },
        xfrm::Usage, //
    },
    memory::OutOfMemory,
    post::{
        Listeners,
        Post,
        SocketId, //
    },
    sadb::{
        AddError,
        HashKey,
        Moment,
        Sa,
        Sadb, //
    }, //
};
use core::{
    fmt,
    net::IpAddr,
    ops::DerefMut, //
};

/// What is shared by all sockets of a network namespace, under one lock.
pub struct State<H: Host> {
    /// The SAs.
    pub sadb: Sadb,
    /// The eroutes, and the states of SAs.
    pub flows: Flows<H::Engine>,
    /// The open sockets.
    pub listeners: Listeners<H>,
    /// What is logged.
    pub debug: Masks,
    /// What is going to be logged.
    pub(crate) unlogged: Unlogged,
    /// Sequence number of the last message that the kernel sent of its own accord.
    pub(crate) seq: u32,
    /// How often packets have asked for SAs.
    pub traps: Traps,
}

/// How often packets have asked for SAs, as `/proc/net/ipsec/stats` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traps {
    /// Packets that a %trap or %trapsubnet has caught, but for those that waited already.
    pub caught: u32,
    /// Those of them of which key daemons were told.
    pub told: u32,
}

impl<H: Host> State<H> {
    /// Without SAs and sockets; allocates nothing.
    pub fn new(hash_key: HashKey) -> Self {
        State {
            sadb: Sadb::new(hash_key),
            flows: Flows::new(),
            listeners: Listeners::new(),
            debug: Masks::NONE,
            unlogged: Unlogged::default(),
            seq: 0,
            traps: Traps::default(),
        }
    }

    /// Whether key daemons can be asked for SAs.
    pub(crate) fn accepts_acquires(&self) -> bool {
        self.listeners.any_registered(SaType::Esp as u8) && !self.flows.holds_enough()
    }

    /// Has packets ask if that can be told somebody. To be called when that may have changed.
    pub(crate) fn update_acquires(&self, host: &H) {
        host.engine().accept_acquires(self.accepts_acquires());
    }

    /// A socket is being closed. Afterwards nothing is delivered to it. What was known of it is for the
    /// caller to free.
    pub fn close(&mut self, host: &H, id: SocketId) -> impl Sized {
        let gone = self.listeners.close(id);
        self.update_acquires(host);
        gone
    }

    /// Forgets of what has waited long enough.
    pub(crate) fn end_holds(&mut self, host: &H, now: Moment) {
        if self.flows.next_deadline().is_some_and(|it| it <= now.boot) {
            self.flows.end_holds(now.boot);
            self.update_acquires(host);
        }
    }

    /// The second since boot in which something is to be looked at.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let deadlines = [self.sadb.next_deadline(), self.flows.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// What an SA has been used for.
    pub(crate) fn usage(&self, host: &H, sa: &Sa) -> Usage {
        self.flows
            .usage(host.engine(), &self.sadb, sa)
            .unwrap_or_default()
    }

    /// Makes a plan of what a change asks of the engine.
    pub(crate) fn planner<'a>(
        &'a self,
        host: &'a H,
    ) -> Result<Planner<'a, H::Engine>, OutOfMemory> {
        Planner::new(host.engine(), &self.sadb, &self.flows)
    }

    /// Does what was planned.
    pub(crate) fn carry_out(&mut self, host: &H, plan: &mut Plan<H::Engine>) {
        plan.commit(host.engine(), &self.sadb, &mut self.flows);
    }

    /// Sets how much there may be; what is there stays.
    pub fn set_limits(&mut self, limits: &Limits) {
        self.sadb.set_limit(limits.sas);
        self.listeners.set_limit(limits.sockets);
        self.flows.set_limits(limits.flows, limits.states);
    }

    /// Logs a line if the mask of its part is on.
    pub(crate) fn trace(&self, host: &H, part: Part, line: fmt::Arguments<'_>) {
        if self.traces(part) {
            host.log(line);
        }
    }

    /// Whether what a part does is told in the log.
    pub(crate) fn traces(&self, part: Part) -> bool {
        self.debug.of(part) != 0
    }
}

/// How much there may be in a network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// SAs.
    pub sas: usize,
    /// Open sockets.
    pub sockets: usize,
    /// Eroutes, those for packets that come in included.
    pub flows: usize,
    /// SAs that have a state in the engine, which nobody is charged for.
    pub states: usize,
}

impl Limits {
    /// No limits.
    pub const NONE: Self = Limits {
        sas: usize::MAX,
        sockets: usize::MAX,
        flows: usize::MAX,
        states: usize::MAX,
    };
}

/// An interface `ipsecN` and the one below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// Name of the one below it, up to a zero. Empty if there is none.
    pub physical: [u8; 16],
    /// The longest packet that it takes.
    pub mtu: u32,
    /// The longest that the one below it takes.
    pub physical_mtu: u32,
}

impl Attached {
    /// The name of the one below it.
    pub fn physical(&self) -> Option<&str> {
        let name = self.physical.split(|byte| *byte == 0).next()?;
        core::str::from_utf8(name)
            .ok()
            .filter(|name| !name.is_empty())
    }
}

/// What a request needs of the world around it.
pub trait Host: Clock + Post + Sized {
    /// What moves packets.
    type Engine: Engine + 'static;
    /// The state, locked.
    type Guard<'a>: DerefMut<Target = State<Self>>
    where
        Self: 'a;

    /// The packet engine of the namespace.
    fn engine(&self) -> &Self::Engine;
    /// Locks the state of the namespace, with the limits that it has now.
    fn lock(&self) -> Self::Guard<'_>;
    /// A random number.
    fn random(&self) -> u64;
    /// Sets whether requests are logged.
    fn set_traced(&self, traced: bool);
    /// Whether requests are logged. Asked without the lock, before each.
    fn is_traced(&self) -> bool;
    /// Writes a line to the log.
    fn log(&self, line: fmt::Arguments<'_>);
    /// Has [`crate::change::interfaces_changed`] called in a second.
    fn look_at_interfaces_later(&self);
    /// What is sent from `own` to `peer` by IKE, and by SAs, is to leave by the interface below the one
    /// that is known by `ifindex`, even where `peer` is routed to that one.
    fn want_route(&self, own: IpAddr, peer: IpAddr, ifindex: u32);
    /// Has that be so from now on for what was wanted since this was last called, and for nothing else.
    fn settle_routes(&self);
    /// What there is below an interface that is known by `ifindex`.
    fn attached(&self, ifindex: u32) -> Attached;
    /// Makes an interface that is attached to none, see [`Host::has_unattached`]. `EEXIST` if its name
    /// is taken.
    fn add_unattached(&self, interface: Interface) -> Result<(), Errno>;
    /// Removes one; whether it was there.
    fn remove_unattached(&self, interface: Interface) -> bool;
    /// Whether an interface is there that is attached to none, as KLIPS's were at first.
    fn has_unattached(&self, interface: Interface) -> bool;
    /// Whether an address is one of this host's.
    fn is_local(&self, ip: IpAddr) -> bool;
    /// Whether what stands in the way of cleartext is here from now on, see
    /// [`Flows::is_in_use`]: as long as that is so of a namespace, the module can't be unloaded.
    /// Called when that changes.
    fn set_in_use(&self, in_use: bool);
}

/// Time, and whose turn it is.
pub trait Clock {
    /// The time.
    fn now(&self) -> Moment;
    /// Has [`crate::change::limits_due`] called at a second since boot, and not before; `None` for never.
    fn wake_at(&self, second: Option<u64>);
    /// Lets others run. Called between the steps of long work, without the lock.
    fn cond_resched(&self);
    /// Whether the process that asks has been killed: it is not to go on with long work.
    fn is_killed(&self) -> bool;
    /// Whether the kernel's worker may go on with long work for this namespace at once; if not, it
    /// has to ask to be called again.
    fn may_go_on(&self) -> bool;
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the writer gets as errno and all sockets as a message.
    pub errno: Errno,
    /// For a group request, which SA is at fault.
    pub fault: Option<Fault>,
}

impl Refusal {
    /// The name of its errno.
    pub fn name(&self) -> &'static str {
        self.errno.describe().map_or("?", |(name, _)| name)
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Refusal { errno, fault: None }
    }
}

impl From<OutOfMemory> for Refusal {
    fn from(_: OutOfMemory) -> Self {
        Errno::ENOMEM.into()
    }
}

impl From<AddError> for Refusal {
    fn from(error: AddError) -> Self {
        match error {
            AddError::Exists => Errno::EEXIST.into(),
            AddError::Full => Errno::ENOSPC.into(),
            AddError::OutOfMemory => Errno::ENOMEM.into(),
        }
    }
}

impl From<AlgorithmError> for Refusal {
    fn from(error: AlgorithmError) -> Self {
        match error {
            AlgorithmError::UnknownCipher => Errno::ENOENT.into(),
            AlgorithmError::Mismatch => Errno::EINVAL.into(),
        }
    }
}

impl From<LinkError> for Refusal {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::InnerTaken | LinkError::OuterTaken | LinkError::Cycle => Errno::EEXIST,
            LinkError::TooLong => Errno::EMLINK,
        }
        .into()
    }
}

impl From<ListError> for Refusal {
    fn from(error: ListError) -> Self {
        Refusal {
            errno: match error.reason {
                ListReason::Missing => Errno::ENOENT,
                ListReason::Grouped | ListReason::Twice => Errno::EEXIST,
            },
            fault: Some(error.into()),
        }
    }
}
