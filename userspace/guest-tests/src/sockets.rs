// SPDX-License-Identifier: GPL-2.0

//! How the sockets behave, whatever the messages mean.

use crate::{
    helper::{self, Helper},
    kinds::rich,
    ktap::Test,
    support::{
        KeySocket, add, bytes_of, errno, expect_spigrp, flush, header, make, manual_sas, naming,
        open_raw, parse, said,
    },
    tests,
};
use anyhow::{Context, Result, ensure};
use klips::{
    errno::Errno,
    pfkey::{Header, MsgType},
    said::Said,
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        socket::{ControlMessageOwned, MsgFlags, recv, recvmsg, setsockopt, sockopt},
        time::TimeSpec,
    },
};
use pfkey::Content;
use socket2::{MaybeUninitSlice, SockAddr, SockFilter};
use std::{
    io::{IoSliceMut, Read},
    mem::MaybeUninit,
    net::Shutdown,
    os::fd::{AsFd, AsRawFd},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        only_raw_sockets_of_version_two,
        replies_are_there_when_write_returns,
        every_open_socket_is_told,
        wrong_lengths_are_refused_in_silence,
        a_read_without_messages_would_block,
        a_blocking_read_waits_for_a_message,
        poll_tells_the_truth,
        peek_leaves_the_message,
        what_others_have_to_read_stays_as_it_was,
        what_is_peeked_at_stays_as_it_was,
        what_is_peeked_at_in_a_dump_stays_as_it_was,
        a_timestamp_is_of_the_message_that_it_comes_with,
        a_short_read_truncates_and_says_so,
        a_full_listener_loses_messages_and_hurts_nobody,
        a_listener_that_keeps_losing_still_reads,
        a_shut_down_socket_neither_writes_nor_waits,
        closing_with_messages_queued_is_clean,
        operations_that_make_no_sense_are_refused,
        ancillary_data_is_refused,
        send_flags_that_make_no_sense_are_refused,
        a_dump_into_a_filter_that_drops_all_ends_with_its_process,
        hundreds_of_listeners_are_told_in_order,
    ]
}

const MSG_PEEK: i32 = 2;
const MSG_DONTWAIT: i32 = 0x40;
const MSG_TRUNC: i32 = 0x20;

fn only_raw_sockets_of_version_two() -> Result<()> {
    for socket_type in 1..=5 {
        for protocol in 0..=3 {
            let expected = match (socket_type, protocol) {
                (3, 2) => None,
                (3, _) => Some(Errno::EPROTONOSUPPORT),
                _ => Some(Errno::ESOCKTNOSUPPORT),
            };
            let found = open_raw(socket_type, protocol).err().map(|e| errno(&e));
            ensure!(
                found == expected,
                "type {socket_type} protocol {protocol}: expected {expected:?}, found {found:?}"
            );
        }
    }
    Ok(())
}

fn replies_are_there_when_write_returns() -> Result<()> {
    let socket = KeySocket::open()?;
    for said in manual_sas() {
        ensure!(socket.send(&add(&said)).is_ok());
        ensure!(socket.read()?.is_some(), "no reply for {said}");
    }
    Ok(())
}

fn every_open_socket_is_told() -> Result<()> {
    let sockets = [KeySocket::open()?, KeySocket::open()?, KeySocket::open()?];
    let [tun, ..] = manual_sas();
    ensure!(sockets[1].send(&add(&tun)).is_ok());
    ensure!(sockets[1].send(&add(&tun)) == Err(Errno::EEXIST));
    for socket in &sockets {
        let messages = socket.drain()?;
        ensure!(messages.len() == 2, "{messages:02x?}");
        ensure!(messages[0][2] == 0 && messages[1].len() == 16 && messages[1][2] == 17);
    }
    Ok(())
}

