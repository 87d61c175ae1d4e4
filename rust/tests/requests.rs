// SPDX-License-Identifier: GPL-2.0

//! Requests from end to end: what changes, what write() says, and what every socket reads.

use klips::{
    change,
    errno::Errno,
    memory,
    netns::Host,
    sadb::Age,
    said::{Proto, Said},
};
use proptest::prelude::*;
use testbed::*;

/// tun.1001, esp.1002, ah.1003 and comp.1004 to 10.0.0.2.
fn four() -> [Said; 4] {
    ["tun.1001", "esp.1002", "ah.1003", "comp.1004"].map(|text| said(&format!("{text}@10.0.0.2")))
}

/// A host with these four SAs.
fn host_with_four() -> TestHost {
    let host = TestHost::new();
    for said in four() {
        host.set_up(&add(said));
    }
    host
}

/// A host on which the four SAs are one group.
fn host_with_group() -> TestHost {
    let host = host_with_four();
    host.set_up(&list(&four()));
    host
}

/// The request without some extensions, as an answer echoes it.
fn without(request: &[u8], numbers: &[u16]) -> Vec<u8> {
    let mut bytes = request[..16].to_vec();
    for (number, ext) in exts_of(request) {
        if !numbers.contains(&number) {
            bytes.extend(ext);
        }
    }
    fix_len(&mut bytes);
    bytes
}

const KEYS: [u16; 2] = [ext::KEY_AUTH, ext::KEY_ENCRYPT];

// --- Outer form ---------------------------------------------------------------------------------

#[test]
fn wrong_outer_form_is_refused_without_a_message() {
    let host = host_with_four();
    let good = delete(four()[0]);
    let changed = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        bytes
    };
    for len in 0..16 {
        refused_silently(&host, &good[..len], Errno::EMSGSIZE);
    }
    refused_silently(&host, &good[..good.len() - 8], Errno::EMSGSIZE);
    refused_silently(
        &host,
        &[good.clone(), good.clone()].concat(),
        Errno::EMSGSIZE,
    );
    refused_silently(&host, &changed(4, 2), Errno::EMSGSIZE);
    for version in [0, 1, 3, 255] {
        refused_silently(&host, &changed(0, version), Errno::EINVAL);
    }
    for msg_type in [0, 20, 21, 24, 255] {
        refused_silently(&host, &changed(1, msg_type), Errno::EINVAL);
    }
    refused_silently(&host, &changed(6, 1), Errno::EINVAL);
    refused_silently(&host, &changed(7, 1), Errno::EINVAL);
}

#[test]
fn any_other_error_is_told_to_all_sockets() {
    let host = host_with_four();
    let mut bytes = delete(four()[0]);
    bytes[3] = 4;
    refused(&host, &bytes, Errno::EINVAL);
    bytes[3] = 12;
    refused(&host, &bytes, Errno::EINVAL);
    bytes[3] = 9;
    bytes[2] = 1;
    host.drain();
    assert_eq!(host.write(&bytes), Err(Errno::EINVAL));
    assert_eq!(host.read(B), [error_message(&bytes, Errno::EINVAL)]);
    refused(&host, &message(msg::DELETE, 9, &[]), Errno::EINVAL);
    let [sa, src, mut dst] = naming(four()[0]);
    dst[5] = 32;
    let bytes = message(msg::DELETE, 9, &[sa.clone(), src.clone(), dst.clone()]);
    refused(&host, &bytes, Errno::EAFNOSUPPORT);
    dst[8..10].copy_from_slice(&0u16.to_ne_bytes());
    let bytes = message(msg::DELETE, 9, &[sa, src, dst]);
    refused(&host, &bytes, Errno::EPFNOSUPPORT);
}

