// SPDX-License-Identifier: GPL-2.0

//! The clock, and a line of output for each thing measured.
//!
//! In a guest that counts instructions the clock goes on by a nanosecond with each of them. (And
//! while nobody has anything to do, up to the moment when somebody has.)

use anyhow::Result;
use clap::ValueEnum;
use nix::{
    errno::Errno,
    time::{ClockId as CpuClock, clock_getcpuclockid},
    unistd::Pid,
};
use rustix::time::{ClockId, clock_gettime};
use std::{collections::BTreeMap, fs, thread, time::Duration};

/// What the clock counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Clock {
    Instructions,
    Nanoseconds,
}

/// Nanoseconds since some time in the past.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // CAST: neither is negative.
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// How long `work` takes, in nanoseconds.
pub(crate) fn time(work: impl FnOnce() -> Result<()>) -> Result<u64> {
    let start = now();
    work()?;
    Ok(now() - start)
}

/// How long the kernel's workers have to do nothing to be done: longer than a grace period.
const QUIET: Duration = Duration::from_millis(100);

/// What processes have executed.
type Executed = BTreeMap<Pid, Duration>;

/// How long `work` takes, and what workers of the kernel do for it, be it meanwhile or afterwards.
/// Only what is executed counts, not what is waited for.
///
/// What workers do for others in that time counts too. What they do only after they have been quiet
/// does not, nor what other threads of the kernel do, or one that has ended.
pub(crate) fn time_with_workers(work: impl FnOnce() -> Result<()>) -> Result<u64> {
    let us = clock_getcpuclockid(Pid::this())?;
    let workers = quiet_workers()?;
    let ours = executed(us)?;
    work()?;
    let ours = executed(us)? - ours;
    let theirs = quiet_workers()?.into_iter().map(|(worker, executed)| {
        let before = workers.get(&worker).copied().unwrap_or_default();
        // Another may have got its number.
        executed.saturating_sub(before)
    });
    Ok(u64::try_from((ours + theirs.sum::<Duration>()).as_nanos())?)
}

fn executed(clock: CpuClock) -> Result<Duration, Errno> {
    clock.now().map(Duration::from)
}

/// The workers of the kernel, when they have nothing left to do.
fn quiet_workers() -> Result<Executed> {
    let mut before = workers()?;
    loop {
        thread::sleep(QUIET);
        let now = workers()?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
}

/// The workers of the kernel.
fn workers() -> Result<Executed> {
    let mut workers = Executed::new();
    for process in fs::read_dir("/proc")? {
        let process = process?;
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
            .map(Pid::from_raw)
        else {
            continue;
        };
        // It may have ended by now, which its clock tells in two ways.
        let Ok(name) = fs::read_to_string(process.path().join("comm")) else {
            continue;
        };
        if name.starts_with("kworker") {
            match clock_getcpuclockid(pid).and_then(executed) {
                Ok(executed) => drop(workers.insert(pid, executed)),
                Err(Errno::ESRCH | Errno::EINVAL) => (),
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(workers)
}

/// Under which circumstances something is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) clock: Clock,
    /// The module.
    pub(crate) module: &'static str,
    /// `one` or `many`, or `-` where that makes no difference.
    pub(crate) gateways: &'static str,
    /// SAs in the table.
    pub(crate) sas: u32,
    /// Sockets that are open and never read.
    pub(crate) listeners: u32,
    /// Processors of the machine.
    pub(crate) cpus: u32,
}

/// What the lines mean; the first one.
pub(crate) const COLUMNS: &str = "module,gateways,sas,listeners,cpus,what,unit,value";

impl Setting {
    /// Nothing in the table yet, nobody there.
    pub(crate) fn bare(clock: Clock, module: &'static str) -> Self {
        Setting {
            clock,
            module,
            gateways: "-",
            sas: 0,
            listeners: 0,
            cpus: 1,
        }
    }

    /// Writes a line.
    pub(crate) fn tell(&self, what: &str, unit: &str, value: f64) {
        let Setting {
            clock: _,
            module,
            gateways,
            sas,
            listeners,
            cpus,
        } = self;
        assert!(!what.contains(','), "no name of one field: {what}");
        println!("{module},{gateways},{sas},{listeners},{cpus},{what},{unit},{value:.1}");
    }

    /// Writes a line about something that took `total` on the clock, once for each of `count`.
    pub(crate) fn tell_each(&self, what: &str, total: u64, count: u32) {
        let unit = match self.clock {
            Clock::Instructions => "instructions",
            Clock::Nanoseconds => "ns",
        };
        // CAST: exact up to 2^53, which is some months.
        self.tell(what, unit, total as f64 / f64::from(count));
    }
}
