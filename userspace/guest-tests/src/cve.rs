// SPDX-License-Identifier: GPL-2.0

//! The mistakes for which other PF_KEY implementations are known, tried on this one by the same
//! messages. Most are of Linux's own `net/key/af_key.c`, which is named where no number is.

use crate::{
    kinds::{self, rich},
    ktap::Test,
    support::{
        KeySocket, Slab, add, bytes_of, expect_spigrp, flush, getspi, group, link, make,
        manual_sas, naming, said, spigrp, update,
    },
    tests,
};
use anyhow::{Context, Result, ensure};
use klips::{
    errno::Errno,
    pfkey::{MsgType, algorithm::encrypt},
    said::Said,
};
use model::wire::{self, assert_clean, ext, exts_of, fix_len, msg, u16_at};
use pfkey::Content;
use std::{fs, thread};

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        cve_2026_43088_padding_of_ipv6_addresses_is_zero,
        cve_2026_31515_a_family_is_not_truncated_and_decides_the_length,
        cve_2026_31515_a_list_is_as_long_as_it_counts,
        cve_2022_3028_algorithms_are_counted_once,
        cve_2022_1353_register_tells_no_stale_bytes,
        cve_2013_2234_flush_tells_no_stale_bytes,
        overread_of_an_extension_beyond_the_message,
        overread_of_an_address_shorter_than_its_family,
        overread_of_a_key_shorter_than_its_bits,
        overread_of_an_identity_without_an_end,
        extensions_beyond_the_table_of_extensions,
        families_are_checked_per_address,
        a_walk_whose_sas_go_while_the_lock_is_free,
        a_walk_that_nobody_reads_to_its_end,
        refusals_take_no_references,
        eroutes_that_are_gone_leave_no_networks_behind,
    ]
}

/// How many times something that leaks a little is done, for the leak to be seen.
const OFTEN: usize = 200;

/// An ADD whose addresses have something after their end: in the padding to a full word.
fn padded(said: &Said) -> Vec<u8> {
    let mut bytes = bytes_of(&add(said));
    let mut at = 16;
    while at < bytes.len() {
        let len = usize::from(u16_at(&bytes, at)) * 8;
        let number = u16_at(&bytes, at + 2);
        if [ext::ADDRESS_SRC, ext::ADDRESS_DST].contains(&number) && len == 40 {
            bytes[at + 36..at + 40].fill(0xee);
        }
        at += len;
    }
    bytes
}

/// `pfkey_sockaddr_size()` made room for 32 bytes where `pfkey_sockaddr_fill()` wrote 28.
fn cve_2026_43088_padding_of_ipv6_addresses_is_zero() -> Result<()> {
    let sas = ["tun:5000@2001:db8::2", "esp:5001@2001:db8::2"].map(said);
    let socket = KeySocket::open()?;
    let mut told = Vec::new();
    let mut ask = |request: &[u8]| -> Result<()> {
        ensure!(socket.write(request) == Ok(()), "{request:02x?}");
        told.extend(socket.drain()?);
        Ok(())
    };
    for sa in &sas {
        ask(&padded(sa))?;
        ask(&bytes_of(&naming(MsgType::Get, sa)))?;
        ask(&bytes_of(&update(sa)))?;
    }
    ask(&bytes_of(&link(&sas[0], &sas[1])))?;
    ask(&wire::message(msg::DUMP, 0, &[]))?;
    ask(&bytes_of(&naming(MsgType::Delete, &sas[0])))?;
    let mut addresses = 0;
    for message in &told {
        assert_clean(message);
        let is_six = |bytes: &[u8]| bytes.len() == 40 && u16_at(bytes, 8) == 10;
        for (_, bytes) in exts_of(message).iter().filter(|(_, bytes)| is_six(bytes)) {
            ensure!(bytes[36..] == [0; 4], "{bytes:02x?}");
            addresses += 1;
        }
    }
    ensure!(addresses > 20, "{addresses} addresses were told");
    Ok(())
}

/// Checks that a request changed in one way is refused, with an errno among these.
fn refused(bytes: &[u8], errnos: &[Errno]) -> Result<()> {
    let socket = KeySocket::open()?;
    let result = socket.write(bytes);
    ensure!(
        result.is_err_and(|errno| errnos.contains(&errno)),
        "{result:?} for {bytes:02x?}"
    );
    expect_spigrp(&[])
}

