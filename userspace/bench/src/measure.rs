// SPDX-License-Identifier: GPL-2.0

//! The clock, and a line of output for each thing measured.
//!
//! In a guest that counts instructions the clock goes on by a nanosecond with each of them.

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};

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

/// Under which circumstances something is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'a> {
    /// The module.
    pub(crate) module: &'a str,
    /// `one` or `many`.
    pub(crate) gateways: &'a str,
    /// SAs in the table.
    pub(crate) sas: u32,
    /// Sockets that are open and never read.
    pub(crate) listeners: u32,
}

/// What the lines mean; the first one.
pub(crate) const COLUMNS: &str = "module,gateways,sas,listeners,what,unit,value";

impl Setting<'_> {
    /// Writes a line.
    pub(crate) fn tell(&self, what: &str, unit: &str, value: f64) {
        let Setting {
            module,
            gateways,
            sas,
            listeners,
        } = self;
        println!("{module},{gateways},{sas},{listeners},{what},{unit},{value:.1}");
    }

    /// Writes a line about `count` operations that took `total` nanoseconds.
    pub(crate) fn tell_each(&self, what: &str, total: u64, count: u32) {
        // CAST: exact up to 2^53, which is some months.
        self.tell(what, "ns", total as f64 / f64::from(count));
    }
}
