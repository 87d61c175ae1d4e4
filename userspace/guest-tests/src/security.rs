// SPDX-License-Identifier: GPL-2.0

//! What those can do who may not: the rows of `rust/doc/security.md` that take a kernel.

use crate::{
    helper::{self, Helper, Who},
    ktap::Test,
    support::{
        EVENTUALLY, KeySocket, PROC, add, expect_spigrp, flush, in_first_network, make, manual_sas,
        open_raw, proc_net, said, spigrp,
    },
    tests,
};
use anyhow::{Context, Result, ensure};
use klips::{
    errno::Errno,
    pfkey::{
        Lifetime, SaType,
        algorithm::{self, auth, encrypt},
    },
};
use model::{messages, wire};
use nix::sched::{CloneFlags, unshare};
use pfkey::Content;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities, set_no_new_privs};
use std::{
    fs,
    hint::black_box,
    io::Read,
    os::unix::fs::chroot,
    path::Path,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        a_capability_that_is_dropped_is_missed_at_every_write,
        a_sandbox_cannot_write_to_a_socket_that_it_was_given,
        roots_of_user_namespaces_cannot_write_to_sockets_of_others,
        what_is_queued_has_a_bound_that_its_owner_cannot_raise,
        nothing_is_logged_but_of_the_first_network,
        sas_count_against_the_writer_and_messages_against_the_listener,
    ]
}

/// Gives up some capabilities of this thread, or takes them back.
fn set_effective(effective: CapabilitySet) -> Result<()> {
    let sets = capabilities(None)?;
    set_capabilities(None, rustix::thread::CapabilitySets { effective, ..sets })?;
    Ok(())
}

/// Checks that no message gets through, whatever it asks for, and that nobody is told.
fn expect_no_writing(socket: &KeySocket) -> Result<()> {
    for message in messages() {
        let result = socket.write(&message);
        ensure!(
            result == Err(Errno::EPERM),
            "{}: {result:?}",
            wire::hex(&message)
        );
    }
    let told = socket.drain()?;
    ensure!(told.is_empty(), "{told:02x?}");
    Ok(())
}

fn a_capability_that_is_dropped_is_missed_at_every_write() -> Result<()> {
    let [tun, esp, _] = manual_sas();
    make(&[tun])?;
    let all = capabilities(None)?.effective;
    let socket = KeySocket::open()?;
    set_effective(all - CapabilitySet::NET_ADMIN)?;
    expect_no_writing(&socket)?;
    let opened = open_raw(3, 2).err().and_then(|error| error.raw_os_error());
    ensure!(
        opened == Some(1),
        "a socket without the capability: {opened:?}"
    );
    // Files are read by their modes; these are user 0's.
    expect_spigrp(&["tun0x113@10.0.0.2"])?;

    set_effective(all)?;
    ensure!(socket.send(&add(&esp)) == Ok(()));
    expect_spigrp(&["tun0x113@10.0.0.2", "esp0x115@10.0.0.2"])
}

fn a_sandbox_cannot_write_to_a_socket_that_it_was_given() -> Result<()> {
    let [tun, esp, _] = manual_sas();
    make(&[tun])?;
    let socket = KeySocket::open()?;
    let inside = KeySocket(socket.0.try_clone()?);
    let empty = Path::new("/tmp/empty");
    fs::create_dir_all(empty)?;
    thread::spawn(move || -> Result<()> {
        unshare(CloneFlags::CLONE_FS)?;
        chroot(empty)?;
        std::env::set_current_dir("/")?;
        set_no_new_privs(true)?;
        let none = CapabilitySet::empty();
        let sets = rustix::thread::CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        };
        set_capabilities(None, sets)?;
        expect_no_writing(&inside)?;
        ensure!(open_raw(3, 2).is_err(), "a socket of its own");
        ensure!(fs::metadata(PROC).is_err(), "it sees files");
        Ok(())
    })
    .join()
    .expect("no panic")?;
    // Who was let in once goes on listening.
    make(&[esp])?;
    ensure!(socket.read_one()?.len() > 16);
    expect_spigrp(&["tun0x113@10.0.0.2", "esp0x115@10.0.0.2"])
}