/// ADD of an SA with a destination extension of one's own making.
fn add_with_dst(dst: &[u8]) -> Vec<u8> {
    let [tun, ..] = manual_sas();
    let [sa, src, _] = wire::naming(tun);
    let mut sa = sa;
    // Mature.
    sa[9] = 1;
    wire::message(msg::ADD, 9, &[sa, src, dst.to_vec()])
}

/// A family that was cut to eight bits made one length of it for the message, and another for what
/// was written there.
fn cve_2026_31515_a_family_is_not_truncated_and_decides_the_length() -> Result<()> {
    let four = wire::address(ext::ADDRESS_DST, wire::ip("10.0.0.2"), 0);
    let six = wire::address(ext::ADDRESS_DST, wire::ip("2001:db8::2"), 0);
    let wrong = [Errno::EPFNOSUPPORT, Errno::EINVAL];
    for good in [&four, &six] {
        for family in (0..=40).chain([0x102, 0x10a, 0x202, 0xff02, 0xff0a, 0xffff]) {
            let mut dst = good.clone();
            if u16_at(&dst, 8) == family {
                continue;
            }
            dst[8..10].copy_from_slice(&family.to_ne_bytes());
            refused(&add_with_dst(&dst), &wrong).with_context(|| format!("family {family:#x}"))?;
        }
    }
    // In an atomic group the family has a field of its own.
    let list = wire::list(&manual_sas());
    let at = list.len() - 2 * 24 + 6;
    ensure!(u16_at(&list, at) == 2);
    for family in [0, 1, 3, 0x102, 0x10a, 0xffff_u16] {
        let mut bytes = list.clone();
        bytes[at..at + 2].copy_from_slice(&family.to_ne_bytes());
        refused(&bytes, &wrong).with_context(|| format!("family {family:#x} in a group"))?;
    }
    refused(&add_with_dst(&six[..24]), &wrong)
}

fn cve_2026_31515_a_list_is_as_long_as_it_counts() -> Result<()> {
    let [a, b, c, d] =
        ["tun.113", "comp.114", "esp.115", "ah.116"].map(|name| said(&format!("{name}@10.0.0.2")));
    for len in 2..=4 {
        let list = wire::list(&[a, b, c, d][..len]);
        let at = list.len() - (len - 1) * 24 - 4;
        ensure!(usize::from(list[at]) == len - 1, "there is the count");
        for count in (0..=255).filter(|count| usize::from(*count) != len - 1) {
            let mut bytes = list.clone();
            bytes[at] = count;
            refused(&bytes, &[Errno::EINVAL]).with_context(|| format!("{count} of {len}"))?;
        }
    }
    Ok(())
}

/// Algorithms were counted in one pass and written in another, and what was on changed in between.
fn cve_2022_3028_algorithms_are_counted_once() -> Result<()> {
    let one = || -> Result<Vec<Vec<u8>>> {
        let mut told = Vec::new();
        let socket = KeySocket::open()?;
        for round in 0..OFTEN {
            let satype = [2, 3, 9, 10][round % 4];
            let result = socket.write(&wire::message(msg::REGISTER, satype, &[]));
            ensure!(result == Ok(()), "{result:?}");
            told.extend(socket.drain()?);
        }
        Ok(told)
    };
    let namespace = fs::File::open("/proc/thread-self/ns/net")?;
    let told = thread::scope(|scope| -> Result<Vec<Vec<u8>>> {
        let beside = scope.spawn(|| {
            nix::sched::setns(&namespace, nix::sched::CloneFlags::CLONE_NEWNET)?;
            one()
        });
        let mut told = one()?;
        told.extend(beside.join().expect("no panic")?);
        Ok(told)
    })?;
    ensure!(told.len() >= 2 * OFTEN, "{} replies", told.len());
    for message in &told {
        ensure!(usize::from(u16_at(message, 4)) * 8 == message.len());
        assert_clean(message);
    }
    Ok(())
}

/// The lists of algorithms had room that was never written.
fn cve_2022_1353_register_tells_no_stale_bytes() -> Result<()> {
    let (socket, other) = (KeySocket::open()?, KeySocket::open()?);
    for satype in 1..=11 {
        let request = wire::message(msg::REGISTER, satype, &[]);
        for writer in [&socket, &other, &socket] {
            let result = writer.write(&request);
            ensure!(matches!(result, Ok(()) | Err(Errno::EINVAL)), "{result:?}");
        }
        let told = [socket.drain()?, other.drain()?].concat();
        ensure!(!told.is_empty(), "{satype}");
        for message in told {
            assert_clean(&message);
            // No algorithm 0, which is what a place left over would be.
            for (_, list) in exts_of(&message) {
                ensure!(list[8..].chunks(8).all(|algorithm| algorithm[0] != 0));
            }
        }
    }
    Ok(())
}

