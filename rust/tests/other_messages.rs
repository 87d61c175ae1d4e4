// SPDX-License-Identifier: GPL-2.0

//! Messages beside those of SAs and groups: GETSPI, UPDATE, REGISTER, ACQUIRE, EXPIRE, X_PROMISC,
//! X_DEBUG and those of the packet path. DUMP has a file of its own.

use klips::{
    errno::Errno,
    listing::Listing,
    memory,
    pfkey::{
        algorithm::{Purpose, ALGORITHMS},
        SaState,
    },
    said::{Proto, Said},
};
use std::collections::{BTreeMap, BTreeSet};
use testbed::*;

/// Writes a request from [`B`].
fn write_b(host: &TestHost, bytes: &[u8]) -> Result<(), Errno> {
    host.write_from(B, bytes)
}

/// The SA, which is there, as its state is.
fn state_of(host: &TestHost, said: Said) -> SaState {
    host.state().sadb.find(&said).unwrap().spec.state
}

/// The age of an SA that is there.
fn age_of(host: &TestHost, said: Said) -> u64 {
    host.state().sadb.find(&said).unwrap().age().number()
}

/// The line of an SA in `/proc/net/ipsec_spi`.
fn line_of(host: &TestHost, said: Said) -> String {
    let name = format!("{said} ");
    let spi = host.spi();
    let line = spi.lines().find(|line| line.starts_with(&name));
    line.unwrap_or_else(|| panic!("{name} in {spi}")).to_owned()
}

/// The answer to GET.
fn got(host: &TestHost, said: Said) -> Vec<u8> {
    host.drain();
    assert_eq!(host.write(&get(said)), Ok(()));
    host.read_one(A).unwrap()
}

// --- GETSPI -------------------------------------------------------------------------------------

/// GETSPI to 10.0.0.2.
fn getspi(satype: u8, first: u32, last: u32) -> Vec<u8> {
    let dst = address(ext::ADDRESS_DST, ip("10.0.0.2"), 0);
    message(
        msg::GETSPI,
        satype,
        &[source(), dst, spi_range(first, last)],
    )
}

/// The SPI of a message.
fn spi_of(message: &[u8]) -> u32 {
    let (number, sa) = exts_of(message).remove(0);
    assert_eq!(number, ext::SA);
    u32::from_be_bytes(sa[4..8].try_into().unwrap())
}

#[test]
fn getspi_of_one_spi_makes_a_larval_sa_of_that_name() {
    for (satype, name) in [
        (2, "ah.1234@10.0.0.2"),
        (3, "esp.1234@10.0.0.2"),
        (9, "tun.1234@10.0.0.2"),
        (10, "comp.1234@10.0.0.2"),
    ] {
        let host = TestHost::new();
        let said = said(name);
        let dst = address(ext::ADDRESS_DST, said.dst, 0);
        let sa = RawSa::naming(said.spi).ext(ext::SA);
        let want = message(msg::GETSPI, satype, &[sa.clone(), source(), dst.clone()]);
        assert_eq!(answer(&host, &getspi(satype, 0x1234, 0x1234)), want);
        assert_eq!(state_of(&host, said), SaState::Larval);
        assert_eq!(host.spigrp(), format!("{said} \n"));
        let current = lifetime(ext::LIFETIME_CURRENT, [1, 0, 0, 1_000_000_000, 0]);
        let want = message(msg::GET, satype, &[sa, current, source(), dst]);
        assert_eq!(got(&host, said), want);
    }
}

#[test]
fn getspi_keeps_ports_and_proxy_and_echoes_the_ports() {
    let host = TestHost::new();
    let src = address(ext::ADDRESS_SRC, ip("10.0.0.1"), 500);
    let dst = address(ext::ADDRESS_DST, ip("2001:db8::2"), 4500);
    let proxy = address(ext::ADDRESS_PROXY, ip("10.0.0.9"), 0);
    let exts = [
        src.clone(),
        dst.clone(),
        proxy.clone(),
        spi_range(0x500, 0x500),
    ];
    let sa = RawSa::naming(0x500).ext(ext::SA);
    assert_eq!(
        answer(&host, &message(msg::GETSPI, 3, &exts)),
        message(msg::GETSPI, 3, &[sa, src.clone(), dst.clone()]),
    );
    let told = exts_of(&got(&host, said("esp:500@2001:db8::2")));
    for ext in [src, dst, proxy] {
        assert!(told.iter().any(|(_, told)| *told == ext), "{}", hex(&ext));
    }
}

#[test]
fn getspi_to_a_local_address_is_inbound() {
    let host = TestHost::new();
    host.local.borrow_mut().push(ip("10.0.0.2"));
    let reply = answer(&host, &getspi(3, 0x1234, 0x1234));
    let sa = RawSa {
        flags: 1,
        ..RawSa::naming(0x1234)
    };
    assert_eq!(exts_of(&reply)[0].1, sa.ext(ext::SA));
    assert!(line_of(&host, said("esp.1234@10.0.0.2")).contains("dir=in"));
}

#[test]
fn getspi_gives_every_spi_of_a_range_once_and_then_eexist() {
    let host = TestHost::new();
    let request = getspi(3, 0x1000, 0x10c7);
    let given: BTreeSet<u32> = (0..200).map(|_| spi_of(&answer(&host, &request))).collect();
    assert!(given.into_iter().eq(0x1000..=0x10c7));
    for _ in 0..3 {
        refused(&host, &request, Errno::EEXIST);
    }
    // What becomes free is given again, wherever the search begins.
    for spi in [0x1000, 0x10c7, 0x1064, 0x1040, 0x103f] {
        host.set_up(&delete(said(&format!("esp.{spi:x}@10.0.0.2"))));
        assert_eq!(spi_of(&answer(&host, &request)), spi);
    }
}

