// SPDX-License-Identifier: GPL-2.0

//! The other messages: GETSPI, UPDATE, REGISTER, ACQUIRE, EXPIRE, DUMP, X_PROMISC, X_DEBUG, and
//! what time does to SAs.

use crate::{
    kinds::limit,
    ktap::Test,
    support::{
        EVENTUALLY, KeySocket, LATER, SECRET, SOON, add, expect_refusal, expect_spigrp, flush,
        getspi, group, header, in_first_network, make, manual_sas, naming, parse, proc_net, said,
        update,
    },
    tests,
};
use anyhow::{Context, Result, bail, ensure};
use klips::{
    errno::Errno,
    pfkey::{
        Ext, Header, Key, Lifetime, LifetimeForm, MsgType, Sa, SaState, SaType,
        algorithm::{self, Purpose, auth, encrypt},
        debug::{Masks, SET},
    },
    said::Said,
};
use pfkey::{Content, Reply};
use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        getspi_reserves_what_is_asked_for,
        getspi_finds_every_free_spi_and_then_no_more,
        larval_sas_can_be_grouped_and_made_mature,
        update_keeps_the_group,
        update_changes_ports_behind_nat,
        update_refuses_what_is_missing,
        register_lists_the_algorithms_and_registers_once,
        acquire_is_passed_on_to_those_who_negotiate,
        expire_is_echoed,
        dump_lists_everything_by_age,
        dump_honours_the_sa_type,
        dump_goes_on_as_the_reader_reads,
        dump_goes_through_the_smallest_buffer,
        dump_survives_changes_in_between,
        promiscuous_sockets_get_wrapped_copies,
        debug_sets_and_clears_masks,
        interfaces_are_refused_for_what_they_are,
        every_algorithm_with_each_of_its_keys,
        lifetimes_are_read_in_both_forms,
    ]
}

/// Those that wait for time to pass.
pub fn waiting() -> Vec<Test> {
    tests![
        soft_limits_warn_and_hard_limits_remove_the_group,
        larval_sas_expire,
    ]
    .into_iter()
    .map(Test::waiting)
    .collect()
}

fn getspi_reserves_what_is_asked_for() -> Result<()> {
    let (socket, other) = (KeySocket::open()?, KeySocket::open()?);
    let esp = said("esp.3000@10.0.0.2");
    let reply = socket.ask(&getspi(&esp, 0x3000, 0x3000))?;
    ensure!(parse(&reply)?.said() == Some(esp));
    ensure!(parse(&reply)?.sa().map(|sa| sa.state) == Some(SaState::Larval));
    ensure!(other.read_one()? == reply);
    expect_refusal(
        &socket,
        &[&other],
        &getspi(&esp, 0x3000, 0x3000),
        Errno::EEXIST,
    )?;
    expect_refusal(&socket, &[&other], &getspi(&esp, 0, 0), Errno::EEXIST)?;
    expect_refusal(
        &socket,
        &[&other],
        &getspi(&esp, 0x3001, 0x3000),
        Errno::EINVAL,
    )?;
    expect_spigrp(&["esp0x3000@10.0.0.2"])
}

fn getspi_finds_every_free_spi_and_then_no_more() -> Result<()> {
    let socket = KeySocket::open()?;
    let esp = said("esp.3000@10.0.0.2");
    let mut spis = Vec::new();
    for _ in 0..200 {
        let reply = socket.ask(&getspi(&esp, 0x3000, 0x30c7))?;
        spis.push(parse(&reply)?.sa().context("no SA")?.spi);
    }
    expect_refusal(&socket, &[], &getspi(&esp, 0x3000, 0x30c7), Errno::EEXIST)?;
    let distinct: BTreeSet<_> = spis.iter().copied().collect();
    ensure!(distinct == (0x3000..=0x30c7).collect());
    ensure!(!spis.is_sorted(), "not in random order");
    Ok(())
}

