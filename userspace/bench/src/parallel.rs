// SPDX-License-Identifier: GPL-2.0

//! How much work klips does with all the processors that there are: one thread for each.

use crate::{
    measure::{self, COLUMNS, Clock},
    message::{self, Gateways},
    module::Module,
    socket::Socket,
    table::Table,
    traffic,
    workload::{GROUPS, ListReader},
};
use anyhow::{Result, anyhow};
use nix::sched::{CloneFlags, unshare};
use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// SAs that are in the table meanwhile.
const SAS: u32 = 10_000;
/// How far apart the numbers of the SAs are that threads make.
const APART: u32 = 1_000_000;
/// How long the threads work.
const TIME: Duration = Duration::from_millis(250);
/// How often they do, for the processors of an emulator wait for those of its machine: what counts
/// is the time in which most was done.
const TIMES: u32 = 12;

/// What a thread does again and again.
#[derive(Clone, Copy)]
enum Work {
    /// ADD, GET and DELETE of an SA, in a network namespace of its own.
    Alone,
    /// The same in one namespace with the others.
    Together,
    /// Only GET.
    Get,
    /// Only reads the list of groups.
    List,
}

/// Does all cases, and writes how many requests (of the list: lines) a second came of them; and the same
/// of packets.
pub(crate) fn run() -> Result<()> {
    println!("{COLUMNS}");
    let cpus = u32::try_from(thread::available_parallelism()?.get())?;
    // Before klips is there: who uses `ip xfrm` does not have it loaded.
    traffic::run(Module::XfrmUser, cpus)?;
    let table = Table {
        clock: Clock::Nanoseconds,
        module: Module::Klips,
        gateways: Gateways::Many,
    };
    table.module.load()?;
    table.fill(0..SAS)?;
    let mut setting = table.setting(SAS, 0);
    setting.cpus = cpus;

    // The first thread's rate, and that of the others together.
    let rates = |first, others| -> Result<(f64, f64)> {
        let works = (0..cpus).map(|index| if index == 0 { first } else { others });
        let works: Vec<_> = works.collect();
        let mut best = (0.0_f64, 0.0_f64);
        for _ in 0..TIMES {
            let rates = at_once(&table, &works)?;
            let now = (rates[0], rates[1..].iter().sum::<f64>());
            // The product, for a line and a request are not the same amount of work.
            if now.0 * now.1.max(1.0) > best.0 * best.1.max(1.0) {
                best = now;
            }
        }
        Ok(best)
    };
    for (what, work) in [
        ("own namespaces", Work::Alone),
        ("one namespace", Work::Together),
        ("GET", Work::Get),
    ] {
        let (first, others) = rates(work, work)?;
        setting.tell(what, "1/s", first + others);
    }
    for (writer, reader, work) in [
        ("writer beside GET", "GET beside a writer", Work::Get),
        (
            "writer beside /proc",
            "/proc lines beside a writer",
            Work::List,
        ),
    ] {
        let (first, others) = rates(Work::Together, work)?;
        setting.tell(writer, "1/s", first);
        if cpus > 1 {
            setting.tell(reader, "1/s", others);
        }
    }
    traffic::run(Module::Klips, cpus)
}

/// Lets a thread do each of the works, all at once. Returns each one's rate per second.
fn at_once(table: &Table, works: &[Work]) -> Result<Vec<f64>> {
    let over = AtomicBool::new(false);
    let start = Barrier::new(works.len() + 1);
    thread::scope(|scope| {
        let threads: Vec<_> = (1..)
            .zip(works)
            .map(|(index, work)| {
                let (over, start) = (&over, &start);
                scope.spawn(move || work.repeat(table, index * APART, start, over))
            })
            .collect();
        start.wait();
        thread::sleep(TIME);
        over.store(true, Ordering::Relaxed);
        let joined = threads.into_iter().map(|thread| {
            thread
                .join()
                .map_err(|_| anyhow!("a working thread panicked"))?
        });
        joined.collect()
    })
}

impl Work {
    /// Goes on until it is over. `number` is that of an SA that only this thread makes.
    fn repeat(self, table: &Table, number: u32, start: &Barrier, over: &AtomicBool) -> Result<f64> {
        let prepared = self.prepare();
        // Whatever happened, the others must not wait in vain.
        start.wait();
        let mut socket = prepared?;
        let sa = table.sa(number);
        let own = [message::add(&sa), message::get(&sa), message::delete(&sa)];
        let get = message::get(&table.sa(0));
        let mut reader = ListReader::new();
        let mut done = 0;
        let begin = measure::now();
        while !over.load(Ordering::Relaxed) {
            done += match self {
                Work::Alone | Work::Together => {
                    for message in &own {
                        socket.request_among_others(message)?;
                    }
                    3
                }
                Work::Get => {
                    socket.request_among_others(&get)?;
                    1
                }
                Work::List => reader.read(GROUPS)?,
            };
        }
        // CAST: exact up to 2^53.
        let seconds = (measure::now() - begin) as f64 / 1e9;
        Ok(f64::from(done) / seconds)
    }

    fn prepare(self) -> Result<Socket> {
        if let Work::Alone = self {
            unshare(CloneFlags::CLONE_NEWNET)?;
        }
        Socket::open()
    }
}
