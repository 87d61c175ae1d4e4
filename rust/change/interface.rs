// SPDX-License-Identifier: GPL-2.0

//! Interfaces that come and go (reference 4.15). An eroute is for the packets that are routed to the
//! interface of its chain; where there is none, for all packets.

use super::{
    make,
    Change,
    Done, //
};
use crate::{
    engine::Engine,
    flows::{
        Plan,
        Planner, //
    },
    klips_core::{
        errno::Errno,
        interface::Interface,
        pfkey::debug::Part, //
    },
    memory::{
        Boxed,
        Vector, //
    },
    netns::{
        Host,
        Refusal,
        State, //
    }, //
};

/// Has an interface be used.
pub struct Plumb(pub Interface);

/// Has one not be used any more.
pub struct Unplumb(pub Interface);

/// The same, if it has gone, or another is there by its name.
struct Forget(Interface);

impl<H: Host> Change<H> for Plumb {
    type Plan = (Interface, Boxed<Plan<H::Engine>>);
    type Removed = ();

    #[inline(never)]
    fn plan(self, host: &H, state: &mut State<H>) -> Result<Self::Plan, Refusal> {
        let Plumb(interface) = self;
        let ifindex = host.engine().find_interface(interface)?;
        if state.flows.interfaces.get(interface) == ifindex {
            return Err(Errno::EEXIST.into());
        }
        let planner = state.planner(host)?;
        Ok((interface, moved(planner, interface, ifindex)?))
    }

    #[inline(never)]
    fn commit((interface, mut plan): Self::Plan, host: &H, state: &mut State<H>) -> Done<()> {
        state.carry_out(host, &mut plan);
        state.trace(host, Part::Tunnel, format_args!("{interface}: in use"));
        Done::untold()
    }
}

impl<H: Host> Change<H> for Unplumb {
    type Plan = (Interface, Boxed<Plan<H::Engine>>);
    type Removed = ();

    #[inline(never)]
    fn plan(self, host: &H, state: &mut State<H>) -> Result<Self::Plan, Refusal> {
        let Unplumb(interface) = self;
        if state.flows.interfaces.get(interface) == 0 {
            return Err(Errno::ENODEV.into());
        }
        let planner = state.planner(host)?;
        Ok((interface, moved(planner, interface, 0)?))
    }

    #[inline(never)]
    fn commit((interface, mut plan): Self::Plan, host: &H, state: &mut State<H>) -> Done<()> {
        state.carry_out(host, &mut plan);
        state.trace(host, Part::Tunnel, format_args!("{interface}: not in use"));
        Done::untold()
    }
}

impl<H: Host> Change<H> for Forget {
    type Plan = Option<(Interface, Boxed<Plan<H::Engine>>)>;
    type Removed = ();

    #[inline(never)]
    fn plan(self, host: &H, state: &mut State<H>) -> Result<Self::Plan, Refusal> {
        let Forget(interface) = self;
        let used = state.flows.interfaces.get(interface);
        if used == 0 || host.engine().find_interface(interface) == Ok(used) {
            return Ok(None);
        }
        let mut planner = state.planner(host)?;
        // Nobody can be told that somebody else's policy is where an eroute has to go: packets no longer
        // go where it is.
        planner.take_over();
        Ok(Some((interface, moved(planner, interface, 0)?)))
    }

    #[inline(never)]
    fn commit(plan: Self::Plan, host: &H, state: &mut State<H>) -> Done<()> {
        if let Some((interface, mut plan)) = plan {
            state.carry_out(host, &mut plan);
            host.log(format_args!(
                "{interface} has gone: its eroutes are for all packets now"
            ));
        }
        Done::untold()
    }
}

fn moved<E: Engine>(
    mut planner: Planner<'_, E>,
    interface: Interface,
    ifindex: u32,
) -> Result<Boxed<Plan<E>>, Refusal> {
    planner.set_interface(interface, ifindex)?;
    planner.finish()
}

impl Done<()> {
    fn untold() -> Self {
        Done {
            answer: None,
            others: Vector::new(),
            removed: (),
        }
    }
}

/// Has an interface be used that has just been made.
pub fn attach<H: Host>(host: &H, interface: Interface) -> Result<(), Errno> {
    make(host, Plumb(interface))
        .map(drop)
        .map_err(|refusal| refusal.errno)
}

/// Looks whether the interfaces that are used are still there.
pub fn interfaces_changed<H: Host>(host: &H) {
    for interface in Interface::all() {
        let is_used = || host.lock().flows.interfaces.get(interface) != 0;
        if !is_used() {
            continue;
        }
        if make(host, Forget(interface)).is_err() {
            // Without memory it is still to be done.
            host.look_at_interfaces_later();
        } else if !is_used() {
            // As KLIPS's when what it was attached to had gone. It does without, if that can't be.
            let _ = host.add_unattached(interface);
        }
    }
}
