// SPDX-License-Identifier: GPL-2.0

//! What it takes to find the eroute of a packet among many, beside the same policies by netlink.
//!
//! Packets are forwarded, for those of a socket are looked up once, and each has another destination.
//! All go through the same group, or each through one of its own.

use crate::{
    measure::{Clock, Setting},
    message::Flow,
    module::Module,
    packets::{Bench, CHAINS, CIPHERS, OUT, PORT},
};
use anyhow::{Context, Result};
use std::net::Ipv4Addr;

/// Numbers of eroutes.
const SIZES: [u32; 3] = [10, 1_000, 100_000];
/// How far from each other the eroutes are whose packets follow one another: a prime.
const STRIDE: u32 = 7919;
/// Where the packets come from.
const FROM: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 1, 0, 0), 16);
/// The first network that they go to.
const FIRST: u32 = 0x1400_0000;

/// How eroutes lie beside one another.
#[derive(Clone, Copy)]
enum Layout {
    /// Networks of 24 bits.
    Disjoint,
    /// Sixteen at a time in one another, of 17 to 32 bits.
    Nested,
    /// Hosts of one network of 16 bits, and as many again from a network in the other's.
    Hosts,
    /// Networks of 24 bits, each with a tunnel of its own.
    Tunnels,
}

impl Layout {
    fn name(self) -> &'static str {
        match self {
            Layout::Disjoint => "disjoint",
            Layout::Nested => "nested",
            Layout::Hosts => "hosts of a /16",
            Layout::Tunnels => "a tunnel each",
        }
    }

    /// The destination of packets that the eroute with this number takes.
    fn destination(self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(match self {
            Layout::Disjoint | Layout::Tunnels => FIRST + (number << 8) + 1,
            Layout::Nested => FIRST + ((number / 16) << 16) + 1,
            Layout::Hosts => FIRST + (number & 0xffff),
        })
    }

    /// The packets of the eroute with this number.
    fn flow(self, number: u32) -> Flow {
        let (bits, from) = match self {
            Layout::Disjoint | Layout::Tunnels => (24, 16),
            Layout::Nested => (17 + number % 16, 16),
            Layout::Hosts => (32, 16 + (number >> 16)),
        };
        let network = self.destination(number).to_bits() & u32::MAX << (32 - bits);
        Flow {
            from: (FROM.0, from as u8),
            to: (Ipv4Addr::from_bits(network), bits as u8),
        }
    }
}

/// Measures rounds of so many packets among eroutes, as many as there may be.
pub(crate) fn run(clock: Clock, count: usize, largest: u32) -> Result<()> {
    for module in [Module::XfrmUser, Module::Klips] {
        module.load()?;
        for layout in [
            Layout::Disjoint,
            Layout::Nested,
            Layout::Hosts,
            Layout::Tunnels,
        ] {
            for size in SIZES.into_iter().filter(|size| *size <= largest) {
                // What xfrm has made of the networks of other policies does not go with these.
                let bench = Bench::new(clock, module, count)?;
                measure(&bench, module, layout, size)?;
                eprintln!("bench: {} {} {size} done", module.name(), layout.name());
            }
        }
        module.unload()?;
    }
    Ok(())
}

fn measure(bench: &Bench, module: Module, layout: Layout, size: u32) -> Result<()> {
    bench.set_up(&CHAINS[0], &CIPHERS[0], &OUT)?;
    bench.a.run("ip route add default via 10.0.0.2")?;
    let what = format!("packet among eroutes: {}", layout.name());
    let flows = (0..size).map(|number| layout.flow(number));
    let mut socket = match layout {
        Layout::Tunnels => bench.make_tunnels(flows),
        _ => bench.make_eroutes(flows),
    }
    .with_context(|| what.clone())?;
    let host = bench.host()?;
    let mut numbers = (0..size).cycle().step_by(STRIDE as usize);
    let took = bench.rounds(|count| {
        for number in numbers.by_ref().take(count) {
            host.send_to(b"which way?", (layout.destination(number), PORT))?;
        }
        Ok(())
    })?;
    let setting = Setting {
        sas: size,
        ..bench.setting
    };
    setting.tell_each(&what, took, u32::try_from(bench.count)?);
    socket.request(&module.clear_eroutes())?;
    bench.clear()
}
