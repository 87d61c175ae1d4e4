// SPDX-License-Identifier: GPL-2.0

//! Mutated and random messages, through the real socket: from two network namespaces of their own,
//! two processes in each.
//!
//! `KLIPS_MESSAGES=1000000` in the environment makes it that many messages, `KLIPS_SEED=5` other
//! ones; `vm test --append` with the same puts them there. Each process always sends the same
//! messages for the same seed, though in what order those of two processes come is not laid down.
//!
//! Should the kernel die of a message, its report names the process "SEED.NUMBER", and
//! `guest-tests --message SEED NUMBER` prints that message, on any machine.

use crate::{
    helper::{self, Helper},
    invariants,
    ktap::Test,
    support::{KeySocket, number, proc_net},
    tests,
};
use anyhow::{Context, Result, anyhow, ensure};
use model::{
    Messages, Random,
    wire::{assert_clean, hex, u16_at},
};
use rustix::thread::set_name;
use std::{
    collections::BTreeMap,
    ffi::CString,
    panic::{AssertUnwindSafe, catch_unwind},
    process::Child,
};

/// How many messages there are in a short run.
const FEW: u64 = 6000;

/// Network namespaces, and processes in each.
const NAMESPACES: u64 = 2;
const WRITERS: u64 = 2;

/// Sockets of a process.
const SOCKETS: usize = 2;

/// After how many messages it is told how far this is.
const PROGRESS: u64 = 1 << 14;

/// All of them.
pub fn all() -> Vec<Test> {
    tests![messages_at_random_break_nothing]
}

fn messages_at_random_break_nothing() -> Result<()> {
    let messages = number("KLIPS_MESSAGES", FEW)?;
    let seed = number("KLIPS_SEED", 1)?;
    let each = messages.div_ceil(NAMESPACES * WRITERS);
    let start = |index: u64| {
        let arguments = [seed + index * WRITERS, each].map(|number| number.to_string());
        helper::start(Helper::Fuzz, &arguments)
    };
    let namespaces: Vec<Child> = (0..NAMESPACES).map(start).collect::<Result<_>>()?;
    let counts = gather(namespaces)?;
    println!("# seed {seed}: {counts}");
    ensure!(counts.sent() >= messages, "{} of {messages}", counts.sent());
    // A kernel that takes all or nothing is not what is to be looked at.
    let taken = counts.0.get("taken").copied().unwrap_or(0);
    ensure!(
        taken > messages / 20 && taken < messages / 2,
        "{taken} were taken"
    );
    Ok(())
}

/// Starts processes that write in this process's network namespace, which is new, and looks at
/// what they have left of it.
pub fn in_namespace(seed: u64, each: u64) -> Result<String> {
    let start = |index: u64| {
        let arguments = [seed + index, each].map(|number| number.to_string());
        helper::start_here(Helper::FuzzWriter, &arguments)
    };
    let writers: Vec<Child> = (0..WRITERS).map(start).collect::<Result<_>>()?;
    let counts = gather(writers)?;
    invariants::check()?;
    invariants::check_anew()?;
    Ok(counts.to_string())
}

/// How many messages there were, by what came of them.
#[derive(Default)]
struct Counts(BTreeMap<String, u64>);

impl Counts {
    fn add(&mut self, what: &str, count: u64) {
        *self.0.entry(what.to_owned()).or_default() += count;
    }

    fn sent(&self) -> u64 {
        self.0.values().sum()
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} sent", self.sent())?;
        let mut counts = self.0.iter();
        counts.try_for_each(|(what, count)| write!(f, ", {count} {what}"))
    }
}

/// Waits for processes, and adds up what they tell.
fn gather(children: Vec<Child>) -> Result<Counts> {
    let told = children.into_iter().map(helper::finish);
    let mut counts = Counts::default();
    for told in told.collect::<Vec<_>>() {
        let told = told?;
        // "6 sent, 2 EINVAL, 4 taken"
        for part in told.split(", ").skip(1) {
            let (count, what) = part.split_once(' ').with_context(|| told.clone())?;
            counts.add(what, count.parse()?);
        }
    }
    Ok(counts)
}

/// Writes so many messages, and reads and looks around between them.
pub fn write(seed: u64, count: u64) -> Result<String> {
    let mut messages = Messages::new(seed);
    let mut writer = Writer::new(seed)?;
    let mut counts = Counts::default();
    for number in 1..=count {
        let message = messages.next();
        set_name(&CString::new(format!("{seed}.{number}"))?)?;
        let step = catch_unwind(AssertUnwindSafe(|| writer.step(&message)));
        let what = step
            .unwrap_or_else(|_| Err(anyhow!("what was read is not right")))
            .with_context(|| format!("seed {seed}, message {number}: {}", hex(&message)))?;
        counts.add(what, 1);
        if number % PROGRESS == 0 {
            eprintln!("seed {seed}: {number} messages");
        }
    }
    Ok(counts.to_string())
}

/// Prints a message in hexadecimal digits.
pub fn print(seed: &str, number: &str) -> Result<()> {
    let mut messages = Messages::new(seed.parse()?);
    let number: usize = number.parse()?;
    ensure!(number > 0, "they are counted from 1");
    for _ in 1..number {
        messages.next();
    }
    println!("{}", hex(&messages.next()));
    Ok(())
}

/// What a process writes with.
struct Writer {
    random: Random,
    sockets: Vec<KeySocket>,
}

impl Writer {
    fn new(seed: u64) -> Result<Self> {
        let sockets = (0..SOCKETS).map(|_| KeySocket::open());
        Ok(Writer {
            random: Random::new(!seed),
            sockets: sockets.collect::<Result<_>>()?,
        })
    }

    /// Writes a message. What came of that.
    fn step(&mut self, message: &[u8]) -> Result<&'static str> {
        let at = self.random.below(SOCKETS);
        let result = self.sockets[at].write(message);
        match self.random.below(64) {
            0 => self.sockets[at] = KeySocket::open()?,
            1 => self.sockets[at].0.set_recv_buffer_size(4096)?,
            2 => look(["ipsec_spigrp", "pf_key", "pf_key_registered"][self.random.below(3)])?,
            3..20 => read(&self.sockets[self.random.below(SOCKETS)], usize::MAX)?,
            20..30 => read(&self.sockets[at], 1)?,
            _ => (),
        }
        match result {
            Ok(()) => Ok("taken"),
            Err(errno) => match errno.describe() {
                Some((name, _)) => Ok(name),
                None => Err(anyhow!("an errno that is nowhere laid down: {errno:?}")),
            },
        }
    }
}

/// Reads a file, whatever it has.
fn look(file: &str) -> Result<()> {
    let text = proc_net(file)?;
    if file == "ipsec_spigrp" {
        invariants::chains(&text)?;
    }
    Ok(())
}

/// Reads so many messages, if they are there.
fn read(socket: &KeySocket, count: usize) -> Result<()> {
    for _ in 0..count {
        match socket.read_or_lost()? {
            Some(message) => {
                let words = usize::from(u16_at(&message, 4));
                ensure!(words * 8 == message.len(), "{} read", hex(&message));
                assert_clean(&message);
            }
            None => break,
        }
    }
    Ok(())
}
