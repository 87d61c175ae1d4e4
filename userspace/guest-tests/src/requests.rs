// SPDX-License-Identifier: GPL-2.0

//! What requests do to the table, through the real socket.

use crate::{
    ktap::Test,
    support::{
        KeySocket, SECRET, add, expect_refusal, expect_spigrp, flush, group, header, link, make,
        manual_sas, naming, parse, said, spigrp, ungroup,
    },
    tests,
};
use anyhow::{Context, Result, ensure};
use klips::{
    errno::Errno,
    group::{ListReason, MAX_CHAIN},
    pfkey::{
        Address, Ext, Fault, Ident, Key, Lifetime, LifetimeForm, MsgType, Sa, SaState, SaType,
        algorithm::encrypt,
    },
    said::Said,
};
use pfkey::{Content, Reply};

/// All of them.
pub fn all() -> Vec<Test> {
    tests![
        add_answers_with_the_sa_and_never_its_keys,
        add_refuses_what_exists,
        add_refuses_unsuitable_algorithms,
        add_keeps_all_it_is_given,
        addresses_of_this_host_make_an_sa_inbound,
        get_answers_only_the_sender,
        delete_takes_the_group_and_announces_each_member,
        flush_honours_the_sa_type_and_takes_mixed_groups_whole,
        pairs_link_and_extend_at_both_ends,
        pairs_join_two_groups,
        pairs_follow_the_rules,
        a_chain_has_an_end,
        an_incomplete_second_sa_is_refused,
        any_member_ungroups_all,
        ungrouping_what_is_single_succeeds,
        a_list_groups_at_once_or_not_at_all,
        a_list_tells_which_sa_is_at_fault,
        groups_of_ipv6_and_of_both_families,
        ten_thousand_sas_come_and_go,
    ]
}

fn add_answers_with_the_sa_and_never_its_keys() -> Result<()> {
    let socket = KeySocket::open()?;
    for said in manual_sas() {
        let reply = socket.ask(&add(&said))?;
        let message = parse(&reply)?;
        ensure!(message.said() == Some(said));
        ensure!(message.sa().map(|sa| sa.state) == Some(SaState::Mature));
        ensure!(!message.has(Ext::KeyAuth) && !message.has(Ext::KeyEncrypt));
        ensure!(
            !reply.windows(8).any(|bytes| bytes == &SECRET[..8]),
            "the key is in the reply"
        );
        ensure!(message.header.seq == 7 && message.header.pid == 4711);
    }
    Ok(())
}

fn add_refuses_what_exists() -> Result<()> {
    let (socket, other) = (KeySocket::open()?, KeySocket::open()?);
    let [_, esp, _] = manual_sas();
    make(&[esp])?;
    socket.drain()?;
    other.drain()?;
    // That it exists is told before what is wrong with the new one.
    let mut wrong = add(&esp);
    wrong.key_encrypt = Some(Key {
        bits: 8,
        data: &SECRET[..1],
    });
    expect_refusal(&socket, &[&other], &add(&esp), Errno::EEXIST)?;
    expect_refusal(&socket, &[&other], &wrong, Errno::EEXIST)
}

fn add_refuses_unsuitable_algorithms() -> Result<()> {
    let socket = KeySocket::open()?;
    let [_, esp, ah] = manual_sas();
    let unknown = Content {
        sa: add(&esp).sa.map(|sa| Sa { encrypt: 99, ..sa }),
        ..add(&esp)
    };
    expect_refusal(&socket, &[], &unknown, Errno::ENOENT)?;
    let short = Content {
        key_auth: Some(Key {
            bits: 128,
            data: &SECRET[..16],
        }),
        ..add(&ah)
    };
    expect_refusal(&socket, &[], &short, Errno::EINVAL)?;
    let null_without_authentication = Content {
        sa: add(&esp).sa.map(|sa| Sa {
            encrypt: encrypt::NULL,
            auth: 0,
            ..sa
        }),
        ..add(&esp)
    };
    expect_refusal(&socket, &[], &null_without_authentication, Errno::EINVAL)?;
    let reserved = said("esp.ff@10.0.0.2");
    expect_refusal(&socket, &[], &add(&reserved), Errno::EINVAL)?;
    expect_spigrp(&[])
}