fn roots_of_user_namespaces_cannot_write_to_sockets_of_others() -> Result<()> {
    let socket = KeySocket::open()?;
    for helper in [Helper::WriteAsOtherRoot, Helper::WriteFromOtherNetwork] {
        helper::expect_no_writing(helper, &socket)?;
    }
    ensure!(socket.drain()?.is_empty());
    expect_spigrp(&[])
}

fn what_is_queued_has_a_bound_that_its_owner_cannot_raise() -> Result<()> {
    let told = helper::run(Helper::Hoard, Who::Nobody, None)?;
    ensure!(told == "ok", "{told}");
    Ok(())
}

/// What [`Helper::Hoard`] does, as root of a namespace of its own.
pub fn hoard() -> Result<String> {
    const COUNT: usize = 1500;
    let max: usize = fs::read_to_string("/proc/sys/net/core/rmem_max")
        .context("rmem_max")?
        .trim_end()
        .parse()?;
    let deaf = KeySocket::open()?;
    deaf.0.set_recv_buffer_size(1 << 30)?;
    let size = deaf.0.recv_buffer_size()?;
    ensure!(
        size <= 2 * max,
        "a buffer of {size} bytes with rmem_max={max}"
    );
    let forced = rustix::net::sockopt::set_socket_recv_buffer_size_force(&deaf.0, 1 << 30);
    ensure!(
        forced == Err(rustix::io::Errno::PERM),
        "SO_RCVBUFFORCE: {forced:?}"
    );

    // The same bound, where it is reached sooner.
    deaf.0.set_recv_buffer_size(100_000)?;
    let size = deaf.0.recv_buffer_size()?;
    let writer = KeySocket::open()?;
    for _ in 0..COUNT {
        ensure!(writer.send(&flush(0)) == Ok(()));
        writer.drain()?;
    }
    let list = proc_net("pf_key")?;
    let lost = list
        .lines()
        .filter_map(|line| line.split_whitespace().last());
    let lost: usize = lost.filter_map(|lost| lost.parse::<usize>().ok()).sum();
    let mut kept = 0;
    while deaf.read_or_lost()?.is_some() {
        kept += 1;
    }
    ensure!(kept + lost == COUNT && kept > 0, "{kept} kept, {lost} lost");
    // What the kernel keeps of a message beside its bytes takes more than this.
    ensure!(kept * 512 <= size, "{kept} messages in {size} bytes");
    Ok("ok".to_owned())
}

fn nothing_is_logged_but_of_the_first_network() -> Result<()> {
    let lines = || -> Result<usize> {
        let log = Command::new("dmesg").output()?.stdout;
        let log = String::from_utf8_lossy(&log);
        // Of anybody's: tests that run beside this one don't log.
        Ok(log
            .lines()
            .filter(|line| line.contains("klips: Add"))
            .count())
    };
    let before = lines()?;
    let told = helper::run(Helper::Chatter, Who::Nobody, None)?;
    ensure!(told == "ok", "{told}");
    ensure!(lines()? == before, "it is in the log");
    // Nor of a network namespace that the first user namespace owns: a container may have one.
    chatter()?;
    ensure!(
        lines()? == before,
        "what another network does is in the log"
    );
    in_first_network(chatter)?;
    ensure!(lines()? == before + 3, "{} lines more", lines()? - before);
    Ok(())
}

/// Makes SAs with all debugging on.
pub fn chatter() -> Result<String> {
    let socket = KeySocket::open()?;
    let masks = wire::extension(wire::ext::DEBUG, &[0xff; 48]);
    let result = socket.write(&wire::message(wire::msg::DEBUG, 0, &[masks]));
    ensure!(result == Ok(()), "X_DEBUG: {result:?}");
    make(&manual_sas())?;
    Ok("ok".to_owned())
}