/// The reserved field of a FLUSH's answer was never written; nor was that of a policy's
/// (CVE-2013-2237), of which there are none here.
fn cve_2013_2234_flush_tells_no_stale_bytes() -> Result<()> {
    let (socket, other) = (KeySocket::open()?, KeySocket::open()?);
    for satype in [0, 2, 3, 9, 10, 11] {
        let request = bytes_of(&flush(satype));
        ensure!(socket.write(&request) == Ok(()));
        for told in [socket.read_one()?, other.read_one()?] {
            ensure!(told == request, "{told:02x?}");
        }
    }
    Ok(())
}

/// `parse_exthdrs()` read an extension's header where less than that was left.
fn overread_of_an_extension_beyond_the_message() -> Result<()> {
    let good = bytes_of(&add(&manual_sas()[1]));
    let mut at = 16;
    while at < good.len() {
        let len = u16_at(&good, at);
        // No end, less than a header, a word too short, a word too long, and up to the largest.
        for wrong in [0, 1, len - 1, len + 1, len + 1000, 0x7fff, 0x8000, 0xffff] {
            let mut bytes = good.clone();
            bytes[at..at + 2].copy_from_slice(&wrong.to_ne_bytes());
            refused(&bytes, &[Errno::EINVAL]).with_context(|| format!("{wrong} at {at}"))?;
        }
        at += usize::from(len) * 8;
    }
    // A message that ends within an extension, at each word.
    for end in (16..good.len()).step_by(8) {
        let mut bytes = good[..end].to_vec();
        fix_len(&mut bytes);
        refused(&bytes, &[Errno::EINVAL]).with_context(|| format!("ends at {end}"))?;
    }
    Ok(())
}

/// `verify_address_len()` read the family before it knew that there was one.
fn overread_of_an_address_shorter_than_its_family() -> Result<()> {
    for number in [ext::ADDRESS_DST, ext::ADDRESS_PROXY] {
        for body in [0, 4, 12, 28, 44, 60] {
            let address = wire::extension(number, &vec![0; body]);
            let bytes = match number {
                ext::ADDRESS_DST => add_with_dst(&address),
                _ => {
                    let mut bytes = bytes_of(&add(&manual_sas()[0]));
                    bytes.extend(address);
                    fix_len(&mut bytes);
                    bytes
                }
            };
            refused(&bytes, &[Errno::EINVAL, Errno::EPFNOSUPPORT])
                .with_context(|| format!("{body} bytes for {number}"))?;
        }
    }
    Ok(())
}

/// `verify_key_len()` came late; before it, a key's bits decided how much was copied.
fn overread_of_a_key_shorter_than_its_bits() -> Result<()> {
    let [_, esp, _] = manual_sas();
    // AES takes keys of 128, 192 and 256 bits: here nothing but the length of a key of 128 refuses.
    let mut aes = add(&esp);
    if let (Some(sa), Some(key)) = (&mut aes.sa, &mut aes.key_encrypt) {
        sa.encrypt = encrypt::AES_CBC;
        (key.bits, key.data) = (128, &key.data[..16]);
    }
    let mut short = bytes_of(&aes);
    let at = short.len() - 16 - 4;
    ensure!(u16_at(&short, at) == 128, "there are the bits");
    for bits in [192_u16, 256] {
        short[at..at + 2].copy_from_slice(&bits.to_ne_bytes());
        refused(&short, &[Errno::EINVAL]).with_context(|| format!("{bits} bits of 128"))?;
    }
    let good = bytes_of(&add(&esp));
    for number in [ext::KEY_AUTH, ext::KEY_ENCRYPT] {
        let mut at = 16;
        while u16_at(&good, at + 2) != number {
            at += usize::from(u16_at(&good, at)) * 8;
        }
        let bits = u16_at(&good, at + 4);
        for wrong in [0, 1, bits - 64, bits + 1, bits + 64, 0x7fff, 0xffff] {
            let mut bytes = good.clone();
            bytes[at + 4..at + 6].copy_from_slice(&wrong.to_ne_bytes());
            refused(&bytes, &[Errno::EINVAL]).with_context(|| format!("{wrong} bits"))?;
        }
    }
    Ok(())
}

