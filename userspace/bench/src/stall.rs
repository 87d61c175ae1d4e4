// SPDX-License-Identifier: GPL-2.0

//! How long one request makes others wait.
//!
//! While one thread makes a request that takes long, another one asks for an SA again and again.
//! It has real-time priority: on a machine with one processor it waits only for locks, and for
//! sections of the kernel that can't be interrupted.

use crate::{
    measure::{self, Setting},
    memory::Memory,
    message,
    socket::Socket,
    table::Table,
    workload::{GROUPS, ListReader, SAS},
};
use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, unshare};
use rustix::{
    thread::clock_nanosleep_absolute,
    time::{ClockId, Timespec},
};
use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// Nanoseconds between an answer and the next request.
const PAUSE: u64 = 20_000;
/// How many eroutes are added, replaced and deleted one by one.
const CHANGES: u32 = 20;
/// How long the undisturbed case takes.
const QUIET: Duration = Duration::from_millis(100);
/// Time between two looks at whether a namespace's memory has come back.
const LOOK: Duration = Duration::from_millis(10);
/// How many such looks there are at most.
const LOOKS: u32 = 10_000;

/// The longest that the asking thread had to wait, in nanoseconds.
#[derive(Clone, Copy, Default)]
struct Longest {
    /// From when it was to wake up until it had its answer.
    due: u64,
    /// From its request to the answer.
    answer: u64,
}

/// Measures all requests that take long with a table of this size.
pub(crate) fn run(table: &Table, sas: u32) -> Result<()> {
    table.fill(0..sas)?;
    let setting = table.setting(sas, 0);
    measure_one(table, setting, "stall by nothing", spin)?;
    measure_one(table, setting, "stall by ADD", || {
        table.fill(sas..sas + 1000).map(drop)
    })?;
    measure_one(table, setting, "stall by DUMP", || {
        Socket::open()?.dump().map(drop)
    })?;
    if table.module.has_groups() {
        let mut reader = ListReader::new();
        for list in [GROUPS, SAS] {
            let name = list.rsplit('/').next().unwrap_or(list);
            measure_one(table, setting, &format!("stall by {name}"), || {
                reader.read(list).map(drop)
            })?;
        }
    }
    for (what, flush) in [
        ("FLUSH of one type", message::flush_esp()),
        ("FLUSH", message::flush()),
    ] {
        // What the other thread asks for is gone then; all sockets are told that.
        measure_one(table, setting, &format!("stall by {what}"), || {
            Socket::open()?.request_among_others(&flush)
        })?;
        table.flush()?;
        table.fill(0..sas)?;
    }
    measure_one(table, setting, "stall by end of a namespace", || {
        in_namespace(|| table.fill(0..sas).map(drop))
    })?;
    table.flush().map(drop)
}

/// Measures all requests that take long with this many eroutes, each through SAs of its own, and with
/// this many SAs that have a state. Nothing is there before.
pub(crate) fn with_eroutes(table: &Table, size: u32) -> Result<()> {
    let (module, setting) = (table.module, table.setting(size, 0));
    let eroutes = || -> Result<()> {
        let sas = 0..size + 2 * CHANGES;
        table.request(sas, |number| module.prepare(&table.sa(number)))?;
        table.request(0..size, |number| table.add_eroute(number))?;
        Ok(())
    };
    let live = || -> Result<()> {
        table.request(0..size, |number| module.add_live(&table.sa(number)))?;
        Ok(())
    };
    let new = size..size + CHANGES;
    let measure = |what: &str, work: &dyn Fn() -> Result<()>| {
        measure_one(
            table,
            setting,
            &format!("stall among eroutes by {what}"),
            work,
        )
    };
    let once = |message: Vec<u8>| Socket::to(module)?.request_among_others(&message);
    eroutes()?;
    measure("ADDFLOW", &|| {
        let add = |number| table.add_eroute(number);
        table.request(new.clone(), add).map(drop)
    })?;
    measure("REPLACE", &|| {
        let replace = |number| table.replace_eroute(number, number + CHANGES);
        table.request(new.clone(), replace).map(drop)
    })?;
    measure("DELFLOW", &|| {
        let delete = |number| module.delete_eroute(&table.sa(number));
        table.request(new.clone(), delete).map(drop)
    })?;
    measure("DELFLOW of all", &|| once(module.clear_eroutes()))?;
    once(module.flush())?;
    eroutes()?;
    measure("FLUSH", &|| once(module.flush()))?;
    once(module.clear_eroutes())?;
    live()?;
    measure("FLUSH of live SAs", &|| once(module.flush()))?;
    measure("end of a namespace", &|| {
        in_namespace(|| {
            live()?;
            eroutes()
        })
    })
}

