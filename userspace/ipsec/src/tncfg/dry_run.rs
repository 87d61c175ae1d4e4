// SPDX-License-Identifier: GPL-2.0

//! `--dry-run`: tells what would be made and sent, by what is listed. Requests of a batch find what
//! those before them would have left.

use super::{
    execute::{absent, already_attached, exists, not_attached},
    list,
    plan::{self, Outcome, Request},
};
use crate::{
    console::Console,
    failure::Failure,
    json::Ending,
    program::Program,
    requests::Rehearse,
    system::System,
    unsent::{Unsent, would_send},
};
use klips::klips_core::interface::Interface;
use pfkey::{Content, describe::Description};
use serde::Serialize;
use std::collections::BTreeMap;

/// The interfaces as they would be, and what messages would be sent over.
pub(crate) struct Rehearsal {
    /// What is below each.
    interfaces: BTreeMap<Interface, Option<String>>,
    unsent: Unsent,
}

/// What `--json` tells of a request that would succeed.
#[derive(Serialize)]
pub(crate) struct Prospect {
    #[serde(flatten)]
    outcome: Outcome,
    /// What would be sent.
    requests: Vec<Description>,
}

impl Rehearse<Request> for Rehearsal {
    type Prospect = Prospect;

    fn begin(system: &mut impl System) -> Result<Self, Failure> {
        let rows = list::rows(system)?.into_iter();
        let interfaces = rows.filter_map(|row| Some((row.interface()?, row.physical)));
        Ok(Rehearsal {
            interfaces: interfaces.collect(),
            unsent: Unsent::new(),
        })
    }

    fn rehearse(
        &mut self,
        request: &Request,
        program: &Program,
        console: &mut Console<'_>,
    ) -> Result<Prospect, Failure> {
        let contents = self.carry_out(request).map_err(Failure::supposed)?;
        let mut requests = Vec::new();
        for content in contents {
            let message = self.unsent.describe(&content, program, console)?;
            if !program.json {
                console.print(&would_send(&message))?;
            }
            requests.push(message);
        }
        if !program.json {
            console.print(&would_do(request))?;
        }
        Ok(Prospect {
            outcome: Outcome::of(request, Ending::WouldSucceed),
            requests,
        })
    }
}

impl Rehearsal {
    /// What would be sent.
    fn carry_out(&mut self, request: &Request) -> Result<Vec<Content<'static>>, Failure> {
        let mut contents = Vec::new();
        match request {
            Request::Attach(interface, physical) => {
                match self.interfaces.get(interface) {
                    Some(Some(below)) => return Err(already_attached(*interface, Some(below))),
                    Some(None) => contents.push(plan::unplumb(*interface)),
                    None => (),
                }
                contents.push(plan::plumb(*interface));
                let below = Some(physical.name.clone());
                self.interfaces.insert(*interface, below);
            }
            Request::Create(interface) => {
                if self.interfaces.contains_key(interface) {
                    return Err(exists(*interface));
                }
                contents.push(plan::plumb(*interface));
                self.interfaces.insert(*interface, None);
            }
            Request::Detach(interface) => match self.interfaces.get(interface) {
                Some(Some(_)) => contents.extend(self.detach(*interface)),
                _ => return Err(not_attached(*interface)),
            },
            Request::Delete(interface) => {
                if !self.interfaces.contains_key(interface) {
                    return Err(absent(*interface));
                }
                contents.push(self.remove(*interface));
            }
            Request::Clear => {
                let attached = self.interfaces.iter().filter(|(_, below)| below.is_some());
                let attached: Vec<_> = attached.map(|(interface, _)| *interface).collect();
                contents.extend(attached.into_iter().flat_map(|it| self.detach(it)));
            }
        }
        Ok(contents)
    }

    fn detach(&mut self, interface: Interface) -> [Content<'static>; 2] {
        self.interfaces.insert(interface, None);
        [plan::unplumb(interface), plan::plumb(interface)]
    }

    fn remove(&mut self, interface: Interface) -> Content<'static> {
        self.interfaces.remove(&interface);
        plan::unplumb(interface)
    }
}

fn would_do(request: &Request) -> String {
    match request {
        Request::Attach(interface, physical) => {
            let link = physical.new_link(*interface);
            let addresses = link
                .addresses
                .iter()
                .map(|(ip, bits)| format!(" {ip}/{bits}"));
            format!(
                "would make {interface} above {}: an xfrm interface, if_id {:#x}, mtu {},{} {}\n",
                physical.name,
                link.if_id,
                link.mtu,
                if link.addresses.is_empty() { " no" } else { "" },
                if link.addresses.is_empty() {
                    "addresses".to_owned()
                } else {
                    format!("addresses{}", addresses.collect::<String>())
                },
            )
        }
        Request::Create(interface) => format!("would make {interface}, attached to none\n"),
        Request::Detach(interface) => format!("would detach {interface}\n"),
        Request::Delete(interface) => format!("would remove {interface}\n"),
        Request::Clear => "would detach all of them\n".to_owned(),
    }
}