#[test]
fn error_message_keeps_the_header_and_leaves_the_extensions_out() {
    let host = TestHost::new();
    let mut bytes = delete(four()[1]);
    bytes[8..16].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(host.write(&bytes), Err(Errno::ESRCH));
    let mut want = vec![2, msg::DELETE, 3, 3, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    fix_len(&mut want);
    assert_eq!(host.read(B), [want]);
}

#[test]
fn types_that_only_the_kernel_sends_or_nobody_knows_are_refused() {
    let host = host_with_four();
    refused(&host, &message(msg::PCHANGE, 0, &[]), Errno::EINVAL);
    refused(
        &host,
        &message(msg::NAT_T_NEW_MAPPING, 3, &[]),
        Errno::EINVAL,
    );
    // With all that it has where the kernel sends it, too.
    let port = |number, port: u16| extension(number, &[&port.to_ne_bytes()[..], &[0; 2]].concat());
    let mut exts = naming(four()[1]).to_vec();
    exts.push(port(ext::NAT_T_SPORT, 4500));
    exts.push(port(ext::NAT_T_DPORT, 4501));
    refused(
        &host,
        &message(msg::NAT_T_NEW_MAPPING, 3, &exts),
        Errno::EINVAL,
    );
    exts[1] = exts[2].clone();
    let every_one: Vec<Vec<u8>> = (1..=20).map(|number| extension(number, &[0; 36])).collect();
    for exts in [exts, every_one] {
        refused(&host, &message(msg::PCHANGE, 3, &exts), Errno::EINVAL);
    }
}

#[test]
fn extensions_that_klips_refuses_are_einval() {
    let host = host_with_four();
    let mut exts = naming(four()[1]).to_vec();
    exts.push(lifetime(ext::LIFETIME_CURRENT, [0; 5]));
    refused(&host, &message(msg::GET, 3, &exts), Errno::EINVAL);
    for bad in [
        extension(ext::SENSITIVITY, &[0; 12]),
        extension(ext::NAT_T_TYPE, &[0, 0, 0, 0]),
        extension(ext::NAT_T_TYPE, &[3, 0, 0, 0]),
    ] {
        let mut exts = naming(said("tun.2000@10.0.0.2")).to_vec();
        exts[0] = RawSa::mature(0x2000).ext(ext::SA);
        exts.push(bad);
        refused(&host, &message(msg::ADD, 9, &exts), Errno::EINVAL);
    }
}

// --- Who is told --------------------------------------------------------------------------------

#[test]
fn newest_socket_is_told_first() {
    let host = TestHost::new();
    for socket in 3..6 {
        host.open(socket);
    }
    host.write(&add(four()[0])).unwrap();
    assert_eq!(host.deliveries(), [5, 4, 3, 2, 1]);
    host.write(&add(four()[0])).unwrap_err();
    assert_eq!(host.deliveries(), [5, 4, 3, 2, 1], "errors too");
    host.close(4);
    host.close(A);
    host.open(9);
    host.write(&flush(0)).unwrap();
    assert_eq!(host.deliveries(), [9, 5, 3, 2]);
    host.close(100);
    host.write(&flush(0)).unwrap();
    assert_eq!(host.deliveries(), [9, 5, 3, 2]);
}

#[test]
fn only_the_sender_reads_the_answer_to_get() {
    let host = host_with_four();
    host.open(3);
    let request = get(four()[0]);
    host.write(&request).unwrap();
    assert_eq!(host.deliveries(), [A]);
    host.write_from(3, &request).unwrap();
    assert_eq!(host.deliveries(), [3]);
    // Its errors are for all.
    host.write(&get(said("esp.1@10.0.0.2"))).unwrap_err();
    assert_eq!(host.deliveries(), [3, 2, 1]);
}

#[test]
fn full_socket_loses_messages_but_nobody_else_does() {
    let host = TestHost::new();
    host.open(3);
    host.full.borrow_mut().extend([A, B]);
    for said in four() {
        assert_eq!(host.write(&add(said)), Ok(()));
    }
    assert_eq!(host.write(&list(&four())), Ok(()));
    assert_eq!(host.write(&delete(four()[2])), Ok(()));
    assert_eq!(host.read(3).len(), 4 + 1 + 4);
    assert_eq!([host.lost(A), host.lost(B)], [9, 9]);
    assert_eq!(*host.told_losses.borrow(), [B, A], "once");
    assert!(host.state().sadb.is_empty());
}

#[test]
fn sockets_are_not_needed() {
    let host = TestHost::new();
    host.close(A);
    host.close(B);
    host.write(&add(four()[0])).unwrap();
    assert_eq!(host.spigrp(), "tun0x1001@10.0.0.2 \n");
    assert_eq!(host.deliveries(), []);
}

// --- ADD ----------------------------------------------------------------------------------------

#[test]
fn add_is_answered_with_the_request_without_its_keys() {
    for said in four() {
        let host = TestHost::new();
        let request = add(said);
        assert_eq!(
            hex(&answer(&host, &request)),
            hex(&without(&request, &KEYS))
        );
        assert_eq!(host.spigrp(), format!("{said} \n"));
    }
}

#[test]
fn add_is_answered_with_lifetimes_and_identities_that_were_given() {
    let host = TestHost::new();
    let said = said("esp:1002@2001:db8::2");
    let mut request = add(said);
    request.extend(lifetime(ext::LIFETIME_HARD, [10, 20, 30, 40, 50]));
    request.extend(identity(ext::IDENTITY_SRC, 2, 9, b"left.example\0"));
    request.extend(identity(ext::IDENTITY_DST, 3, 8, b"right@example\0"));
    request.extend(extension(ext::NAT_T_TYPE, &[2, 0, 0, 0]));
    fix_len(&mut request);
    let answer = answer(&host, &request);
    let numbers: Vec<u16> = exts_of(&answer).iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [1, 3, 5, 6, 10, 11]);
    for (number, ext) in exts_of(&answer) {
        let given = exts_of(&request).into_iter().find(|(n, _)| *n == number);
        assert_eq!(hex(&ext), hex(&given.unwrap().1), "{number}");
    }
}

#[test]
fn soft_limits_are_not_above_hard_ones() {
    for (hard, soft, want) in [
        ([10; 5], [11, 20, 30, 40, 50], [10; 5]),
        ([10; 5], [9; 5], [9; 5]),
        ([10; 5], [0; 5], [0; 5]),
        // No hard limit.
        ([0; 5], [9; 5], [9; 5]),
        ([5, 0, 5, 0, 5], [6; 5], [5, 6, 5, 6, 5]),
    ] {
        let host = TestHost::new();
        let mut exts = naming(said("tun.1000@10.0.0.2")).to_vec();
        exts[0] = RawSa::mature(0x1000).ext(ext::SA);
        exts.push(lifetime(ext::LIFETIME_HARD, hard));
        exts.push(lifetime(ext::LIFETIME_SOFT, soft));
        let exts = exts_of(&answer(&host, &message(msg::ADD, 9, &exts)));
        assert_eq!(exts[1], (3, lifetime(3, hard)));
        assert_eq!(exts[2], (4, lifetime(4, want)), "{hard:?} {soft:?}");
    }
}

#[test]
fn lifetimes_are_answered_in_the_length_they_came_in() {
    let limits = [1, 0, 3, 4, 5];
    for (hard, soft) in [(true, true), (true, false), (false, true)] {
        for form in [lifetime, short_lifetime] {
            let host = TestHost::new();
            let said = said("tun.1000@10.0.0.2");
            let mut exts = naming(said).to_vec();
            exts[0] = RawSa::mature(0x1000).ext(ext::SA);
            let mut want = Vec::new();
            if hard {
                want.push(form(ext::LIFETIME_HARD, limits));
            }
            if soft {
                want.push(form(ext::LIFETIME_SOFT, limits));
            }
            exts.extend(want.clone());
            let given = |message: &[u8]| -> Vec<Vec<u8>> {
                let exts = exts_of(message).into_iter();
                exts.filter(|(n, _)| matches!(n, 3 | 4))
                    .map(|(_, ext)| ext)
                    .collect()
            };
            assert_eq!(given(&answer(&host, &message(msg::ADD, 9, &exts))), want);
            host.write(&get(said)).unwrap();
            let read = host.read(A).remove(0);
            assert_eq!(given(&read), want);
            let current = exts_of(&read).into_iter().find(|(n, _)| *n == 2).unwrap().1;
            assert_eq!(current.len(), want[0].len());
        }
    }
}

#[test]
fn add_of_an_sa_that_is_there_is_eexist_before_anything_else() {
    let host = host_with_four();
    for said in four() {
        refused(&host, &add(said), Errno::EEXIST);
    }
    // What would be ENOENT and EINVAL otherwise.
    let esp = four()[1];
    for (auth, encrypt) in [(2, 99), (99, 3), (2, 12)] {
        let mut exts = naming(esp).to_vec();
        exts[0] = RawSa {
            auth,
            encrypt,
            ..RawSa::mature(esp.spi)
        }
        .ext(ext::SA);
        let bytes = message(msg::ADD, 3, &exts);
        refused(&host, &bytes, Errno::EEXIST);
        host.set_up(&delete(esp));
        let want = if encrypt == 99 {
            Errno::ENOENT
        } else {
            Errno::EINVAL
        };
        refused(&host, &bytes, want);
        host.set_up(&add(esp));
    }
}

