// SPDX-License-Identifier: GPL-2.0

//! What the kernel's packet engine, xfrm, does for a network namespace, so that what is asked of it
//! can be tested without a kernel.

use crate::klips_core::{
    errno::Errno,
    fold::Transform,
    interface::Interface,
    said::Said,
    xfrm::{
        Algorithms,
        PolicySpec,
        StateSpec,
        Templates,
        Usage, //
    }, //
};
use core::net::{
    IpAddr,
    SocketAddr, //
};

/// That a %trap or %trapsubnet has taken a packet, and who sent it waits.
pub struct Acquire<W> {
    /// What the policy of the eroute asks for.
    pub reqid: u32,
    /// Source of the packet, with its port if its protocol has ports.
    pub src: SocketAddr,
    /// Destination, likewise.
    pub dst: SocketAddr,
    /// IP protocol.
    pub proto: u8,
    /// The second since boot up to which packets between these hosts do not ask again.
    pub until: u64,
    /// What keeps them from it.
    pub waiting: W,
}

/// That packets of an SA behind NAT come from another address or port than its state says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The SA.
    pub said: Said,
    /// From where they come.
    pub src: IpAddr,
    /// From which port.
    pub sport: u16,
}

/// What has happened to states without klips having done it: limits have been passed, or somebody else
/// has removed them. What it was is to be looked up, in [`Engine::usage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something has happened to the state of this SA, of one that there was or is.
    State(Said),
    /// Something has happened to any of them.
    AnyState,
}

/// The packet engine of a network namespace.
///
/// What may fail comes before what changes what packets meet; what changes it can't fail, but for
/// [`Engine::policy_insert`], which is undone by [`Engine::policy_delete`].
///
/// What makes, inserts or changes states and policies is called with [`Engine::hold`]'s guard held.
/// Where the lock of the table is held too, it was taken first. All of it may sleep.
pub trait Engine {
    /// A state. To drop it gives the reference to it back, and does not take it out of the engine.
    type State;
    /// A policy; likewise.
    type Policy;
    /// What keeps packets that a %trap takes from asking again. To drop it is to forget of it.
    type Waiting;
    /// Keeps other key managers from changing states and policies.
    type Hold<'a>
    where
        Self: 'a;

    /// Keeps other key managers (`ip xfrm`, a daemon) from changing states and policies until the
    /// guard is dropped: `xfrm_cfg_mutex`.
    fn hold(&self) -> Self::Hold<'_>;

    /// Looks for algorithms, and has modules loaded that may have them. ENOENT if the kernel has
    /// not all of them. Called without any lock.
    fn probe(&self, algorithms: &Algorithms) -> Result<(), Errno>;

    /// Makes a state, whose algorithms have been probed, and does not insert it.
    fn state_new(&self, spec: &StateSpec<'_>) -> Result<Self::State, Errno>;

    /// Whether there is a state of this name that is not klips's own.
    fn is_taken(&self, dst: IpAddr, spi: u32, transform: Transform) -> bool;

    /// Inserts a state that has been made, and not been inserted before.
    fn state_insert(&self, state: &Self::State);

    /// Takes `old` out, then inserts `new`, which was made and has the same name. If `carry`, it
    /// goes on with the sequence numbers and the replay window of the old one, for which the key has
    /// to be the same; the counters it takes on in any case.
    fn state_swap(&self, old: &Self::State, new: &Self::State, carry: bool);

    /// Takes a state out, unless somebody else has.
    fn state_delete(&self, state: &Self::State);

    /// Changes the ports of a state with UDP encapsulation.
    fn state_set_ports(&self, state: &Self::State, sport: u16, dport: u16);

    /// What a state has been used for.
    fn usage(&self, state: &Self::State) -> Usage;

    /// Makes a policy, and does not insert it.
    fn policy_new(&self, spec: &PolicySpec) -> Result<Self::Policy, Errno>;

    /// Whether a policy asks for just these templates.
    fn policy_has(&self, policy: &Self::Policy, templates: &Templates) -> bool;

    /// Inserts a policy that has not been inserted before. If there is one of the same direction and
    /// selector, it takes the place of that if `over`, and else there is EEXIST. ENOMEM.
    fn policy_insert(&self, policy: &Self::Policy, over: bool) -> Result<(), Errno>;

    /// Puts `new` in the place of `old`, of the same direction, selector and priority: each packet
    /// meets the one or the other. Where somebody else has removed the old one, that may take memory;
    /// without it this is done by [`Engine::policy_restore`], as [`Engine::look_at_policies_later`].
    fn policy_replace(&self, old: &Self::Policy, new: &Self::Policy);

    /// What an interface is known by, if it is there, is an xfrm interface, and has the right `if_id`.
    /// ENODEV if not.
    fn find_interface(&self, interface: Interface) -> Result<u32, Errno>;

    /// Whether an address is one of the physical interface below one that is known by `ifindex`.
    fn is_end_of(&self, ifindex: u32, own: IpAddr) -> bool;

    /// Has [`crate::change::routes_changed`] called soon. It is called in any case when somebody else has
    /// changed routes.
    fn look_at_routes(&self);

    /// Has a policy block from now on, be it inserted or not.
    fn policy_block(&self, policy: &Self::Policy);

    /// Has a policy that blocks let through what goes through its templates, be it inserted or not.
    fn policy_open(&self, policy: &Self::Policy);

    /// Takes a policy out, unless somebody else has.
    fn policy_delete(&self, policy: &Self::Policy);

    /// Puts a policy back that was inserted or put in another's place, if somebody else has removed
    /// it or put one in its place; whether that was so. ENOMEM.
    fn policy_restore(&self, policy: &Self::Policy) -> Result<bool, Errno>;

    /// What has happened to states since it was last asked. Has [`crate::change::states_changed`]
    /// called whenever there is something.
    fn next_event(&self) -> Option<Event>;

    /// Has [`crate::change::states_changed`] called again in a second, by [`Event::AnyState`].
    fn look_at_states_later(&self);

    /// Has [`crate::change::policies_changed`] called again in a second. It is called in any case when
    /// somebody else may have removed policies.
    fn look_at_policies_later(&self);

    /// Whether packets that a %trap takes are to be told of. If not, they are only dropped, and
    /// nothing is made for them; so at first.
    fn accept_acquires(&self, accept: bool);

    /// The next packet that a %trap has taken. Has [`crate::change::packets_told`] called whenever
    /// there is one. There may be none where there were too many.
    fn next_acquire(&self) -> Option<Acquire<Self::Waiting>>;

    /// Has packets ask again that wait.
    fn stop_waiting(&self, waiting: &Self::Waiting);

    /// The next change of an address or port behind NAT; likewise, for each packet that comes from
    /// there.
    fn next_mapping(&self) -> Option<Mapping>;
}
