// SPDX-License-Identifier: GPL-2.0

//! The addresses of this host, and its default routes.

use crate::{
    failure::Failure,
    routes,
    system::{Interface, System},
};
use klips::address::Family;
use std::net::IpAddr;

/// The addresses of this host.
pub(super) struct Local(Vec<IpAddr>);

impl Local {
    /// Those that its interfaces have.
    pub(super) fn read(system: &mut impl System) -> Result<Self, Failure> {
        let addresses = interfaces(system)?
            .into_iter()
            .flat_map(|interface| interface.addresses);
        Ok(Local(addresses.collect()))
    }

    /// One that the user says.
    pub(super) fn said(address: IpAddr) -> Self {
        Local(vec![address])
    }

    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

/// The address that packets come from which take the default route of a family, if there is one.
pub(super) fn default_source(
    family: Family,
    system: &mut impl System,
) -> Result<Option<IpAddr>, Failure> {
    let routes = routes::read(family, system).into_iter();
    let default = routes.filter(|route| route.dst.prefix() == 0);
    let Some(route) = default.min_by_key(|route| route.metric) else {
        return Ok(None);
    };
    let is_source = |address: &IpAddr| match address {
        IpAddr::V4(_) => family == Family::Inet,
        IpAddr::V6(ip) => family == Family::Inet6 && !ip.is_unicast_link_local(),
    };
    let interfaces = interfaces(system)?.into_iter();
    let mut addresses = interfaces
        .filter(|interface| interface.name == route.interface)
        .flat_map(|interface| interface.addresses);
    Ok(addresses.find(is_source))
}

fn interfaces(system: &mut impl System) -> Result<Vec<Interface>, Failure> {
    let all = system.interfaces();
    all.map_err(|error| Failure::refused(format!("can't list interfaces: {error}")))
}