/// Bits of keys for authentication and encryption, 0 for none.
fn add_with(satype: u8, auth: u8, auth_bits: u16, encrypt: u8, encrypt_bits: u16) -> Vec<u8> {
    let mut exts = naming(said("esp.1000@10.0.0.2")).to_vec();
    exts[0] = RawSa {
        auth,
        encrypt,
        ..RawSa::mature(0x1000)
    }
    .ext(ext::SA);
    if auth_bits != 0 {
        exts.push(key(ext::KEY_AUTH, auth_bits, 1));
    }
    if encrypt_bits != 0 {
        exts.push(key(ext::KEY_ENCRYPT, encrypt_bits, 2));
    }
    message(msg::ADD, satype, &exts)
}

#[test]
fn algorithms_take_keys_of_their_lengths_only() {
    let einval = Some(Errno::EINVAL);
    let enoent = Some(Errno::ENOENT);
    for (satype, auth, auth_bits, encrypt, encrypt_bits, want) in [
        // AH.
        (2, 2, 128, 0, 0, None),
        (2, 3, 160, 0, 0, None),
        (2, 5, 256, 0, 0, None),
        (2, 6, 384, 0, 0, None),
        (2, 7, 512, 0, 0, None),
        (2, 2, 0, 0, 0, einval),
        (2, 2, 160, 0, 0, einval),
        (2, 2, 127, 0, 0, einval),
        (2, 2, 129, 0, 0, einval),
        (2, 3, 128, 0, 0, einval),
        (2, 1, 128, 0, 0, einval),
        (2, 99, 128, 0, 0, einval),
        (2, 251, 128, 0, 0, einval),
        // ESP.
        (3, 0, 0, 3, 192, None),
        (3, 2, 128, 3, 192, None),
        (3, 3, 160, 3, 192, None),
        (3, 2, 128, 12, 128, None),
        (3, 2, 128, 12, 192, None),
        (3, 2, 128, 12, 256, None),
        (3, 0, 0, 12, 128, None),
        (3, 2, 128, 11, 0, None),
        (3, 3, 160, 11, 0, None),
        (3, 0, 0, 3, 0, einval),
        (3, 0, 0, 3, 64, einval),
        (3, 0, 0, 3, 168, einval),
        (3, 0, 0, 3, 191, einval),
        (3, 2, 128, 12, 129, einval),
        (3, 2, 128, 12, 512, einval),
        (3, 2, 128, 11, 64, einval),
        (3, 2, 0, 3, 192, einval),
        (3, 2, 160, 3, 192, einval),
        (3, 99, 128, 3, 192, einval),
        (3, 2, 128, 1, 64, enoent),
        (3, 2, 128, 2, 64, enoent),
        (3, 2, 128, 99, 192, enoent),
        (3, 2, 128, 255, 192, enoent),
        // Ciphers with a salt or nonce, and those that authenticate by themselves.
        (3, 2, 128, 13, 160, None),
        (3, 2, 128, 13, 128, einval),
        (3, 0, 0, 14, 152, None),
        (3, 0, 0, 16, 280, None),
        (3, 0, 0, 18, 160, None),
        (3, 0, 0, 20, 288, None),
        (3, 0, 0, 20, 256, einval),
        (3, 0, 0, 28, 288, None),
        (3, 2, 128, 20, 160, einval),
        (3, 251, 0, 20, 160, einval),
        (3, 251, 0, 12, 128, None),
        (3, 251, 128, 12, 128, einval),
        (3, 251, 0, 11, 0, einval),
        // A key that nothing would be done with.
        (3, 0, 128, 3, 192, einval),
        (3, 0, 1, 12, 128, einval),
        (3, 0, 65535, 12, 128, einval),
        (3, 0, 160, 20, 160, einval),
        (3, 2, 128, 11, 65535, einval),
        (2, 2, 128, 0, 192, einval),
        (2, 2, 128, 0, 1, einval),
        (2, 2, 128, 0, 65535, einval),
        (9, 0, 1, 0, 0, einval),
        (9, 0, 65535, 0, 0, einval),
        (9, 0, 0, 0, 65535, einval),
        (9, 2, 128, 3, 192, einval),
        (10, 0, 128, 2, 0, einval),
        (10, 0, 0, 2, 65535, einval),
        (2, 9, 128, 0, 0, None),
        (2, 250, 128, 0, 0, None),
        (2, 251, 0, 0, 0, einval),
        (2, 252, 256, 0, 0, None),
        (2, 252, 128, 0, 0, einval),
        // The cipher before the keys.
        (3, 99, 1, 99, 1, enoent),
        // Tunnels and compression.
        (9, 0, 0, 0, 0, None),
        (9, 2, 0, 3, 0, None),
        (10, 0, 0, 1, 0, None),
        (10, 0, 0, 2, 0, None),
        (10, 0, 0, 3, 0, None),
        (10, 0, 0, 255, 0, None),
        // Magic SAIDs can't be added.
        (11, 0, 0, 0, 0, einval),
        // What the parser refuses.
        (2, 0, 0, 0, 0, einval),
        (2, 2, 128, 3, 192, einval),
        (3, 2, 128, 0, 0, einval),
        (3, 0, 0, 11, 0, einval),
        (10, 2, 128, 2, 0, einval),
        (10, 0, 0, 0, 0, einval),
    ] {
        let host = TestHost::new();
        let bytes = add_with(satype, auth, auth_bits, encrypt, encrypt_bits);
        let context = (satype, auth, auth_bits, encrypt, encrypt_bits);
        match want {
            None => assert_eq!(host.write(&bytes), Ok(()), "{context:?}"),
            Some(errno) => refused(&host, &bytes, errno),
        }
        assert_eq!(
            host.state().sadb.len(),
            usize::from(want.is_none()),
            "{context:?}"
        );
    }
}

#[test]
fn an_identity_is_as_long_as_that_of_a_mailbox_can_be() {
    for (len, want) in [(8, Ok(())), (328, Ok(())), (336, Err(Errno::EINVAL))] {
        for number in [ext::IDENTITY_SRC, ext::IDENTITY_DST] {
            let host = TestHost::new();
            let mut text = vec![b'a'; len];
            text[len - 1] = 0;
            let mut request = add(said("esp.1000@10.0.0.2"));
            request.extend(identity(number, 3, 0, &text));
            fix_len(&mut request);
            assert_eq!(host.write(&request), want, "{len} bytes");
        }
    }
}

