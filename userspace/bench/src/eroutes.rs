// SPDX-License-Identifier: GPL-2.0

//! Eroutes, and SAs whose states xfrm has: what requests about them cost with many, and how much
//! memory they take. A policy and a state are the same to mainline.

use crate::{
    measure::{self, Setting},
    memory::Memory,
    message::{self, Flow, Sa},
    module::Module,
    netlink,
    socket::Socket,
    spd,
    table::Table,
};
use anyhow::{Context, Result};
use std::{thread, time::Duration};

/// How often something is done to be measured.
const COUNT: u32 = 200;
/// How often DELETE is measured. The least that it took is told: workers of the kernel do things for others
/// too.
const ROUNDS: usize = 3;
/// SAs and eroutes whose memory is measured.
const FOR_MEMORY: u32 = 10_000;
/// How long memory may take to come back.
const SETTLE: Duration = Duration::from_secs(2);

/// The requests that do one thing once.
type Requests = Vec<Vec<u8>>;

impl Module {
    /// What comes before the first eroute through an SA and a tunnel: both, and their group. To
    /// mainline there is nothing before the policy.
    pub(crate) fn prepare(self, sa: &Sa) -> Requests {
        match self {
            Module::Klips => {
                let link = message::link(&sa.tunnel(), sa);
                vec![message::add_tunnel(sa), message::add(sa), link]
            }
            Module::AfKey | Module::XfrmUser => Vec::new(),
        }
    }

    /// An eroute through an SA that has no state yet, and that state.
    pub(crate) fn add_eroute(self, flow: &Flow, sa: &Sa) -> Requests {
        let state = match self {
            Module::Klips => None,
            Module::AfKey => Some(message::add_in_tunnel_mode(sa)),
            Module::XfrmUser => Some(netlink::add_state_in_tunnel_mode(sa)),
        };
        let flow = self.add_flow(flow, sa);
        state.into_iter().chain([flow]).collect()
    }

    /// An eroute through what there is.
    pub(crate) fn add_flow(self, flow: &Flow, sa: &Sa) -> Vec<u8> {
        match self {
            Module::Klips => message::add_flow(flow, &sa.tunnel()),
            Module::AfKey => spd::add(flow, sa),
            Module::XfrmUser => netlink::add_policy(flow, sa),
        }
    }

    /// Another state for the packets of an eroute, in the place of the one they go through.
    pub(crate) fn replace_eroute(self, flow: &Flow, new: &Sa) -> Requests {
        match self {
            Module::Klips => vec![message::replace_flow(flow, &new.tunnel())],
            Module::AfKey => vec![message::add_in_tunnel_mode(new), spd::update(flow, new)],
            Module::XfrmUser => vec![
                netlink::add_state_in_tunnel_mode(new),
                netlink::update_policy(flow, new),
            ],
        }
    }

    /// An eroute goes; its states stay.
    pub(crate) fn delete_eroute(self, sa: &Sa) -> Requests {
        let flow = Flow::of(sa);
        vec![match self {
            Module::Klips => message::del_flow(&flow),
            Module::AfKey => spd::delete(&flow),
            Module::XfrmUser => netlink::delete_policy(&flow),
        }]
    }

    /// All eroutes go.
    pub(crate) fn clear_eroutes(self) -> Vec<u8> {
        match self {
            Module::Klips => message::clear_flows(),
            Module::AfKey => spd::flush(),
            Module::XfrmUser => netlink::flush_policies(),
        }
    }

    /// All SAs go.
    pub(crate) fn flush(self) -> Vec<u8> {
        match self {
            Module::Klips | Module::AfKey => message::flush(),
            Module::XfrmUser => netlink::flush_states(),
        }
    }

    /// An SA whose packets come in, which has its state at once.
    pub(crate) fn add_live(self, sa: &Sa) -> Requests {
        vec![match self {
            Module::Klips | Module::AfKey => message::add(&sa.inbound()),
            Module::XfrmUser => netlink::add_state(&sa.inbound()),
        }]
    }

    /// An SA goes, with its group and its states.
    pub(crate) fn delete(self, sa: &Sa) -> Vec<u8> {
        match self {
            Module::Klips | Module::AfKey => message::delete(sa),
            Module::XfrmUser => netlink::delete_state(sa),
        }
    }
}

impl Table {
    /// An eroute of its own through the SA with this number, and the state that it needs.
    pub(crate) fn add_eroute(&self, number: u32) -> Requests {
        let sa = self.sa(number);
        self.module.add_eroute(&Flow::of(&sa), &sa)
    }

    /// The same eroute through another SA.
    pub(crate) fn replace_eroute(&self, number: u32, by: u32) -> Requests {
        let flow = Flow::of(&self.sa(number));
        self.module.replace_eroute(&flow, &self.sa(by))
    }
}

/// Measures requests about [`COUNT`] SAs from a number on.
fn measure(
    table: &Table,
    setting: Setting,
    what: &str,
    first: u32,
    requests: impl Fn(u32) -> Requests,
) -> Result<()> {
    let took = table.request(first..first + COUNT, requests);
    let took = took.with_context(|| format!("{what} at {setting:?}"))?;
    setting.tell_each(what, took, COUNT);
    Ok(())
}