#[test]
fn getspi_gives_another_if_somebody_takes_one_meanwhile() {
    for seed in 1..=20 {
        let host = TestHost::new();
        host.seed.set(seed * 0x1234_5678_9abc);
        host.on_draft.replace(Some(Box::new(|host| {
            let taken = said("esp.1000@10.0.0.2");
            host.write_from(B, &add(taken)).unwrap();
        })));
        assert_eq!(host.write(&getspi(3, 0x1000, 0x1001)), Ok(()));
        let given = said("esp.1001@10.0.0.2");
        assert_eq!(state_of(&host, given), SaState::Larval);
    }
}

#[test]
fn getspi_minds_sas_of_the_same_protocol_and_destination_only() {
    let host = TestHost::new();
    for other in ["ah.1000@10.0.0.2", "esp.1000@10.0.0.3", "tun.1000@10.0.0.2"] {
        host.set_up(&add(said(other)));
    }
    assert_eq!(spi_of(&answer(&host, &getspi(3, 0x1000, 0x1000))), 0x1000);
    refused(&host, &getspi(3, 0x1000, 0x1000), Errno::EEXIST);
    refused(&host, &getspi(2, 0x1000, 0x1000), Errno::EEXIST);
}

#[test]
fn getspi_begins_at_a_random_place() {
    let with_seed = |seed| {
        let host = TestHost::new();
        host.seed.set(seed);
        spi_of(&answer(&host, &getspi(3, 0x1000, 0x100f)))
    };
    let mut given = BTreeMap::new();
    for seed in 1..=400 {
        *given.entry(with_seed(seed * 0x1234_5678_9abc)).or_insert(0) += 1;
    }
    assert!(given.keys().copied().eq(0x1000..=0x100f), "{given:?}");
    assert!(given.values().all(|count| *count < 100), "{given:?}");
}

#[test]
fn getspi_takes_the_widest_range() {
    let host = TestHost::new();
    let request = getspi(3, 256, u32::MAX);
    let given: BTreeSet<u32> = (0..20).map(|_| spi_of(&answer(&host, &request))).collect();
    assert_eq!(given.len(), 20);
    assert!(given.iter().all(|spi| *spi >= 256));
    // Not only from one end of it.
    assert!(given.iter().any(|spi| *spi > u32::MAX / 2));
    assert!(given.iter().any(|spi| *spi < u32::MAX / 2));
    let request = getspi(3, u32::MAX, u32::MAX);
    assert_eq!(spi_of(&answer(&host, &request)), u32::MAX);
    let request = getspi(3, 256, 256);
    assert_eq!(spi_of(&answer(&host, &request)), 256);
}

#[test]
fn getspi_below_256_is_eexist_and_of_a_range_turned_round_einval() {
    let host = TestHost::new();
    refused(&host, &getspi(3, 255, 300), Errno::EEXIST);
    refused(&host, &getspi(3, 0, 0), Errno::EEXIST);
    refused(&host, &getspi(3, 0, u32::MAX), Errno::EEXIST);
    refused(&host, &getspi(3, 301, 300), Errno::EINVAL);
    refused(&host, &getspi(3, u32::MAX, 256), Errno::EINVAL);
    refused(&host, &getspi(3, 10, 9), Errno::EINVAL);
}

#[test]
fn getspi_needs_addresses_range_and_a_type_with_a_protocol() {
    let host = TestHost::new();
    let dst = address(ext::ADDRESS_DST, ip("10.0.0.2"), 0);
    let all = [source(), dst, spi_range(0x1000, 0x1000)];
    for left_out in 0..3 {
        let mut exts = all.to_vec();
        exts.remove(left_out);
        refused(&host, &message(msg::GETSPI, 3, &exts), Errno::EINVAL);
    }
    for satype in [0, 1, 4, 8, 12] {
        refused(&host, &message(msg::GETSPI, satype, &all), Errno::EINVAL);
    }
    let mut exts = all.to_vec();
    exts.push(RawSa::mature(0x1000).ext(ext::SA));
    refused(&host, &message(msg::GETSPI, 3, &exts), Errno::EINVAL);
}

/// They are CPIs (RFC 3173 section 2.2).
#[test]
fn spis_of_ipcomp_have_16_bits() {
    let host = TestHost::new();
    assert_eq!(host.write(&getspi(10, 0xffff, 0xffff)), Ok(()));
    assert_eq!(spi_of(&host.read(A)[0]), 0xffff);
    host.read(B);
    refused(&host, &getspi(10, 0x1_0000, 0x1_0000), Errno::EINVAL);
    refused(&host, &getspi(10, 0x100, 0x1_0000), Errno::EINVAL);
    assert_eq!(host.write(&add(said("comp.fffe@10.0.0.2"))), Ok(()));
    let too_large = said("comp.10000@10.0.0.2");
    host.read(A);
    host.read(B);
    refused(&host, &add(too_large), Errno::EINVAL);
    // Other requests name no SA then.
    refused(&host, &delete(too_large), Errno::ESRCH);
    assert_eq!(host.write(&getspi(3, 0x1_0000, 0x1_0000)), Ok(()));
}

