// SPDX-License-Identifier: GPL-2.0

//! What it costs, and how long others wait, when there are many sockets.
//!
//! Some are never read; their small buffers are full after a few messages. Others have a filter that
//! takes nothing, so that they can be told things for ever.

use crate::{
    message,
    socket::{Socket, take_nothing},
    stall,
    table::Table,
    workload,
};
use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, setrlimit};
use socket2::{Domain, Type};
use std::{
    thread,
    time::{Duration, Instant},
};

/// Numbers of sockets with which another one is closed.
const CLOSING: [u32; 5] = [10, 100, 1_000, 10_000, 16_000];
/// How many sockets are open while others wait.
const CROWD: u32 = 10_000;
/// How many sockets are closed at once.
const LEAVING: u32 = 1_000;
/// Changes that are told to all of them.
const CHANGES: u32 = 20;
/// Number of the first SA that has an eroute.
const EROUTES: u32 = 10_000;
/// Chains that expire, and how many SAs each has: as many as it may.
const CHAINS: u32 = 3;
const CHAIN: u32 = 64;
/// Their lifetime in seconds: making them all takes less, whoever is told of it.
const LIFETIME: u64 = 3;
/// How long to wait for the kernel's worker.
const PATIENCE: Duration = Duration::from_secs(600);

/// Measures all of it with an empty table.
pub(crate) fn run(table: &Table) -> Result<()> {
    let limit = Some(u64::from(2 * CLOSING[CLOSING.len() - 1]));
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit,
            maximum: limit,
        },
    )?;
    for listeners in CLOSING {
        workload::close(table.setting(0, listeners), "crowd: close one more")?;
    }
    for (who, open) in [
        ("sockets that are full", full as fn() -> Result<Socket>),
        ("sockets that take nothing", Socket::open_deaf),
    ] {
        // What the asking thread asks for.
        table.fill(0..1)?;
        let eroutes = EROUTES..EROUTES + CHANGES;
        let replacing = EROUTES..EROUTES + 2 * CHANGES;
        table.request(replacing, |number| table.module.prepare(&table.sa(number)))?;
        table.request(eroutes.clone(), |number| table.add_eroute(number))?;
        let crowd: Vec<Socket> = (0..CROWD).map(|_| open()).collect::<Result<_>>()?;
        let setting = table.setting(1, CROWD);
        stall::measure_one(table, setting, &format!("crowd: ADD beside {who}"), || {
            table.fill(1..1 + CHANGES).map(drop)
        })?;
        stall::measure_one(
            table,
            setting,
            &format!("crowd: REPLACE beside {who}"),
            || {
                let replace = |number| table.replace_eroute(number, number + CHANGES);
                table.request(eroutes, replace).map(drop)
            },
        )?;
        stall::measure_one(
            table,
            setting,
            &format!("crowd: DELFLOW of all beside {who}"),
            || Socket::open()?.request_among_others(&table.module.clear_eroutes()),
        )?;
        if table.module.has_groups() {
            stall::measure_one(
                table,
                setting,
                &format!("crowd: expiry of chains beside {who}"),
                || expire(table),
            )?;
        }
        leave(table, "crowd", who, crowd)?;
        table.flush()?;
    }
    strangers(table)
}

/// How long others wait when sockets of another family go, whose filters take nothing: the kernel frees
/// those filters later, at the cost of who is there then.
fn strangers(table: &Table) -> Result<()> {
    table.fill(0..1)?;
    let open = || -> Result<_> {
        let socket = socket2::Socket::new(Domain::UNIX, Type::DGRAM, None)?;
        take_nothing(&socket)?;
        Ok(socket)
    };
    let crowd = (0..CROWD).map(|_| open()).collect::<Result<_>>()?;
    leave(table, "strangers", "sockets that take nothing", crowd)?;
    table.flush().map(drop)
}

/// Measures how long others wait while some of a crowd are closed, and while the rest are.
fn leave<S>(table: &Table, whose: &str, who: &str, mut crowd: Vec<S>) -> Result<()> {
    let rest = crowd.split_off(LEAVING as usize);
    for (which, leaving) in [("some", crowd), ("the rest", rest)] {
        let what = format!("{whose}: close of {which} of {who}");
        stall::measure_one(table, table.setting(1, CROWD), &what, || {
            drop(leaving);
            Ok(())
        })?;
    }
    Ok(())
}

/// A socket whose buffer is full after two messages.
fn full() -> Result<Socket> {
    let socket = Socket::open_unread()?;
    socket.set_receive_buffer(1)?;
    Ok(socket)
}

/// Makes chains that are over after some seconds, and waits until they are gone.
fn expire(table: &Table) -> Result<()> {
    let first = 1 + CHANGES;
    let mut socket = Socket::open()?;
    for chain in 0..CHAINS {
        let numbers = first + chain * CHAIN..first + (chain + 1) * CHAIN;
        let sas: Vec<_> = numbers.map(|number| table.sa(number)).collect();
        for sa in &sas {
            socket.request_among_others(&message::add_limited(sa, LIFETIME))?;
        }
        for pair in sas.windows(2) {
            socket.request_among_others(&message::link(&pair[0], &pair[1]))?;
        }
    }
    let last = message::get(&table.sa(first + CHAINS * CHAIN - 1));
    let begun = Instant::now();
    while socket.is_there(&last)? {
        ensure!(begun.elapsed() < PATIENCE, "SAs do not expire");
        thread::sleep(Duration::from_millis(100));
    }
    // All have been told when a change of one's own has been.
    table.fill(0..0).map(drop)?;
    socket
        .request_among_others(&message::add_limited(&table.sa(first), 1_000_000))
        .context("after expiry")?;
    socket.request_among_others(&message::delete(&table.sa(first)))
}