/// Makes requests. Returns how long they took, with what workers did afterwards.
fn with_workers(table: &Table, messages: &[Vec<u8>]) -> Result<u64> {
    let mut socket = Socket::to(table.module)?;
    measure::time_with_workers(|| {
        messages
            .iter()
            .try_for_each(|message| socket.request(message))
    })
}

/// Measures requests about eroutes through a tunnel and an ESP SA of their own, where there are so
/// many. Nothing is there before.
pub(crate) fn eroutes(table: &Table, size: u32) -> Result<()> {
    let (module, setting) = (table.module, table.setting(size, 0));
    let sa = |number| table.sa(number);
    let add = |number| table.add_eroute(number);
    let spare = size + 2 * COUNT;
    let new = spare + 1;
    table.request(0..new, |number| module.prepare(&sa(number)))?;
    let took = table.request(0..size, add)?;
    setting.tell_each("ADDFLOW while filling", took, size);
    // xfrm has kept the networks of policies that there were before until one takes another's place,
    // and has workers free them then.
    table.request(0..1, |number| table.replace_eroute(number, spare))?;
    thread::sleep(SETTLE);
    measure(table, setting, "ADDFLOW", size, add)?;
    measure(table, setting, "REPLACE", size, |number| {
        table.replace_eroute(number, number + COUNT)
    })?;
    measure(table, setting, "DELFLOW", size, |number| {
        module.delete_eroute(&sa(number))
    })?;
    measure(
        table,
        setting,
        "SAs and X_GRPSA and ADDFLOW",
        new,
        |number| [module.prepare(&sa(number)), add(number)].concat(),
    )?;
    if module.has_groups() {
        beneath(table, setting, new)?;
    }
    table.request(new..new + COUNT, |number| module.delete_eroute(&sa(number)))?;
    let took = with_workers(table, &[module.clear_eroutes()])?;
    setting.tell_each("DELFLOW of all per eroute", took, size);
    with_workers(table, &[module.flush()])?;
    Ok(())
}

/// Measures what is done to the SAs of [`COUNT`] eroutes: these get new states, or packets are held
/// up.
fn beneath(table: &Table, setting: Setting, first: u32) -> Result<()> {
    for (what, request) in [
        (
            "UPDATE beneath an eroute",
            message::update as fn(&Sa) -> Vec<u8>,
        ),
        ("ungroup beneath an eroute", message::ungroup),
        ("X_GRPSA beneath an eroute", |sa| {
            message::link(&sa.tunnel(), sa)
        }),
        ("DELETE beneath an eroute", message::delete),
    ] {
        measure(table, setting, what, first, |number| {
            vec![request(&table.sa(number))]
        })?;
    }
    Ok(())
}

/// Measures requests about SAs that have a state from when they are added, where there are so
/// many. Nothing is there before.
pub(crate) fn live(table: &Table, size: u32) -> Result<()> {
    let (module, setting) = (table.module, table.setting(size, 0));
    let sa = |number| table.sa(number);
    let took = table.request(0..size, |number| module.add_live(&sa(number)))?;
    setting.tell_each("live ADD while filling", took, size);
    measure(table, setting, "live ADD", size, |number| {
        module.add_live(&sa(number))
    })?;
    if module.has_groups() {
        measure(table, setting, "live UPDATE", size, |number| {
            vec![message::update(&sa(number).inbound())]
        })?;
        let numbers = size..size + COUNT;
        table.request(numbers, |number| {
            vec![message::add_tunnel(&sa(number).inbound())]
        })?;
        measure(table, setting, "live X_GRPSA", size, |number| {
            let sa = sa(number).inbound();
            vec![message::link(&sa.tunnel(), &sa)]
        })?;
        measure(table, setting, "live ungroup", size, |number| {
            vec![message::ungroup(&sa(number).inbound())]
        })?;
    }
    let mut least = u64::MAX;
    for first in (0..).step_by(COUNT as usize).take(ROUNDS) {
        let messages: Vec<_> = (first..first + COUNT)
            .map(|number| module.delete(&sa(number).inbound()))
            .collect();
        least = least.min(with_workers(table, &messages)?);
    }
    setting.tell_each("live DELETE", least, COUNT);
    with_workers(table, &[module.flush()])?;
    Ok(())
}

/// Measures how much memory SAs with a state take, and eroutes with a state of their own. Nothing was
/// there before, and nothing goes: what is freed leaves holes, which are used before other memory is.
pub(crate) fn memory(table: &Table) -> Result<()> {
    let (module, numbers) = (table.module, FOR_MEMORY..2 * FOR_MEMORY);
    let sa = |number| table.sa(number);
    let setting = table.setting(FOR_MEMORY, 0);
    let settled = || {
        thread::sleep(SETTLE);
        Memory::now()
    };
    let before = settled()?;
    table.request(0..FOR_MEMORY, |number| module.add_live(&sa(number)))?;
    Memory::now()?.tell_since(&before, setting, "live SA");
    let before = settled()?;
    table.request(numbers.clone(), |number| module.prepare(&sa(number)))?;
    let prepared = Memory::now()?;
    table.request(numbers, |number| table.add_eroute(number))?;
    Memory::now()?.tell_since(&prepared, setting, "eroute and state");
    Memory::now()?.tell_since(&before, setting, "eroute and SAs");
    Ok(())
}