#[test]
fn long_search_for_an_spi_lets_others_have_their_turn() {
    let host = TestHost::new();
    let request = getspi(3, 0x1000, 0x10ff);
    for _ in 0..256 {
        host.set_up(&request);
    }
    host.reschedules.set(0);
    refused(&host, &request, Errno::EEXIST);
    assert!(host.reschedules.get() >= 3, "{}", host.reschedules.get());
    // What they free meanwhile may be found, and what they take is not given twice.
    let freed = std::cell::Cell::new(false);
    host.on_resched.replace(Some(Box::new(move |host| {
        if !freed.replace(true) {
            for spi in 0x1000..0x1100 {
                host.write(&delete(said(&format!("esp.{spi:x}@10.0.0.2"))))
                    .unwrap();
            }
        }
    })));
    assert_eq!(host.write(&request), Ok(()));
    host.check();
    assert_eq!(host.state().sadb.len(), 1);
}

// --- UPDATE -------------------------------------------------------------------------------------

/// UPDATE, otherwise as ADD.
fn update(said: Said) -> Vec<u8> {
    let mut request = add(said);
    request[1] = msg::UPDATE;
    request
}

/// UPDATE with some extensions more.
fn update_with(said: Said, exts: &[Vec<u8>]) -> Vec<u8> {
    let mut request = update(said);
    request.extend(exts.concat());
    fix_len(&mut request);
    request
}

fn esp() -> Said {
    said("esp.1002@10.0.0.2")
}

fn group_of_three() -> [Said; 3] {
    [said("tun.1001@10.0.0.2"), esp(), said("ah.1003@10.0.0.2")]
}

fn host_with_group() -> TestHost {
    let host = TestHost::new();
    for said in group_of_three() {
        host.set_up(&add(said));
    }
    host.set_up(&list(&group_of_three()));
    host
}

#[test]
fn update_is_answered_with_the_sa_and_what_was_given_but_no_keys() {
    let host = TestHost::new();
    host.set_up(&add(esp()));
    host.sleep(7);
    let given = [
        lifetime(ext::LIFETIME_HARD, [1, 2, 3, 400, 5]),
        lifetime(ext::LIFETIME_SOFT, [1, 2, 3, 300, 5]),
        identity(ext::IDENTITY_SRC, 2, 9, b"left.example\0"),
        identity(ext::IDENTITY_DST, 3, 8, b"right@example\0"),
    ];
    let reply = answer(&host, &update_with(esp(), &given));
    let [hard, soft, left, right] = given;
    let sa = RawSa {
        auth: 2,
        encrypt: 3,
        ..RawSa::mature(esp().spi)
    };
    let want = [
        sa.ext(ext::SA),
        lifetime(ext::LIFETIME_CURRENT, [0, 0, 0, 1_000_000_007, 0]),
        hard,
        soft,
        source(),
        address(ext::ADDRESS_DST, esp().dst, 0),
        left,
        right,
    ];
    assert_eq!(hex(&reply), hex(&message(msg::UPDATE, 3, &want)));
}

