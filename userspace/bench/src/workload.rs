// SPDX-License-Identifier: GPL-2.0

//! What is measured at each size of the table.

use crate::{
    measure::{self, Setting},
    memory::Memory,
    message, program,
    socket::Socket,
    table::Table,
};
use anyhow::{Context, Result, ensure};
use std::{fs::File, io::Read, thread, time::Duration};

/// How often something is done to be measured.
const COUNT: u32 = 400;
/// SAs of the groups that are made at once.
const GROUP: u32 = 4;
/// How often DELETE is measured, for what workers of the kernel do is not always the same.
const ROUNDS: usize = 3;
/// How often a socket is closed.
const CLOSES: u32 = 10;

/// How long memory may take to come back.
const SETTLE: Duration = Duration::from_secs(2);

/// The list of groups.
pub(crate) const GROUPS: &str = "/proc/net/ipsec_spigrp";
/// The list of SAs.
pub(crate) const SAS: &str = "/proc/net/ipsec_spi";

/// Fills the table to a size, measures everything there, and empties it.
pub(crate) fn run(table: &Table, size: u32, listeners: &[u32]) -> Result<()> {
    let setting = table.setting(size, 0);
    let took = table.fill(0..size)?;
    setting.tell_each("ADD while filling", took, size);
    for &listeners in listeners {
        requests(table, table.setting(size, listeners))?;
    }
    dump(setting)?;
    if table.module.has_groups() {
        list(setting)?;
        tool(table, setting)?;
    }
    setting.tell_each("FLUSH per SA", table.flush()?, size);
    Ok(())
}

/// Measures how much memory an SA takes, with keys and without. The table is empty.
pub(crate) fn memory(table: &Table, size: u32) -> Result<()> {
    for (what, fill) in [
        ("with keys", Table::fill as fn(&_, _) -> _),
        ("without keys", Table::fill_tunnels),
    ] {
        // Of mainline's there is no SA without keys that could be compared.
        if what == "without keys" && !table.module.has_groups() {
            continue;
        }
        // Mainline frees what it was rid of some time later.
        thread::sleep(SETTLE);
        let before = Memory::now()?;
        fill(table, 0..size)?;
        let what = format!("SA {what}");
        Memory::now()?.tell_since(&before, table.setting(size, 0), &what);
        table.flush()?;
    }
    Ok(())
}

/// Measures one kind of request: all are made beforehand, and the answers read.
fn requests_of(
    setting: Setting,
    what: &str,
    messages: impl Iterator<Item = Vec<u8>>,
) -> Result<()> {
    let messages: Vec<_> = messages.collect();
    let took = time_requests(setting, &messages, |work| measure::time(work))
        .with_context(|| format!("{what} at {setting:?}"))?;
    setting.tell_each(what, took, u32::try_from(messages.len())?);
    Ok(())
}

/// How long it takes, by `time`, to write messages and read the answers.
fn time_requests(
    setting: Setting,
    messages: &[Vec<u8>],
    time: impl FnOnce(&mut dyn FnMut() -> Result<()>) -> Result<u64>,
) -> Result<u64> {
    let mut socket = Socket::open()?;
    let _idle = idle(setting.listeners)?;
    time(&mut || {
        messages
            .iter()
            .try_for_each(|message| socket.request(message))
    })
}

fn requests(table: &Table, setting: Setting) -> Result<()> {
    refused(setting)?;
    let size = setting.sas;
    let new = || (size..size + COUNT).map(|number| table.sa(number));
    // Far from each other, each once: a prime's multiples.
    let old = || (0..COUNT).map(|index| table.sa((index * 7919 + 13) % size));
    requests_of(setting, "ADD", new().map(|sa| message::add(&sa)))?;
    requests_of(setting, "GET", old().map(|sa| message::get(&sa)))?;
    if table.module.has_groups() {
        // The new ones, for each of them is there just once.
        let new: Vec<_> = new().collect();
        let pairs = || new.chunks_exact(2);
        let fours = || new.chunks_exact(GROUP as usize);
        let pair = pairs().map(|pair| message::link(&pair[0], &pair[1]));
        requests_of(setting, "X_GRPSA pair", pair)?;
        let ungroup = pairs().map(|pair| message::ungroup(&pair[1]));
        requests_of(setting, "ungroup", ungroup)?;
        let group = fours().map(message::group);
        requests_of(setting, "X_GRPSA of 4", group)?;
        let ungroup = fours().map(|four| message::ungroup(&four[1]));
        requests_of(setting, "ungroup of 4", ungroup)?;
    }
    delete(table, setting)?;
    close(setting, "close")
}