fn add_keeps_all_it_is_given() -> Result<()> {
    let socket = KeySocket::open()?;
    let [_, esp, _] = manual_sas();
    let ident = |text| {
        Some(Ident {
            kind: 2,
            id: 77,
            text,
        })
    };
    let hard = Lifetime {
        allocations: 3,
        packets: 4_000,
        bytes: 5_000,
        addtime: 100_000,
        usetime: 90_000,
    };
    let soft = Lifetime {
        bytes: 6_000,
        addtime: 80_000,
        ..Lifetime::default()
    };
    let request = Content {
        hard: Some(hard),
        soft: Some(soft),
        lifetime_form: LifetimeForm::WithPackets,
        proxy: Some(Address::of("10.9.9.9".parse()?)),
        ident_src: ident(b"left.example\0\0\0\0"),
        ident_dst: ident(b"right\0\0\0"),
        natt_type: Some(2),
        natt_sport: Some(4500),
        natt_dport: Some(4501),
        ..add(&esp)
    };
    socket.ask(&request)?;
    let reply = socket.ask(&naming(MsgType::Get, &esp))?;
    let message = parse(&reply)?;
    ensure!(message.sa() == request.sa, "{:?}", message.sa());
    ensure!(message.lifetime(Ext::LifetimeHard) == Some((hard, LifetimeForm::WithPackets)));
    let (capped, _) = message
        .lifetime(Ext::LifetimeSoft)
        .context("no soft limits")?;
    ensure!(
        capped.bytes == 5_000 && capped.addtime == 80_000,
        "soft limits are not above hard ones: {capped:?}"
    );
    let (current, _) = message
        .lifetime(Ext::LifetimeCurrent)
        .context("nothing current")?;
    ensure!(current.allocations == 1 && current.addtime > 1_000_000_000);
    for (ext, address) in [
        (Ext::AddressSrc, request.src),
        (Ext::AddressDst, request.dst),
        (Ext::AddressProxy, request.proxy),
    ] {
        ensure!(message.address(ext) == address, "{ext:?}");
    }
    ensure!(message.ident(Ext::IdentitySrc) == request.ident_src);
    ensure!(message.ident(Ext::IdentityDst) == request.ident_dst);
    ensure!(message.natt_type() == Some(2));
    ensure!(message.natt_port(Ext::NatTSport) == Some(4500));
    ensure!(message.natt_port(Ext::NatTDport) == Some(4501));
    ensure!(!message.has(Ext::KeyAuth) && !message.has(Ext::KeyEncrypt));
    Ok(())
}

fn addresses_of_this_host_make_an_sa_inbound() -> Result<()> {
    crate::support::loopback_up()?;
    let socket = KeySocket::open()?;
    for (text, inbound) in [
        ("tun.1000@127.0.0.1", 1),
        ("tun:1000@::1", 1),
        ("tun.1000@10.0.0.2", 0),
        ("tun:1000@2001:db8::1", 0),
    ] {
        let reply = socket.ask(&add(&said(text)))?;
        let flags = parse(&reply)?.sa().map(|sa| sa.flags);
        ensure!(flags == Some(inbound), "{text}: flags {flags:?}");
    }
    Ok(())
}

fn get_answers_only_the_sender() -> Result<()> {
    let (socket, other) = (KeySocket::open()?, KeySocket::open()?);
    let [tun, ..] = manual_sas();
    make(&[tun])?;
    other.drain()?;
    let reply = socket.ask(&naming(MsgType::Get, &tun))?;
    ensure!(parse(&reply)?.said() == Some(tun));
    ensure!(other.drain()?.is_empty());
    let missing = said("tun.114@10.0.0.2");
    expect_refusal(
        &socket,
        &[&other],
        &naming(MsgType::Get, &missing),
        Errno::ESRCH,
    )
}