/// Where control groups are while a test looks at one.
const CGROUPS: &str = "/tmp/cgroups";

fn sas_count_against_the_writer_and_messages_against_the_listener() -> Result<()> {
    fs::create_dir_all(CGROUPS)?;
    let mount = |arguments: &[&str]| -> Result<()> {
        let output = Command::new(arguments[0]).args(&arguments[1..]).output()?;
        ensure!(output.status.success(), "{arguments:?}: {output:?}");
        Ok(())
    };
    mount(&["mount", "-t", "cgroup2", "none", CGROUPS])?;
    let group = format!("{CGROUPS}/klips");
    let small = format!("{CGROUPS}/small");
    let looked = (|| {
        fs::write(format!("{CGROUPS}/cgroup.subtree_control"), "+memory")?;
        fs::create_dir(&group)?;
        fs::create_dir(&small)?;
        fs::write(format!("{small}/memory.max"), "8M")?;
        let charge = helper::start_here(Helper::Charge, std::slice::from_ref(&group))?;
        let charged = helper::finish(charge)?;
        // What listeners don't read is nothing to those who write.
        let listeners: Vec<KeySocket> = (0..LISTENERS)
            .map(|_| KeySocket::open())
            .collect::<Result<_>>()?;
        let write = helper::start_here(Helper::WriteInGroup, std::slice::from_ref(&small))?;
        let written = helper::finish(write)?;
        let mut kept = 0;
        while listeners[0].read_or_lost()?.is_some() {
            kept += 1;
        }
        ensure!(kept > 100, "{kept} messages are kept");
        drop(listeners);
        // Nor does it harm anybody if there is not enough memory for those who listen.
        fs::write(format!("{small}/memory.max"), "4M")?;
        let listen = helper::start_here(Helper::ListenInGroup, std::slice::from_ref(&small))?;
        let heard = write_until_heard(listen)?;
        Ok(format!("{charged}; {written}; {heard}"))
    })();
    // The namespace still has the helper's SAs; they go with it.
    let removed = fs::remove_dir(&group).and_then(|()| fs::remove_dir(&small));
    mount(&["umount", CGROUPS])?;
    println!("# charged with {}", looked?);
    removed.context("can't remove the control group")
}

/// How many listen and don't read. What they have room for is more than a small group may use.
const LISTENERS: u64 = 100;

/// How often all are told something that a small group has not enough memory for.
const FLUSHES: usize = 150;

/// Writes while a helper listens, and returns what that has heard.
fn write_until_heard(mut listen: Child) -> Result<String> {
    let mut ready = [0; 1];
    let output = listen.stdout.as_mut().context("no output")?;
    output.read_exact(&mut ready)?;
    let socket = KeySocket::open()?;
    for _ in 0..FLUSHES {
        ensure!(socket.send(&flush(0)) == Ok(()));
        socket.drain()?;
    }
    // The end of its input tells it that this is all.
    drop(listen.stdin.take());
    helper::finish(listen)
}

/// What [`Helper::ListenInGroup`] does: enters a small control group, and listens with more sockets
/// than that has memory for.
pub fn listen_in_group(group: &str) -> Result<String> {
    fs::write(format!("{group}/cgroup.procs"), "0")?;
    let listeners: Vec<KeySocket> = (0..LISTENERS)
        .map(|_| KeySocket::open())
        .collect::<Result<_>>()?;
    // The messages stay that group's, but this process needs memory as well.
    fs::write(format!("{CGROUPS}/cgroup.procs"), "0")?;
    println!();
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let list = proc_net("pf_key")?;
    let lost: usize = list
        .lines()
        .filter_map(|line| line.split_whitespace().last()?.parse::<usize>().ok())
        .sum();
    let mut kept = 0;
    for listener in &listeners {
        while listener.read_or_lost()?.is_some() {
            kept += 1;
        }
    }
    let all = listeners.len() * FLUSHES;
    ensure!(kept + lost == all, "{kept} kept, {lost} lost of {all}");
    // Less than there is room for in their buffers.
    ensure!(kept < all / 2, "{kept} of {all} in a small group");
    Ok(format!("{kept} of {all} messages in a group that is full"))
}