/// Measures DELETE of the SAs that were added last, with what workers of the kernel do: the median
/// of some rounds.
fn delete(table: &Table, setting: Setting) -> Result<()> {
    let numbers = setting.sas..setting.sas + COUNT;
    let messages: Vec<_> = numbers
        .clone()
        .map(|number| message::delete(&table.sa(number)))
        .collect();
    let mut took = [0; ROUNDS];
    for (round, took) in took.iter_mut().enumerate() {
        if round > 0 {
            table.fill(numbers.clone())?;
        }
        *took = time_requests(setting, &messages, |work| measure::time_with_workers(work))
            .with_context(|| format!("DELETE at {setting:?}"))?;
    }
    took.sort_unstable();
    setting.tell_each("DELETE", took[ROUNDS / 2], COUNT);
    Ok(())
}

/// Measures what even a request costs that is refused at once.
fn refused(setting: Setting) -> Result<()> {
    let mut socket = Socket::open()?;
    let refused = message::refused();
    let idle = idle(setting.listeners)?;
    let took = measure::time(|| (0..COUNT).try_for_each(|_| socket.send_refused(&refused)))?;
    drop(idle);
    setting.tell_each("refused message", took, COUNT);
    Ok(())
}

pub(crate) fn close(setting: Setting, what: &str) -> Result<()> {
    let _idle = idle(setting.listeners)?;
    let mut took = 0;
    for _ in 0..CLOSES {
        let socket = Socket::open()?;
        took += measure::time(|| {
            drop(socket);
            Ok(())
        })?;
    }
    setting.tell_each(what, took, CLOSES);
    Ok(())
}

fn dump(setting: Setting) -> Result<()> {
    let mut socket = Socket::open()?;
    let mut count = 0;
    let took = measure::time(|| {
        count = socket.dump()?;
        Ok(())
    })?;
    ensure!(
        count == setting.sas,
        "DUMP of {} SAs told {count}",
        setting.sas
    );
    setting.tell_each("DUMP per SA", took, count);
    Ok(())
}

/// Reads lists.
pub(crate) struct ListReader(Vec<u8>);

impl ListReader {
    /// A buffer as large as that of `cat`, all of it in memory.
    pub(crate) fn new() -> Self {
        ListReader(vec![0xaa; 1 << 17])
    }

    /// Reads one of the lists. Returns the number of lines.
    pub(crate) fn read(&mut self, path: &str) -> Result<u32> {
        let mut lines = 0;
        let mut file = File::open(path)?;
        loop {
            let len = file.read(&mut self.0)?;
            if len == 0 {
                return Ok(u32::try_from(lines)?);
            }
            lines += memchr::memchr_iter(b'\n', &self.0[..len]).count();
        }
    }
}

fn list(setting: Setting) -> Result<()> {
    let mut reader = ListReader::new();
    // The kernel finds the file sooner the second time.
    let mut lines = reader.read(GROUPS)?;
    let took = measure::time(|| {
        lines = reader.read(GROUPS)?;
        Ok(())
    })?;
    ensure!(
        lines == setting.sas,
        "{lines} lines for {} SAs",
        setting.sas
    );
    setting.tell_each("/proc per line", took, lines);
    Ok(())
}

/// Starts `ipsec spigrp`, which groups two SAs, and waits for its end.
fn tool(table: &Table, setting: Setting) -> Result<()> {
    let (inner, outer) = (table.sa(0).said(), table.sa(1).said());
    let took = program::time(&["ipsec", "spigrp", "--said", &inner, &outer], || {
        program::run(&["ipsec", "spigrp", "--said", &inner])
    })?;
    setting.tell_each("ipsec spigrp", took, 1);
    Ok(())
}

/// Sockets that nobody reads.
fn idle(count: u32) -> Result<Vec<Socket>> {
    (0..count).map(|_| Socket::open()).collect()
}
