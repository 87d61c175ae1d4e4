// SPDX-License-Identifier: GPL-2.0

//! What Openswan 2.4.9's key daemon asked of KLIPS on both sides of a tunnel, from its start to its
//! end: all of it succeeds, and protects what it is to protect at every step.

use klips::listing::Listing;
use testbed::{answer, hex, ip, unhex, TestHost, A};

const INITIATOR: &str =
    include_str!("../../userspace/guest-tests/golden/pluto-2.4.9/initiator.txt");
const RESPONDER: &str =
    include_str!("../../userspace/guest-tests/golden/pluto-2.4.9/responder.txt");

/// The requests in order, each with its number.
fn requests(text: &str) -> impl Iterator<Item = (usize, Vec<u8>)> + '_ {
    let writes = text
        .lines()
        .filter_map(|line| line.strip_prefix("write A "));
    (1..).zip(writes.map(unhex))
}

fn host(address: &str) -> TestHost {
    let host = TestHost::new();
    host.local.borrow_mut().push(ip(address));
    host
}

/// The request as its answer has it: no SAref, and nothing behind addresses.
fn cleaned(request: &[u8]) -> Vec<u8> {
    let mut bytes = request.to_vec();
    let mut at = 16;
    while at < bytes.len() {
        let len = usize::from(u16::from_ne_bytes([bytes[at], bytes[at + 1]])) * 8;
        match bytes[at + 2] {
            1 | 19 => bytes[at + 16..at + 24].fill(0),
            21..=24 => bytes[at + 16..at + 24].fill(0),
            _ => (),
        }
        at += len;
    }
    bytes
}

/// Plays one side; `expected` has what the engine has to have after a request.
fn play(text: &str, address: &str, expected: &[(usize, &[&str])]) -> TestHost {
    let host = host(address);
    let mut looked = 0;
    for (number, request) in requests(text) {
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
        if let Some((_, lines)) = expected.iter().find(|(after, _)| *after == number) {
            let listing = host.engine.listing();
            assert_eq!(
                listing.lines().collect::<Vec<_>>(),
                *lines,
                "after {number}"
            );
            looked += 1;
        }
    }
    assert_eq!(looked, expected.len());
    assert!(host.read(A).is_empty());
    host
}

#[test]
fn the_initiators_requests_protect_its_tunnel() {
    const IN: &str = "esp/tunnel 0xf84dbb5 10.1.0.2>10.1.0.1 reqid 0xc0000003";
    const OUT: &str = "esp/tunnel 0x1da064e8 10.1.0.1>10.1.0.2 reqid 0x80000004";
    const FORWARD: &str = "fwd 10.2.2.0/24>10.2.1.0/24 allow esp/tunnel reqid 0xc0000003";
    const INSIDE: &str = "in 10.2.2.0/24>10.2.1.0/24 allow esp/tunnel reqid 0xc0000003";
    const TRAP: &str = "out 10.2.1.0/24>10.2.2.0/24 block";
    let host = play(
        INITIATOR,
        "10.1.0.1",
        &[
            (5, &[TRAP]),
            (
                7,
                &[
                    "esp/transport 0xf84dbb5 10.1.0.2>10.1.0.1 reqid 0x80000002",
                    TRAP,
                ],
            ),
            // What may come out of the tunnel is told before the group.
            (
                8,
                &[
                    "esp/transport 0xf84dbb5 10.1.0.2>10.1.0.1 reqid 0x80000002",
                    "fwd 10.2.2.0/24>10.2.1.0/24 block",
                    "in 10.2.2.0/24>10.2.1.0/24 block",
                    TRAP,
                ],
            ),
            (9, &[IN, FORWARD, INSIDE, TRAP]),
            (12, &[IN, FORWARD, INSIDE, TRAP]),
            (
                13,
                &[
                    OUT,
                    IN,
                    FORWARD,
                    INSIDE,
                    "out 10.2.1.0/24>10.2.2.0/24 allow esp/tunnel reqid 0x80000004",
                ],
            ),
            (14, &[OUT, IN, FORWARD, INSIDE, TRAP]),
            (
                16,
                &[
                    "fwd 10.2.2.0/24>10.2.1.0/24 block",
                    "in 10.2.2.0/24>10.2.1.0/24 block",
                    TRAP,
                ],
            ),
            (17, &[]),
        ],
    );
    assert_eq!(host.listing(Listing::Spi), "");
}

#[test]
fn the_responders_requests_protect_its_tunnel() {
    let host = play(
        RESPONDER,
        "10.1.0.2",
        &[
            (
                12,
                &[
                    "esp/tunnel 0x1da064e8 10.1.0.1>10.1.0.2 reqid 0xc0000002",
                    "esp/tunnel 0xf84dbb5 10.1.0.2>10.1.0.1 reqid 0x80000004",
                    "fwd 10.2.1.0/24>10.2.2.0/24 allow esp/tunnel reqid 0xc0000002",
                    "in 10.2.1.0/24>10.2.2.0/24 allow esp/tunnel reqid 0xc0000002",
                    "out 10.2.2.0/24>10.2.1.0/24 allow esp/tunnel reqid 0x80000004",
                ],
            ),
            (
                15,
                &[
                    "fwd 10.2.1.0/24>10.2.2.0/24 block",
                    "in 10.2.1.0/24>10.2.2.0/24 block",
                    "out 10.2.2.0/24>10.2.1.0/24 block",
                ],
            ),
            (16, &[]),
        ],
    );
    assert_eq!(host.eroute(), "");
}