/// Asks while `work` is done, and writes what came of it under the name `what`.
pub(crate) fn measure_one(
    table: &Table,
    setting: Setting,
    what: &str,
    work: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let over = AtomicBool::new(false);
    let (ready, is_ready) = mpsc::channel();
    let longest = thread::scope(|scope| {
        let asking = scope.spawn(|| ask(table, &over, ready));
        // It fails if that thread is over before; why, it says itself.
        let worked = is_ready.recv().map_or(Ok(()), |()| work());
        over.store(true, Ordering::Relaxed);
        let longest = asking
            .join()
            .map_err(|_| anyhow!("the asking thread panicked"))?;
        worked.and(longest)
    })
    .with_context(|| format!("{what} at {setting:?}"))?;
    setting.tell_each(&format!("{what}: GET"), longest.answer, 1);
    setting.tell_each(&format!("{what}: due"), longest.due, 1);
    Ok(())
}

/// Asks for an SA until it is over, which begins once this is ready.
fn ask(table: &Table, over: &AtomicBool, ready: mpsc::Sender<()>) -> Result<Longest> {
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Crossplatform(50_u8.try_into().map_err(|error: String| anyhow!(error))?),
        ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo),
    )
    .map_err(|error| anyhow!("no real-time priority: {error:?}"))?;
    let mut socket = Socket::open()?;
    let get = message::get(&table.sa(0));
    let mut once = || -> Result<Longest> {
        let due = measure::now() + PAUSE;
        sleep_until(due)?;
        let asked = measure::now();
        socket.ask(&get)?;
        let answered = measure::now();
        Ok(Longest {
            due: answered - due,
            answer: answered - asked,
        })
    };
    // Once before, so that all memory is there.
    once()?;
    ready.send(())?;
    let mut longest = Longest::default();
    while !over.load(Ordering::Relaxed) {
        let this = once()?;
        longest.answer = longest.answer.max(this.answer);
        longest.due = longest.due.max(this.due);
    }
    Ok(longest)
}

fn sleep_until(nanoseconds: u64) -> Result<()> {
    let time = Timespec {
        tv_sec: i64::try_from(nanoseconds / 1_000_000_000)?,
        tv_nsec: i64::try_from(nanoseconds % 1_000_000_000)?,
    };
    Ok(clock_nanosleep_absolute(ClockId::Monotonic, &time)?)
}

/// Keeps the processor busy outside the kernel.
fn spin() -> Result<()> {
    let end = measure::now() + u64::try_from(QUIET.as_nanos())?;
    while measure::now() < end {
        std::hint::spin_loop();
    }
    Ok(())
}

/// Fills a namespace of its own, and waits until the kernel has given that back.
fn in_namespace(fill: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    let before = Memory::now()?;
    let filled = thread::scope(|scope| {
        let filling = scope.spawn(|| -> Result<Memory> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            fill()?;
            Memory::now()
        });
        filling
            .join()
            .map_err(|_| anyhow!("the filling thread panicked"))?
    })?;
    // Some of it stays with the allocator.
    let half = f64::midpoint(before.slab, filled.slab);
    let mut last = filled.slab;
    for _ in 0..LOOKS {
        thread::sleep(LOOK);
        let slab = Memory::now()?.slab;
        if slab < half && slab >= last {
            return Ok(());
        }
        last = slab;
    }
    Err(anyhow!("the namespace's memory does not come back"))
}