#[test]
fn algorithms_of_a_tunnel_are_not_kept() {
    let host = TestHost::new();
    let answer = answer(&host, &add_with(9, 2, 0, 3, 0));
    let sa = RawSa::mature(0x1000).ext(ext::SA);
    assert_eq!(hex(&exts_of(&answer)[0].1), hex(&sa));
}

/// ADD of tun.1000 to an address, with these flags.
fn add_flagged(dst: &str, flags: u32) -> Vec<u8> {
    let mut exts = naming(Said {
        dst: ip(dst),
        spi: 0x1000,
        proto: Proto::Tun,
    })
    .to_vec();
    exts[0] = RawSa {
        flags,
        ..RawSa::mature(0x1000)
    }
    .ext(ext::SA);
    message(msg::ADD, 9, &exts)
}

fn flags_of(message: &[u8]) -> u32 {
    u32::from_ne_bytes(exts_of(message)[0].1[12..16].try_into().unwrap())
}

#[test]
fn sa_to_a_local_address_is_inbound_and_shows_it() {
    for (dst, flags, inbound, shown) in [
        ("10.0.0.2", 0, false, 0),
        ("10.0.0.2", 1, true, 1),
        ("10.0.0.2", 0xf0, false, 0xf0),
        ("10.0.0.2", 0xfffffffe, false, 0xfffffffe),
        ("127.0.0.1", 0, true, 1),
        ("127.0.0.1", 1, true, 1),
        ("127.0.0.1", 0x10, true, 0x11),
        ("2001:db8::1", 0, true, 1),
        ("2001:db8::2", 0, false, 0),
    ] {
        let host = TestHost::new();
        host.local
            .borrow_mut()
            .extend([ip("127.0.0.1"), ip("2001:db8::1")]);
        assert_eq!(
            flags_of(&answer(&host, &add_flagged(dst, flags))),
            shown,
            "{dst} {flags}"
        );
        let direction = if inbound { "dir=in " } else { "dir=out" };
        assert!(
            host.spi().contains(&format!(": {direction} src")),
            "{}",
            host.spi()
        );
        // As it was when the SA was made.
        host.local.borrow_mut().clear();
        let said = Said {
            dst: ip(dst),
            spi: 0x1000,
            proto: Proto::Tun,
        };
        host.drain();
        host.write(&get(said)).unwrap();
        assert_eq!(flags_of(&host.read(A)[0]), shown);
    }
}

#[test]
fn same_spi_may_be_used_with_other_protocols_and_destinations() {
    let host = TestHost::new();
    for text in [
        "esp.1000@10.0.0.2",
        "ah.1000@10.0.0.2",
        "comp.1000@10.0.0.2",
        "tun.1000@10.0.0.2",
        "esp.1000@10.0.0.3",
        "esp:1000@2001:db8::2",
        "esp:1000@2001:db8::3",
    ] {
        host.set_up(&add(said(text)));
        refused(&host, &add(said(text)), Errno::EEXIST);
    }
}

#[test]
fn ports_of_addresses_are_echoed_and_protocols_are_not() {
    let host = TestHost::new();
    let mut src = address(ext::ADDRESS_SRC, ip("10.0.0.1"), 500);
    let mut dst = address(ext::ADDRESS_DST, ip("10.0.0.2"), 4500);
    let want = [src.clone(), dst.clone()];
    src[4] = 17;
    dst[4] = 17;
    let exts = [RawSa::mature(0x1000).ext(ext::SA), src, dst];
    let answer = answer(&host, &message(msg::ADD, 9, &exts));
    let echoed: Vec<_> = exts_of(&answer).into_iter().map(|(_, ext)| ext).collect();
    assert_eq!(echoed[1..], want);
    host.write(&get(said("tun.1000@10.0.0.2"))).unwrap();
    let read = host.read(A).remove(0);
    let told: Vec<_> = exts_of(&read).into_iter().map(|(_, ext)| ext).collect();
    assert_eq!(told[2..], want);
}

// --- GET ----------------------------------------------------------------------------------------

#[test]
fn get_tells_all_of_an_sa_but_its_keys() {
    let host = TestHost::new();
    let said = said("esp.1002@10.0.0.2");
    let mut request = add(said);
    let sa = RawSa {
        replay: 32,
        auth: 2,
        encrypt: 3,
        flags: 0x40,
        ..RawSa::mature(said.spi)
    };
    request.splice(16..40, sa.ext(ext::SA));
    let given = [
        lifetime(ext::LIFETIME_HARD, [10, 20, 30, 400, 500]),
        lifetime(ext::LIFETIME_SOFT, [9, 19, 29, 390, 490]),
        address(ext::ADDRESS_PROXY, ip("10.0.0.9"), 0),
        identity(ext::IDENTITY_SRC, 2, 9, b"left.example\0"),
        identity(ext::IDENTITY_DST, 4, 8, b""),
        extension(ext::NAT_T_TYPE, &[2, 0, 0, 0]),
        extension(
            ext::NAT_T_SPORT,
            &[&4500u16.to_ne_bytes()[..], &[0, 0]].concat(),
        ),
        extension(
            ext::NAT_T_DPORT,
            &[&4501u16.to_ne_bytes()[..], &[0, 0]].concat(),
        ),
        address(ext::NAT_T_OA, ip("192.168.0.1"), 0),
    ];
    request.extend(given.concat());
    fix_len(&mut request);
    host.set_up(&request);
    host.sleep(100);
    let asked = message_of(msg::GET, 3, 77, 88, &naming(said));
    host.write(&asked).unwrap();
    // addtime of the current lifetime is when the SA was made.
    let current = lifetime(ext::LIFETIME_CURRENT, [1, 0, 0, 1_000_000_000, 0]);
    let [hard, soft, proxy, ident_src, ident_dst, natt @ ..] = given;
    let dst = address(ext::ADDRESS_DST, said.dst, 0);
    let mut want = vec![sa.ext(ext::SA), current, hard, soft, source(), dst];
    want.extend([proxy, ident_src, ident_dst]);
    want.extend(natt);
    let read = host.read(A);
    assert_eq!(read.len(), 1);
    assert_eq!(hex(&read[0]), hex(&message_of(msg::GET, 3, 77, 88, &want)));
}