#[test]
fn update_replaces_all_of_an_sa_but_its_age_and_its_group() {
    let host = host_with_group();
    let before = (
        host.spigrp(),
        age_of(&host, esp()),
        host.state().sadb.next_age(),
    );
    host.sleep(50);
    let sa = RawSa {
        auth: 3,
        encrypt: 12,
        replay: 32,
        ..RawSa::mature(esp().spi)
    };
    let src = address(ext::ADDRESS_SRC, ip("10.0.0.7"), 0);
    let exts = [
        sa.ext(ext::SA),
        lifetime(ext::LIFETIME_HARD, [0, 0, 0, 900, 0]),
        src.clone(),
        address(ext::ADDRESS_DST, esp().dst, 0),
        key(ext::KEY_AUTH, 160, 1),
        key(ext::KEY_ENCRYPT, 256, 2),
    ];
    answer(&host, &message(msg::UPDATE, 3, &exts));
    let after = (
        host.spigrp(),
        age_of(&host, esp()),
        host.state().sadb.next_age(),
    );
    assert_eq!(after, before);
    let line = line_of(&host, esp());
    for part in [
        "ESP_AES_HMAC_SHA1",
        "src=10.0.0.7",
        "ooowin=32",
        "alen=160 aklen=160 eklen=256",
        "addtime(0,0,900)",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    // Still a group: it goes as one.
    host.set_up(&delete(group_of_three()[2]));
    assert_eq!(host.spigrp(), "");
}

#[test]
fn update_drops_what_is_not_given_again() {
    let host = TestHost::new();
    let mut request = add(esp());
    request.extend(lifetime(ext::LIFETIME_HARD, [1, 2, 3, 400, 5]));
    request.extend(identity(ext::IDENTITY_SRC, 2, 9, b"left.example\0"));
    request.extend(address(ext::ADDRESS_PROXY, ip("10.0.0.9"), 0));
    fix_len(&mut request);
    host.set_up(&request);
    host.set_up(&update(esp()));
    let told: Vec<u16> = exts_of(&got(&host, esp()))
        .into_iter()
        .map(|(number, _)| number)
        .collect();
    let want = [
        ext::SA,
        ext::LIFETIME_CURRENT,
        ext::ADDRESS_SRC,
        ext::ADDRESS_DST,
    ];
    assert_eq!(told, want);
}

#[test]
fn update_makes_a_reserved_sa_mature_in_its_place() {
    let host = TestHost::new();
    let tun = said("tun.1001@10.0.0.2");
    host.set_up(&getspi(3, esp().spi, esp().spi));
    host.set_up(&add(tun));
    host.set_up(&pair(tun, esp()));
    let spigrp = host.spigrp();
    let age = age_of(&host, esp());
    refused(&host, &add(esp()), Errno::EEXIST);
    host.set_up(&update(esp()));
    assert_eq!(state_of(&host, esp()), SaState::Mature);
    assert_eq!((host.spigrp(), age_of(&host, esp())), (spigrp, age));
    // It no longer ends for want of an UPDATE.
    host.sleep(10_000);
    assert_eq!(state_of(&host, esp()), SaState::Mature);
}

#[test]
fn update_of_an_sa_that_is_not_there_is_enoent_before_anything_about_algorithms() {
    let host = TestHost::new();
    // A key that is too short.
    let mut exts = naming(esp()).to_vec();
    exts[0] = RawSa {
        auth: 2,
        encrypt: 3,
        ..RawSa::mature(esp().spi)
    }
    .ext(ext::SA);
    exts.push(key(ext::KEY_AUTH, 128, 1));
    exts.push(key(ext::KEY_ENCRYPT, 128, 2));
    let bad = message(msg::UPDATE, 3, &exts);
    refused(&host, &update(esp()), Errno::ENOENT);
    refused(&host, &bad, Errno::ENOENT);
    host.set_up(&add(said("esp.1002@10.0.0.3")));
    host.set_up(&add(said("ah.1002@10.0.0.2")));
    refused(&host, &update(esp()), Errno::ENOENT);
    host.set_up(&add(esp()));
    refused(&host, &bad, Errno::EINVAL);
    // A cipher that nobody knows is told as KLIPS tells it.
    exts[0] = RawSa {
        auth: 2,
        encrypt: 99,
        ..RawSa::mature(esp().spi)
    }
    .ext(ext::SA);
    refused(&host, &message(msg::UPDATE, 3, &exts), Errno::ENOENT);
    assert!(line_of(&host, esp()).contains("3DES_HMAC_MD5"));
}

#[test]
fn update_takes_no_state_but_mature_and_no_extension_that_klips_refuses() {
    let host = host_with_group();
    for state in [0, 2, 3] {
        let mut request = update(esp());
        request[16 + 9] = state;
        refused(&host, &request, Errno::EINVAL);
    }
    let current = lifetime(ext::LIFETIME_CURRENT, [0; 5]);
    refused(&host, &update_with(esp(), &[current]), Errno::EINVAL);
    let natt_type = extension(ext::NAT_T_TYPE, &[2, 0, 0, 0]);
    refused(&host, &update_with(esp(), &[natt_type]), Errno::EINVAL);
}

#[test]
fn update_of_a_soft_limit_is_capped_by_the_hard_one() {
    let host = TestHost::new();
    host.set_up(&add(esp()));
    let hard = lifetime(ext::LIFETIME_HARD, [0, 0, 0, 100, 0]);
    let soft = lifetime(ext::LIFETIME_SOFT, [0, 0, 0, 200, 0]);
    let reply = exts_of(&answer(&host, &update_with(esp(), &[hard, soft])));
    let capped = lifetime(ext::LIFETIME_SOFT, [0, 0, 0, 100, 0]);
    assert!(reply.contains(&(ext::LIFETIME_SOFT, capped)));
    assert!(line_of(&host, esp()).contains("addtime(0,100,100)"));
}

/// A port behind NAT.
fn natt_port(number: u16, port: u16) -> Vec<u8> {
    extension(number, &[&port.to_ne_bytes()[..], &[0, 0]].concat())
}

#[test]
fn update_with_ports_changes_them_and_nothing_else() {
    let host = TestHost::new();
    let mut request = add(esp());
    request.extend(extension(ext::NAT_T_TYPE, &[2, 0, 0, 0]));
    request.extend(natt_port(ext::NAT_T_SPORT, 4500));
    request.extend(natt_port(ext::NAT_T_DPORT, 4501));
    fix_len(&mut request);
    host.set_up(&request);
    let tun = said("tun.1001@10.0.0.2");
    host.set_up(&add(tun));
    host.set_up(&pair(tun, esp()));
    host.sleep(3);
    let (before, spigrp) = (line_of(&host, esp()), host.spigrp());
    assert!(before.contains("natsport=4500 natdport=4501"), "{before}");

    // Other algorithms and keys are not looked at.
    let mut exts = naming(esp()).to_vec();
    exts[0] = RawSa {
        auth: 3,
        encrypt: 12,
        replay: 5,
        ..RawSa::mature(esp().spi)
    }
    .ext(ext::SA);
    let ports = [
        natt_port(ext::NAT_T_SPORT, 1111),
        natt_port(ext::NAT_T_DPORT, 2222),
    ];
    let kept = RawSa {
        auth: 2,
        encrypt: 3,
        ..RawSa::mature(esp().spi)
    };
    let current = lifetime(ext::LIFETIME_CURRENT, [1, 0, 0, 1_000_000_000, 0]);
    for (given, want) in [
        (&ports[..1], "natsport=1111 natdport=4501"),
        (&ports[1..], "natsport=1111 natdport=2222"),
        (&ports[..], "natsport=1111 natdport=2222"),
    ] {
        let reply = answer(
            &host,
            &message(msg::UPDATE, 3, &[&exts[..], given].concat()),
        );
        let [_, src, dst] = naming(esp());
        let told = [kept.ext(ext::SA), current.clone(), src, dst];
        let told = message(msg::UPDATE, 3, &[&told[..], given].concat());
        assert_eq!(hex(&reply), hex(&told));
        let line = line_of(&host, esp());
        assert_eq!(line, before.replace("natsport=4500 natdport=4501", want));
        assert_eq!(host.spigrp(), spigrp);
    }
}

#[test]
fn update_with_ports_of_an_sa_that_is_not_there_is_enoent() {
    let host = TestHost::new();
    let request = update_with(esp(), &[natt_port(ext::NAT_T_SPORT, 1)]);
    refused(&host, &request, Errno::ENOENT);
}

// --- REGISTER -----------------------------------------------------------------------------------

fn register(satype: u8) -> Vec<u8> {
    message(msg::REGISTER, satype, &[])
}

/// The lists of algorithms that REGISTER is answered with, made from the table on another way.
fn lists(satype: u8) -> Vec<Vec<u8>> {
    let purposes: [&[Purpose]; 2] = match satype {
        2 => [&[Purpose::Auth], &[]],
        3 => [&[Purpose::Auth], &[Purpose::Encrypt, Purpose::Combined]],
        9 => [&[], &[Purpose::Tunnel]],
        10 => [&[], &[Purpose::Compress]],
        _ => [&[], &[]],
    };
    let numbers = [ext::SUPPORTED_AUTH, ext::SUPPORTED_ENCRYPT];
    let mut exts = Vec::new();
    for (number, purposes) in numbers.into_iter().zip(purposes) {
        let mut body = vec![0; 4];
        for algorithm in ALGORITHMS.iter().rev() {
            if purposes.contains(&algorithm.purpose) {
                let (min, max) = algorithm.told_bits;
                body.extend([algorithm.id, algorithm.iv_bits]);
                body.extend(min.to_ne_bytes());
                body.extend(max.to_ne_bytes());
                body.extend([0; 2]);
            }
        }
        if body.len() > 4 {
            exts.push(extension(number, &body));
        }
    }
    exts
}

/// Lengths of keys as mainline's `net/xfrm/xfrm_algo.c` has them in `.desc`: without the salt of
/// GCM and CCM, but with the nonce of CTR.
#[test]
fn register_tells_the_lengths_of_keys_as_mainline_does() {
    let host = TestHost::new();
    host.write(&register(3)).unwrap();
    let read = host.read(A).remove(0);
    let (_, ciphers) = exts_of(&read)
        .into_iter()
        .find(|(number, _)| *number == ext::SUPPORTED_ENCRYPT)
        .unwrap();
    let told: BTreeMap<u8, (u8, u16, u16)> = ciphers[8..]
        .chunks_exact(8)
        .map(|alg| {
            let number = |at| u16::from_ne_bytes([alg[at], alg[at + 1]]);
            (alg[0], (alg[1], number(2), number(4)))
        })
        .collect();
    for id in [14, 15, 16, 18, 19, 20] {
        assert_eq!(told[&id], (64, 128, 256), "{id}");
    }
    assert_eq!(told[&12], (128, 128, 256));
    assert_eq!(told[&13], (64, 160, 288));
    // No number of mainline's; RFC 7634 has one length.
    assert_eq!(told[&28], (64, 256, 256));
}

#[test]
fn register_is_answered_with_the_algorithms_of_the_table() {
    for satype in 1..=11 {
        let host = TestHost::new();
        assert_eq!(host.write(&register(satype)), Ok(()));
        let want = message(msg::REGISTER, satype, &lists(satype));
        let read = host.read(A);
        assert_eq!(read.len(), 1);
        assert_eq!(hex(&read[0]), hex(&want));
        assert_eq!(host.read(B), [[0; 0]; 0]);
    }
    // Not only equal, but what is to be expected.
    let ids = |list: &[u8]| -> Vec<u8> { list[8..].chunks(8).map(|alg| alg[0]).collect() };
    assert_eq!(ids(&lists(2)[0]), [252, 250, 9, 7, 6, 5, 3, 2]);
    assert_eq!(ids(&lists(3)[0]), [252, 250, 9, 7, 6, 5, 3, 2]);
    assert_eq!(
        ids(&lists(3)[1]),
        [28, 20, 19, 18, 16, 15, 14, 13, 12, 11, 3]
    );
    assert_eq!(ids(&lists(9)[0]), [4, 3, 2, 1]);
    assert_eq!(ids(&lists(10)[0]), [2]);
}

#[test]
fn register_of_type_0_or_beyond_the_last_and_with_extensions_is_einval() {
    let host = TestHost::new();
    refused(&host, &register(0), Errno::EINVAL);
    refused(&host, &register(12), Errno::EINVAL);
    refused(&host, &register(255), Errno::EINVAL);
    let sa = RawSa::naming(0x1000).ext(ext::SA);
    refused(&host, &message(msg::REGISTER, 3, &[sa]), Errno::EINVAL);
    assert_eq!(host.listing(Listing::PfKeyRegistered).lines().count(), 1);
}

#[test]
fn register_is_told_to_all_that_have_registered_for_the_type() {
    let host = TestHost::new();
    host.set_up(&register(3));
    write_b(&host, &register(2)).unwrap();
    assert_eq!(host.deliveries(), [B]);
    write_b(&host, &register(3)).unwrap();
    assert_eq!(host.deliveries(), [B, A]);
    host.write(&register(9)).unwrap();
    assert_eq!(host.deliveries(), [A]);
}

#[test]
fn register_twice_is_register_once() {
    let host = TestHost::new();
    host.set_up(&register(3));
    let listed = host.listing(Listing::PfKeyRegistered);
    host.write(&register(3)).unwrap();
    assert_eq!(host.deliveries(), [A]);
    assert_eq!(host.listing(Listing::PfKeyRegistered), listed);
    host.close(A);
    assert_eq!(host.listing(Listing::PfKeyRegistered).lines().count(), 1);
}

#[test]
fn socket_that_was_closed_has_registered_for_nothing() {
    let host = TestHost::new();
    host.set_up(&register(3));
    host.set_up(&register(2));
    host.close(A);
    write_b(&host, &register(3)).unwrap();
    assert_eq!(host.deliveries(), [B]);
    // Nor has another under its name.
    host.open(A);
    write_b(&host, &register(2)).unwrap();
    assert_eq!(host.deliveries(), [B]);
}

// --- ACQUIRE ------------------------------------------------------------------------------------

/// ACQUIRE with an error, which tells that a negotiation failed.
fn failed_acquire(satype: u8) -> Vec<u8> {
    let mut request = message(msg::ACQUIRE, satype, &[]);
    request[2] = Errno::EPERM.0;
    request
}

#[test]
fn acquire_with_an_error_is_told_to_who_has_registered() {
    for satype in 1..=11 {
        let host = TestHost::new();
        let failed = failed_acquire(satype);
        refused(&host, &failed, Errno::EPROTONOSUPPORT);
        write_b(&host, &register(satype)).unwrap();
        host.drain();
        assert_eq!(host.write(&failed), Ok(()));
        assert_eq!(host.read(A), [[0; 0]; 0]);
        assert_eq!(host.read(B), std::slice::from_ref(&failed));
        let other = failed_acquire(satype % 11 + 1);
        refused(&host, &other, Errno::EPROTONOSUPPORT);
        host.close(B);
        host.drain();
        assert_eq!(host.write(&failed), Err(Errno::EPROTONOSUPPORT));
    }
}

#[test]
fn acquire_without_an_error_is_einval() {
    let host = TestHost::new();
    host.set_up(&register(3));
    let dst = address(ext::ADDRESS_DST, ip("10.0.0.2"), 0);
    let proposal = extension(ext::PROPOSAL, &[0; 4]);
    // KLIPS knows the form of it but refuses a proposal.
    let exts = [source(), dst, proposal];
    refused(&host, &message(msg::ACQUIRE, 3, &exts), Errno::EINVAL);
    refused(&host, &message(msg::ACQUIRE, 3, &exts[..2]), Errno::EINVAL);
    refused(&host, &message(msg::ACQUIRE, 3, &[]), Errno::EINVAL);
    refused(&host, &failed_acquire(0), Errno::EINVAL);
    refused(&host, &failed_acquire(12), Errno::EINVAL);
}

// --- EXPIRE -------------------------------------------------------------------------------------

#[test]
fn expire_is_told_to_all_and_changes_nothing() {
    let host = host_with_group();
    let before = (host.spigrp(), host.spi());
    let request = message_of(msg::EXPIRE, 3, 0x1_0001, 0x2_0002, &[]);
    assert_eq!(answer(&host, &request), request);
    assert_eq!((host.spigrp(), host.spi()), before);
}

#[test]
fn expire_of_type_0_or_with_extensions_is_einval() {
    let host = host_with_group();
    refused(&host, &message(msg::EXPIRE, 0, &[]), Errno::EINVAL);
    let request = message(msg::EXPIRE, 3, &naming(esp()));
    refused(&host, &request, Errno::EINVAL);
}

// --- X_PROMISC ----------------------------------------------------------------------------------

/// X_PROMISC that switches copies on or off.
fn promisc(satype: u8) -> Vec<u8> {
    message(msg::PROMISC, satype, &[])
}

/// A message as promiscuous sockets get it.
fn wrapped(inner: &[u8]) -> Vec<u8> {
    let mut bytes = message_of(msg::PROMISC, 0, 0, 0, &[]);
    bytes.extend(inner);
    fix_len(&mut bytes);
    bytes
}

fn promiscuous_b(host: &TestHost) {
    write_b(host, &promisc(1)).unwrap();
    host.drain();
}

#[test]
fn promisc_is_answered_to_its_sender() {
    let host = TestHost::new();
    for satype in [1, 0, 0, 1, 1] {
        assert_eq!(host.write(&promisc(satype)), Ok(()));
        host.check();
        assert_eq!(host.read(A), [promisc(satype)]);
        assert_eq!(host.read(B), [[0; 0]; 0]);
    }
    for satype in [2, 3, 11, 12, 255] {
        refused(&host, &promisc(satype), Errno::EINVAL);
    }
    let sa = RawSa::naming(0x1000).ext(ext::SA);
    refused(&host, &message(msg::PROMISC, 1, &[sa]), Errno::EINVAL);
}

#[test]
fn promiscuous_socket_reads_what_others_are_told_behind_a_header() {
    let host = host_with_group();
    promiscuous_b(&host);
    for (request, copies) in [
        (get(esp()), 1),
        (register(3), 1),
        (promisc(0), 1),
        (promisc(1), 1),
        (message(msg::DUMP, 0, &[]), 3),
        (failed_acquire(3), 1),
    ] {
        assert_eq!(host.write(&request), Ok(()), "{}", hex(&request));
        let read = host.read(A);
        assert_eq!(read.len(), copies);
        let want: Vec<_> = read.iter().map(|message| wrapped(message)).collect();
        assert_eq!(host.read(B), want);
    }
}

#[test]
fn promiscuous_socket_reads_once_and_plain_what_it_is_told_itself() {
    let host = host_with_group();
    promiscuous_b(&host);
    // What everybody is told, refusals among it.
    let read = answer(&host, &message(msg::EXPIRE, 3, &[]));
    assert_eq!(read, message(msg::EXPIRE, 3, &[]));
    refused(&host, &add(esp()), Errno::EEXIST);
    // What it asked for.
    host.drain();
    write_b(&host, &get(esp())).unwrap();
    let read = host.read(B);
    assert_eq!(read.len(), 1);
    assert_eq!(read[0][1], msg::GET);
    assert_eq!(host.read(A), [[0; 0]; 0]);
    // What it has registered for.
    write_b(&host, &register(3)).unwrap();
    host.drain();
    host.write(&register(3)).unwrap();
    let told = host.read(A);
    assert_eq!(told.len(), 1);
    assert_eq!(host.read(B), told);
}

#[test]
fn promiscuous_sockets_are_not_shown_requests() {
    let host = TestHost::new();
    promiscuous_b(&host);
    host.write(&add(esp())).unwrap();
    host.write(&delete(esp())).unwrap();
    for message in host.read(B) {
        assert!(!message.windows(4).any(|bytes| bytes == [0x5e; 4]));
        assert!(!message.windows(4).any(|bytes| bytes == [0x5c; 4]));
    }
}

#[test]
fn socket_is_promiscuous_until_it_says_otherwise_or_is_closed() {
    let host = host_with_group();
    promiscuous_b(&host);
    host.write(&get(esp())).unwrap();
    assert_eq!(host.deliveries(), [A, B]);
    write_b(&host, &promisc(0)).unwrap();
    host.drain();
    host.write(&get(esp())).unwrap();
    assert_eq!(host.deliveries(), [A]);
    promiscuous_b(&host);
    host.close(B);
    host.open(B);
    host.write(&get(esp())).unwrap();
    assert_eq!(host.deliveries(), [A]);
}

#[test]
fn without_memory_for_copies_promiscuous_sockets_lose_them_and_nobody_else_does() {
    let host = host_with_group();
    promiscuous_b(&host);
    host.open(3);
    host.write_from(3, &promisc(1)).unwrap();
    host.drain();
    memory::fail_after(Some(1));
    let result = host.write(&get(esp()));
    memory::fail_after(None);
    assert_eq!(result, Ok(()));
    assert_eq!(host.deliveries(), [A]);
    assert_eq!(*host.lost.borrow(), [(B, 1), (3, 1)].into());
}

// --- X_DEBUG ------------------------------------------------------------------------------------

/// X_DEBUG with masks: tunnel, netlink, xform, eroute, spi, radij, esp, ah, rcv, pfkey, ipcomp,
/// verbose.
fn debug(masks: [u32; 12]) -> Vec<u8> {
    let mut body: Vec<u8> = masks.into_iter().flat_map(u32::to_ne_bytes).collect();
    body.extend([0; 4]);
    message(msg::DEBUG, 0, &[extension(ext::DEBUG, &body)])
}

const SET: u32 = 1 << 31;

#[test]
fn debug_masks_are_switched_on_and_off_without_an_answer() {
    let host = TestHost::new();
    let ones = [
        0xf1,
        SET | 0xf2,
        0xf3,
        0xf4,
        0xf5,
        0xf6,
        0xf7,
        0xf8,
        0xf9,
        0,
        0xfb,
        0xfc,
    ];
    host.write(&debug(ones)).unwrap();
    let mut want = ones;
    want[1] = 0xf2;
    assert_eq!(host.state().debug.0, want);
    // More bits.
    let mut more = [0; 12];
    (more[1], more[4]) = (SET, 0x100);
    host.write(&debug(more)).unwrap();
    want[4] |= 0x100;
    assert_eq!(host.state().debug.0, want);
    // Only these stay on; none is switched on by that.
    let mut only = [0x0f; 12];
    only[4] = 0xffff_ffff;
    host.write(&debug(only)).unwrap();
    let want: [u32; 12] = std::array::from_fn(|index| want[index] & only[index]);
    assert_eq!(host.state().debug.0, want);
    host.write(&debug([0; 12])).unwrap();
    assert_eq!(host.state().debug.0, [0; 12]);
    assert_eq!(host.deliveries(), []);
    assert_eq!(*host.logged.borrow(), [""; 0]);
}

#[test]
fn debug_without_masks_or_of_another_length_is_einval() {
    let host = TestHost::new();
    refused(&host, &message(msg::DEBUG, 0, &[]), Errno::EINVAL);
    for len in [4, 44, 60] {
        let ext = extension(ext::DEBUG, &vec![0; len]);
        refused(&host, &message(msg::DEBUG, 0, &[ext]), Errno::EINVAL);
    }
    let mut bytes = debug([0; 12]);
    let last = bytes.len() - 1;
    bytes[last] = 1;
    refused(&host, &bytes, Errno::EINVAL);
}

#[test]
fn messages_are_logged_while_the_pfkey_mask_says_so_and_never_with_keys() {
    let host = TestHost::new();
    let mut masks = [0; 12];
    (masks[1], masks[9]) = (SET, 1);
    host.write(&debug(masks)).unwrap();
    host.logged.borrow_mut().clear();
    host.write(&add(esp())).unwrap();
    assert_eq!(host.write(&add(esp())), Err(Errno::EEXIST));
    assert_eq!(
        *host.logged.borrow(),
        [
            "Add seq 7 pid 1234 satype 3: ok",
            "Add seq 7 pid 1234 satype 3: EEXIST",
        ]
    );
    host.write(&debug([0; 12])).unwrap();
    host.logged.borrow_mut().clear();
    host.write(&get(esp())).unwrap();
    assert_eq!(*host.logged.borrow(), [""; 0]);
}

#[test]
fn changes_of_sas_are_logged_while_the_spi_mask_says_so() {
    let host = TestHost::new();
    let mut masks = [0; 12];
    (masks[1], masks[4]) = (SET, 1);
    host.write(&debug(masks)).unwrap();
    let tun = said("tun.1001@10.0.0.2");
    let requests = [
        add(esp()),
        add(tun),
        update(esp()),
        getspi(3, 0x5000, 0x5000),
        pair(tun, esp()),
        ungroup(esp()),
        list(&[tun, esp()]),
        delete(esp()),
        flush(0),
    ];
    for request in &requests {
        host.logged.borrow_mut().clear();
        host.write(request).unwrap();
        assert_eq!(host.logged.borrow().len(), 1, "{}", hex(request));
    }
    for (request, what) in [
        (add(esp()), "added"),
        (getspi(3, 0x5001, 0x5001), "reserved"),
    ] {
        host.logged.borrow_mut().clear();
        host.write(&request).unwrap();
        let line = host.logged.borrow()[0].clone();
        assert!(line.ends_with(what), "{line}");
    }
    host.set_up(&delete(esp()));
    // What is refused changes nothing, and reading neither.
    host.set_up(&add(esp()));
    host.logged.borrow_mut().clear();
    host.write(&get(esp())).unwrap();
    for request in [add(esp()), delete(tun), update(tun), pair(tun, esp())] {
        assert!(host.write(&request).is_err());
    }
    assert_eq!(*host.logged.borrow(), [""; 0]);
}

#[test]
fn log_names_the_sa_that_is_deleted_wherever_in_its_group_it_is() {
    let saids = ["tun.1001", "esp.1002", "ah.1003", "comp.1004"]
        .map(|text| said(&format!("{text}@10.0.0.2")));
    let mut masks = [0; 12];
    (masks[1], masks[4]) = (SET, 1);
    for deleted in saids {
        let host = TestHost::new();
        for said in saids {
            host.set_up(&add(said));
        }
        host.set_up(&list(&saids));
        host.write(&debug(masks)).unwrap();
        host.write(&delete(deleted)).unwrap();
        assert_eq!(
            *host.logged.borrow(),
            [format!("{deleted}: removed, a chain of 4")]
        );
        // One that is alone.
        host.set_up(&add(deleted));
        host.logged.borrow_mut().clear();
        host.write(&delete(deleted)).unwrap();
        assert_eq!(
            *host.logged.borrow(),
            [format!("{deleted}: removed, a chain of 1")]
        );
    }
}

#[test]
fn log_says_of_an_eroute_whether_it_drops() {
    let host = host_with_group();
    let mut masks = [0; 12];
    (masks[1], masks[3]) = (SET, 1);
    host.write(&debug(masks)).unwrap();
    let ends = "10.1.0.0/16 -> 10.2.0.0/16: an eroute to";
    let eroutes = [
        ("esp.ff@10.0.0.2", 0, ", drops"),
        ("tun.1001@10.0.0.2", flag::REPLACE, ""),
    ];
    for (text, flags, dropped) in eroutes {
        host.logged.borrow_mut().clear();
        let named = said(text);
        host.set_up(&add_flow(named, flags, &usual_flow()));
        assert_eq!(*host.logged.borrow(), [format!("{ends} {named}{dropped}")]);
    }
}

// --- The packet path, which is not there --------------------------------------------------------

/// The four extensions of a flow.
fn usual_flow() -> Vec<Vec<u8>> {
    flow(("10.1.0.0/16", 0), ("10.2.0.0/16", 0), 0)
}

#[test]
fn flows_of_wrong_form_are_refused() {
    let host = host_with_group();
    let [sa, _, dst] = naming(esp());
    let mut addflow = vec![sa.clone(), dst];
    addflow.extend(usual_flow());
    refused(&host, &message(msg::ADDFLOW, 0, &addflow), Errno::EINVAL);
    for left_out in 0..addflow.len() {
        let mut exts = addflow.clone();
        exts.remove(left_out);
        refused(&host, &message(msg::ADDFLOW, 3, &exts), Errno::EINVAL);
    }
    for left_out in 0..4 {
        let mut exts = usual_flow();
        exts.remove(left_out);
        refused(&host, &message(msg::DELFLOW, 3, &exts), Errno::EINVAL);
    }
    refused(&host, &message(msg::DELFLOW, 3, &[sa]), Errno::EINVAL);
    refused(&host, &message(msg::DELFLOW, 3, &[]), Errno::EINVAL);
    refused(
        &host,
        &message(msg::DELFLOW, 12, &usual_flow()),
        Errno::EINVAL,
    );
}

#[test]
fn mast_interfaces_are_eopnotsupp_and_what_is_malformed_einval() {
    let host = TestHost::new();
    for msg_type in [msg::PLUMBIF, msg::UNPLUMBIF] {
        let plumbif = extension(ext::PLUMBIF, &[1, 0, 0, 0]);
        refused(&host, &message(msg_type, 0, &[plumbif]), Errno::EOPNOTSUPP);
        refused(&host, &message(msg_type, 0, &[]), Errno::EINVAL);
        let long = extension(ext::PLUMBIF, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        refused(&host, &message(msg_type, 0, &[long]), Errno::EINVAL);
    }
}

#[test]
fn names_of_protocols_have_their_types() {
    // `satype` of the tests against the numbers that this file uses.
    for (proto, number) in [
        (Proto::Ah, 2),
        (Proto::Esp, 3),
        (Proto::Tun, 9),
        (Proto::Comp, 10),
    ] {
        assert_eq!(satype(proto), number);
    }
}
