// SPDX-License-Identifier: GPL-2.0

//! Keys that the module is given and then has no use for any more, so that whoever has the memory
//! of this machine can look whether they are still there (`userspace/vm/src/keys.rs`).
//!
//! No key may be anywhere else: each is made byte by byte, in the buffer that is written, which is
//! wiped then. What is printed is its complement.

use crate::{
    kinds::{limit, rich},
    support::{
        KeySocket, add, bytes_of, flush, group, in_own_network, insmod, klips_ko, loopback_up,
        naming, rmmod, said, update,
    },
    wire::Space,
};
use anyhow::{Context, Result, bail, ensure};
use klips::{
    errno::Errno,
    pfkey::{MsgType, SaType},
    said::{Proto, Said},
};
use model::wire::{self, ext, fix_len, u16_at};
use nix::unistd::pause;
use pfkey::Content;
use std::{
    fs,
    hint::black_box,
    io::{BufRead, BufReader, Read},
    process::{Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The argument with which this program does so.
pub const ARGUMENT: &str = "--keys";

/// The argument with which it does the same, and stays, so that its stacks do.
const STAY: &str = "and stay";

/// What is printed when all keys have been.
const DONE: &str = "done";

/// Prints a line for each key.
pub fn main() -> ExitCode {
    let result = match std::env::args().nth(2).as_deref() {
        Some(STAY) => run(),
        _ => pass_on(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

/// Runs another process, and ends before it.
fn pass_on() -> Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .args([ARGUMENT, STAY])
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().context("no output")?;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        if line == DONE {
            return Ok(());
        }
        println!("{line}");
    }
    bail!("it has ended: {:?}", child.wait()?)
}

/// A request with keys that nobody knows.
struct Keyed {
    request: Vec<u8>,
    /// Where they go, and their complements.
    keys: Vec<(usize, Vec<u8>)>,
}

impl Keyed {
    fn new(mut request: Vec<u8>) -> Result<Self> {
        let mut keys = Vec::new();
        let mut at = 16;
        while at < request.len() {
            let len = usize::from(u16_at(&request, at)) * 8;
            if [ext::KEY_AUTH, ext::KEY_ENCRYPT].contains(&u16_at(&request, at + 2)) {
                let mut complement = vec![0; len - 8];
                fs::File::open("/dev/urandom")?.read_exact(&mut complement)?;
                request[at + 8..at + len].fill(0);
                keys.push((at + 8, complement));
            }
            at += len;
        }
        ensure!(!keys.is_empty(), "no key in the request");
        Ok(Keyed { request, keys })
    }

    /// Puts the keys into the request, writes it, and wipes it. One byte at a time, for registers
    /// of 16 bytes and more are kept when another program runs.
    fn write(&mut self, socket: &KeySocket) -> Result<(), Errno> {
        for (at, complement) in &self.keys {
            for (byte, complement) in self.request[*at..].iter_mut().zip(complement) {
                *byte = black_box(!black_box(*complement));
            }
        }
        let result = socket.write(&self.request);
        for byte in &mut self.request {
            *byte = black_box(0);
        }
        black_box(&self.request);
        result
    }

    fn print(&self, fate: &str) {
        let word = if fate.starts_with("kept") {
            "kept"
        } else {
            "gone"
        };
        for (_, complement) in &self.keys {
            let digits: String = complement
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            println!("{word} {digits} {fate}");
        }
    }
}

/// Writes a request with keys, and prints their complements.
fn write(
    socket: &KeySocket,
    request: Vec<u8>,
    fate: &str,
    expected: Result<(), Errno>,
) -> Result<()> {
    let mut keyed = Keyed::new(request)?;
    let result = keyed.write(socket);
    ensure!(result == expected, "{fate}: {result:?}");
    socket.drain()?;
    keyed.print(fate);
    Ok(())
}

/// Writes requests with keys, each from a stack in the kernel that is not used for anything else
/// afterwards.
fn from_stacks(names: &[Said]) -> Result<()> {
    let (made, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for name in names {
        let mut keyed = Keyed::new(bytes_of(&add(name)))?;
        keyed.print(&fate_of(name, "the stack"));
        let socket = KeySocket::open()?;
        let (made, refused) = (made.clone(), refused.clone());
        thread::spawn(move || {
            let outcome = match keyed.write(&socket) {
                Ok(()) => made,
                Err(_) => refused,
            };
            outcome.fetch_add(1, Ordering::SeqCst);
            // The shallowest of system calls.
            loop {
                pause();
            }
        });
    }
    while made.load(Ordering::SeqCst) < names.len() {
        ensure!(
            refused.load(Ordering::SeqCst) == 0,
            "ADD is refused to threads"
        );
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// How many SAs go in each way: memory of a few of them may be used again at once.
const MANY: usize = 8;

/// An address of this host: SAs that lead there have a state of xfrm from ADD on, with a copy of their keys,
/// which xfrm wipes when it frees the state (`xfrm_state_gc_destroy`).
const OWN: &str = "10.0.0.3";

/// What became of a key, and whether it was in a state as well.
fn fate_of(name: &Said, fate: &str) -> String {
    if name.dst.to_string() == OWN {
        format!("{fate}, with a state")
    } else {
        fate.to_owned()
    }
}

/// Gives the thread's network namespace that address.
fn own_address() -> Result<()> {
    loopback_up()?;
    Space::own()?.run(&format!("ip addr add {OWN}/32 dev lo"))?;
    Ok(())
}

/// Checks how many states there are. To list them would be to copy their keys.
fn expect_states(expected: usize) -> Result<()> {
    let count = Space::own()?.run("ip xfrm state count")?;
    ensure!(
        count.trim_end().ends_with(&format!(" {expected}")),
        "expected {expected} states: {count}"
    );
    Ok(())
}

/// What is needed again and again.
struct Giver {
    socket: KeySocket,
    spi: u32,
}

impl Giver {
    fn new() -> Result<Self> {
        Ok(Giver {
            socket: KeySocket::open()?,
            spi: 0x1000,
        })
    }

    /// Names that are not taken: first those of SAs without states.
    fn names(&mut self) -> [Said; 2 * MANY] {
        std::array::from_fn(|number| {
            self.spi += 1;
            let dst = if number < MANY { "10.0.0.2" } else { OWN };
            said(&format!("esp.{:x}@{dst}", self.spi))
        })
    }

    /// Gives the module keys.
    fn give(
        &self,
        names: &[Said],
        request: impl Fn(&Said) -> Content<'static>,
        fate: &str,
    ) -> Result<()> {
        names.iter().try_for_each(|name| {
            let request = bytes_of(&request(name));
            write(&self.socket, request, &fate_of(name, fate), Ok(()))
        })
    }

    /// Tries to.
    fn fail(&self, request: Vec<u8>, fate: &str, errno: Errno) -> Result<()> {
        (0..MANY).try_for_each(|_| write(&self.socket, request.clone(), fate, Err(errno)))
    }

    fn ask(&self, request: &Content<'_>) -> Result<()> {
        let result = self.socket.send(request);
        self.socket.drain()?;
        ensure!(result == Ok(()), "{result:?}");
        Ok(())
    }

    fn delete(&self, names: &[Said]) -> Result<()> {
        names
            .iter()
            .try_for_each(|name| self.ask(&naming(MsgType::Delete, name)))
    }
}

fn run() -> Result<()> {
    let load = || insmod(&klips_ko());
    ensure!(load()?.status.success(), "insmod");
    in_own_network(|| {
        own_address()?;
        let mut giver = Giver::new()?;
        let names = giver.names();
        giver.give(&names, add, "the end of a namespace")?;
        expect_states(MANY)
    })?;
    own_address()?;
    let mut giver = Giver::new()?;
    let names = giver.names();
    giver.give(&names, add, "unloading")?;
    drop(giver);
    // This waits for the namespace, whose end is worked on already.
    ensure!(rmmod("klips")?.status.success(), "rmmod");
    ensure!(load()?.status.success(), "insmod");

    // All are there before the first one goes, for what is freed is used for the next.
    let mut giver = Giver::new()?;
    let [kept, single, long, grouped, expiring] = std::array::from_fn(|_| giver.names());
    giver.give(&kept, add, "UPDATE")?;
    giver.give(&single, add, "DELETE")?;
    giver.give(&long, |name| rich(add(name)), "DELETE after a long ADD")?;
    giver.give(&grouped, add, "DELETE in a group")?;
    let of_type = giver.names().map(|name| Said {
        proto: Proto::Ah,
        ..name
    });
    giver.give(&of_type, add, "FLUSH of a type")?;
    let short = |name: &Said| Content {
        hard: limit(1),
        ..add(name)
    };
    giver.give(&expiring, short, "a limit")?;
    expect_states(6 * MANY)?;
    let start = Instant::now();
    let names = giver.names();
    from_stacks(&names)?;
    giver.delete(&names)?;

    giver.give(&kept, update, "kept by UPDATE")?;
    giver.delete(&single)?;
    giver.delete(&long)?;
    for group_of_four in grouped.chunks(4) {
        giver.ask(&group(group_of_four))?;
        giver.delete(&group_of_four[2..3])?;
    }
    giver.ask(&flush(SaType::Ah as u8))?;
    in_own_network(|| {
        own_address()?;
        let mut giver = Giver::new()?;
        let names = giver.names();
        giver.give(&names, add, "FLUSH")?;
        giver.ask(&flush(0))
    })?;

    for (kept, missing) in [(&kept[0], &single[0]), (&kept[MANY], &single[MANY])] {
        let fail = |request: &Content<'static>, fate, errno| {
            giver.fail(bytes_of(request), &fate_of(kept, fate), errno)
        };
        fail(&add(kept), "EEXIST", Errno::EEXIST)?;
        fail(&rich(add(kept)), "EEXIST, long", Errno::EEXIST)?;
        fail(&update(missing), "ENOENT", Errno::ENOENT)?;
    }
    let missing = &single[0];
    let mut unfit = add(missing);
    unfit.key_encrypt = unfit.key_auth;
    giver.fail(bytes_of(&unfit), "an unfit key", Errno::EINVAL)?;
    let mut malformed = bytes_of(&rich(add(missing)));
    malformed.extend(wire::extension(ext::SPIRANGE, &[0; 4]));
    fix_len(&mut malformed);
    giver.fail(malformed, "an extension too many", Errno::EINVAL)?;
    let last = giver.names();
    giver.give(&last, add, "kept by ADD")?;

    let there = || -> Result<bool> {
        let list = crate::support::spigrp()?;
        Ok(expiring.iter().any(|name| list.contains(&name.to_string())))
    };
    while there()? {
        ensure!(
            start.elapsed() < Duration::from_secs(60),
            "no limit is passed"
        );
        thread::sleep(Duration::from_millis(50));
    }
    // They are wiped only after they are gone from the list, those of states by xfrm's own worker.
    thread::sleep(Duration::from_secs(2));
    println!("{DONE}");
    loop {
        pause();
    }
}