/// What [`Helper::WriteInGroup`] does: enters a small control group, and fills the buffers of those
/// who don't read.
pub fn write_in_group(group: &str) -> Result<String> {
    const ROUNDS: u64 = 300;
    fs::write(format!("{group}/cgroup.procs"), "0")?;
    let socket = KeySocket::open()?;
    let before = charged(group)?;
    for _ in 0..ROUNDS {
        ensure!(socket.send(&flush(0)) == Ok(()));
        socket.drain()?;
    }
    let writing = charged(group)?.saturating_sub(before);
    ensure!(
        writing < 1 << 20,
        "who writes is charged with {writing} bytes for {LISTENERS} who don't read"
    );
    Ok(format!(
        "{writing} bytes for writing to {LISTENERS} who don't read"
    ))
}

/// What [`Helper::Charge`] does: enters the control group, and sees what it is charged for.
pub fn charge(group: &str) -> Result<String> {
    const SAS: u64 = 2000;
    const SOCKETS: u64 = 8;
    const ROUNDS: u64 = 60;
    const EXPIRING: u64 = 60;
    let enter = |group: &str| fs::write(format!("{group}/cgroup.procs"), "0");
    enter(group)?;
    // What is there once and for all is not to be counted.
    make(&manual_sas())?;
    let before = charged(group)?;
    let socket = KeySocket::open()?;
    for n in 0..SAS {
        let sa = said(&format!("tun.{:x}@10.0.0.2", 0x1000 + n));
        ensure!(socket.send(&add(&sa)) == Ok(()));
        socket.drain()?;
    }
    let sas = charged(group)?.saturating_sub(before);
    ensure!(sas >= SAS * 192, "{SAS} SAs are charged with {sas} bytes");
    ensure!(socket.send(&flush(0)) == Ok(()));
    socket.drain()?;
    let most = most_bytes(group, &socket)?;

    let deaf: Vec<KeySocket> = (0..SOCKETS)
        .map(|_| KeySocket::open())
        .collect::<Result<_>>()?;
    let before = charged(group)?;
    // From outside: whoever writes, listeners are charged for what is queued for them.
    enter(CGROUPS)?;
    let outside = KeySocket::open()?;
    for _ in 0..ROUNDS {
        ensure!(outside.send(&flush(0)) == Ok(()));
        outside.drain()?;
    }
    // And from nobody's: what the kernel's worker tells.
    for n in 0..EXPIRING {
        let sa = said(&format!("tun.{:x}@10.0.0.2", 0x1000 + n));
        let limited = Content {
            hard: Some(Lifetime {
                addtime: 1,
                ..Lifetime::default()
            }),
            ..add(&sa)
        };
        ensure!(outside.send(&limited) == Ok(()));
    }
    let begun = Instant::now();
    while !spigrp()?.is_empty() {
        ensure!(begun.elapsed() < EVENTUALLY, "SAs do not expire");
        thread::sleep(Duration::from_millis(50));
    }
    // Each has its bytes and a socket buffer. They stay queued, and what the worker's processor has
    // counted may be told late.
    let told = SOCKETS * (ROUNDS + 2 * EXPIRING);
    let least = told * (240 + 400);
    let begun = Instant::now();
    let messages = loop {
        let messages = charged(group)?.saturating_sub(before);
        if messages >= least || begun.elapsed() > EVENTUALLY {
            break messages;
        }
        thread::sleep(Duration::from_millis(200));
    };
    let kept: usize = deaf
        .iter()
        .map(|socket| Ok(socket.drain()?.len()))
        .sum::<Result<_>>()?;
    ensure!(kept as u64 == told, "{kept} messages are kept");
    ensure!(
        messages >= least,
        "{kept} messages are charged with {messages} bytes, not {least}"
    );
    Ok(format!(
        "{sas} bytes for {SAS} SAs, {most} for the largest, {messages} for {kept} messages"
    ))
}