#[test]
fn get_of_a_plain_sa_leaves_out_what_was_not_given() {
    let host = host_with_four();
    host.write(&get(four()[0])).unwrap();
    let want = [
        RawSa::mature(0x1001).ext(ext::SA),
        lifetime(ext::LIFETIME_CURRENT, [1, 0, 0, 1_000_000_000, 0]),
        source(),
        address(ext::ADDRESS_DST, ip("10.0.0.2"), 0),
    ];
    assert_eq!(hex(&host.read(A)[0]), hex(&message(msg::GET, 9, &want)));
}

#[test]
fn get_of_an_sa_that_is_not_there_is_esrch() {
    let host = host_with_four();
    refused(&host, &get(said("esp.1001@10.0.0.2")), Errno::ESRCH);
    refused(&host, &get(said("tun.1001@10.0.0.3")), Errno::ESRCH);
    refused(&host, &get(said("tun.0@10.0.0.2")), Errno::ESRCH);
}

/// Bytes that are nowhere but in keys.
const SECRET: u8 = 0xc5;

#[test]
fn no_message_and_no_file_has_a_byte_of_a_key() {
    let host = TestHost::new();
    let esp = said("esp.1002@10.0.0.2");
    let mut exts = naming(esp).to_vec();
    exts[0] = RawSa {
        auth: 2,
        encrypt: 3,
        ..RawSa::mature(esp.spi)
    }
    .ext(ext::SA);
    exts.push(key(ext::KEY_AUTH, 128, SECRET));
    exts.push(key(ext::KEY_ENCRYPT, 192, SECRET));
    let tun = four()[0];
    for request in [
        message(msg::ADD, 3, &exts),
        message(msg::ADD, 3, &exts),
        add(tun),
        get(esp),
        pair(tun, esp),
        delete(tun),
        flush(0),
    ] {
        let _ = host.write(&request);
    }
    let spi = host.spi();
    assert!(!spi.contains("c5c5"), "{spi}");
    let read = [host.read(A), host.read(B)].concat();
    assert!(read.len() > 10);
    for message in read {
        assert!(
            !message.windows(3).any(|bytes| bytes == [SECRET; 3]),
            "{}",
            hex(&message)
        );
        for (number, _) in exts_of(&message) {
            assert!(!KEYS.contains(&number));
        }
    }
}

// --- DELETE -------------------------------------------------------------------------------------

#[test]
fn delete_is_answered_with_the_name_only() {
    let host = host_with_four();
    let mut request = delete(four()[1]);
    let named = request.clone();
    // State, algorithms and flags of the request are not echoed.
    let sa = RawSa {
        auth: 2,
        encrypt: 3,
        flags: 1,
        ..RawSa::mature(0x1002)
    };
    request.splice(16..40, sa.ext(ext::SA));
    assert_eq!(hex(&answer(&host, &request)), hex(&named));
    let want = "tun0x1001@10.0.0.2 \nah0x1003@10.0.0.2 \ncomp0x1004@10.0.0.2 \n";
    assert_eq!(host.spigrp(), want);
    refused(&host, &request, Errno::ESRCH);
}

#[test]
fn delete_does_not_look_at_the_source_but_echoes_it() {
    let host = host_with_four();
    let mut exts = naming(four()[0]);
    exts[1] = address(ext::ADDRESS_SRC, ip("10.0.0.99"), 5);
    let request = message(msg::DELETE, 9, &exts);
    assert_eq!(hex(&answer(&host, &request)), hex(&request));
    assert!(host.state().sadb.find(&four()[0]).is_none());
}

#[test]
fn delete_of_any_member_removes_the_group_and_tells_of_each_named_one_first() {
    for named in four() {
        let host = host_with_group();
        host.set_up(&add(said("esp.2000@10.9.9.9")));
        let request = delete(named);
        let read = answers(&host, &request);
        assert_eq!(host.spigrp(), "esp0x2000@10.9.9.9 \n");
        // The others inside to outside, with neither sequence number nor process ID.
        let mates = four().into_iter().filter(|said| *said != named);
        let mates =
            mates.map(|mate| message_of(msg::DELETE, satype(mate.proto), 0, 0, &naming(mate)));
        let want: Vec<Vec<u8>> = std::iter::once(request).chain(mates).collect();
        let hexes = |messages: &[Vec<u8>]| messages.iter().map(|m| hex(m)).collect::<Vec<_>>();
        assert_eq!(hexes(&read), hexes(&want));
        for gone in four() {
            refused(&host, &delete(gone), Errno::ESRCH);
        }
    }
}

#[test]
fn sa_that_was_deleted_can_be_added_again_as_the_youngest() {
    let host = host_with_four();
    host.set_up(&delete(four()[0]));
    host.set_up(&add(four()[0]));
    let want =
        "esp0x1002@10.0.0.2 \nah0x1003@10.0.0.2 \ncomp0x1004@10.0.0.2 \ntun0x1001@10.0.0.2 \n";
    assert_eq!(host.spigrp(), want);
}

// --- FLUSH --------------------------------------------------------------------------------------

#[test]
fn flush_is_answered_with_itself() {
    for satype in [0, 2, 3, 9, 10, 11] {
        let host = host_with_group();
        assert_eq!(answer(&host, &flush(satype)), flush(satype), "{satype}");
        // On an empty table, too.
        host.set_up(&flush(0));
        assert_eq!(answer(&host, &flush(satype)), flush(satype), "{satype}");
    }
}

#[test]
fn flush_of_a_type_without_a_protocol_is_einval() {
    let host = host_with_group();
    for satype in [1, 4, 5, 6, 7, 8, 12, 255] {
        refused(&host, &flush(satype), Errno::EINVAL);
    }
}

#[test]
fn flush_of_all_removes_all() {
    let host = host_with_group();
    host.set_up(&add(said("esp.2000@10.9.9.9")));
    host.set_up(&flush(0));
    assert!(host.state().sadb.is_empty());
    assert_eq!(host.spigrp(), "");
    assert_eq!(host.spi(), "");
}

#[test]
fn flush_of_a_type_removes_its_sas_with_their_groups() {
    for (satype, left) in [
        (
            2,
            "tun0x2000@10.0.0.2 \nesp0x2000@10.0.0.2 comp0x2000@10.0.0.2 \n",
        ),
        (3, "tun0x2000@10.0.0.2 \nah0x2000@10.0.0.2 \n"),
        (
            9,
            "esp0x2000@10.0.0.2 comp0x2000@10.0.0.2 \nah0x2000@10.0.0.2 \n",
        ),
        (10, "tun0x2000@10.0.0.2 \nah0x2000@10.0.0.2 \n"),
        (
            11,
            "tun0x1001@10.0.0.2 esp0x1002@10.0.0.2 ah0x1003@10.0.0.2 comp0x1004@10.0.0.2 \n\
             tun0x2000@10.0.0.2 \nesp0x2000@10.0.0.2 comp0x2000@10.0.0.2 \nah0x2000@10.0.0.2 \n",
        ),
    ] {
        let host = host_with_group();
        let single = |proto| said(&format!("{proto}.2000@10.0.0.2"));
        for proto in ["tun", "esp", "ah", "comp"] {
            host.set_up(&add(single(proto)));
        }
        host.set_up(&pair(single("esp"), single("comp")));
        host.set_up(&flush(satype));
        host.check();
        assert_eq!(host.spigrp(), left, "{satype}");
    }
}

