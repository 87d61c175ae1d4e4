// SPDX-License-Identifier: GPL-2.0

//! How many packets are forwarded through an eroute while somebody else keeps the module busy: klips, or
//! `xfrm_user` for the same packets through the same states and policy.

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

/// SAs that have a state meanwhile, and are read.
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
    /// Somebody reads all SAs.
    Reader,
    /// A daemon makes a new group, has the eroute go through it, and removes the old one.
    Daemon,
    /// The same, and somebody reads what all are told of it.
    Listener,
    /// The SA that the packets go through is updated, so that it gets another state.
    Swaps,
}

impl Beside {
    /// Names of what is measured: packets, and what the other one does.
    fn names(self) -> (&'static str, Option<&'static str>) {
        match self {
            Beside::Nothing => ("packets", None),
            Beside::Reader => ("packets beside a reader", Some("SAs read beside packets")),
            Beside::Daemon => (
                "packets beside a rekeying daemon",
                Some("new keys beside packets"),
            ),
            Beside::Listener => ("packets beside that and a listener", None),
            Beside::Swaps => ("packets beside swaps", Some("swaps beside packets")),
        }
    }

    /// What packets may be lost by, as it is called.
    fn change(self) -> Option<&'static str> {
        match self {
            Beside::Nothing | Beside::Reader => None,
            Beside::Daemon => Some("packets lost by new keys"),
            Beside::Listener => Some("packets lost by new keys beside a listener"),
            Beside::Swaps => Some("packets lost by a swap"),
        }
    }
}

/// An eroute whose group is made anew again and again.
struct Keys {
    module: Module,
    socket: Socket,
    listener: Option<Socket>,
}

impl Keys {
    /// In the namespace of the thread.
    fn new(module: Module, has_listener: bool) -> Result<Self> {
        let listener = has_listener.then(|| Socket::listener(module));
        Ok(Keys {
            module,
            socket: Socket::to(module)?,
            listener: listener.transpose()?,
        })
    }

    fn sa(spi: u32) -> Result<Sa> {
        Ok(Sa::between(spi, OUT.src.parse()?, OUT.dst.parse()?))
    }

    fn renew(&mut self) -> Result<()> {
        let spi = NEXT.fetch_add(1, Ordering::Relaxed);
        let flow = Flow {
            from: (Ipv4Addr::new(10, 1, 0, 0), 16),
            to: (Ipv4Addr::new(10, 2, 0, 0), 16),
        };
        let new = Self::sa(spi)?;
        let prepare = self.module.prepare(&new);
        for request in [prepare, self.module.replace_eroute(&flow, &new)].concat() {
            self.request(&request)?;
        }
        if spi > SPI {
            let old = Self::sa(spi - 1)?;
            self.request(&self.module.delete(&old))?;
        }
        if let Some(listener) = &mut self.listener {
            listener.drain()?;
        }
        Ok(())
    }

    /// The same keys again for the SA that was made last.
    fn swap(&mut self) -> Result<()> {
        let sa = Self::sa(NEXT.load(Ordering::Relaxed) - 1)?;
        self.request(&message::update(&sa))
    }

    /// Makes a request. All of a group are told of that go with one of it.
    fn request(&mut self, message: &[u8]) -> Result<()> {
        self.socket.request(message)?;
        self.socket.drain()
    }
}

/// What both did.
#[derive(Clone, Copy, Default)]
struct Done {
    /// Packets that went through, a second.
    packets: f64,
    /// How often a second the other one did what it does.
    other: f64,
    /// How often that is in all, and how many packets were lost.
    changes: u32,
    lost: u32,
}

/// Writes how many packets a second went through, and how much the other one did, with so many processors.
/// The module is loaded.
pub(crate) fn run(module: Module, cpus: u32) -> Result<()> {
    NEXT.store(SPI, Ordering::Relaxed);
    let bench = Bench::new(Clock::Nanoseconds, module, 0)?;
    bench.set_up(&CHAINS[0], &CIPHERS[0], &OUT)?;
    let table = Table {
        clock: Clock::Nanoseconds,
        module,
        gateways: Gateways::Many,
    };
    bench.a.within(|| {
        table.request(0..SAS, |number| module.add_live(&table.sa(number)))?;
        // All cases with the same algorithms.
        Keys::new(module, false)?.renew()
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
        Beside::Swaps,
    ] {
        // Mainline changes no keys of a state.
        if beside == Beside::Swaps && !module.has_groups() {
            continue;
        }
        let (packets, other) = beside.names();
        let mut best = Done::default();
        let (mut changes, mut lost) = (0, 0);
        for _ in 0..TIMES {
            let done = both(&bench, &host, beside).context(packets)?;
            changes += done.changes;
            lost += done.lost;
            if done.packets > best.packets {
                best = done;
            }
        }
        setting.tell(packets, "1/s", best.packets);
        if let Some(other) = other {
            setting.tell(other, "1/s", best.other);
        }
        if let Some(change) = beside.change() {
            let lost = f64::from(lost) / f64::from(changes.max(1));
            setting.tell(change, "of 1000", lost * 1000.0);
        }
    }
    bench.clear()
}

/// What is done while both do what they do, at once.
fn both(bench: &Bench, host: &UdpSocket, beside: Beside) -> Result<Done> {
    let before = bench.b.counters()?;
    let over = AtomicBool::new(false);
    let module = bench.module;
    let (sent, seconds, done) = thread::scope(|scope| {
        let other = scope.spawn(|| bench.a.within(|| keep_busy(module, beside, &over)));
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
    let lost = sent - arrived;
    let changes = beside.change().map_or(0, |_| done);
    // A swap that is interrupted loses more than the packet that is under way.
    ensure!(
        lost <= changes || beside == Beside::Swaps,
        "{lost} of {sent} packets are lost, {done} times"
    );
    Ok(Done {
        packets: f64::from(arrived) / seconds,
        other: f64::from(done) / seconds,
        changes,
        lost,
    })
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
fn keep_busy(module: Module, beside: Beside, over: &AtomicBool) -> Result<u32> {
    let mut keys = Keys::new(module, beside == Beside::Listener)?;
    let mut reader = ListReader::new();
    let mut done = 0;
    while !over.load(Ordering::Relaxed) {
        done += match beside {
            Beside::Nothing => return Ok(0),
            Beside::Reader if module.has_groups() => reader.read(LIST)?,
            Beside::Reader => keys.socket.dump_states()?,
            Beside::Daemon | Beside::Listener => {
                keys.renew()?;
                1
            }
            Beside::Swaps => {
                keys.swap()?;
                1
            }
        };
    }
    Ok(done)
}