fn wrong_lengths_are_refused_in_silence() -> Result<()> {
    let socket = KeySocket::open()?;
    let good = bytes_of(&add(&manual_sas()[0]));
    for len in [0, 1, 8, 15, 16, good.len() - 8, good.len() - 1] {
        let result = socket.write(&good[..len]);
        ensure!(result == Err(Errno::EMSGSIZE), "{len} bytes: {result:?}");
    }
    let mut long = good.clone();
    long.extend([0; 8]);
    ensure!(socket.write(&long) == Err(Errno::EMSGSIZE));
    let huge = vec![2; 8 * 65536];
    ensure!(socket.write(&huge) == Err(Errno::EMSGSIZE));
    for (offset, value, expected) in [
        (0, 1, Errno::EINVAL),
        (0, 3, Errno::EINVAL),
        (1, 0, Errno::EINVAL),
        (1, 20, Errno::EINVAL),
        (6, 1, Errno::EINVAL),
        (7, 1, Errno::EINVAL),
    ] {
        let mut bad = good.clone();
        bad[offset] = value;
        let result = socket.write(&bad);
        ensure!(
            result == Err(expected),
            "byte {offset} = {value}: {result:?}"
        );
    }
    ensure!(socket.drain()?.is_empty(), "somebody was told");
    expect_spigrp(&[])
}

fn a_read_without_messages_would_block() -> Result<()> {
    let socket = KeySocket::open()?;
    let mut buffer = [MaybeUninit::uninit(); 64];
    let error = socket
        .0
        .recv_with_flags(&mut buffer, MSG_DONTWAIT)
        .expect_err("nothing is there");
    ensure!(
        error.kind() == std::io::ErrorKind::WouldBlock,
        "MSG_DONTWAIT: {error}"
    );
    ensure!(socket.read()?.is_none(), "O_NONBLOCK");
    Ok(())
}

fn a_blocking_read_waits_for_a_message() -> Result<()> {
    let reader = KeySocket::open()?;
    let writer = KeySocket::open()?;
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut buffer = [0; 4096];
            (&reader.0).read(&mut buffer)
        });
        thread::sleep(Duration::from_millis(50));
        ensure!(!waiting.is_finished(), "the read did not wait");
        ensure!(writer.send(&add(&manual_sas()[0])).is_ok());
        let len = waiting.join().expect("no panic")?;
        ensure!(len == 88, "read {len} bytes");
        Ok(())
    })
}

fn poll_tells_the_truth() -> Result<()> {
    let socket = KeySocket::open()?;
    let ready = || -> Result<PollFlags> {
        let mut fds = [PollFd::new(socket.0.as_fd(), PollFlags::all())];
        poll(&mut fds, PollTimeout::ZERO)?;
        Ok(fds[0].revents().unwrap_or(PollFlags::empty()))
    };
    let readable = PollFlags::POLLIN;
    ensure!(!ready()?.intersects(readable), "readable without a message");
    ensure!(ready()?.contains(PollFlags::POLLOUT), "not writable");
    make(&manual_sas()[..1])?;
    ensure!(ready()?.contains(readable), "not readable with a message");
    socket.drain()?;
    ensure!(!ready()?.intersects(readable), "readable with nothing left");
    Ok(())
}

fn peek_leaves_the_message() -> Result<()> {
    let socket = KeySocket::open()?;
    ensure!(socket.send(&add(&manual_sas()[0])).is_ok());
    let mut buffer = [MaybeUninit::uninit(); 4096];
    for _ in 0..2 {
        let len = socket.0.recv_with_flags(&mut buffer, MSG_PEEK)?;
        ensure!(len == 88);
    }
    ensure!(socket.read_one()?.len() == 88);
    Ok(())
}

/// The memory of a message that has been read may hold the next one, but not before all have read
/// it.
fn what_others_have_to_read_stays_as_it_was() -> Result<()> {
    let writer = KeySocket::open()?;
    let others = [KeySocket::open()?, KeySocket::open()?];
    let saids: Vec<Said> = (0..20)
        .map(|index| said(&format!("esp.{:x}@10.0.0.{index}", 0x1000 + index)))
        .collect();
    let mut told = Vec::new();
    for said in &saids {
        told.push(writer.ask(&add(said))?);
        let answer = writer.ask(&naming(MsgType::Get, &saids[0]))?;
        ensure!(parse(&answer)?.said() == Some(saids[0]), "{answer:02x?}");
    }
    for other in others {
        let read = other.drain()?;
        ensure!(read == told, "expected {told:02x?}, read {read:02x?}");
    }
    Ok(())
}