#[test]
fn flush_of_a_type_takes_groups_whole_wherever_the_member_stands() {
    // More than one step of SAs, the esp at every place of groups of five.
    let host = TestHost::new();
    let tun = |spi: u32| said(&format!("tun.{spi:x}@10.0.0.2"));
    let esp = |spi: u32| said(&format!("esp.{spi:x}@10.0.0.2"));
    let mut left = String::new();
    for group in 0..60 {
        let place = group % 6;
        let spis = (0..5).map(|member| 0x1000 + group * 5 + member);
        let saids: Vec<Said> = spis
            .enumerate()
            .map(|(member, spi)| {
                if member as u32 == place {
                    esp(spi)
                } else {
                    tun(spi)
                }
            })
            .collect();
        for said in &saids {
            host.set_up(&add(*said));
        }
        for link in saids.windows(2) {
            host.set_up(&pair(link[0], link[1]));
        }
        if place == 5 {
            left += &saids
                .iter()
                .map(|said| format!("{said} "))
                .collect::<String>();
            left += "\n";
        }
    }
    host.set_up(&flush(3));
    host.check();
    assert_eq!(host.spigrp(), left);
    assert!(
        host.reschedules.get() > 1,
        "a long flush lets others have their turn"
    );
}

#[test]
fn flush_of_a_type_spares_what_is_added_meanwhile() {
    let host = TestHost::new();
    for spi in 0..200 {
        host.set_up(&add(said(&format!("esp.{:x}@10.0.0.2", 0x1000 + spi))));
    }
    host.on_resched.replace(Some(Box::new(|host| {
        // Not for ever, in case they are not spared.
        if host.reschedules.get() > 1000 {
            return;
        }
        let spi = 0x8000 + host.reschedules.get();
        let _ = host.write(&add(said(&format!("esp.{spi:x}@10.0.0.2"))));
    })));
    assert_eq!(host.write(&flush(3)), Ok(()));
    host.on_resched.replace(None);
    let listing = host.spigrp();
    assert_eq!(listing.lines().count(), host.reschedules.get(), "{listing}");
    assert!(
        listing.lines().all(|line| line.starts_with("esp0x80")),
        "{listing}"
    );
    for (sas, keys) in &*host.at_unlock.borrow() {
        assert!(keys - sas <= 64, "{keys} keys for {sas} SAs");
    }
    host.check();
}

#[test]
fn long_flush_lets_others_have_their_turn() {
    let host = TestHost::new();
    for spi in 0..300 {
        host.set_up(&add(said(&format!("esp.{:x}@10.0.0.2", 0x1000 + spi))));
    }
    host.set_up(&flush(0));
    assert!(host.reschedules.get() >= 300 / 64);
}

/// To free them can take the kernel long, for which others must not have to wait.
#[test]
fn sas_are_freed_when_the_state_is_not_locked() {
    let group = ["esp.1001", "esp.1002", "esp.1003"].map(|text| said(&format!("{text}@10.0.0.2")));
    for what in ["DELETE", "FLUSH", "a limit"] {
        let host = TestHost::new();
        for said in group {
            host.set_up(&limited(msg::ADD, said, 0, 20));
        }
        host.set_up(&list(&group));
        match what {
            "DELETE" => host.set_up(&delete(group[1])),
            "FLUSH" => host.set_up(&flush(3)),
            _ => host.sleep(21),
        }
        let at_unlock = host.at_unlock.borrow();
        assert!(
            at_unlock.contains(&(0, group.len())),
            "{what}: SAs and keys {at_unlock:?}"
        );
        assert_eq!(memory::secrets(), 0, "{what}");
    }
}

#[test]
fn sas_of_a_namespace_that_goes_are_freed_step_by_step() {
    let host = host_with_group();
    host.set_up(&add(said("esp.2000@10.9.9.9")));
    assert_eq!(host.lock().sadb.len(), 5);
    assert_eq!(change::remove_all(&host, None), Ok(()));
    assert!(host.reschedules.get() >= 1);
    assert_eq!(
        host.lock().sadb.at_or_after(Age::FIRST).map(|sa| sa.age()),
        None
    );
}

#[test]
fn a_full_table_takes_no_more_until_there_is_room() {
    let host = TestHost::new();
    host.state().sadb.set_limit(2);
    let [first, second, third] =
        ["esp.1000", "esp.1001", "esp.1002"].map(|id| said(&format!("{id}@10.0.0.2")));
    host.set_up(&add(first));
    host.set_up(&add(second));
    refused(&host, &add(third), Errno::ENOSPC);
    // What is there already is told first.
    refused(&host, &add(first), Errno::EEXIST);
    host.set_up(&delete(first));
    host.set_up(&add(third));
    // The limit outlives the table.
    host.set_up(&flush(0));
    host.set_up(&add(first));
    host.set_up(&add(second));
    refused(&host, &add(third), Errno::ENOSPC);
}

// --- GRPSA --------------------------------------------------------------------------------------

const GROUPED: &str =
    "tun0x1001@10.0.0.2 esp0x1002@10.0.0.2 ah0x1003@10.0.0.2 comp0x1004@10.0.0.2 \n";
const APART: &str =
    "tun0x1001@10.0.0.2 \nesp0x1002@10.0.0.2 \nah0x1003@10.0.0.2 \ncomp0x1004@10.0.0.2 \n";

#[test]
fn pair_is_grouped_and_echoed() {
    let host = host_with_four();
    let request = pair(four()[0], four()[1]);
    assert_eq!(hex(&answer(&host, &request)), hex(&request));
    assert_eq!(
        host.spigrp(),
        "tun0x1001@10.0.0.2 esp0x1002@10.0.0.2 \nah0x1003@10.0.0.2 \ncomp0x1004@10.0.0.2 \n"
    );
}

