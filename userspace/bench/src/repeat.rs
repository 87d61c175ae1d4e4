// SPDX-License-Identifier: GPL-2.0

//! The same thing again and again, for a profiler that watches from outside.

use crate::{
    measure::Clock,
    message::{self, Gateways},
    module::Module,
    program,
    socket::Socket,
    table::Table,
    workload::{GROUPS, read_list},
};
use anyhow::Result;
use clap::ValueEnum;
use std::fs;

/// What is done.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum What {
    /// A message that is refused at its header
    Floor,
    /// GET
    Get,
    /// ADD and DELETE
    Add,
    /// X_GRPSA of two SAs, and its undoing
    Pair,
    /// X_GRPSA of four SAs, and its undoing
    Four,
    /// DUMP of all
    Dump,
    /// Reading /proc/net/ipsec_spigrp
    List,
    /// `ipsec spigrp`, which groups two SAs, and its undoing
    Tool,
}

/// Loads a module, fills its table, writes the kernel's symbols and the line "ready", and goes on
/// until it is killed.
pub(crate) fn run(module: Module, sas: u32, what: What) -> Result<()> {
    module.load()?;
    let table = Table {
        clock: Clock::Instructions,
        module,
        gateways: Gateways::Many,
    };
    table.fill(0..sas)?;
    print!("{}", fs::read_to_string("/proc/kallsyms")?);
    println!("ready");
    let mut socket = Socket::open()?;
    let four = [0, 1, 2, 3].map(|number| table.sa(number));
    let [inner, outer, ..] = &four;
    let mut number = 0;
    loop {
        number = (number + 7919) % sas;
        match what {
            What::Floor => socket.send_refused(&message::refused())?,
            What::Get => socket.request(&message::get(&table.sa(number)))?,
            What::Add => {
                let sa = table.sa(sas + number);
                socket.request(&message::add(&sa))?;
                socket.request(&message::delete(&sa))?;
            }
            What::Pair => {
                socket.request(&message::link(inner, outer))?;
                socket.request(&message::ungroup(inner))?;
            }
            What::Four => {
                socket.request(&message::group(&four))?;
                socket.request(&message::ungroup(inner))?;
            }
            What::Dump => drop(socket.dump()?),
            What::List => drop(read_list(GROUPS)?),
            What::Tool => {
                let (inner, outer) = (inner.said(), outer.said());
                program::run(&["ipsec", "spigrp", "--said", &inner, &outer])?;
                program::run(&["ipsec", "spigrp", "--said", &inner])?;
            }
        }
    }
}
