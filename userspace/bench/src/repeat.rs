// SPDX-License-Identifier: GPL-2.0

//! The same thing again and again, for a profiler that watches from outside.

use crate::{
    measure::Clock,
    message::{self, Gateways, Sa},
    module::Module,
    program,
    socket::Socket,
    table::Table,
    workload::{GROUPS, ListReader},
};
use anyhow::{Result, ensure};
use clap::ValueEnum;
use std::{array, fs};

/// What is done.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum What {
    /// A message that is refused at its header
    Refused,
    /// GET
    Get,
    /// ADD
    Add,
    /// DELETE
    Delete,
    /// X_GRPSA of two SAs
    Pair,
    /// X_GRPSA of four SAs
    Four,
    /// DUMP of all
    Dump,
    /// Reading /proc/net/ipsec_spigrp
    List,
    /// `ipsec spigrp`, which groups two SAs
    Tool,
    /// An eroute through a tunnel and an ESP SA, with its state
    Eroute,
    /// ADD of an SA that has a state at once
    Live,
    /// X_GRPSA of such an SA and a tunnel
    LiveGroup,
    /// Loading and unloading the module
    Load,
}

/// How far from each other the SAs are that are read one after the other: a prime.
const STRIDE: u32 = 7919;

/// How many eroutes are there before: mainline needs nothing else for them, and what runs for the first
/// time takes page faults.
const EROUTES: u32 = 3000;

/// Loads a module, fills its table, writes the kernel's symbols and the line "ready", and goes on
/// until it is killed.
pub(crate) fn run(module: Module, sas: u32, what: What) -> Result<()> {
    module.load()?;
    let table = Table {
        clock: Clock::Instructions,
        module,
        gateways: Gateways::Many,
    };
    match what {
        What::Eroute => {
            table.request(0..sas, |number| module.prepare(&table.sa(number)))?;
            table.request(0..EROUTES, |number| table.add_eroute(number))?;
        }
        What::Live | What::LiveGroup => drop(table.request(0..sas, |number| {
            let sa = table.sa(number);
            let tunnel = message::add_tunnel(&sa.inbound());
            let tunnel = module.has_groups().then_some(tunnel);
            module.add_live(&sa).into_iter().chain(tunnel).collect()
        })?),
        What::Load => {
            ready()?;
            loop {
                module.reload()?;
            }
        }
        _ => drop(table.fill(0..sas)?),
    }
    ready()?;
    let mut socket = Socket::to(module)?;
    let mut reader = ListReader::new();
    for number in 0_u32.. {
        match what {
            What::Refused => socket.send_refused(&message::refused())?,
            What::Get => {
                let sa = table.sa(number.wrapping_mul(STRIDE) % sas);
                socket.request(&message::get(&sa))?;
            }
            What::Add => socket.request(&message::add(&table.sa(sas + number)))?,
            What::Delete => {
                let [sa] = take(&table, sas, number)?;
                socket.request(&message::delete(&sa))?;
            }
            What::Pair => {
                let [inner, outer] = take(&table, sas, number)?;
                socket.request(&message::link(&inner, &outer))?;
            }
            What::Four => {
                let sas: [Sa; 4] = take(&table, sas, number)?;
                socket.request(&message::group(&sas))?;
            }
            What::Dump => drop(socket.dump()?),
            What::List => drop(reader.read(GROUPS)?),
            What::Eroute => {
                take::<1>(&table, sas, EROUTES + number)?;
                for message in table.add_eroute(EROUTES + number) {
                    socket.request(&message)?;
                }
            }
            What::Live => {
                for message in module.add_live(&table.sa(sas + number)) {
                    socket.request(&message)?;
                }
            }
            What::LiveGroup => {
                let [sa] = take(&table, sas, number)?;
                let sa = sa.inbound();
                socket.request(&message::link(&sa.tunnel(), &sa))?;
            }
            What::Load => unreachable!("it has no socket"),
            What::Tool => {
                let [inner, outer] = take(&table, sas, number)?;
                program::run(&["ipsec", "spigrp", "--said", &inner.said(), &outer.said()])?;
            }
        }
    }
    Ok(())
}

/// Writes the kernel's symbols, and that all is there.
fn ready() -> Result<()> {
    print!("{}", fs::read_to_string("/proc/kallsyms")?);
    println!("ready");
    Ok(())
}

/// The SAs that are to be used next. Each is used once: if what was done to them had to be undone,
/// that would be in the profile as well.
fn take<const N: usize>(table: &Table, sas: u32, number: u32) -> Result<[Sa; N]> {
    let first = number.saturating_mul(N as u32);
    ensure!(
        first.saturating_add(N as u32) <= sas,
        "all {sas} SAs have been used: there have to be more"
    );
    Ok(array::from_fn(|index| table.sa(first + index as u32)))
}