fn overread_of_an_identity_without_an_end() -> Result<()> {
    let [tun, ..] = manual_sas();
    for text in [&b"left.exa"[..], b"left.example\0\0\0!"] {
        let mut bytes = bytes_of(&add(&tun));
        bytes.extend(wire::identity(ext::IDENTITY_SRC, 2, 9, text));
        fix_len(&mut bytes);
        refused(&bytes, &[Errno::EINVAL])?;
    }
    Ok(())
}

/// An extension's number was the index into an array of them.
fn extensions_beyond_the_table_of_extensions() -> Result<()> {
    let good = bytes_of(&add(&manual_sas()[0]));
    let numbers = (33..48)
        .chain(50..130)
        .chain([0, 0x101, 0x7fff, 0x8000, 0x8001, 0xffff]);
    for number in numbers {
        for at in [16, good.len()] {
            let mut bytes = good.clone();
            if at == good.len() {
                bytes.extend(wire::extension(number, &[0; 12]));
            } else {
                bytes[at + 2..at + 4].copy_from_slice(&number.to_ne_bytes());
            }
            fix_len(&mut bytes);
            refused(&bytes, &[Errno::EINVAL]).with_context(|| format!("extension {number}"))?;
        }
    }
    Ok(())
}

/// Only one of a message's addresses was looked at, and the others taken to be like it.
fn families_are_checked_per_address() -> Result<()> {
    let four = said("tun.5000@10.0.0.2");
    let six = said("tun:5001@2001:db8::2");
    // Each is read as what it says it is: source and destination need not be alike.
    let socket = KeySocket::open()?;
    for (sa, src) in [(four, "2001:db8::99"), (six, "10.0.0.1")] {
        let request = Content {
            src: Some(klips::pfkey::Address::of(wire::ip(src))),
            ..add(&sa)
        };
        let reply = socket.ask(&request)?;
        let lengths: Vec<_> = exts_of(&reply).iter().map(|(_, ext)| ext.len()).collect();
        let expected = if sa == four {
            [24, 40, 24]
        } else {
            [24, 24, 40]
        };
        ensure!(lengths == expected, "{lengths:?}");
        assert_clean(&reply);
    }
    socket.ask(&group(&[four, six]))?;
    expect_spigrp(&["tun0x5000@10.0.0.2 tun0x5001@2001:db8::2"])?;
    socket.ask(&flush(0))?;
    // One that is wrong is refused, whatever the other one is.
    for number in [ext::ADDRESS_SRC, ext::ADDRESS_DST] {
        let mut bytes = bytes_of(&add(&four));
        let mut at = 16;
        while u16_at(&bytes, at + 2) != number {
            at += usize::from(u16_at(&bytes, at)) * 8;
        }
        bytes[at + 8..at + 10].copy_from_slice(&10u16.to_ne_bytes());
        refused(&bytes, &[Errno::EINVAL])?;
    }
    Ok(())
}

/// A DUMP that goes on as it is read holds no lock, and so no SA: those at which it stands can go.
fn a_walk_whose_sas_go_while_the_lock_is_free() -> Result<()> {
    let sas: Vec<_> = (0..300)
        .map(|n| said(&format!("ah.{:x}@10.0.0.2", 0x1000 + n)))
        .collect();
    for (round, gone) in [0..0, 0..300, 10..20, 0..150, 299..300]
        .into_iter()
        .enumerate()
    {
        make(&sas)?;
        let (reader, writer) = (KeySocket::open()?, KeySocket::open()?);
        reader.0.set_recv_buffer_size(2304)?;
        ensure!(reader.write(&wire::message(msg::DUMP, 0, &[])) == Ok(()));
        match round {
            // All at once.
            0 => ensure!(writer.send(&flush(0)).is_ok()),
            _ => {
                for sa in &sas[gone] {
                    ensure!(writer.send(&naming(MsgType::Delete, sa)).is_ok());
                }
            }
        }
        kinds::hear(&writer)?;
        let heard = kinds::hear(&reader)?;
        let mut dumped = heard.messages.iter().filter(|it| it[1] == msg::DUMP);
        let last = dumped.next_back().context("nothing came")?;
        ensure!(last[8..12] == [0; 4], "it has no end: {last:02x?}");
        writer.ask(&flush(0))?;
    }
    Ok(())
}

