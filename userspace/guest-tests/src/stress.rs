// SPDX-License-Identifier: GPL-2.0

//! All that the module offers, at once, for some seconds: `KLIPS_SECONDS=60` in the environment
//! says how many; `vm test --append` with the same puts it there.
//!
//! Some threads write on SAs and eroutes of their own, which a model of each follows, so that it is
//! known what has to be left in the end. Meanwhile packets go through the eroutes.

use crate::{
    invariants,
    ktap::Test,
    support::{
        KeySocket, PROC, errno, expect_spigrp, flush, getspi, in_own_network, make, number,
        proc_net, said, spigrp,
    },
    tests,
    wire::{Flood, Space},
};
use anyhow::{Context, Result, bail, ensure};
use klips::{
    errno::Errno,
    said::{Proto, Said},
};
use model::{
    FLOWS, Flow, Model, Random, Request, unlimited_request,
    wire::{self, assert_clean, message, msg, u32_at},
};
use nix::kmod::{DeleteModuleFlags, delete_module};
use std::{
    fs::File,
    io::Read,
    os::unix::fs::FileExt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Seconds of a short run.
const FEW: u64 = 2;

/// Threads with SAs of their own.
const OWNERS: u32 = 3;

/// Where the SAs go that two threads quarrel about.
const QUARREL: &str = "10.0.0.99";

/// All of them.
pub fn all() -> Vec<Test> {
    tests![everything_at_once_leaves_what_was_asked_for]
}

/// What the threads share.
struct Stage {
    stop: AtomicBool,
    /// How many have done something.
    begun: AtomicUsize,
    /// What each has done, and how often.
    done: Mutex<Vec<(&'static str, u64)>>,
    /// What the owners' SAs have to be like in the end.
    left: Mutex<Vec<String>>,
    /// And their eroutes: which packets, and which SA.
    eroutes: Mutex<Vec<String>>,
}

impl Stage {
    /// Does something until it is time to stop. Whatever goes wrong stops the others as well.
    fn play(&self, name: &'static str, mut step: impl FnMut(u64) -> Result<()>) -> Result<()> {
        let mut count = 0;
        let result = loop {
            if self.stop.load(Ordering::Relaxed) {
                break Ok(());
            }
            let step = catch_unwind(AssertUnwindSafe(|| step(count)));
            match step.unwrap_or_else(|_| bail!("panicked, see the console")) {
                Ok(()) => {
                    count += 1;
                    if count == 1 {
                        self.begun.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Err(error) => {
                    self.stop.store(true, Ordering::Relaxed);
                    break Err(error.context(format!("{name}, time {count}")));
                }
            }
        };
        self.done.lock().expect("no panic").push((name, count));
        result
    }
}

fn everything_at_once_leaves_what_was_asked_for() -> Result<()> {
    let seconds = number("KLIPS_SECONDS", FEW)?;
    let stage = Stage {
        stop: AtomicBool::new(false),
        begun: AtomicUsize::new(0),
        done: Mutex::default(),
        left: Mutex::default(),
        eroutes: Mutex::default(),
    };
    let floods = send_through_all()?;
    // They never read.
    let deaf = [KeySocket::open()?, KeySocket::open()?];
    set_promiscuous(&deaf[1], true)?;
    let begun = Instant::now();
    thread::scope(|scope| {
        let stage = &stage;
        let mut threads = Vec::new();
        for number in 0..OWNERS {
            threads.push(scope.spawn(move || own(stage, number)));
        }
        for number in 0..2 {
            threads.push(scope.spawn(move || quarrel(stage, number)));
            threads.push(scope.spawn(move || look(stage, number)));
            threads.push(scope.spawn(move || dump(stage, number)));
        }
        threads.push(scope.spawn(|| flush_some(stage)));
        threads.push(scope.spawn(|| register(stage)));
        threads.push(scope.spawn(|| live_and_die(stage)));
        threads.push(scope.spawn(|| unload(stage)));
        // On a slow machine longer, so that each had a turn.
        let is_over = || {
            begun.elapsed() >= Duration::from_secs(seconds)
                && stage.begun.load(Ordering::Relaxed) == threads.len()
        };
        while !is_over() && !stage.stop.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
        stage.stop.store(true, Ordering::Relaxed);
        let results = threads.into_iter().map(|thread| thread.join());
        let results = results.map(|result| result.expect("panics are caught"));
        // The first that failed may have stopped the others, but more may have failed.
        let failed: Vec<String> = results
            .filter_map(|result| Some(format!("{:?}", result.err()?)))
            .collect();
        ensure!(failed.is_empty(), "{}", failed.join("\n"));
        Ok(())
    })?;
    report(&stage, begun.elapsed())?;
    let sent: u64 = floods.iter().map(Flood::sent).sum();
    drop(floods);
    println!("# {sent} packets sent");
    ensure!(sent > 0, "no packet went through");
    check_left(&stage)?;
    for socket in &deaf {
        check_deaf(socket)?;
    }
    drop(deaf);
    invariants::check_anew()
}

/// Which flows two threads quarrel about, and whose packets that are.
const QUARREL_FLOWS: u8 = OWNERS as u8 * FLOWS;

/// Floods through some eroutes of each owner, if there are any: in clear, dropped or protected.
fn send_through_all() -> Result<Vec<Flood>> {
    let here = Space::own()?;
    // What goes out there goes nowhere.
    here.run("ip link add sink type dummy")?;
    here.run("ip link set sink up")?;
    here.run("ip address add 10.0.0.1/24 dev sink")?;
    here.run("ip address add 2001:db8::1/64 dev sink nodad")?;
    here.run("ip route add 10.9.0.0/16 dev sink")?;
    here.run("ip route add 2001:db8:ffff::/48 dev sink")?;
    let mut floods = Vec::new();
    for flow in (0..QUARREL_FLOWS).step_by(usize::from(FLOWS)).map(Flow) {
        let (network, _) = flow.ends();
        let (network, _) = network.split_once('/').context("no network")?;
        let (from, length, to) = match network.strip_suffix(".0") {
            Some(network) => (format!("{network}.1"), "32", "10.9.0.1"),
            None => (format!("{network}1"), "128", "2001:db8:ffff::1"),
        };
        let nodad = if length == "128" { " nodad" } else { "" };
        here.run(&format!("ip address add {from}/{length} dev sink{nodad}"))?;
        floods.push(Flood::start(&here, &from, to, 9)?);
    }
    Ok(floods)
}

/// Tells what was done. Each part has to have been at it.
fn report(stage: &Stage, took: Duration) -> Result<()> {
    let done = stage.done.lock().expect("no panic");
    let parts: Vec<String> = done
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    println!("# {} s: {}", took.as_secs(), parts.join(", "));
    ensure!(done.iter().all(|(_, count)| *count > 0), "{parts:?}");
    Ok(())
}

/// What the owners have made and nothing else is left, but for the SAs that were quarrelled about.
fn check_left(stage: &Stage) -> Result<()> {
    let quarrelled = |member: &String| member.ends_with(&format!("@{QUARREL}"));
    let chains = invariants::check()?;
    let (quarrelled, owned): (Vec<_>, Vec<_>) = chains
        .into_iter()
        .partition(|chain| chain.iter().all(quarrelled));
    println!(
        "# {} chains left, and {} of the quarrel",
        owned.len(),
        quarrelled.len()
    );
    let mut found: Vec<String> = owned
        .iter()
        .map(|chain| chain.iter().map(|member| format!("{member} ")).collect())
        .collect();
    let mut expected = stage.left.lock().expect("no panic").clone();
    found.sort();
    expected.sort();
    ensure!(
        found == expected,
        "left are\n{found:#?}\ninstead of\n{expected:#?}"
    );
    let quarrelled: Vec<(String, String)> = (QUARREL_FLOWS..QUARREL_FLOWS + FLOWS)
        .map(|flow| Flow(flow).ends())
        .collect();
    let mut found = Vec::new();
    for line in proc_net("ipsec_eroute")?.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, src, _, dst, _, said] = fields[..] else {
            bail!("ipsec_eroute has {line:?}");
        };
        if !quarrelled.contains(&(src.to_owned(), dst.to_owned())) {
            found.push(format!("{src} {dst} {said}"));
        }
    }
    let mut expected = stage.eroutes.lock().expect("no panic").clone();
    println!("# {} eroutes left", found.len());
    found.sort();
    expected.sort();
    ensure!(
        found == expected,
        "left are eroutes\n{found:#?}\ninstead of\n{expected:#?}"
    );
    Ok(())
}

/// A socket that has lost messages says so once, and then what it did not lose.
fn check_deaf(socket: &KeySocket) -> Result<()> {
    let mut buffer = [0; 4096];
    match (&socket.0).read(&mut buffer) {
        Err(error) if errno(&error) == Errno::ENOBUFS => (),
        // In a short run there may have been room for all.
        Ok(_) => (),
        Err(error) => return Err(error.into()),
    }
    ensure!(
        !socket.drain()?.is_empty(),
        "a deaf socket was told nothing"
    );
    Ok(())
}

/// Names for SAs that a thread has for itself.
fn names(number: u32, destination: &str) -> Vec<Said> {
    let protos = [Proto::Tun, Proto::Esp, Proto::Ah];
    let name = |index: u32| Said {
        dst: wire::ip(match index % 2 {
            0 => destination,
            _ if destination == QUARREL => destination,
            _ => "2001:db8::2",
        }),
        spi: 0x10000 * (number + 1) + index / 6,
        proto: protos[index as usize / 2 % 3],
    };
    (0..12).map(name).collect()
}

/// Takes out what has come, most times.
fn read_some(socket: &KeySocket, random: &mut Random) -> Result<()> {
    if random.below(16) == 0 {
        while let Some(message) = socket.read_or_lost()? {
            assert_clean(&message);
        }
    }
    Ok(())
}

/// Writes requests on SAs that nobody else touches, so that each has to come to what the model says.
fn own(stage: &Stage, number: u32) -> Result<()> {
    let pool = names(number, "10.0.0.2");
    let mut random = Random::new(u64::from(number));
    let mut model = Model::default();
    let socket = KeySocket::open()?;
    let result = stage.play("requests on SAs of one's own", |_| {
        let request = unlimited_request(&pool, &mut random);
        // Others have SAs and eroutes too, and an SPI that is reserved goes by itself.
        if matches!(
            request,
            Request::Flush(_) | Request::Reserve(_) | Request::ClearEroutes
        ) {
            return Ok(());
        }
        let request = request.with_flows_from(number as u8 * FLOWS);
        let result = socket.write(&request.bytes());
        let expected = model
            .apply(&request)
            .map(drop)
            .map_err(|refusal| refusal.errno);
        ensure!(
            result == expected,
            "{request:?}: {result:?} instead of {expected:?}"
        );
        read_some(&socket, &mut random)
    });
    let left = model.spigrp();
    let mut all = stage.left.lock().expect("no panic");
    all.extend(left.lines().map(str::to_owned));
    let eroutes = model.eroutes().into_iter().map(|(flow, said)| {
        let (src, dst) = flow.ends();
        format!("{src} {dst} {said}")
    });
    stage.eroutes.lock().expect("no panic").extend(eroutes);
    result
}

/// Writes requests on SAs on which another thread does the same.
fn quarrel(stage: &Stage, number: u32) -> Result<()> {
    let pool = names(14, QUARREL);
    let mut random = Random::new(1000 + u64::from(number));
    let socket = KeySocket::open()?;
    stage.play("requests on SAs of two", |_| {
        let request = unlimited_request(&pool, &mut random);
        if matches!(request, Request::Flush(_) | Request::ClearEroutes) {
            return Ok(());
        }
        let request = request.with_flows_from(QUARREL_FLOWS);
        if let Err(errno) = socket.write(&request.bytes()) {
            ensure!(
                matches!(
                    errno,
                    Errno::EEXIST | Errno::ENOENT | Errno::ESRCH | Errno::EINVAL | Errno::EMLINK
                ),
                "{request:?}: {errno:?}"
            );
        }
        read_some(&socket, &mut random)
    })
}

/// Makes SAs of a type that nobody else makes, some in groups, and flushes that type.
fn flush_some(stage: &Stage) -> Result<()> {
    let socket = KeySocket::open()?;
    let comp = |n: u32| said(&format!("comp.{:x}@10.0.0.{}", 0x100 + n, n % 3 + 1));
    stage.play("flushes of one type", |count| {
        let names: Vec<Said> = (0..3 + count as u32 % 60).map(comp).collect();
        for name in &names {
            let result = socket.write(&wire::add(*name));
            ensure!(result == Ok(()), "{name}: {result:?}");
        }
        let result = socket.write(&wire::list(&names[..3]));
        ensure!(result == Ok(()), "a group: {result:?}");
        let result = socket.write(&Request::Flush(Some(Proto::Comp)).bytes());
        ensure!(result == Ok(()), "FLUSH: {result:?}");
        let left = spigrp()?;
        ensure!(!left.contains("comp"), "after FLUSH there is\n{left}");
        Ok(())
    })
}

/// Reads all files, at sizes that fit nothing, and here and there.
fn look(stage: &Stage, number: u32) -> Result<()> {
    let mut random = Random::new(2000 + u64::from(number));
    let files = [
        "ipsec_spigrp",
        "ipsec_spigrp",
        "ipsec_spi",
        "ipsec_eroute",
        "ipsec/eroute/dropped",
        "pf_key",
        "pf_key_registered",
        "pf_key_supported",
        "ipsec_klipsdebug",
        "ipsec_version",
    ];
    stage.play("readings of files", |_| {
        let name = files[random.below(files.len())];
        let mut file = File::open(format!("{PROC}/{name}"))?;
        let mut buffer = vec![0; [1, 13, 80, 333, 1000, 4095, 4097, 70_000][random.below(8)]];
        if random.below(4) == 0 {
            // Any place will do.
            file.read_at(&mut buffer, random.next() % 5000)?;
            return Ok(());
        }
        let mut text = Vec::new();
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                len => text.extend_from_slice(&buffer[..len]),
            }
        }
        let text = String::from_utf8(text).context(name)?;
        let is_whole = |line: &str| match name {
            "ipsec_spi" => line.contains(": dir=") && line.contains(" refcount="),
            _ => !line.contains('\0'),
        };
        match name {
            "ipsec_spigrp" => invariants::chains(&text).map(drop),
            _ => match text.lines().find(|line| !is_whole(line)) {
                Some(torn) => bail!("{name}: {torn:?}"),
                None => Ok(()),
            },
        }
        .context(name)
    })
}

