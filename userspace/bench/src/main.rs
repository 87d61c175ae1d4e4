// SPDX-License-Identifier: GPL-2.0

//! Measures PF_KEY modules from inside a virtual machine, and prints what was measured as
//! comma-separated values.

mod bulk;
mod crowd;
mod eroutes;
mod lookup;
mod measure;
mod memory;
mod message;
mod module;
mod netlink;
mod packets;
mod parallel;
mod program;
mod repeat;
mod socket;
mod spd;
mod stall;
mod suite;
mod table;
mod tools;
mod traffic;
mod workload;

use anyhow::Result;
use clap::{Parser, Subcommand};
use measure::Clock;
use module::Module;

/// Measures PF_KEY modules; none is loaded before
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// What requests, memory and loading cost, klips first, then af_key
    Costs {
        /// What this machine's clock counts
        #[arg(long, value_enum)]
        clock: Clock,
        /// The largest table, in SAs
        #[arg(long)]
        largest: u32,
    },
    /// How long one request makes others wait; klips first, then af_key
    Stalls {
        /// What this machine's clock counts
        #[arg(long, value_enum)]
        clock: Clock,
        /// The largest table, in SAs
        #[arg(long)]
        largest: u32,
    },
    /// What many sockets cost, and how long they make others wait; klips only
    Crowd {
        /// What this machine's clock counts
        #[arg(long, value_enum)]
        clock: Clock,
    },
    /// What requests about eroutes and about SAs with a state cost; netlink, then af_key, then klips
    Eroutes {
        /// What this machine's clock counts
        #[arg(long, value_enum)]
        clock: Clock,
        /// The most eroutes
        #[arg(long)]
        largest: u32,
    },
    /// How much memory eroutes and SAs with a state take, in a guest that has had none of them
    Memory {
        /// The module to load
        #[arg(long, value_enum)]
        module: Module,
    },
    /// What packets cost through SAs of klips, and through those that `ip xfrm` makes
    Packets {
        /// What this machine's clock counts
        #[arg(long, value_enum)]
        clock: Clock,
        /// Packets of a round
        #[arg(long)]
        count: usize,
    },
    /// What it takes to find the eroute of a packet among many, and the same policies by netlink
    Lookup {
        /// What this machine's clock counts
        #[arg(long, value_enum)]
        clock: Clock,
        /// Packets of a round
        #[arg(long)]
        count: usize,
        /// The most eroutes
        #[arg(long)]
        largest: u32,
    },
    /// What TCP streams cost through eroutes, and through the same policies by `ip xfrm`
    Bulk {
        /// What this machine's clock counts
        #[arg(long, value_enum)]
        clock: Clock,
    },
    /// What the program ipsec costs, and a script of `ip xfrm` lines that does the same
    Tools {
        /// What this machine's clock counts
        #[arg(long, value_enum)]
        clock: Clock,
    },
    /// How much work klips does with all the processors that there are, and packets beside it
    Parallel,
    /// Do one thing again and again, for a profiler
    Repeat {
        /// The module to load
        #[arg(long, value_enum, default_value = "klips")]
        module: Module,
        /// SAs in the table
        #[arg(long, default_value_t = 1000)]
        sas: u32,
        /// What to do
        #[arg(value_enum)]
        what: repeat::What,
    },
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Costs { clock, largest } => suite::costs(clock, largest),
        Task::Stalls { clock, largest } => suite::stalls(clock, largest),
        Task::Crowd { clock } => suite::crowd(clock),
        Task::Eroutes { clock, largest } => suite::eroutes(clock, largest),
        Task::Memory { module } => suite::memory(module),
        Task::Packets { clock, count } => suite::packets(clock, count),
        Task::Lookup {
            clock,
            count,
            largest,
        } => suite::lookup(clock, count, largest),
        Task::Bulk { clock } => suite::bulk(clock),
        Task::Tools { clock } => suite::tools(clock),
        Task::Parallel => parallel::run(),
        Task::Repeat { module, sas, what } => repeat::run(module, sas, what),
    }
}