fn larval_sas_can_be_grouped_and_made_mature() -> Result<()> {
    let socket = KeySocket::open()?;
    let [tun, ..] = manual_sas();
    let esp = said("esp.3000@10.0.0.2");
    make(&[tun])?;
    socket.ask(&getspi(&esp, 0x3000, 0x3000))?;
    socket.ask(&group(&[tun, esp]))?;
    expect_refusal(&socket, &[], &add(&esp), Errno::EEXIST)?;
    let update = Content {
        header: header(MsgType::Update, SaType::Esp as u8),
        ..add(&esp)
    };
    socket.ask(&update)?;
    expect_spigrp(&["tun0x113@10.0.0.2 esp0x3000@10.0.0.2"])?;
    let reply = socket.ask(&naming(MsgType::Get, &esp))?;
    ensure!(parse(&reply)?.sa().map(|sa| sa.state) == Some(SaState::Mature));
    Ok(())
}

fn update_keeps_the_group() -> Result<()> {
    let socket = KeySocket::open()?;
    let sas @ [_, esp, _] = manual_sas();
    make(&sas)?;
    socket.ask(&group(&sas))?;
    let changed = Content {
        sa: update(&esp).sa.map(|sa| Sa {
            replay: 5,
            encrypt: encrypt::AES_CBC,
            ..sa
        }),
        key_encrypt: Some(Key {
            bits: 256,
            data: &SECRET[..32],
        }),
        ..update(&esp)
    };
    let reply = socket.ask(&changed)?;
    ensure!(parse(&reply)?.sa().map(|sa| sa.replay) == Some(5));
    ensure!(!reply.windows(8).any(|bytes| bytes == &SECRET[..8]));
    expect_spigrp(&["tun0x113@10.0.0.2 esp0x115@10.0.0.2 ah0x116@10.0.0.2"])?;
    ensure!(proc_net("ipsec_spi")?.contains("esp0x115@10.0.0.2 ESP_AES_HMAC_MD5: "));
    // Still one SA of that name, which takes its group along.
    ensure!(socket.send(&naming(MsgType::Delete, &esp)).is_ok());
    expect_spigrp(&[])
}

fn update_changes_ports_behind_nat() -> Result<()> {
    let socket = KeySocket::open()?;
    let [_, esp, _] = manual_sas();
    socket.ask(&Content {
        natt_type: Some(2),
        natt_sport: Some(1),
        natt_dport: Some(2),
        ..add(&esp)
    })?;
    socket.ask(&Content {
        natt_sport: Some(4500),
        ..update(&esp)
    })?;
    let text = proc_net("ipsec_spi")?;
    ensure!(
        text.contains("ESP_3DES_HMAC_MD5") && text.contains("natsport=4500 natdport=2 "),
        "{text}"
    );
    Ok(())
}

fn update_refuses_what_is_missing() -> Result<()> {
    let socket = KeySocket::open()?;
    let [_, esp, _] = manual_sas();
    expect_refusal(&socket, &[], &update(&esp), Errno::ENOENT)?;
    let ports = Content {
        natt_sport: Some(4500),
        ..update(&esp)
    };
    expect_refusal(&socket, &[], &ports, Errno::ENOENT)
}

fn register(satype: u8) -> Content<'static> {
    Content::new(header(MsgType::Register, satype))
}

fn register_lists_the_algorithms_and_registers_once() -> Result<()> {
    let (socket, other) = (KeySocket::open()?, KeySocket::open()?);
    for _ in 0..2 {
        let reply = socket.ask(&register(3))?;
        let message = parse(&reply)?;
        for (ext, for_auth) in [(Ext::SupportedAuth, true), (Ext::SupportedEncrypt, false)] {
            let told: Vec<_> = message.supported(ext).map(|alg| alg.id).collect();
            let known: Vec<_> = algorithm::supported(SaType::Esp, for_auth)
                .map(|algorithm| algorithm.id)
                .collect();
            ensure!(told == known && told.len() > 1, "{ext:?}: {told:?}");
        }
        ensure!(other.drain()?.is_empty(), "told one who has not registered");
    }
    other.ask(&register(3))?;
    ensure!(socket.drain()?.len() == 1, "told once, not twice");
    let list = proc_net("pf_key_registered")?;
    ensure!(list.lines().count() == 3, "{list}");
    drop(other);
    let list = proc_net("pf_key_registered")?;
    ensure!(list.lines().count() == 2, "{list}");
    expect_refusal(&socket, &[], &register(0), Errno::EINVAL)?;
    expect_refusal(&socket, &[], &register(12), Errno::EINVAL)
}

