// SPDX-License-Identifier: GPL-2.0

//! What is measured at each size of the table.

use crate::{
    measure::{self, Setting},
    memory::Memory,
    message::{self, Gateways, Sa},
    socket::Socket,
};
use anyhow::{Context, Result, ensure};
use std::{
    fs::File,
    io::Read,
    ops::Range,
    process::{Command, Stdio},
};

/// How often something is done to be measured.
const COUNT: u32 = 400;
/// How often a program is started.
const RUNS: u32 = 5;
/// SAs of the groups that are made at once.
const GROUP: u32 = 4;

/// The module under test and how its table is filled.
pub(crate) struct Workload<'a> {
    pub(crate) module: &'a str,
    /// Whether it knows groups.
    pub(crate) groups: bool,
    pub(crate) gateways: Gateways,
}

impl Workload<'_> {
    /// Fills the table to each of the sizes in turn, and measures everything there.
    pub(crate) fn run(&self, sizes: &[u32], listeners: &[u32]) -> Result<()> {
        let mut filled = 0;
        for &size in sizes {
            let before = Memory::now()?;
            let took = self.fill(filled..size)?;
            let after = Memory::now()?;
            let setting = self.setting(size, 0);
            let added = size - filled;
            setting.tell_each("fill", took, added);
            let each = |bytes: f64| bytes / f64::from(added);
            setting.tell("memory-free", "B", each(before.free - after.free));
            setting.tell("memory-slab", "B", each(after.slab - before.slab));
            filled = size;
            for &listeners in listeners {
                self.requests(self.setting(size, listeners))?;
            }
            self.dump(setting)?;
            if self.groups {
                self.list(setting)?;
                self.tool(setting)?;
            }
            eprintln!("bench: {} {:?} {size} done", self.module, self.gateways);
        }
        if filled > 0 {
            let setting = self.setting(filled, 0);
            let mut socket = Socket::open()?;
            let took = measure::time(|| socket.request(&message::flush()))?;
            setting.tell_each("FLUSH per SA", took, filled);
        }
        Ok(())
    }

    /// Does one thing, again and again, until it is killed.
    pub(crate) fn profile(&self, what: &str, size: u32) -> Result<()> {
        self.fill(0..size)?;
        let mut socket = Socket::open()?;
        println!("ready");
        let mut number = size;
        loop {
            number += 1;
            let (sa, other) = (self.sa(number), self.sa(number + 1));
            match what {
                "floor" => socket.send_refused(&message::refused())?,
                "get" => socket.request(&message::get(&self.sa(number % size)))?,
                "add" => {
                    socket.request(&message::add(&sa))?;
                    socket.request(&message::delete(&sa))?;
                }
                "link" => {
                    socket.request(&message::add(&sa))?;
                    socket.request(&message::add(&other))?;
                    for _ in 0..100 {
                        socket.request(&message::link(&sa, &other))?;
                        socket.request(&message::ungroup(&sa))?;
                    }
                    number += 1;
                }
                "dump" => self.dump(self.setting(size, 0))?,
                _ => anyhow::bail!("{what}: unknown"),
            }
        }
    }

    fn setting(&self, sas: u32, listeners: u32) -> Setting<'_> {
        let gateways = match self.gateways {
            Gateways::One => "one",
            Gateways::Many => "many",
        };
        Setting {
            module: self.module,
            gateways,
            sas,
            listeners,
        }
    }

    fn sa(&self, number: u32) -> Sa {
        Sa::new(number, self.gateways)
    }

    fn fill(&self, numbers: Range<u32>) -> Result<u64> {
        let mut socket = Socket::open()?;
        measure::time(|| {
            for number in numbers {
                socket.request(&message::add(&self.sa(number)))?;
            }
            Ok(())
        })
    }

    /// Measures one kind of request: all are made beforehand, and the answers read.
    fn requests_of(
        &self,
        setting: Setting<'_>,
        what: &str,
        messages: impl Iterator<Item = Vec<u8>>,
    ) -> Result<()> {
        let messages: Vec<_> = messages.collect();
        let mut socket = Socket::open()?;
        let idle = idle(setting.listeners)?;
        let took = measure::time(|| {
            messages
                .iter()
                .try_for_each(|message| socket.request(message))
        })
        .with_context(|| format!("{what} at {setting:?}"))?;
        drop(idle);
        setting.tell_each(what, took, u32::try_from(messages.len())?);
        Ok(())
    }

    fn requests(&self, setting: Setting<'_>) -> Result<()> {
        let mut socket = Socket::open()?;
        let size = setting.sas;
        let refused = message::refused();
        let idle_sockets = idle(setting.listeners)?;
        let took = measure::time(|| (0..COUNT).try_for_each(|_| socket.send_refused(&refused)))?;
        drop(idle_sockets);
        setting.tell_each("floor", took, COUNT);

        let new = || (size..size + COUNT).map(|number| self.sa(number));
        // Far from each other, each once: a prime's multiples.
        let old = || (0..COUNT).map(|index| self.sa((index * 7919 + 13) % size));
        self.requests_of(setting, "ADD", new().map(|sa| message::add(&sa)))?;
        self.requests_of(setting, "GET", old().map(|sa| message::get(&sa)))?;
        if self.groups {
            // The new ones, for each of them is there just once.
            let new: Vec<_> = new().collect();
            let pairs = || new.chunks_exact(2);
            let fours = || new.chunks_exact(GROUP as usize);
            let pair = pairs().map(|pair| message::link(&pair[0], &pair[1]));
            self.requests_of(setting, "X_GRPSA pair", pair)?;
            let ungroup = pairs().map(|pair| message::ungroup(&pair[1]));
            self.requests_of(setting, "ungroup", ungroup)?;
            let group = fours().map(message::group);
            self.requests_of(setting, "X_GRPSA of 4", group)?;
            let ungroup = fours().map(|four| message::ungroup(&four[1]));
            self.requests_of(setting, "ungroup of 4", ungroup)?;
        }
        self.requests_of(setting, "DELETE", new().map(|sa| message::delete(&sa)))?;
        self.close(setting)
    }

    fn close(&self, setting: Setting<'_>) -> Result<()> {
        let _idle = idle(setting.listeners)?;
        let mut took = 0;
        for _ in 0..RUNS {
            let socket = Socket::open()?;
            took += measure::time(|| {
                drop(socket);
                Ok(())
            })?;
        }
        setting.tell_each("close", took, RUNS);
        Ok(())
    }

    fn dump(&self, setting: Setting<'_>) -> Result<()> {
        let mut socket = Socket::open()?;
        let mut count = 0;
        let took = measure::time(|| {
            socket.send(&message::dump())?;
            loop {
                let seq = message::seq_of(socket.receive()?);
                count += 1;
                if seq == 0 {
                    return Ok(());
                }
            }
        })?;
        ensure!(
            count == setting.sas,
            "DUMP of {} SAs told {count}",
            setting.sas
        );
        setting.tell_each("DUMP per SA", took, count);
        Ok(())
    }

    /// Reads the list of groups, as `cat` does.
    fn list(&self, setting: Setting<'_>) -> Result<()> {
        let mut buffer = vec![0; 1 << 17];
        let mut lines = 0;
        let took = measure::time(|| {
            let mut file = File::open("/proc/net/ipsec_spigrp")?;
            loop {
                let len = file.read(&mut buffer)?;
                if len == 0 {
                    return Ok(());
                }
                lines += buffer[..len].iter().filter(|byte| **byte == b'\n').count();
            }
        })?;
        let lines = u32::try_from(lines)?;
        ensure!(
            lines == setting.sas,
            "{lines} lines for {} SAs",
            setting.sas
        );
        setting.tell_each("/proc per line", took, lines);
        Ok(())
    }

    /// Starts `ipsec spigrp`, which groups two SAs, and waits for its end.
    fn tool(&self, setting: Setting<'_>) -> Result<()> {
        let (inner, outer) = (self.sa(0).said(), self.sa(1).said());
        let mut took = 0;
        for _ in 0..RUNS {
            took += measure::time(|| spigrp(&["--said", &inner, &outer]))?;
            spigrp(&["--said", &inner])?;
        }
        setting.tell_each("ipsec spigrp", took, RUNS);
        Ok(())
    }
}

/// Sockets that nobody reads.
fn idle(count: u32) -> Result<Vec<Socket>> {
    (0..count).map(|_| Socket::open()).collect()
}

fn spigrp(args: &[&str]) -> Result<()> {
    let status = Command::new("ipsec")
        .arg("spigrp")
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("ipsec spigrp")?;
    ensure!(status.success(), "ipsec spigrp {args:?}: {status}");
    Ok(())
}