#[test]
fn first_of_a_pair_is_the_inner_one_even_if_it_is_younger() {
    let host = host_with_four();
    host.set_up(&pair(four()[3], four()[0]));
    assert_eq!(
        host.spigrp(),
        "esp0x1002@10.0.0.2 \nah0x1003@10.0.0.2 \ncomp0x1004@10.0.0.2 tun0x1001@10.0.0.2 \n"
    );
}

#[test]
fn direction_of_sas_does_not_swap_a_pair() {
    for local in ["10.0.0.2", "10.0.0.3"] {
        let host = TestHost::new();
        host.local.borrow_mut().push(ip(local));
        let (tun, esp) = (said("tun.1001@10.0.0.2"), said("esp.1002@10.0.0.3"));
        host.set_up(&add(tun));
        host.set_up(&add(esp));
        host.set_up(&pair(tun, esp));
        assert_eq!(host.spigrp(), "tun0x1001@10.0.0.2 esp0x1002@10.0.0.3 \n");
    }
}

#[test]
fn references_and_address_protocols_are_zeroed_in_the_echo() {
    let host = host_with_four();
    let [inner, outer] = [four()[0], four()[1]];
    let plain = pair(inner, outer);
    let mut exts: Vec<Vec<u8>> = exts_of(&plain).into_iter().map(|(_, ext)| ext).collect();
    exts[0] = RawSa {
        sa_ref: 7,
        ..RawSa::naming(0x1001)
    }
    .ext(ext::SA);
    exts[3] = RawSa {
        sa_ref: u32::MAX,
        ..RawSa::naming(0x1002)
    }
    .ext(ext::SA2);
    exts[0][20..].fill(0xee);
    exts[1][4] = 50;
    exts[4][4] = 51;
    assert_eq!(
        hex(&answer(&host, &message(msg::GRPSA, 9, &exts))),
        hex(&plain)
    );
}

#[test]
fn extensions_of_the_echo_are_in_ascending_order() {
    let host = host_with_four();
    let plain = pair(four()[0], four()[1]);
    let mut exts: Vec<Vec<u8>> = exts_of(&plain).into_iter().map(|(_, ext)| ext).collect();
    exts.reverse();
    assert_eq!(
        hex(&answer(&host, &message(msg::GRPSA, 9, &exts))),
        hex(&plain)
    );
}

#[test]
fn sas_of_16_bytes_are_taken_and_answered_in_24() {
    let host = host_with_four();
    let plain = pair(four()[0], four()[1]);
    let mut exts: Vec<Vec<u8>> = exts_of(&plain).into_iter().map(|(_, ext)| ext).collect();
    exts[0] = RawSa::naming(0x1001).short_ext(ext::SA);
    exts[3] = RawSa::naming(0x1002).short_ext(ext::SA2);
    assert_eq!(
        hex(&answer(&host, &message(msg::GRPSA, 9, &exts))),
        hex(&plain)
    );
}

#[test]
fn pair_is_refused_as_24_refuses_it() {
    let host = host_with_four();
    let [a, b, c, d] = four();
    let missing = said("esp.9999@10.0.0.2");
    refused(&host, &pair(missing, b), Errno::ENOENT);
    refused(&host, &pair(a, missing), Errno::ENOENT);
    refused(&host, &pair(missing, missing), Errno::ENOENT);
    refused(&host, &pair(a, a), Errno::EEXIST);
    host.set_up(&pair(a, b));
    refused(&host, &pair(a, b), Errno::EEXIST);
    refused(&host, &pair(b, a), Errno::EEXIST);
    refused(&host, &pair(a, c), Errno::EEXIST);
    refused(&host, &pair(c, b), Errno::EEXIST);
    refused(&host, &pair(a, missing), Errno::ENOENT);
    host.set_up(&pair(b, c));
    refused(&host, &pair(c, a), Errno::EEXIST);
    refused(&host, &pair(b, d), Errno::EEXIST);
    refused(&host, &pair(d, b), Errno::EEXIST);
    // At either end, though.
    host.set_up(&pair(c, d));
    assert_eq!(host.spigrp(), GROUPED);
}

#[test]
fn groups_are_joined_by_a_pair() {
    let host = host_with_four();
    let [a, b, c, d] = four();
    host.set_up(&pair(a, b));
    host.set_up(&pair(c, d));
    host.set_up(&pair(b, c));
    assert_eq!(host.spigrp(), GROUPED);
}

#[test]
fn ungroup_of_any_member_takes_the_whole_group_apart() {
    for named in four() {
        let host = host_with_group();
        assert_eq!(host.spigrp(), GROUPED);
        let request = ungroup(named);
        assert_eq!(hex(&answer(&host, &request)), hex(&request));
        assert_eq!(host.spigrp(), APART);
        // Once more is no error and no change.
        assert_eq!(hex(&answer(&host, &request)), hex(&request));
        assert_eq!(host.spigrp(), APART);
    }
}

#[test]
fn ungroup_of_an_sa_that_is_not_there_is_enoent() {
    let host = host_with_group();
    refused(&host, &ungroup(said("esp.1001@10.0.0.2")), Errno::ENOENT);
    refused(&host, &ungroup(said("esp.0@10.0.0.2")), Errno::ENOENT);
}

#[test]
fn incomplete_second_sa_is_enoent_before_anything_changes() {
    // On a group, which must not be taken apart.
    let host = host_with_four();
    let [a, b, c, _] = four();
    host.set_up(&pair(a, b));
    let [sa, _, dst] = naming(b);
    let trio = second(c);
    for present in 1..7 {
        let mut exts = vec![sa.clone(), dst.clone()];
        let chosen = trio
            .iter()
            .enumerate()
            .filter(|(at, _)| present >> at & 1 != 0);
        exts.extend(chosen.map(|(_, ext)| ext.clone()));
        refused(&host, &message(msg::GRPSA, 3, &exts), Errno::ENOENT);
    }
    // And with a first SA that is not there.
    let [sa, _, dst] = naming(said("esp.9999@10.0.0.2"));
    let exts = [sa, dst, trio[0].clone()];
    refused(&host, &message(msg::GRPSA, 3, &exts), Errno::ENOENT);
}

#[test]
fn magic_satype_names_no_sa() {
    let host = host_with_four();
    refused(
        &host,
        &pair(said("int.1001@10.0.0.2"), four()[1]),
        Errno::ENOENT,
    );
    refused(&host, &ungroup(said("int.1001@10.0.0.2")), Errno::ENOENT);
}