/// Asks for DUMPs, and reads them to the end or goes away in the middle.
fn dump(stage: &Stage, number: u32) -> Result<()> {
    let mut random = Random::new(3000 + u64::from(number));
    stage.play("DUMPs", |_| {
        let socket = KeySocket::open()?;
        let is_small = random.below(2) == 0;
        if is_small {
            socket.0.set_recv_buffer_size(4096)?;
        }
        match socket.write(&message(msg::DUMP, 0, &[])) {
            Ok(()) => (),
            Err(Errno::ENOENT) => return Ok(()),
            Err(errno) => bail!("DUMP: {errno:?}"),
        }
        let enough = match random.below(3) {
            0 => random.below(8),
            _ => usize::MAX,
        };
        read_dump(&socket, enough)
    })
}

/// Reads so many messages of a DUMP or, if it has fewer, all of it: their numbers grow, and there is
/// a last one unless messages are lost.
fn read_dump(socket: &KeySocket, enough: usize) -> Result<()> {
    let (mut last, mut is_lost) = (0, false);
    for _ in 0..enough {
        let message = match socket.read() {
            Ok(Some(message)) => message,
            Ok(None) if is_lost => return Ok(()),
            Ok(None) => bail!("a DUMP stops after {last} messages"),
            Err(_) => {
                is_lost = true;
                continue;
            }
        };
        assert_clean(&message);
        if message[1] != msg::DUMP || message[2] != 0 {
            continue;
        }
        match u32_at(&message, 8) {
            0 => return Ok(()),
            seq if seq == last + 1 || is_lost && seq > last => last = seq,
            seq => bail!("{seq} comes after {last} in a DUMP"),
        }
    }
    Ok(())
}