/// The same while one thread looks at messages that another reads.
fn what_is_peeked_at_stays_as_it_was() -> Result<()> {
    const REQUESTS: usize = 20_000;
    let socket = KeySocket::open()?;
    socket.0.set_nonblocking(true)?;
    let saids = [
        said("esp.11111111@10.17.17.17"),
        said("ah.22222222@10.34.34.34"),
    ];
    make(&saids)?;
    let is_one = |message: &[u8]| {
        let about = parse(message)?.said();
        Ok(about.is_some_and(|about| saids.contains(&about)))
    };
    let peeked = peek_while(&socket, is_one, || {
        (0..REQUESTS).try_for_each(|index| {
            let said = &saids[index % 2];
            let answer = socket.ask(&naming(MsgType::Get, said))?;
            ensure!(parse(&answer)?.said() == Some(*said), "{answer:02x?}");
            Ok(())
        })
    })?;
    println!("# {peeked} messages seen of {REQUESTS}");
    Ok(())
}

/// A thread looks at messages while `work` is done: each has to be one of those that there can be.
/// Returns how many it has seen.
fn peek_while(
    socket: &KeySocket,
    can_be: impl Fn(&[u8]) -> Result<bool> + Sync,
    work: impl FnOnce() -> Result<()>,
) -> Result<usize> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let peek = scope.spawn(|| {
            let mut peeked = 0;
            while !over.load(Ordering::Relaxed) {
                let mut buffer = [0; 1024];
                let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
                let Ok(len) = recv(socket.0.as_raw_fd(), &mut buffer, flags) else {
                    continue;
                };
                let message = &buffer[..len];
                ensure!(can_be(message)?, "{message:02x?}");
                peeked += 1;
            }
            Ok(peeked)
        });
        let worked = work();
        over.store(true, Ordering::Relaxed);
        let peeked = peek.join().expect("no panic");
        worked.and(peeked)
    })
}

/// The same with messages by the dozen, long ones among them.
fn what_is_peeked_at_in_a_dump_stays_as_it_was() -> Result<()> {
    const DUMPS: usize = 50;
    let socket = KeySocket::open()?;
    for index in 0..100 {
        let said = said(&format!("esp.{:x}@10.0.0.{index}", 0x1000 + index));
        let sa = add(&said);
        socket.ask(&if index % 3 == 0 { rich(sa) } else { sa })?;
    }
    // Less than the whole of it, which thus is written as it is read.
    socket.0.set_recv_buffer_size(20_000)?;
    let read = || -> Result<Vec<Vec<u8>>> {
        ensure!(socket.send(&Content::new(header(MsgType::Dump, 0))) == Ok(()));
        let mut bodies = Vec::new();
        let start = Instant::now();
        loop {
            // A message that is being looked at takes up room; it goes on when that is over.
            let Some(mut message) = socket.read()? else {
                ensure!(start.elapsed() < Duration::from_secs(60), "DUMP stops");
                thread::yield_now();
                continue;
            };
            let last = parse(&message)?.header.seq == 0;
            bodies.push(message.split_off(Header::SIZE));
            if last {
                return Ok(bodies);
            }
        }
    };
    let first = read()?;
    ensure!(first.len() == 100, "{} messages", first.len());
    let is_one = |message: &[u8]| Ok(first.iter().any(|body| body == &message[Header::SIZE..]));
    let peeked = peek_while(&socket, is_one, || {
        (0..DUMPS).try_for_each(|number| {
            ensure!(read()? == first, "DUMP {number} is another");
            Ok(())
        })
    })?;
    println!("# {peeked} messages seen of {}", DUMPS * first.len());
    Ok(())
}

