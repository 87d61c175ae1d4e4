// SPDX-License-Identifier: GPL-2.0

//! For which packets eroutes hold. While interfaces `ipsecN` are attached, routes decide that
//! (ipsec_tncfg(8)): an eroute with a tunnel is for what is routed to one of them.

use super::{
    path::{Sas, is_word},
    table::Row,
};
use crate::{failure::Failure, system::System, tncfg};
use klips::selector::Packet;
use std::{io, net::IpAddr};

/// Where an eroute takes packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// Whatever their route.
    Everywhere,
    /// If they are routed to this interface.
    On(&'a str),
    /// If they are routed to any of those that are attached.
    OnAny,
    /// It drops them: those of the interface that its SAs belonged to, or all if it has had none.
    WhereItWas,
}

/// An interface that is attached.
struct Interface {
    name: String,
    /// The addresses of the one below.
    ends: Vec<IpAddr>,
}

/// The interfaces that are attached, and which way a packet is routed.
pub(super) struct Places {
    interfaces: Vec<Interface>,
    /// The interface that it is routed to, if that is known.
    route: Option<String>,
}

impl Places {
    /// Looks where a packet goes.
    pub(super) fn read(packet: &Packet, system: &mut impl System) -> Result<Self, Failure> {
        let attached = tncfg::attached(system)?;
        if attached.is_empty() {
            return Ok(Places {
                interfaces: Vec::new(),
                route: None,
            });
        }
        let all = system.interfaces().map_err(|error: io::Error| {
            Failure::refused(format!("can't list interfaces: {error}"))
        })?;
        let addresses = |name: &str| {
            let mut found = all.iter().filter(|interface| interface.name == name);
            found.next().map_or(Vec::new(), |it| it.addresses.clone())
        };
        let interfaces = attached.into_iter().map(|(name, physical)| Interface {
            name,
            ends: addresses(&physical),
        });
        let is_own = all.iter().any(|it| it.addresses.contains(&packet.src));
        let src = Some(packet.src).filter(|_| is_own);
        Ok(Places {
            interfaces: interfaces.collect(),
            route: system.route(src, packet.dst).ok(),
        })
    }

    /// Whether any interface is attached.
    pub(super) fn are_several(&self) -> bool {
        !self.interfaces.is_empty()
    }

    /// The interface that the packet is routed to, if that is known and matters.
    pub(super) fn route(&self) -> Option<&str> {
        self.route.as_deref()
    }

    /// The same if it is attached.
    pub(super) fn interface(&self) -> Option<&str> {
        let route = self.route()?;
        let mut names = self.interfaces.iter().map(|it| it.name.as_str());
        names.find(|name| *name == route)
    }

    /// Whether it is known that the packet is routed to none that is attached.
    pub(super) fn is_past_all(&self) -> bool {
        self.are_several() && self.route.is_some() && self.interface().is_none()
    }

    /// All that are attached.
    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self.interfaces.iter().map(|it| it.name.as_str()).collect();
        names.join(" or ")
    }

    /// Where an eroute takes packets.
    pub(super) fn of(&self, row: &Row, sas: &Sas) -> Place<'_> {
        if !self.are_several() {
            return Place::Everywhere;
        }
        let Some(said) = row.sa.said() else {
            return Place::WhereItWas;
        };
        if is_word(&said) {
            return Place::OnAny;
        }
        let Ok(path) = sas.way(row, &said) else {
            return Place::WhereItWas;
        };
        let has = |own: IpAddr| self.interfaces.iter().find(|it| it.ends.contains(&own));
        match path.own_end().and_then(has) {
            Some(interface) => Place::On(&interface.name),
            None => Place::Everywhere,
        }
    }

    /// Whether an eroute may take the packet, which fits it.
    pub(super) fn may_take(&self, place: Place<'_>) -> bool {
        match place {
            Place::Everywhere | Place::WhereItWas => true,
            Place::OnAny => !self.is_past_all(),
            Place::On(name) => self.route.is_none() || self.interface() == Some(name),
        }
    }

    /// What comes first: eroutes for all packets are asked before those of an interface.
    pub(super) fn rank(&self, row: &Row, place: Place<'_>) -> (bool, u32) {
        let is_later = match place {
            Place::Everywhere => false,
            Place::On(_) | Place::OnAny => true,
            Place::WhereItWas => self.interface().is_some(),
        };
        (is_later, row.selector.priority())
    }

    /// On what it depends that an eroute takes the packet, or none does, as far as that is not known;
    /// or that one lets it pass.
    pub(super) fn only_if(&self, place: Option<Place<'_>>, passes: bool) -> Option<String> {
        if !self.are_several() {
            return None;
        }
        let is_known = self.route.is_some();
        match place {
            Some(Place::Everywhere) => None,
            Some(Place::WhereItWas) if self.is_past_all() => Some(format!(
                "the eroute has had no SAs of {} since it was added; else the packet is sent in clear",
                self.names()
            )),
            _ if is_known => None,
            Some(Place::WhereItWas) => Some(format!(
                "routed to {}, or the eroute has had no SAs of that since it was added; else the packet \
                 is sent in clear",
                self.names()
            )),
            Some(Place::On(name)) => Some(format!("routed to {name}; else it is sent in clear")),
            Some(Place::OnAny) if !passes => Some(format!(
                "routed to {}; else it is sent in clear",
                self.names()
            )),
            Some(Place::OnAny) | None => Some(format!(
                "not routed to {}, which sends nothing in clear",
                self.names()
            )),
        }
    }
}