/// How much the largest SAs take, each, which klips(4) tells.
fn most_bytes(group: &str, socket: &KeySocket) -> Result<u64> {
    const SAS: u32 = 2000;
    let before = charged(group)?;
    for n in 0..SAS {
        let result = socket.write(&largest(n));
        ensure!(result == Ok(()), "{result:?}");
        socket.drain()?;
    }
    let most = charged(group)?.saturating_sub(before) / u64::from(SAS);
    ensure!(socket.send(&flush(0)) == Ok(()));
    socket.drain()?;
    let page = include_str!("../../ipsec/man/klips.4");
    let told = page
        .lines()
        .find_map(|line| line.strip_prefix("An SA takes at most "))
        .and_then(|line| line.split(' ').next())
        .context("klips(4) does not tell it")?;
    let told: u64 = told.parse()?;
    ensure!(
        (most..most * 5 / 4).contains(&told),
        "klips(4) tells of {told} bytes, it is {most}"
    );
    Ok(most)
}

/// ADD of an SA that takes as much memory as there can be: with the longest keys and identities, all
/// kinds of addresses, and limits so far from those of others that they share nothing.
fn largest(n: u32) -> Vec<u8> {
    use wire::ext;
    let longest = |ids: &[u8], for_auth| {
        let of = |id| algorithm::find(SaType::Esp, for_auth, id).into_iter();
        let algorithms = ids.iter().copied().flat_map(of);
        let bits = algorithms.flat_map(|algorithm| algorithm.key_bits);
        bits.max().copied().unwrap_or(0)
    };
    let ids: Vec<u8> = (0..=u8::MAX).collect();
    // That these have the longest keys is looked at, too.
    let bits = |for_auth, id| {
        let algorithm = algorithm::find(SaType::Esp, for_auth, id).expect("it is known");
        let bits = *algorithm.key_bits.last().expect("a length");
        assert_eq!(bits, longest(&ids, for_auth));
        bits
    };
    let text = [[b'a'; 327].as_slice(), b"\0"].concat();
    let ip = |last: u32| wire::ip(&format!("2001:db8::{last:x}"));
    let spi = 0x1000 + n;
    let exts = [
        wire::RawSa {
            auth: auth::SHA2_512_HMAC,
            encrypt: encrypt::AES_CTR,
            ..wire::RawSa::mature(spi)
        }
        .ext(ext::SA),
        wire::lifetime(ext::LIFETIME_HARD, [0, 0, 0, u64::from(n) << 20, 0]),
        wire::address(ext::ADDRESS_SRC, ip(1), 1),
        wire::address(ext::ADDRESS_DST, ip(2), 2),
        wire::address(ext::ADDRESS_PROXY, ip(3), 3),
        wire::key(ext::KEY_AUTH, bits(true, auth::SHA2_512_HMAC), 0x5e),
        wire::key(ext::KEY_ENCRYPT, bits(false, encrypt::AES_CTR), 0x5c),
        wire::identity(ext::IDENTITY_SRC, 3, 1, &text),
        wire::identity(ext::IDENTITY_DST, 3, 2, &text),
        wire::address(ext::NAT_T_OA, ip(4), 4),
    ];
    wire::message(wire::msg::ADD, 3, &exts)
}

/// Bytes of kernel memory that a control group is charged for. The kernel adds up what each processor
/// has counted every two seconds, or when it is asked after they have counted much: 4 MiB are.
fn charged(group: &str) -> Result<u64> {
    drop(black_box(vec![1_u8; 4 << 20]));
    let stat = fs::read_to_string(format!("{group}/memory.stat"))?;
    let kernel = stat.lines().find_map(|line| line.strip_prefix("kernel "));
    Ok(kernel.context("no kernel memory in memory.stat")?.parse()?)
}