fn delete_takes_the_group_and_announces_each_member() -> Result<()> {
    let (socket, other) = (KeySocket::open()?, KeySocket::open()?);
    let sas @ [tun, esp, ah] = manual_sas();
    let single = said("comp.117@10.0.0.2");
    make(&sas)?;
    make(&[single])?;
    socket.ask(&group(&sas))?;
    socket.drain()?;
    other.drain()?;
    ensure!(socket.send(&naming(MsgType::Delete, &esp)).is_ok());
    for told in [&socket, &other] {
        let messages = told.drain()?;
        let removed: Vec<_> = messages
            .iter()
            .map(|bytes| {
                let message = parse(bytes)?;
                let asked_for = (message.header.pid, message.header.seq) == (4711, 7);
                Ok((message.said(), asked_for))
            })
            .collect::<Result<_>>()?;
        ensure!(
            removed == [(Some(esp), true), (Some(tun), false), (Some(ah), false)],
            "{removed:?}"
        );
    }
    expect_spigrp(&["comp0x117@10.0.0.2"])?;
    expect_refusal(
        &socket,
        &[&other],
        &naming(MsgType::Delete, &tun),
        Errno::ESRCH,
    )
}

fn flush_honours_the_sa_type_and_takes_mixed_groups_whole() -> Result<()> {
    let socket = KeySocket::open()?;
    let grouped = ["tun.113@10.0.0.2", "esp.115@10.0.0.2"].map(said);
    let single = ["ah.116@10.0.0.2", "tun.114@10.0.0.2", "esp.118@10.0.0.2"].map(said);
    make(&grouped)?;
    make(&single)?;
    socket.ask(&group(&grouped))?;
    expect_refusal(&socket, &[], &flush(4), Errno::EINVAL)?;
    let reply = socket.ask(&flush(SaType::Comp as u8))?;
    ensure!(reply.len() == 16);
    socket.ask(&flush(SaType::IpIp as u8))?;
    expect_spigrp(&["ah0x116@10.0.0.2", "esp0x118@10.0.0.2"])?;
    socket.ask(&flush(0))?;
    expect_spigrp(&[])?;
    // All can be made again.
    make(&grouped)
}

const ABCD: [&str; 4] = [
    "tun.113@10.0.0.2",
    "comp.114@10.0.0.2",
    "esp.115@10.0.0.2",
    "ah.116@10.0.0.2",
];

fn pairs_link_and_extend_at_both_ends() -> Result<()> {
    let socket = KeySocket::open()?;
    let [a, b, c, d] = ABCD.map(said);
    make(&[a, b, c, d])?;
    socket.ask(&link(&b, &c))?;
    socket.ask(&link(&c, &d))?;
    let reply = socket.ask(&link(&a, &b))?;
    let message = parse(&reply)?;
    ensure!(message.said() == Some(a));
    ensure!(message.second().map(|second| second.said()) == Some(b));
    expect_spigrp(&["tun0x113@10.0.0.2 comp0x114@10.0.0.2 esp0x115@10.0.0.2 ah0x116@10.0.0.2"])
}

fn pairs_join_two_groups() -> Result<()> {
    let socket = KeySocket::open()?;
    let [a, b, c, d] = ABCD.map(said);
    make(&[a, b, c, d])?;
    socket.ask(&link(&c, &d))?;
    socket.ask(&link(&a, &b))?;
    expect_spigrp(&[
        "tun0x113@10.0.0.2 comp0x114@10.0.0.2",
        "esp0x115@10.0.0.2 ah0x116@10.0.0.2",
    ])?;
    socket.ask(&link(&b, &c))?;
    expect_spigrp(&["tun0x113@10.0.0.2 comp0x114@10.0.0.2 esp0x115@10.0.0.2 ah0x116@10.0.0.2"])
}