fn acquire_is_passed_on_to_those_who_negotiate() -> Result<()> {
    let (socket, other) = (KeySocket::open()?, KeySocket::open()?);
    let failed = Content::new(Header {
        errno: 110,
        ..header(MsgType::Acquire, 3)
    });
    ensure!(socket.send(&failed) == Err(Errno::EPROTONOSUPPORT));
    socket.drain()?;
    other.drain()?;
    other.ask(&register(3))?;
    ensure!(socket.send(&failed).is_ok());
    ensure!(other.read_one()?[..3] == [2, 6, 110]);
    ensure!(socket.drain()?.is_empty());
    Ok(())
}

fn expire_is_echoed() -> Result<()> {
    let (socket, other) = (KeySocket::open()?, KeySocket::open()?);
    let reply = socket.ask(&Content::new(header(MsgType::Expire, 3)))?;
    ensure!(reply.len() == 16 && other.read_one()? == reply);
    expect_refusal(
        &socket,
        &[&other],
        &Content::new(header(MsgType::Expire, 0)),
        Errno::EINVAL,
    )
}

fn dump(satype: u8) -> Content<'static> {
    Content::new(header(MsgType::Dump, satype))
}

/// Reads a dump to its end: SAIDs and sequence numbers.
fn read_dump(socket: &KeySocket) -> Result<Vec<(Said, u32)>> {
    let mut read = Vec::new();
    while let Some(bytes) = socket.read()? {
        let message = parse(&bytes)?;
        ensure!(message.header.msg_type == MsgType::Dump);
        ensure!(!message.has(Ext::KeyAuth) && !message.has(Ext::KeyEncrypt));
        read.push((message.said().context("no SAID")?, message.header.seq));
        if message.header.seq == 0 {
            return Ok(read);
        }
    }
    bail!("no last message after {}", read.len())
}

fn dump_lists_everything_by_age() -> Result<()> {
    let (socket, other) = (KeySocket::open()?, KeySocket::open()?);
    expect_refusal(&socket, &[&other], &dump(0), Errno::ENOENT)?;
    let [tun, esp, ah] = manual_sas();
    make(&[esp, ah, tun])?;
    socket.drain()?;
    other.drain()?;
    ensure!(socket.send(&dump(0)).is_ok());
    let read = read_dump(&socket)?;
    ensure!(read == [(esp, 1), (ah, 2), (tun, 0)], "{read:?}");
    ensure!(other.drain()?.is_empty());
    Ok(())
}

fn dump_honours_the_sa_type() -> Result<()> {
    let socket = KeySocket::open()?;
    let [tun, esp, ah] = manual_sas();
    let more = said("ah.117@10.0.0.2");
    make(&[tun, ah, esp, more])?;
    socket.drain()?;
    ensure!(socket.send(&dump(SaType::Ah as u8)).is_ok());
    ensure!(read_dump(&socket)? == [(ah, 1), (more, 0)]);
    expect_refusal(&socket, &[], &dump(SaType::Comp as u8), Errno::ENOENT)?;
    expect_refusal(&socket, &[], &dump(4), Errno::EINVAL)
}

fn many(count: u32) -> Result<Vec<Said>> {
    let sas: Vec<_> = (0..count)
        .map(|n| said(&format!("esp.{:x}@10.0.0.2", 0x1000 + n)))
        .collect();
    make(&sas)?;
    Ok(sas)
}

