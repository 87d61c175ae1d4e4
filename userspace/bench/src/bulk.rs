// SPDX-License-Identifier: GPL-2.0

//! What a stream costs that goes through eroutes, both ends' transforms in one, beside the same states
//! and policies by `ip xfrm`. The other end is set up by `ip xfrm` in any case.

use crate::{
    measure::{self, Clock, Setting},
    message::Flow,
    module::Module,
    packets::{Bench, CHAINS, CIPHERS, IN, OUT},
};
use anyhow::{Context, Result, ensure};
use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream},
};

/// Numbers of eroutes.
const SIZES: [u32; 2] = [1, 1_000];
/// How often all of it is sent. The least that this took is told.
const ROUNDS: usize = 5;
/// Streams of a round, each through another eroute, as far as there are so many.
const STREAMS: u32 = 4;
/// Bytes of a stream.
const LENGTH: usize = 512 << 10;
/// The network behind the other gateway, and the first of its hosts.
const NETWORK: u32 = 0x0a02_0000;
const HOST: u32 = 2;
const PORT: u16 = 4712;

/// Measures streams, among as many eroutes as there may be.
pub(crate) fn run(clock: Clock) -> Result<()> {
    for module in [Module::XfrmUser, Module::Klips] {
        module.load()?;
        for size in SIZES {
            let bench = Bench::new(clock, module, 0)?;
            measure(&bench, size)?;
            eprintln!("bench: streams of {} {size} done", module.name());
        }
        module.unload()?;
    }
    Ok(())
}

/// The host that the eroute with this number leads to.
fn host(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(NETWORK + HOST + number)
}

fn measure(bench: &Bench, size: u32) -> Result<()> {
    let (chain, cipher) = (&CHAINS[0], &CIPHERS[0]);
    bench.set_up_peer(chain, cipher)?;
    bench.set_up(chain, cipher, &OUT)?;
    bench.make_eroutes((0..size).map(|number| Flow {
        from: (Ipv4Addr::new(10, 1, 0, 0), 16),
        to: (host(number), 32),
    }))?;
    bench.set_up(chain, cipher, &IN)?;
    bench
        .a
        .run("ip route add 10.2.0.0/16 via 10.0.0.2 src 10.1.0.1")?;
    // All of the network is here.
    bench.b.run("ip route add local 10.2.0.0/16 dev lo")?;
    let mut took = [0; ROUNDS + 1];
    for took in &mut took {
        for stream in 0..STREAMS {
            *took += send(bench, host(stream * size / STREAMS))?;
        }
    }
    let counters = bench.a.counters()?;
    counters.expect(&[]).context("streams were disturbed")?;
    let least = took[1..].iter().copied().min().unwrap_or_default();
    let setting = Setting {
        sas: size,
        ..bench.setting
    };
    let megabytes = (LENGTH * STREAMS as usize) >> 20;
    let what = format!("stream per MB: {} {}", chain.name, cipher.name);
    setting.tell_each(&what, least, u32::try_from(megabytes)?);
    bench.clear()
}

/// Sends a stream to a host behind the other gateway. Returns how long that takes, once it is
/// connected.
fn send(bench: &Bench, to: Ipv4Addr) -> Result<u64> {
    let listener = bench.b.within(|| Ok(TcpListener::bind((to, PORT))?))?;
    let mut sender = bench.a.within(|| Ok(TcpStream::connect((to, PORT))?))?;
    let (mut receiver, from) = listener.accept()?;
    ensure!(from.ip() == IpAddr::from([10, 1, 0, 1]), "from {from}");
    sender.set_nonblocking(true)?;
    receiver.set_nonblocking(true)?;
    let data = vec![0x5a; LENGTH];
    let mut buffer = vec![0; LENGTH];
    let (mut sent, mut received) = (0, 0);
    measure::time(|| {
        // Nobody sleeps: what is waited for would count.
        while received < LENGTH {
            sent += some(sender.write(&data[sent..]))?;
            received += some(receiver.read(&mut buffer[received..]))?;
        }
        Ok(())
    })
}

/// How many bytes went, if any.
fn some(result: std::io::Result<usize>) -> Result<usize> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        result => Ok(result?),
    }
}
