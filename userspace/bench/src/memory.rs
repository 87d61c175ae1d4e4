// SPDX-License-Identifier: GPL-2.0

//! What the guest's memory is used for.

use anyhow::{Context, Result};
use std::fs;

/// What `/proc/meminfo` says, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// Memory that nobody uses.
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
            free: field("MemFree")?,
            slab: field("Slab")?,
        })
    }
}
