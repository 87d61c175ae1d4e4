// SPDX-License-Identifier: GPL-2.0

//! How many packets are forwarded through an eroute while somebody else keeps klips busy.

use crate::{
    measure::{self, Clock, Setting},
    message::{self, Flow, Gateways, Sa},
    module::Module,
    packets::{Bench, CHAINS, CIPHERS, OUT, PORT},
    socket::Socket,
    table::Table,
    workload::ListReader,
};
use anyhow::{Context, Result, anyhow, ensure};
use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::Duration,
};
use testnet::V4;

/// SAs that are in the table meanwhile.
const SAS: u32 = 10_000;
/// The list of them, of the thread's own namespace.
const LIST: &str = "/proc/thread-self/net/ipsec_spi";
/// How long packets are sent.
const TIME: Duration = Duration::from_millis(250);
/// How often: what counts is the time in which most went through.
const TIMES: u32 = 8;
/// How long the last of them may be under way.
const UNDER_WAY: Duration = Duration::from_millis(50);
/// SPI of the first SA that takes another's place.
const SPI: u32 = 0x10_0000;
/// That of the next one.
static NEXT: AtomicU32 = AtomicU32::new(SPI);

/// What goes on beside the packets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// Somebody reads the list of SAs.
    Reader,
    /// A daemon makes a new group, has the eroute go through it, and removes the old one.
    Daemon,
    /// The same, and somebody reads what all are told of it.
    Listener,
}

impl Beside {
    /// Names of what is measured: packets, and what the other one does.
    fn names(self) -> (&'static str, Option<&'static str>) {
        match self {
            Beside::Nothing => ("packets", None),
            Beside::Reader => (
                "packets beside a reader of /proc",
                Some("/proc lines beside packets"),
            ),
            Beside::Daemon => (
                "packets beside a rekeying daemon",
                Some("new keys beside packets"),
            ),
            Beside::Listener => ("packets beside that and a listener", None),
        }
    }
}

/// An eroute whose group is made anew again and again.
struct Keys {
    socket: Socket,
    listener: Option<Socket>,
}

impl Keys {
    /// In the namespace of the thread.
    fn new(has_listener: bool) -> Result<Self> {
        Ok(Keys {
            socket: Socket::to(Module::Klips)?,
            listener: has_listener.then(Socket::open).transpose()?,
        })
    }

    fn renew(&mut self) -> Result<()> {
        let spi = NEXT.fetch_add(1, Ordering::Relaxed);
        let sa = |spi| -> Result<Sa> { Ok(Sa::between(spi, OUT.src.parse()?, OUT.dst.parse()?)) };
        let flow = Flow {
            from: (Ipv4Addr::new(10, 1, 0, 0), 16),
            to: (Ipv4Addr::new(10, 2, 0, 0), 16),
        };
        let new = sa(spi)?;
        for request in Module::Klips.prepare(&new) {
            self.socket.request_among_others(&request)?;
        }
        let replace = message::replace_flow(&flow, &new.tunnel());
        self.socket.request_among_others(&replace)?;
        if spi > SPI {
            let delete = message::delete(&sa(spi - 1)?);
            self.socket.request_among_others(&delete)?;
        }
        if let Some(listener) = &mut self.listener {
            listener.drain()?;
        }
        Ok(())
    }
}

/// Writes how many packets a second went through, and how much the other one did, with so many processors.
pub(crate) fn run(cpus: u32) -> Result<()> {
    let bench = Bench::new(Clock::Nanoseconds, Module::Klips, 0)?;
    bench.set_up(&CHAINS[0], &CIPHERS[0], &OUT)?;
    let table = Table {
        clock: Clock::Nanoseconds,
        module: Module::Klips,
        gateways: Gateways::Many,
    };
    bench.a.within(|| {
        table.fill(0..SAS)?;
        // All cases with the same algorithms.
        Keys::new(false)?.renew()
    })?;
    let host = bench.host()?;
    host.connect((V4.inner.1, PORT))?;
    let setting = Setting {
        cpus,
        ..bench.setting
    };
    for beside in [
        Beside::Nothing,
        Beside::Reader,
        Beside::Daemon,
        Beside::Listener,
    ] {
        let (packets, other) = beside.names();
        let mut best = (0.0_f64, 0.0_f64);
        for _ in 0..TIMES {
            let rates = rates(&bench, &host, beside).context(packets)?;
            if rates.0 > best.0 {
                best = rates;
            }
        }
        setting.tell(packets, "1/s", best.0);
        if let Some(other) = other {
            setting.tell(other, "1/s", best.1);
        }
    }
    bench.clear()
}

/// How often a second both do what they do, at once.
fn rates(bench: &Bench, host: &UdpSocket, beside: Beside) -> Result<(f64, f64)> {
    let before = bench.b.counters()?;
    let over = AtomicBool::new(false);
    let (sent, seconds, done) = thread::scope(|scope| {
        let other = scope.spawn(|| bench.a.within(|| keep_busy(beside, &over)));
        let sender = scope.spawn(|| send(host, &over));
        thread::sleep(TIME);
        over.store(true, Ordering::Relaxed);
        let panicked = |_| anyhow!("a working thread panicked");
        let (sent, seconds) = sender.join().map_err(panicked)??;
        let done = other.join().map_err(panicked)??;
        anyhow::Ok((sent, seconds, done))
    })?;
    thread::sleep(UNDER_WAY);
    // The other end has no state for them, and drops each.
    let arrived = bench.b.counted_since(&before)?.of("XfrmInNoStates");
    let arrived = u32::try_from(arrived)?;
    // New keys may lose the packet that is under way.
    let lost = sent - arrived;
    let is_lossy = matches!(beside, Beside::Daemon | Beside::Listener);
    ensure!(
        lost == 0 || is_lossy && lost <= done,
        "{lost} of {sent} packets are lost, {done} times"
    );
    Ok((f64::from(arrived) / seconds, f64::from(done) / seconds))
}

/// Sends packets until it is over. Returns how many, and in how many seconds.
fn send(host: &UdpSocket, over: &AtomicBool) -> Result<(u32, f64)> {
    let begin = measure::now();
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        host.send(b"anybody else?")?;
        sent += 1;
    }
    // CAST: exact up to 2^53.
    Ok((sent, (measure::now() - begin) as f64 / 1e9))
}

/// Does what goes on beside packets until it is over. Returns how often.
fn keep_busy(beside: Beside, over: &AtomicBool) -> Result<u32> {
    let mut keys = Keys::new(beside == Beside::Listener)?;
    let mut reader = ListReader::new();
    let mut done = 0;
    while !over.load(Ordering::Relaxed) {
        done += match beside {
            Beside::Nothing => return Ok(0),
            Beside::Reader => reader.read(LIST)?,
            Beside::Daemon | Beside::Listener => {
                keys.renew()?;
                1
            }
        };
    }
    Ok(done)
}