fn dump_goes_on_as_the_reader_reads() -> Result<()> {
    let sas = many(2_000)?;
    for size in [2_304, 20_000, 200_000] {
        let socket = KeySocket::open()?;
        socket.0.set_recv_buffer_size(size)?;
        ensure!(socket.send(&dump(0)).is_ok());
        // One at a time on a socket.
        let again = KeySocket::open()?;
        ensure!(again.send(&dump(0)).is_ok());
        ensure!(again.send(&dump(0)) == Err(Errno::EBUSY), "two at once");
        drop(again);
        // Its refusal went to all sockets, this one too, somewhere in between.
        let mut read = Vec::new();
        loop {
            let bytes = socket.read()?.context("the dump has stopped")?;
            if bytes[2] != 0 {
                continue;
            }
            let message = parse(&bytes)?;
            read.push(message.said().context("no SAID")?);
            if message.header.seq == 0 {
                break;
            }
            ensure!(message.header.seq as usize == read.len());
        }
        ensure!(read == sas, "{} of {} with {size}", read.len(), sas.len());
    }
    Ok(())
}

fn dump_goes_through_the_smallest_buffer() -> Result<()> {
    let sas = many(200)?;
    let socket = KeySocket::open()?;
    socket.0.set_recv_buffer_size(1)?;
    ensure!(socket.send(&dump(0)).is_ok());
    let read: Vec<_> = read_dump(&socket)?
        .into_iter()
        .map(|(said, _)| said)
        .collect();
    ensure!(read == sas, "{} of {}", read.len(), sas.len());
    Ok(())
}

fn dump_survives_changes_in_between() -> Result<()> {
    let sas = many(1_000)?;
    let socket = KeySocket::open()?;
    socket.0.set_recv_buffer_size(50_000)?;
    ensure!(socket.send(&dump(0)).is_ok());
    let writer = KeySocket::open()?;
    let mut read = Vec::new();
    let mut changed = 0;
    let last = loop {
        let Some(bytes) = socket.read()? else {
            bail!("the dump has stopped after {}", read.len());
        };
        let message = parse(&bytes)?;
        if message.header.msg_type != MsgType::Dump {
            continue;
        }
        read.push(message.said().context("no SAID")?);
        if message.header.seq == 0 {
            break read.len();
        }
        // Take those away that come last, and add some that must not come at all.
        if changed < 10 {
            let gone = sas[sas.len() - 1 - changed];
            ensure!(writer.send(&naming(MsgType::Delete, &gone)).is_ok());
            let new = said(&format!("ah.{:x}@10.0.0.2", 0x1000 + changed));
            ensure!(writer.send(&add(&new)).is_ok());
            writer.drain()?;
            changed += 1;
        }
    };
    ensure!(read == sas[..990], "{last} were read");
    Ok(())
}

fn promiscuous_sockets_get_wrapped_copies() -> Result<()> {
    let (nosy, socket) = (KeySocket::open()?, KeySocket::open()?);
    let promisc = |on| Content::new(header(MsgType::Promisc, on));
    nosy.ask(&promisc(1))?;
    let [tun, ..] = manual_sas();
    make(&[tun])?;
    // What it is told itself it does not get twice.
    ensure!(nosy.drain()?.len() == 1);
    let reply = socket.ask(&naming(MsgType::Get, &tun))?;
    let copy = nosy.read_one()?;
    ensure!(
        copy[..6] == [2, 11, 0, 0, u8::try_from(copy.len() / 8)?, 0],
        "{copy:02x?}"
    );
    ensure!(copy[16..] == reply, "{copy:02x?}");
    nosy.ask(&promisc(0))?;
    socket.ask(&naming(MsgType::Get, &tun))?;
    ensure!(nosy.drain()?.is_empty());
    expect_refusal(&nosy, &[], &promisc(2), Errno::EINVAL)
}