fn set_promiscuous(socket: &KeySocket, promiscuous: bool) -> Result<()> {
    let result = socket.write(&message(msg::PROMISC, u8::from(promiscuous), &[]));
    ensure!(result == Ok(()), "X_PROMISC: {result:?}");
    Ok(())
}

/// Opens sockets, registers, listens a little and goes.
fn register(stage: &Stage) -> Result<()> {
    let mut random = Random::new(4000);
    let mut sockets: Vec<KeySocket> = Vec::new();
    stage.play("registrations", |_| {
        let socket = KeySocket::open()?;
        for satype in [2, 3, 9, 10] {
            if random.below(2) == 0 {
                let result = socket.write(&message(msg::REGISTER, satype, &[]));
                ensure!(result == Ok(()), "REGISTER: {result:?}");
            }
        }
        set_promiscuous(&socket, random.below(2) == 0)?;
        sockets.push(socket);
        let at = random.below(sockets.len());
        for _ in 0..random.below(20) {
            if let Some(message) = sockets[at].read_or_lost()? {
                assert_clean(&message);
            }
        }
        if sockets.len() > random.below(6) {
            sockets.swap_remove(at);
        }
        Ok(())
    })
}

/// Makes network namespaces with all that can be in one, and lets them go; what is left open keeps
/// some of them a little longer.
fn live_and_die(stage: &Stage) -> Result<()> {
    let mut kept = None;
    stage.play("network namespaces", |count| {
        let alive = in_own_network(|| {
            expect_spigrp(&[])?;
            let pool = names(0, "10.0.0.2");
            make(&pool)?;
            let socket = KeySocket::open()?;
            socket.0.set_recv_buffer_size(4096)?;
            // An SPI that waits, so that there is something to do later.
            let spare = said("esp.9999@10.0.0.2");
            let result = socket.send(&getspi(&spare, 0x9999, 0x9999));
            ensure!(result == Ok(()), "GETSPI: {result:?}");
            let result = socket.write(&wire::list(&pool[..4]));
            ensure!(result == Ok(()), "a group: {result:?}");
            if count % 4 == 0 {
                let result = socket.send(&flush(0));
                ensure!(result == Ok(()), "FLUSH: {result:?}");
                expect_spigrp(&[])?;
            } else {
                // Nobody reads it.
                let result = socket.write(&message(msg::DUMP, 0, &[]));
                ensure!(result == Ok(()), "DUMP: {result:?}");
            }
            let mut file = File::open(format!("{PROC}/ipsec_spigrp"))?;
            file.read_exact(&mut vec![0; if count % 4 == 0 { 0 } else { 1 }])?;
            Ok((socket, file))
        })?;
        if count % 3 == 0 {
            kept = Some(alive);
        }
        Ok(())
    })
}

/// Asks for the module to be unloaded, which sockets that are open all the time prevent.
fn unload(stage: &Stage) -> Result<()> {
    stage.play("tries to unload", |_| {
        let result = delete_module(c"klips", DeleteModuleFlags::O_NONBLOCK);
        ensure!(
            result == Err(nix::errno::Errno::EWOULDBLOCK),
            "unloaded with sockets open: {result:?}"
        );
        thread::sleep(Duration::from_millis(5));
        let lost = proc_net("pf_key")?;
        ensure!(lost.lines().count() > 2, "no sockets in\n{lost}");
        Ok(())
    })
}