/// What a walk holds goes with its socket.
fn a_walk_that_nobody_reads_to_its_end() -> Result<()> {
    let sas: Vec<_> = (0..100)
        .map(|n| said(&format!("ah.{:x}@10.0.0.2", 0x1000 + n)))
        .collect();
    make(&sas)?;
    for read in 0..OFTEN / 4 {
        let socket = KeySocket::open()?;
        socket.0.set_recv_buffer_size(2304)?;
        ensure!(socket.write(&wire::message(msg::DUMP, 0, &[])) == Ok(()));
        for _ in 0..read {
            socket.read()?;
        }
    }
    ensure!(kinds::dump(&KeySocket::open()?)?.len() == sas.len());
    Ok(())
}

/// What a request had taken was not given back where it ended in an error.
fn refusals_take_no_references() -> Result<()> {
    let sas @ [tun, esp, ah] = manual_sas();
    let missing = said("esp.999@10.0.0.2");
    make(&sas)?;
    let socket = KeySocket::open()?;
    socket.ask(&group(&sas))?;
    // All that an SA can have, and a key that is too short.
    let mut unfit = rich(add(&missing));
    unfit.key_encrypt = unfit.key_auth;
    let refusals: Vec<_> = [
        (unfit, Errno::EINVAL),
        (rich(add(&esp)), Errno::EEXIST),
        (rich(update(&missing)), Errno::ENOENT),
        (getspi(&esp, 0x115, 0x115), Errno::EEXIST),
        (naming(MsgType::Delete, &missing), Errno::ESRCH),
        (naming(MsgType::Get, &missing), Errno::ESRCH),
        (link(&tun, &ah), Errno::EEXIST),
        (group(&[missing, ah]), Errno::ENOENT),
        (group(&[esp, ah]), Errno::EEXIST),
    ]
    .into_iter()
    .map(|(content, errno)| (bytes_of(&content), errno))
    .chain([
        (wire::message(msg::DUMP, 10, &[]), Errno::ENOENT),
        (wire::message(msg::PROMISC, 2, &[]), Errno::EINVAL),
    ])
    .collect();
    let held = fs::read_to_string("/sys/module/klips/refcnt")?;
    let before = (spigrp()?, kinds::dump(&socket)?);
    let memory = Slab::now()?;
    for round in 0..2_000 {
        for (request, errno) in &refusals {
            let result = socket.write(request);
            ensure!(result == Err(*errno), "{result:?} in round {round}");
            socket.drain()?;
        }
    }
    // What one of them takes, 2,000 times, is 1,500 KiB where it has all there is.
    let grown = memory.settled(750)?;
    println!("# {} refusals, {grown:?} KiB more", 2_000 * refusals.len());
    ensure!(grown.is_none_or(|grown| grown < 750), "{grown:?} KiB");
    ensure!(fs::read_to_string("/sys/module/klips/refcnt")? == held);
    let after = (spigrp()?, kinds::dump(&socket)?);
    ensure!(after == before, "{after:?} was {before:?}");
    Ok(())
}

/// xfrm keeps the networks of policies in trees; whoever rules a namespace of its own may add and
/// delete eroutes as often as it likes, and no cgroup is charged for these.
fn eroutes_that_are_gone_leave_no_networks_behind() -> Result<()> {
    const EROUTES: u32 = 16_000;
    // Two of 64 bytes each.
    let all = u64::from(EROUTES) * 2 * 64 / 1024;
    let socket = KeySocket::open()?;
    let memory = Slab::now()?;
    for number in 0..EROUTES {
        let [_, _, high, low] = number.to_be_bytes();
        let network = format!("10.{high}.{low}.0/24");
        let flow = wire::flow((&network, 0), ("10.200.0.0/16", 0), 0);
        for request in [
            wire::add_flow(said("%drop"), 0, &flow),
            wire::del_flow(&flow),
        ] {
            let result = socket.write(&request);
            ensure!(result == Ok(()), "{result:?} for {network}");
            socket.drain()?;
        }
    }
    let grown = memory.settled(all / 2)?;
    println!("# {EROUTES} eroutes, {grown:?} KiB more of {all}");
    ensure!(grown.is_none_or(|grown| grown < all / 2), "{grown:?} KiB");
    Ok(())
}