fn pairs_follow_the_rules() -> Result<()> {
    let socket = KeySocket::open()?;
    let [a, b, c, d] = ABCD.map(said);
    make(&[a, b, c, d])?;
    socket.ask(&link(&a, &b))?;
    socket.ask(&link(&b, &c))?;
    let before = spigrp()?;
    let missing = said("esp.999@10.0.0.2");
    for (inner, outer, expected) in [
        (&missing, &d, Errno::ENOENT),
        (&d, &missing, Errno::ENOENT),
        // The inner one has an outer neighbour, the outer one an inner neighbour.
        (&a, &d, Errno::EEXIST),
        (&d, &b, Errno::EEXIST),
        // Rings, of one and of three.
        (&d, &d, Errno::EEXIST),
        (&c, &a, Errno::EEXIST),
    ] {
        expect_refusal(&socket, &[], &link(inner, outer), expected)
            .with_context(|| format!("{inner} to {outer}"))?;
        ensure!(spigrp()? == before, "something changed");
    }
    Ok(())
}

fn a_chain_has_an_end() -> Result<()> {
    let socket = KeySocket::open()?;
    let sas: Vec<Said> = (0..=MAX_CHAIN)
        .map(|n| said(&format!("tun.{:x}@10.0.0.2", 0x1000 + n)))
        .collect();
    make(&sas)?;
    socket.drain()?;
    for pair in sas[..MAX_CHAIN].windows(2) {
        socket.ask(&link(&pair[0], &pair[1]))?;
    }
    let (last, beyond) = (&sas[MAX_CHAIN - 1], &sas[MAX_CHAIN]);
    expect_refusal(&socket, &[], &link(last, beyond), Errno::EMLINK)?;
    ensure!(spigrp()?.lines().count() == 2);
    socket.ask(&ungroup(&sas[MAX_CHAIN / 2]))?;
    ensure!(spigrp()?.lines().count() == MAX_CHAIN + 1);
    Ok(())
}

fn an_incomplete_second_sa_is_refused() -> Result<()> {
    let socket = KeySocket::open()?;
    let [a, b, ..] = ABCD.map(said);
    make(&[a, b])?;
    let whole = crate::support::bytes_of(&link(&a, &b));
    // Header, SA, destination, SATYPE2, SA2, destination 2.
    let parts = [0..16, 16..40, 40..64, 64..72, 72..96, 96..120].map(|range| &whole[range]);
    for chosen in 1..7 {
        let mut bytes = parts[..3].concat();
        for (index, part) in parts[3..].iter().enumerate() {
            if chosen & (1 << index) != 0 {
                bytes.extend_from_slice(part);
            }
        }
        bytes[4] = u8::try_from(bytes.len() / 8)?;
        let result = socket.write(&bytes);
        ensure!(result == Err(Errno::ENOENT), "{chosen:03b}: {result:?}");
    }
    expect_spigrp(&["tun0x113@10.0.0.2", "comp0x114@10.0.0.2"])
}

fn any_member_ungroups_all() -> Result<()> {
    let socket = KeySocket::open()?;
    let sas = ABCD.map(said);
    make(&sas)?;
    for member in &sas {
        socket.ask(&group(&sas))?;
        socket.ask(&ungroup(member))?;
        expect_spigrp(&[
            "tun0x113@10.0.0.2",
            "comp0x114@10.0.0.2",
            "esp0x115@10.0.0.2",
            "ah0x116@10.0.0.2",
        ])
        .with_context(|| format!("ungrouped by {member}"))?;
    }
    Ok(())
}

fn ungrouping_what_is_single_succeeds() -> Result<()> {
    let socket = KeySocket::open()?;
    let [a, b, ..] = ABCD.map(said);
    make(&[a])?;
    socket.drain()?;
    let reply = socket.ask(&ungroup(&a))?;
    ensure!(reply.len() == 64);
    expect_refusal(&socket, &[], &ungroup(&b), Errno::ENOENT)
}

fn a_list_groups_at_once_or_not_at_all() -> Result<()> {
    let socket = KeySocket::open()?;
    let sas = ABCD.map(said);
    make(&sas)?;
    for len in 2..=4 {
        let reply = socket.ask(&group(&sas[..len]))?;
        let message = parse(&reply)?;
        let listed: Vec<_> = message.group_list().context("no list")?.iter().collect();
        ensure!(listed == sas[1..len]);
        let line = sas[..len].iter().map(Said::to_string).collect::<Vec<_>>();
        ensure!(
            spigrp()?.starts_with(&format!("{} \n", line.join(" "))),
            "{}",
            spigrp()?
        );
        socket.ask(&ungroup(&sas[len - 1]))?;
    }
    Ok(())
}

