// SPDX-License-Identifier: GPL-2.0

//! What is measured, in which order.

use crate::{
    bulk, crowd, eroutes, lookup,
    measure::{COLUMNS, Clock},
    message::Gateways,
    module::Module,
    packets, program, stall,
    table::Table,
    tools, workload,
};
use anyhow::Result;

/// Sizes of the table.
const SIZES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Numbers of sockets that are open and never read.
const LISTENERS: [u32; 3] = [0, 1, 16];
/// SAs of the tables that are made to see how much memory they take.
const FOR_MEMORY: u32 = 10_000;

/// The largest table that a module can be asked for within minutes: mainline's ADD looks at all
/// SAs that go to the same gateway.
fn largest_of(module: Module, gateways: Gateways) -> u32 {
    match (module, gateways) {
        (Module::AfKey, Gateways::One) => 10_000,
        _ => u32::MAX,
    }
}

/// The tables of a module that are measured, and their sizes.
fn tables(clock: Clock, module: Module, largest: u32) -> impl Iterator<Item = (Table, Vec<u32>)> {
    [Gateways::One, Gateways::Many]
        .into_iter()
        .map(move |gateways| {
            let table = Table {
                clock,
                module,
                gateways,
            };
            let largest = largest.min(largest_of(module, gateways));
            let sizes = SIZES.into_iter().filter(|size| *size <= largest);
            (table, sizes.collect())
        })
}

/// Says how far it is.
fn done(table: &Table, size: u32) {
    let (module, gateways) = (table.module.name(), table.gateways.name());
    eprintln!("bench: {module} {gateways} {size} done");
}

/// What requests, memory and loading cost.
pub(crate) fn costs(clock: Clock, largest: u32) -> Result<()> {
    println!("{COLUMNS}");
    for module in [Module::Klips, Module::AfKey] {
        module.measure(clock)?;
        module.load()?;
        for (table, sizes) in tables(clock, module, largest) {
            for size in sizes {
                workload::run(&table, size, &LISTENERS)?;
                done(&table, size);
            }
            workload::memory(&table, FOR_MEMORY)?;
        }
        if module == Module::Klips {
            for (what, words) in [
                ("start of true", ["true"].as_slice()),
                ("ipsec --version", &["ipsec", "--version"]),
            ] {
                let took = program::time(words, || Ok(()))?;
                let setting = crate::measure::Setting::bare(clock, module.name());
                setting.tell_each(what, took, 1);
            }
        }
        module.unload()?;
    }
    Ok(())
}

/// How long one request makes others wait.
pub(crate) fn stalls(clock: Clock, largest: u32) -> Result<()> {
    println!("{COLUMNS}");
    for module in [Module::Klips, Module::AfKey] {
        let table = Table {
            clock,
            module,
            gateways: Gateways::Many,
        };
        let (sas, eroutes) = match module {
            // It has all answers of a DUMP queued at once: no guest has the memory for a million.
            Module::AfKey => (100_000, 10_000),
            _ => (u32::MAX, 100_000),
        };
        module.load()?;
        stall::run(&table, largest.min(sas))?;
        stall::with_eroutes(&table, largest.min(eroutes))?;
        module.unload()?;
        eprintln!("bench: stalls of {} done", module.name());
    }
    Ok(())
}

/// How much memory eroutes and SAs with a state take.
pub(crate) fn memory(module: Module) -> Result<()> {
    println!("{COLUMNS}");
    module.load()?;
    eroutes::memory(&Table {
        clock: Clock::Instructions,
        module,
        gateways: Gateways::Many,
    })
}

/// What requests about eroutes and about SAs with a state cost.
pub(crate) fn eroutes(clock: Clock, largest: u32) -> Result<()> {
    println!("{COLUMNS}");
    for module in [Module::XfrmUser, Module::AfKey, Module::Klips] {
        for (table, sizes) in tables(clock, module, largest) {
            for size in sizes {
                // What a module has put off is done once it is unloaded.
                module.load()?;
                eroutes::eroutes(&table, size)?;
                eroutes::live(&table, size)?;
                module.unload()?;
                done(&table, size);
            }
        }
    }
    Ok(())
}

/// What packets cost, in rounds of so many.
pub(crate) fn packets(clock: Clock, count: usize) -> Result<()> {
    println!("{COLUMNS}");
    packets::run(clock, count)
}

/// What it takes to find the eroutes of packets.
pub(crate) fn lookup(clock: Clock, count: usize, largest: u32) -> Result<()> {
    println!("{COLUMNS}");
    lookup::run(clock, count, largest)
}

/// What streams cost.
pub(crate) fn bulk(clock: Clock) -> Result<()> {
    println!("{COLUMNS}");
    bulk::run(clock)
}

/// What the tools cost.
pub(crate) fn tools(clock: Clock) -> Result<()> {
    println!("{COLUMNS}");
    tools::run(clock)
}

/// What many sockets cost, and how long they make others wait.
pub(crate) fn crowd(clock: Clock) -> Result<()> {
    println!("{COLUMNS}");
    let table = Table {
        clock,
        module: Module::Klips,
        gateways: Gateways::Many,
    };
    table.module.load()?;
    crowd::run(&table)?;
    table.module.unload()
}
