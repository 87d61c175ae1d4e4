// SPDX-License-Identifier: GPL-2.0

//! What Openswan 2.4.9's key daemon asked of KLIPS on both sides of a tunnel, from its start to its
//! end: all of it succeeds, and protects what it is to protect at every step. The guest's tests play
//! the same against the module.

use klips::listing::Listing;
use std::collections::BTreeMap;
use testbed::{answer, hex, ip, unhex, TestHost, A};

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!(
            "../../userspace/guest-tests/golden/pluto-2.4.9/",
            $name,
            ".txt"
        ))
    };
}

/// What the engine has to have, by the number of the request after which it has it.
fn expected(side: &str) -> BTreeMap<usize, Vec<&'static str>> {
    let mut expected: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    let mut lines = None;
    for line in golden!("engine").lines() {
        if let Some(head) = line.strip_prefix("== ") {
            let (of, number) = head.split_once(' ').expect("a side and a number");
            let number = number.parse().expect("a number");
            lines = (of == side).then(|| expected.entry(number).or_default());
        } else if let (Some(lines), Some(line)) = (&mut lines, line.strip_prefix('|')) {
            lines.push(line);
        }
    }
    expected
}

/// The request as its answer has it: no SAref, and nothing behind addresses.
fn cleaned(request: &[u8]) -> Vec<u8> {
    let mut bytes = request.to_vec();
    let mut at = 16;
    while at < bytes.len() {
        let len = usize::from(u16::from_ne_bytes([bytes[at], bytes[at + 1]])) * 8;
        if matches!(bytes[at + 2], 1 | 19 | 21..=24) {
            bytes[at + 16..at + 24].fill(0);
        }
        at += len;
    }
    bytes
}

fn play(side: &str, text: &str, address: &str) {
    let host = TestHost::new();
    host.local.borrow_mut().push(ip(address));
    let expected = expected(side);
    let mut looked = 0;
    let requests = text
        .lines()
        .filter_map(|line| line.strip_prefix("write A "))
        .map(unhex);
    for (number, request) in (1..).zip(requests) {
        // REGISTER is answered to who registers, DELETE with a message for each SA.
        if matches!(request[1], 7 | 4) {
            host.set_up(&request);
        } else {
            let told = answer(&host, &request);
            match request[1] {
                // ADD's answer has the flag "inbound" and no keys.
                3 => assert_eq!(told[1..4], request[1..4], "{number}"),
                // DELFLOW's has an SA in any case.
                15 => assert_eq!(told[40..], cleaned(&request)[16..], "{number}"),
                _ => assert_eq!(hex(&told), hex(&cleaned(&request)), "{number}"),
            }
        }
        host.check();
        if let Some(lines) = expected.get(&number) {
            let listing = host.engine.listing();
            assert_eq!(listing.lines().collect::<Vec<_>>(), *lines, "{number}");
            looked += 1;
        }
    }
    assert!(looked == expected.len() && looked > 2, "{looked}");
    assert!(host.read(A).is_empty());
    assert_eq!(
        (host.listing(Listing::Spi), host.eroute()),
        Default::default()
    );
}

#[test]
fn the_initiators_requests_protect_its_tunnel() {
    play("initiator", golden!("initiator"), "10.1.0.1");
}

#[test]
fn the_responders_requests_protect_its_tunnel() {
    play("responder", golden!("responder"), "10.1.0.2");
}
