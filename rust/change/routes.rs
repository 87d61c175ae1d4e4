// SPDX-License-Identifier: GPL-2.0

//! What goes around interfaces: IKE with peers that eroutes lead to, and what SAs to these make of
//! packets. It leaves by the interface below, as KLIPS had it, although such a peer may itself be
//! routed to `ipsecN`.

use crate::{
    engine::Engine,
    flows::{
        Bypass,
        Flows, //
    },
    netns::Host, //
};
use core::net::IpAddr;

/// Looks what is to go around interfaces. Called by one thread at a time.
pub fn routes_changed<H: Host>(host: &H) {
    let mut bypass = Bypass::LEAST;
    loop {
        let state = host.lock();
        let Some(next) = state.flows.bypass_after(&bypass) else {
            break;
        };
        let wanted = next.leaves().and_then(|(own, peer)| {
            let ifindex = interface_of(host.engine(), &state.flows, own)?;
            Some((own, peer, ifindex))
        });
        drop(state);
        if let Some((own, peer, ifindex)) = wanted {
            host.want_route(own, peer, ifindex);
        }
        bypass = next;
        host.cond_resched();
    }
    host.settle_routes();
}

/// What the interface in use is known by whose physical one has an address.
fn interface_of<E: Engine>(engine: &E, flows: &Flows<E>, own: IpAddr) -> Option<u32> {
    let mut used = flows.interfaces.in_use(None);
    used.find_map(|(_, ifindex)| engine.is_end_of(ifindex, own).then_some(ifindex))
}