fn debug_sets_and_clears_masks() -> Result<()> {
    let (socket, other) = (KeySocket::open()?, KeySocket::open()?);
    let debug = |masks| Content {
        debug: Some(Masks(masks)),
        ..Content::new(header(MsgType::Debug, 0))
    };
    let line = |text: &str| -> Result<String> {
        let list = proc_net("ipsec_klipsdebug")?;
        ensure!(list.lines().count() == 9, "{list}");
        let found = list.lines().find(|line| line.starts_with(text));
        Ok(found.context("no such line")?.to_owned())
    };
    ensure!(line("debug_spi")? == "debug_spi=00000000.");
    ensure!(
        socket
            .send(&debug([1, SET, 0, 0, 0xff, 0, 0, 0, 0, 0x10, 0, 0]))
            .is_ok()
    );
    ensure!(line("debug_tunnel")? == "debug_tunnel=00000001.");
    ensure!(line("debug_spi")? == "debug_spi=000000ff.");
    ensure!(line("debug_pfkey")? == "debug_pfkey=00000010.");
    let all = u32::MAX;
    ensure!(
        socket
            .send(&debug([
                all, 0, all, all, 0x0f, all, all, all, all, 0, all, all
            ]))
            .is_ok()
    );
    ensure!(line("debug_spi")? == "debug_spi=0000000f.");
    ensure!(line("debug_pfkey")? == "debug_pfkey=00000000.");
    ensure!(socket.drain()?.is_empty() && other.drain()?.is_empty());
    // What is on is logged.
    in_first_network(|| {
        let socket = KeySocket::open()?;
        let debug = debug([0, SET, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0]);
        ensure!(socket.send(&debug).is_ok());
        make(&[said("tun.7e57@10.0.0.2")])
    })?;
    let log = std::process::Command::new("dmesg").output()?.stdout;
    let log = String::from_utf8_lossy(&log);
    for line in [
        "klips: tun0x7e57@10.0.0.2: added",
        "klips: Add seq 7 pid 4711 satype 9: ok",
    ] {
        ensure!(log.contains(line), "not in the log: {line}");
    }
    Ok(())
}

fn interfaces_are_refused_for_what_they_are() -> Result<()> {
    let socket = KeySocket::open()?;
    for (msg_type, outif, errno) in [
        // ipsec0 is there from the start, ipsec3 is not, and 1 is a mast1.
        (MsgType::PlumbIf, 49152, Errno::EEXIST),
        (MsgType::UnplumbIf, 49155, Errno::ENODEV),
        (MsgType::PlumbIf, 1, Errno::EOPNOTSUPP),
        (MsgType::UnplumbIf, 1, Errno::EOPNOTSUPP),
    ] {
        let interface = Content {
            outif: Some(outif),
            ..Content::new(header(msg_type, 0))
        };
        expect_refusal(&socket, &[], &interface, errno)?;
    }
    // Not well formed, hence another errno.
    let without = Content::new(header(MsgType::PlumbIf, 0));
    expect_refusal(&socket, &[], &without, Errno::EINVAL)
}

fn every_algorithm_with_each_of_its_keys() -> Result<()> {
    let socket = KeySocket::open()?;
    let [_, esp, ah] = manual_sas();
    let key = |bits: u16| {
        (bits != 0).then(|| Key {
            bits,
            data: &SECRET[..usize::from(bits).div_ceil(8)],
        })
    };
    let mut accepted = 0;
    for (satype, sa) in [(SaType::Ah, ah), (SaType::Esp, esp)] {
        for known in algorithm::ALGORITHMS.iter().filter(|a| a.suits(satype)) {
            for bits in (0..=512).step_by(8) {
                let base = add(&sa);
                let request = match known.purpose {
                    Purpose::Auth => Content {
                        sa: base.sa.map(|sa| Sa {
                            auth: known.id,
                            ..sa
                        }),
                        key_auth: key(bits),
                        ..base
                    },
                    _ => Content {
                        sa: base.sa.map(|sa| Sa {
                            encrypt: known.id,
                            auth: match known.purpose {
                                Purpose::Combined => auth::NONE,
                                _ => auth::MD5_HMAC,
                            },
                            ..sa
                        }),
                        // One that authenticates by itself has no use for another key.
                        key_auth: match known.purpose {
                            Purpose::Combined => None,
                            _ => base.key_auth,
                        },
                        key_encrypt: key(bits),
                        ..base
                    },
                };
                let result = socket.send(&request);
                let expected = if known.key_bits.contains(&bits) {
                    Ok(())
                } else {
                    Err(Errno::EINVAL)
                };
                ensure!(
                    result == expected,
                    "{satype:?} {}, {bits} bits: {result:?}",
                    known.proc_name
                );
                if result.is_ok() {
                    let list = proc_net("ipsec_spi")?;
                    ensure!(
                        list.contains(&format!("{}: ", known.proc_name))
                            || known.id == 3
                            || known.purpose == Purpose::Encrypt,
                        "{list}"
                    );
                    ensure!(socket.send(&naming(MsgType::Delete, &sa)).is_ok());
                    accepted += 1;
                }
                socket.drain()?;
            }
        }
    }
    ensure!(accepted == 43, "{accepted} were accepted");
    Ok(())
}