#[test]
fn list_of_two_to_four_is_grouped_at_once_and_echoed() {
    for len in 2..=4 {
        let host = host_with_four();
        let saids: Vec<Said> = four().into_iter().rev().take(len).collect();
        let request = list(&saids);
        assert_eq!(hex(&answer(&host, &request)), hex(&request));
        let line: String = saids.iter().map(|said| format!("{said} ")).collect();
        assert!(
            host.spigrp().contains(&format!("{line}\n")),
            "{}",
            host.spigrp()
        );
        assert_eq!(host.spigrp().lines().count(), 5 - len);
    }
}

#[test]
fn list_may_have_both_families() {
    let host = TestHost::new();
    let saids = [
        said("tun.1@10.0.0.2"),
        said("esp:2@2001:db8::2"),
        said("ah.3@10.0.0.3"),
    ]
    .map(|said| Said {
        spi: said.spi + 0x1000,
        ..said
    });
    for said in saids {
        host.set_up(&add(said));
    }
    let request = list(&saids);
    assert_eq!(hex(&answer(&host, &request)), hex(&request));
    assert_eq!(
        host.spigrp(),
        "tun0x1001@10.0.0.2 esp0x1002@2001:db8::2 ah0x1003@10.0.0.3 \n"
    );
}

const MISSING: u8 = 1;
const IN_A_GROUP: u8 = 2;
const TWICE: u8 = 3;

#[test]
fn list_with_a_missing_sa_says_which() {
    for at in 0..4 {
        let host = host_with_four();
        let mut saids = four();
        saids[at].spi = 0x9999;
        let fault = Some((at as u8, MISSING));
        refused_with(&host, &list(&saids), Errno::ENOENT, fault);
    }
}

#[test]
fn list_with_an_sa_twice_says_which() {
    for first in 0..3 {
        for again in first + 1..4 {
            let host = host_with_four();
            let mut saids = four();
            saids[again] = saids[first];
            let fault = Some((again as u8, TWICE));
            refused_with(&host, &list(&saids), Errno::EEXIST, fault);
        }
    }
}

#[test]
fn list_with_a_grouped_sa_says_which() {
    for at in 0..4 {
        for inner in [true, false] {
            let host = host_with_four();
            let other = said("ah.2000@10.0.0.2");
            host.set_up(&add(other));
            let member = four()[at];
            host.set_up(&if inner {
                pair(member, other)
            } else {
                pair(other, member)
            });
            let fault = Some((at as u8, IN_A_GROUP));
            refused_with(&host, &list(&four()), Errno::EEXIST, fault);
        }
    }
}

#[test]
fn first_fault_of_a_list_is_told() {
    let host = host_with_group();
    let [a, b, ..] = four();
    let missing = said("ah.9999@10.0.0.2");
    let single = said("ah.2000@10.0.0.2");
    host.set_up(&add(single));
    for (saids, errno, fault) in [
        (vec![a, missing], Errno::EEXIST, (0, IN_A_GROUP)),
        (vec![missing, a], Errno::ENOENT, (0, MISSING)),
        (vec![single, single, missing], Errno::EEXIST, (1, TWICE)),
        (vec![single, missing, single], Errno::ENOENT, (1, MISSING)),
        (vec![single, b, b], Errno::EEXIST, (1, IN_A_GROUP)),
        (vec![missing, missing], Errno::ENOENT, (0, MISSING)),
    ] {
        refused_with(&host, &list(&saids), errno, Some(fault));
    }
}

#[test]
fn list_and_second_sa_in_one_request_are_einval() {
    let host = host_with_four();
    let [a, b, c, _] = four();
    let [sa, _, dst] = naming(a);
    for one in second(b) {
        let exts = [sa.clone(), dst.clone(), one, group(&[c])];
        refused(&host, &message(msg::GRPSA, 9, &exts), Errno::EINVAL);
    }
}

#[test]
fn chain_of_more_than_64_is_emlink() {
    let host = TestHost::new();
    let saids: Vec<Said> = (0..65)
        .map(|index| said(&format!("tun.{:x}@10.0.0.2", 0x1000 + index)))
        .collect();
    for said in &saids {
        host.set_up(&add(*said));
    }
    for link in saids[..64].windows(2) {
        host.set_up(&pair(link[0], link[1]));
    }
    refused(&host, &pair(saids[63], saids[64]), Errno::EMLINK);
    refused(&host, &pair(saids[64], saids[0]), Errno::EMLINK);
    host.set_up(&ungroup(saids[40]));
    assert_eq!(host.spigrp().lines().count(), 65);
}

#[test]
fn delete_of_the_longest_chain_tells_of_each_member() {
    let host = TestHost::new();
    let saids: Vec<Said> = (0..64)
        .map(|index| said(&format!("tun.{:x}@10.0.0.2", 0x1000 + index)))
        .collect();
    for said in &saids {
        host.set_up(&add(*said));
    }
    for link in saids.windows(2) {
        host.set_up(&pair(link[0], link[1]));
    }
    let read = answers(&host, &delete(saids[10]));
    assert_eq!(read.len(), 64);
    assert!(host.state().sadb.is_empty());
}

// --- Whatever comes -----------------------------------------------------------------------------

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_sequence_of_changed_requests_breaks_the_table(
        steps in prop::collection::vec(
            (0..8usize, 0..6usize, 0..6usize, prop::option::of((any::<prop::sample::Index>(), any::<u8>()))),
            1..60,
        ),
    ) {
        let host = TestHost::new();
        let mut pool = four().to_vec();
        pool.extend([said("esp:1002@2001:db8::2"), said("tun:1001@::")]);
        for (kind, one, other, change) in steps {
            let (one, other) = (pool[one], pool[other]);
            let mut bytes = match kind {
                0 | 1 => add(one),
                2 => delete(one),
                3 => get(one),
                4 => pair(one, other),
                5 => list(&[one, other]),
                6 => ungroup(one),
                _ => flush(satype(one.proto)),
            };
            if let Some((at, to)) = change {
                let at = at.index(bytes.len());
                bytes[at] = to;
            }
            let before = (host.spigrp(), host.spi());
            host.drain();
            let result = host.write(&bytes);
            host.check();
            if let Err(errno) = result {
                prop_assert_eq!((host.spigrp(), host.spi()), before);
                for message in host.read(B) {
                    prop_assert_eq!(message[2], errno.0);
                }
            }
            for message in host.read(A) {
                // Nothing of the room for messages gets out unwritten.
                prop_assert!(!message.windows(4).any(|bytes| bytes == [0xaa; 4]), "{}", hex(&message));
            }
        }
    }
}
