// SPDX-License-Identifier: GPL-2.0

//! Measures the PF_KEY module that is loaded, from inside a virtual machine, and prints what was
//! measured as comma-separated values.

mod measure;
mod memory;
mod message;
mod socket;
mod workload;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use message::Gateways;
use workload::Workload;

#[derive(Clone, Copy, ValueEnum)]
enum Module {
    Klips,
    AfKey,
}

#[derive(Clone, Copy, ValueEnum)]
enum Spread {
    One,
    Many,
}

/// Measures the PF_KEY module that is loaded
#[derive(Parser)]
struct Cli {
    /// Which module that is
    #[arg(long, value_enum)]
    module: Module,
    /// Whether the SAs share a gateway
    #[arg(long, value_enum)]
    gateways: Spread,
    /// Sizes of the table, ascending
    #[arg(long, value_delimiter = ',')]
    sizes: Vec<u32>,
    /// Numbers of sockets that are open and never read
    #[arg(long, value_delimiter = ',', default_value = "0")]
    listeners: Vec<u32>,
    /// Do nothing but this, again and again: floor, add, get, link or dump
    #[arg(long)]
    profile: Option<String>,
    /// Print what the columns mean
    #[arg(long)]
    head: bool,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    if cli.head {
        println!("{}", measure::COLUMNS);
    }
    let (module, groups) = match cli.module {
        Module::Klips => ("klips", true),
        Module::AfKey => ("af_key", false),
    };
    let gateways = match cli.gateways {
        Spread::One => Gateways::One,
        Spread::Many => Gateways::Many,
    };
    let workload = Workload {
        module,
        groups,
        gateways,
    };
    match &cli.profile {
        Some(what) => workload.profile(what, cli.sizes[0]),
        None => workload.run(&cli.sizes, &cli.listeners),
    }
}