fn a_list_tells_which_sa_is_at_fault() -> Result<()> {
    let (socket, other) = (KeySocket::open()?, KeySocket::open()?);
    let sas @ [a, b, c, d] = ABCD.map(said);
    make(&sas)?;
    socket.ask(&group(&[c, d]))?;
    let before = spigrp()?;
    let missing = said("esp.999@10.0.0.2");
    for (list, errno, member, reason) in [
        (vec![a, b, missing], Errno::ENOENT, 2, ListReason::Missing),
        (vec![missing, a], Errno::ENOENT, 0, ListReason::Missing),
        (vec![a, c], Errno::EEXIST, 1, ListReason::Grouped),
        (vec![d, a, b], Errno::EEXIST, 0, ListReason::Grouped),
        (vec![a, b, a], Errno::EEXIST, 2, ListReason::Twice),
    ] {
        socket.drain()?;
        other.drain()?;
        let result = socket.send(&group(&list));
        ensure!(result == Err(errno), "{list:?}: {result:?}");
        for told in [&socket, &other] {
            let message = told.read_one()?;
            ensure!(message[2] == errno.0, "{message:02x?}");
            let fault = parse(&message)?.fault();
            ensure!(fault == Some(Fault { member, reason }), "{fault:?}");
        }
        ensure!(spigrp()? == before, "something changed");
    }
    // One request or the other.
    let both = Content {
        group: group(&[a, b]).group,
        ..link(&a, &b)
    };
    socket.drain()?;
    ensure!(socket.send(&both) == Err(Errno::EINVAL));
    Ok(())
}

fn groups_of_ipv6_and_of_both_families() -> Result<()> {
    let socket = KeySocket::open()?;
    let six = ["tun:233@3049:1::1", "esp:235@3049:1::1", "ah:236@3049:1::1"].map(said);
    let four = manual_sas();
    make(&six)?;
    make(&four)?;
    socket.ask(&group(&six))?;
    expect_spigrp(&[
        "tun0x233@3049:1::1 esp0x235@3049:1::1 ah0x236@3049:1::1",
        "tun0x113@10.0.0.2",
        "esp0x115@10.0.0.2",
        "ah0x116@10.0.0.2",
    ])?;
    socket.ask(&ungroup(&six[1]))?;
    socket.ask(&group(&[four[0], six[1]]))?;
    socket.ask(&link(&six[1], &four[2]))?;
    expect_spigrp(&[
        "tun0x233@3049:1::1",
        "ah0x236@3049:1::1",
        "tun0x113@10.0.0.2 esp0x235@3049:1::1 ah0x116@10.0.0.2",
        "esp0x115@10.0.0.2",
    ])
}

fn ten_thousand_sas_come_and_go() -> Result<()> {
    let socket = KeySocket::open()?;
    let name = |n: u32| said(&format!("tun.{:x}@10.{}.0.2", 0x100 + n, n % 3));
    for n in 0..10_000 {
        socket.ask(&add(&name(n)))?;
    }
    for n in (0..10_000).step_by(10) {
        socket.ask(&group(&[name(n), name(n + 5)]))?;
    }
    let listing = spigrp()?;
    ensure!(listing.lines().count() == 9_000);
    ensure!(
        listing.starts_with("tun0x100@10.0.0.2 tun0x105@10.2.0.2 \ntun0x101@10.1.0.2 \n"),
        "not in order of age"
    );
    for n in (0..10_000).filter(|n| n % 10 != 5) {
        ensure!(socket.send(&naming(MsgType::Delete, &name(n))).is_ok());
        socket.drain()?;
    }
    expect_spigrp(&[])?;
    let mut unknown = naming(MsgType::Delete, &name(0));
    unknown.header = header(MsgType::Delete, SaType::IpIp as u8);
    expect_refusal(&socket, &[], &unknown, Errno::ESRCH)
}