fn wait_for(socket: &KeySocket, msg_type: MsgType) -> Result<Vec<u8>> {
    let start = Instant::now();
    while start.elapsed() < EVENTUALLY {
        if let Some(bytes) = socket.read()? {
            if bytes[1] == msg_type as u8 {
                return Ok(bytes);
            }
            continue;
        }
        thread::sleep(Duration::from_millis(20));
    }
    bail!("no {msg_type:?} came")
}

fn soft_limits_warn_and_hard_limits_remove_the_group() -> Result<()> {
    let socket = KeySocket::open()?;
    let sas @ [tun, esp, ah] = manual_sas();
    make(&[tun, ah])?;
    let start = Instant::now();
    socket.ask(&Content {
        soft: limit(SOON),
        hard: limit(LATER),
        ..add(&esp)
    })?;
    socket.ask(&group(&sas))?;
    let bytes = wait_for(&socket, MsgType::Expire)?;
    let message = parse(&bytes)?;
    ensure!(message.said() == Some(esp) && message.header.pid == 0);
    ensure!(message.has(Ext::LifetimeSoft) && !message.has(Ext::LifetimeHard));
    ensure!(message.sa().map(|sa| sa.state) == Some(SaState::Dying));
    ensure!(start.elapsed() >= Duration::from_secs(SOON), "too early");
    expect_spigrp(&["tun0x113@10.0.0.2 esp0x115@10.0.0.2 ah0x116@10.0.0.2"])?;
    let reply = KeySocket::open()?.ask(&naming(MsgType::Get, &esp))?;
    ensure!(parse(&reply)?.sa().map(|sa| sa.state) == Some(SaState::Dying));

    let bytes = wait_for(&socket, MsgType::Expire)?;
    let message = parse(&bytes)?;
    ensure!(message.said() == Some(esp));
    ensure!(message.has(Ext::LifetimeHard) && !message.has(Ext::LifetimeSoft));
    ensure!(start.elapsed() >= Duration::from_secs(LATER), "too early");
    expect_spigrp(&[])?;
    let mates: Vec<_> = socket
        .drain()?
        .iter()
        .map(|bytes| Ok((bytes[1], parse(bytes)?.said())))
        .collect::<Result<_>>()?;
    ensure!(mates == [(4, Some(tun)), (4, Some(ah))], "{mates:?}");
    Ok(())
}

fn larval_sas_expire() -> Result<()> {
    let socket = KeySocket::open()?;
    let esp = said("esp.3000@10.0.0.2");
    socket.ask(&getspi(&esp, 0x3000, 0x3000))?;
    let start = Instant::now();
    let bytes = wait_for(&socket, MsgType::Expire)?;
    ensure!(parse(&bytes)?.said() == Some(esp));
    ensure!(start.elapsed() >= Duration::from_secs(29), "too early");
    expect_spigrp(&[])
}

fn lifetimes_are_read_in_both_forms() -> Result<()> {
    let socket = KeySocket::open()?;
    let [tun, ..] = manual_sas();
    for form in [LifetimeForm::Rfc, LifetimeForm::WithPackets] {
        let request = Content {
            hard: Some(Lifetime {
                bytes: 77,
                ..Lifetime::default()
            }),
            lifetime_form: form,
            ..add(&tun)
        };
        let reply = socket.ask(&request)?;
        let told = parse(&reply)?.lifetime(Ext::LifetimeHard);
        ensure!(told == request.hard.map(|hard| (hard, form)), "{told:?}");
        // As its maker writes them, so it reads them.
        let reply = socket.ask(&naming(MsgType::Get, &tun))?;
        let (_, told) = parse(&reply)?
            .lifetime(Ext::LifetimeCurrent)
            .context("nothing current")?;
        ensure!(told == form, "{told:?}");
        socket.ask(&flush(0))?;
    }
    Ok(())
}