fn a_timestamp_is_of_the_message_that_it_comes_with() -> Result<()> {
    let socket = KeySocket::open()?;
    let [tun, ..] = manual_sas();
    socket.ask(&add(&tun))?;
    setsockopt(&socket.0, sockopt::ReceiveTimestampns, &true)?;
    for _ in 0..3 {
        let asked = SystemTime::now();
        ensure!(socket.send(&naming(MsgType::Get, &tun)).is_ok());
        let mut buffer = [0; 512];
        let mut room = nix::cmsg_space!(TimeSpec);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let message = recvmsg::<()>(
            socket.0.as_raw_fd(),
            &mut parts,
            Some(&mut room),
            MsgFlags::empty(),
        )?;
        let stamp = message.cmsgs()?.find_map(|part| match part {
            ControlMessageOwned::ScmTimestampns(stamp) => Some(UNIX_EPOCH + Duration::from(stamp)),
            _ => None,
        });
        let read = SystemTime::now();
        ensure!(
            stamp.is_some_and(|stamp| (asked..=read).contains(&stamp)),
            "asked {asked:?}, read {read:?}, stamped {stamp:?}"
        );
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn a_short_read_truncates_and_says_so() -> Result<()> {
    let socket = KeySocket::open()?;
    let [tun, esp, ah] = manual_sas();
    for said in [tun, esp, ah] {
        ensure!(socket.send(&add(&said)).is_ok());
    }
    let mut buffer = [MaybeUninit::uninit(); 20];
    let mut parts = [MaybeUninitSlice::new(&mut buffer)];
    let (len, flags) = socket.0.recv_vectored(&mut parts)?;
    ensure!(
        len == 20 && flags.is_truncated(),
        "{len} bytes, truncated: {}",
        flags.is_truncated()
    );
    // With MSG_TRUNC the whole length is told, and the rest is lost all the same.
    let mut buffer = [MaybeUninit::uninit(); 20];
    let len = socket.0.recv_with_flags(&mut buffer, MSG_TRUNC)?;
    ensure!(len == 88, "MSG_TRUNC told {len}");
    ensure!(socket.read_one()?.len() == 88, "the third is whole");
    Ok(())
}

fn a_full_listener_loses_messages_and_hurts_nobody() -> Result<()> {
    let slow = KeySocket::open()?;
    slow.0.set_recv_buffer_size(4096)?;
    let writer = KeySocket::open()?;
    let count = 200;
    for spi in 0..count {
        let said = said(&format!("tun.{:x}@10.0.0.2", 0x1000 + spi));
        ensure!(writer.send(&add(&said)).is_ok(), "{said} was refused");
        ensure!(writer.read_one()?.len() == 88);
    }
    // It is told, once, that it lost some, and then gets those that it did not lose.
    let mut buffer = [0; 4096];
    let error = (&slow.0).read(&mut buffer).expect_err("messages were lost");
    ensure!(errno(&error) == Errno::ENOBUFS, "{error}");
    let kept = slow.drain()?.len();
    ensure!((1..count).contains(&kept), "{kept} messages were kept");
    // From now on it is told everything again.
    ensure!(
        writer
            .send(&naming(MsgType::Delete, &said("tun.1000@10.0.0.2")))
            .is_ok()
    );
    ensure!(slow.read_one()?.len() == 88);
    Ok(())
}

fn a_listener_that_keeps_losing_still_reads() -> Result<()> {
    let slow = KeySocket::open()?;
    slow.0.set_recv_buffer_size(4096)?;
    let writer = KeySocket::open()?;
    let [tun, ..] = manual_sas();
    let lose_one = || -> Result<()> {
        // Refusals are told to everybody, too.
        ensure!(writer.send(&naming(MsgType::Delete, &tun)) == Err(Errno::ESRCH));
        writer.drain()?;
        Ok(())
    };
    for _ in 0..100 {
        lose_one()?;
    }
    let mut buffer = [0; 4096];
    let error = (&slow.0).read(&mut buffer).expect_err("messages were lost");
    ensure!(errno(&error) == Errno::ENOBUFS, "{error}");
    // Lost between any two reads; the queue has no room until the first of them has read.
    lose_one()?;
    ensure!((&slow.0).read(&mut buffer)? == 16, "told of losses only");
    // And it is in /proc how many were lost.
    let list = crate::support::proc_net("pf_key")?;
    let lost: Option<u32> = list
        .lines()
        .nth(1)
        .and_then(|line| line.split_whitespace().last()?.parse().ok());
    ensure!(lost.is_some_and(|lost| lost > 50), "{list}");
    Ok(())
}

fn a_shut_down_socket_neither_writes_nor_waits() -> Result<()> {
    let socket = KeySocket::open()?;
    // Rust programs ignore SIGPIPE, so what is left is the errno.
    socket.0.shutdown(Shutdown::Write)?;
    ensure!(socket.send(&add(&manual_sas()[0])) == Err(Errno::EPIPE));
    let start = Instant::now();
    socket.0.set_nonblocking(false)?;
    socket.0.shutdown(Shutdown::Read)?;
    let mut buffer = [0; 64];
    ensure!((&socket.0).read(&mut buffer)? == 0, "not at the end");
    ensure!(start.elapsed() < Duration::from_secs(4), "the read waited");
    make(&manual_sas())?;
    ensure!((&socket.0).read(&mut buffer)? == 0, "something was queued");
    Ok(())
}

fn closing_with_messages_queued_is_clean() -> Result<()> {
    for _ in 0..50 {
        let listeners: Vec<_> = (0..4).map(|_| KeySocket::open()).collect::<Result<_>>()?;
        let [tun, ..] = manual_sas();
        make(&[tun])?;
        drop(listeners);
        ensure!(
            KeySocket::open()?
                .send(&naming(MsgType::Delete, &tun))
                .is_ok()
        );
    }
    Ok(())
}

fn operations_that_make_no_sense_are_refused() -> Result<()> {
    let socket = KeySocket::open()?;
    let address = SockAddr::unix("/x")?;
    let refusals = [
        ("bind", socket.0.bind(&address).err()),
        ("connect", socket.0.connect(&address).err()),
        ("listen", socket.0.listen(1).err()),
        ("accept", socket.0.accept().err()),
        ("getpeername", socket.0.peer_addr().err()),
    ];
    for (operation, error) in refusals {
        let errno = error.as_ref().map(errno);
        ensure!(errno == Some(Errno::EOPNOTSUPP), "{operation}: {errno:?}");
    }
    Ok(())
}

fn ancillary_data_is_refused() -> Result<()> {
    let socket = KeySocket::open()?;
    let bytes = bytes_of(&add(&manual_sas()[0]));
    let parts = [std::io::IoSlice::new(&bytes)];
    // A control message of the right form: SOL_SOCKET, SCM_CREDENTIALS would be checked by the
    // kernel first, an unknown level is not.
    let mut control = [0u8; 24];
    control[..8].copy_from_slice(&20u64.to_ne_bytes());
    control[8..12].copy_from_slice(&300i32.to_ne_bytes());
    let message = socket2::MsgHdr::new()
        .with_buffers(&parts)
        .with_control(&control);
    let error = socket.0.sendmsg(&message, 0).expect_err("refused");
    ensure!(errno(&error) == Errno::EINVAL, "{error}");
    expect_spigrp(&[])
}

/// Flags of a write that would mean something else than a message, carried out at once.
fn send_flags_that_make_no_sense_are_refused() -> Result<()> {
    const MEANINGLESS: [(&str, i32); 9] = [
        ("MSG_OOB", 0x1),
        ("MSG_DONTROUTE", 0x4),
        ("MSG_PROBE", 0x10),
        ("MSG_TRUNC", 0x20),
        ("MSG_WAITALL", 0x100),
        ("MSG_CONFIRM", 0x800),
        ("MSG_MORE", 0x8000),
        ("MSG_ZEROCOPY", 0x0400_0000),
        ("MSG_FASTOPEN", 0x2000_0000),
    ];
    const HARMLESS: [(&str, i32); 4] = [
        ("none", 0),
        ("MSG_DONTWAIT", MSG_DONTWAIT),
        ("MSG_EOR", 0x80),
        ("MSG_NOSIGNAL", 0x4000),
    ];
    let socket = KeySocket::open()?;
    let [tun, ..] = manual_sas();
    let bytes = bytes_of(&add(&tun));
    for (name, flag) in MEANINGLESS {
        let error = socket.0.send_with_flags(&bytes, flag).err();
        let errno = error.as_ref().map(errno);
        ensure!(errno == Some(Errno::EOPNOTSUPP), "{name}: {errno:?}");
    }
    ensure!(socket.drain()?.is_empty(), "somebody was told");
    expect_spigrp(&[])?;
    for (name, flag) in HARMLESS {
        let sent = socket.0.send_with_flags(&bytes, flag).context(name)?;
        ensure!(sent == bytes.len(), "{name}");
        ensure!(socket.read_one()?.len() == 88, "{name}");
        ensure!(socket.send(&naming(MsgType::Delete, &tun)).is_ok());
        socket.drain()?;
    }
    Ok(())
}

/// Has a socket refuse all that is delivered.
fn drop_all(socket: &KeySocket) -> Result<()> {
    // BPF_RET | BPF_K: nothing is left of a message.
    Ok(socket.0.attach_filter(&[SockFilter::new(0x06, 0, 0, 0)])?)
}

/// What [`Helper::Dump`] does.
pub fn dump_in_vain() -> Result<String> {
    let socket = KeySocket::open()?;
    drop_all(&socket)?;
    println!();
    let result = socket.send(&Content::new(header(MsgType::Dump, 0)));
    ensure!(result == Ok(()), "DUMP: {result:?}");
    Ok("ok".to_owned())
}

fn a_dump_into_a_filter_that_drops_all_ends_with_its_process() -> Result<()> {
    const SAS: u32 = 20_000;
    let socket = KeySocket::open()?;
    drop_all(&socket)?;
    for spi in 0..SAS {
        let said = said(&format!("tun.{:x}@10.0.0.2", 0x1000 + spi));
        ensure!(socket.send(&add(&said)).is_ok());
    }
    let dump = || -> Result<(std::process::Child, Instant)> {
        let mut helper = helper::start_here(Helper::Dump, &[])?;
        let mut ready = [0; 1];
        let output = helper.stdout.as_mut().context("no output")?;
        output.read_exact(&mut ready)?;
        Ok((helper, Instant::now()))
    };
    let (helper, begun) = dump()?;
    ensure!(helper::finish(helper)? == "ok", "undisturbed");
    let whole = begun.elapsed();
    let (mut helper, begun) = dump()?;
    thread::sleep(whole / 10);
    helper.kill()?;
    let status = helper.wait()?;
    let killed = begun.elapsed();
    println!("# {SAS} SAs: {whole:?}, killed: {killed:?}");
    ensure!(!status.success(), "it was not killed");
    ensure!(killed < whole / 2, "{killed:?} of {whole:?}");
    // Nobody else is kept from anything.
    let socket = KeySocket::open()?;
    ensure!(socket.send(&flush(0)).is_ok());
    Ok(())
}

/// More than are told in one go, by more than one writer: still each is told all, in one order.
fn hundreds_of_listeners_are_told_in_order() -> Result<()> {
    const LISTENERS: usize = 900;
    const WRITERS: u32 = 3;
    const SAS: u32 = 30;
    let listeners: Vec<KeySocket> = (0..LISTENERS)
        .map(|_| KeySocket::open())
        .collect::<Result<_>>()?;
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || -> Result<()> {
                    let socket = KeySocket::open()?;
                    for n in 0..SAS {
                        let said = said(&format!("tun.{:x}@10.0.0.2", 0x1000 * (writer + 1) + n));
                        ensure!(socket.send(&add(&said)).is_ok());
                        // Its own answer is there, whoever else has still to be told.
                        let about = |message: &Vec<u8>| Ok(parse(message)?.said() == Some(said));
                        let told: Result<Vec<bool>> = socket.drain()?.iter().map(about).collect();
                        ensure!(told?.contains(&true), "no answer for {said}");
                    }
                    Ok(())
                })
            })
            .collect();
        for writer in writers {
            writer.join().expect("no panic")?;
        }
        Ok::<_, anyhow::Error>(())
    })?;
    let mut first: Option<Vec<Vec<u8>>> = None;
    for listener in &listeners {
        let told = listener.drain()?;
        ensure!(
            told.len() == (WRITERS * SAS) as usize,
            "{} told",
            told.len()
        );
        ensure!(
            first.get_or_insert_with(|| told.clone()) == &told,
            "another order"
        );
    }
    Ok(())
}
