// SPDX-License-Identifier: GPL-2.0

//! What the guest's memory is used for.

use crate::measure::Setting;
use anyhow::{Context, Result};
use std::fs;

/// What `/proc` says, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// Memory that nobody uses, with what each processor has put aside for itself.
    pub(crate) free: f64,
    /// Memory of the slab allocator.
    pub(crate) slab: f64,
}

impl Memory {
    pub(crate) fn now() -> Result<Self> {
        let info = fs::read_to_string("/proc/meminfo")?;
        let field = |name: &str| -> Result<f64> {
            let line = info
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kilobytes = line.and_then(|line| line.split_whitespace().next());
            let kilobytes: f64 = kilobytes.context("/proc/meminfo lacks a field")?.parse()?;
            Ok(kilobytes * 1024.0)
        };
        Ok(Memory {
            free: field("MemFree")? + put_aside()?,
            slab: field("Slab")?,
        })
    }

    /// Writes how much more is used than was before, for each SA.
    pub(crate) fn tell_since(&self, before: &Memory, setting: Setting, what: &str) {
        let each = |bytes: f64| bytes / f64::from(setting.sas);
        setting.tell(
            &format!("slab per {what}"),
            "B",
            each(self.slab - before.slab),
        );
        setting.tell(
            &format!("memory per {what}"),
            "B",
            each(before.free - self.free),
        );
    }
}

/// Bytes of free pages that are in the lists of single processors.
fn put_aside() -> Result<f64> {
    const PAGE: f64 = 4096.0;
    let info = fs::read_to_string("/proc/zoneinfo")?;
    let counts = info
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("count:"));
    let pages: Vec<f64> = counts
        .map(|count| count.trim().parse())
        .collect::<Result<_, _>>()?;
    Ok(pages.iter().sum::<f64>() * PAGE)
}
