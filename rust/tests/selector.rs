// SPDX-License-Identifier: GPL-2.0

//! Selectors: from flow addresses and masks, and which of several a packet is for.

use klips::{
    errno::Errno,
    klips_core::selector::{Network, Packet, Selector, PRIORITY_BASE, PRIORITY_MOST},
    pfkey::{Direction, Ext, Flow, Header, Message},
};
use proptest::prelude::*;
use std::{cmp::Ordering, net::IpAddr};
use testbed::ip;

fn socket(address: &str, port: u16) -> std::net::SocketAddr {
    (ip(address), port).into()
}

/// A flow without ports.
fn flow(src: &str, src_mask: &str, dst: &str, dst_mask: &str) -> Flow {
    Flow {
        src: socket(src, 0),
        dst: socket(dst, 0),
        src_mask: socket(src_mask, 0),
        dst_mask: socket(dst_mask, 0),
        proto: 0,
    }
}

fn network(text: &str) -> Network {
    let (address, prefix) = text.split_once('/').unwrap();
    Network::of(ip(address), prefix.parse().unwrap()).unwrap()
}

fn selector(src: &str, dst: &str) -> Selector {
    Selector {
        src: network(src),
        dst: network(dst),
        proto: 0,
        sport: 0,
        dport: 0,
    }
}

#[test]
fn masks_become_prefixes_and_what_they_hide_is_cleared() {
    for (flow, expected) in [
        (
            flow("10.2.1.7", "255.255.255.0", "10.2.2.9", "255.255.255.255"),
            selector("10.2.1.0/24", "10.2.2.9/32"),
        ),
        (
            flow("10.2.1.7", "0.0.0.0", "10.2.2.9", "128.0.0.0"),
            selector("0.0.0.0/0", "0.0.0.0/1"),
        ),
        (
            flow("2001:db8:1:2::3", "ffff:ffff:ffff:fffe::", "fe80::1", "::"),
            selector("2001:db8:1:2::/63", "::/0"),
        ),
        (
            flow(
                "2001:db8::3",
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001:db8::4",
                "ffff:ffff:ffff:ffff::",
            ),
            selector("2001:db8::3/128", "2001:db8::/64"),
        ),
    ] {
        assert_eq!(Selector::of(&flow), Ok(expected), "{flow:?}");
    }
}

#[test]
fn masks_with_gaps_mixed_families_and_odd_ports_are_refused() {
    let good = flow("10.2.1.0", "255.255.255.0", "10.2.2.0", "255.255.255.0");
    assert!(Selector::of(&good).is_ok());
    for bad in [
        flow("10.2.1.0", "255.0.255.0", "10.2.2.0", "255.255.255.0"),
        flow("10.2.1.0", "255.255.255.0", "10.2.2.0", "0.0.0.255"),
        flow("10.2.1.0", "255.255.255.0", "10.2.2.0", "ffff::"),
        flow("10.2.1.0", "255.255.255.0", "2001:db8::", "ffff::"),
        flow("2001:db8::", "ffff:0:ffff::", "2001:db8::", "ffff::"),
        flow("2001:db8::", "ffff::", "2001:db8::", "7fff::"),
        // A port of which only some bits count, and one that is given to be 0.
        Flow {
            src: socket("10.2.1.0", 80),
            src_mask: socket("255.255.255.0", 0xff00),
            ..good
        },
        Flow {
            dst_mask: socket("255.255.255.0", 0xffff),
            ..good
        },
    ] {
        assert_eq!(Selector::of(&bad), Err(Errno::EINVAL), "{bad:?}");
    }
}

#[test]
fn a_port_counts_where_the_mask_says_so() {
    let ports = |sport, sport_mask, dport, dport_mask| Flow {
        src: socket("10.2.1.0", sport),
        src_mask: socket("255.255.255.0", sport_mask),
        dst: socket("10.2.2.0", dport),
        dst_mask: socket("255.255.255.0", dport_mask),
        proto: 6,
    };
    let of = |flow: Flow| Selector::of(&flow).map(|it| (it.proto, it.sport, it.dport));
    assert_eq!(of(ports(80, 0xffff, 0, 0)), Ok((6, 80, 0)));
    assert_eq!(of(ports(80, 0, 443, 0xffff)), Ok((6, 0, 443)));
    assert_eq!(of(ports(80, 0, 443, 0)), Ok((6, 0, 0)));
}

#[test]
fn text_is_that_of_the_file() {
    let mut some = selector("10.2.1.0/24", "2001:db8::/32");
    some.dport = 443;
    assert_eq!(some.src_text().to_string(), "10.2.1.0/24");
    assert_eq!(some.dst_text().to_string(), "2001:db8::/32:443");
}

/// What stands where nothing of a flow stands, as it is on the wire of reference 1.4.3.
fn scribbled(bytes: &[u8], garbage: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut garbage = garbage.iter().cycle();
    let mut at = 16;
    while at < bytes.len() {
        let field = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        let (len, number) = (usize::from(field(at)) * 8, field(at + 2));
        let places: &[std::ops::Range<usize>] = match (number, len) {
            // sin_zero.
            (21..=24, 24) => &[16..20, 20..24],
            // Flow information, scope and padding.
            (21..=24, 40) => &[12..16, 32..36, 36..40],
            _ => &[],
        };
        for place in places {
            for byte in &mut bytes[at + place.start..at + place.end] {
                *byte = *garbage.next().unwrap();
            }
        }
        at += len;
    }
    bytes
}

/// X_DELFLOW of a flow.
fn message(flow: Flow) -> Vec<u8> {
    use klips::pfkey::{build::request, MsgType};
    use pfkey::Content;
    let content = Content {
        flow: Some(flow),
        ..Content::new(request(MsgType::DelFlow, 0, 1, 1))
    };
    let mut bytes = vec![0; content.size()];
    content.write(&mut bytes).unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Result<Selector, Errno> {
    let header = Header::parse(bytes)?;
    let message = Message::parse(header, bytes, Direction::In)?;
    assert!(message.has(Ext::AddressSrcFlow));
    Selector::of(&message.flow().ok_or(Errno::EINVAL)?)
}

prop_compose! {
    fn any_network(v6: bool)(bits in any::<u128>(), prefix in 0..=128_u8) -> Network {
        let (address, prefix) = if v6 {
            (IpAddr::from(bits.to_be_bytes()), prefix)
        } else {
            (IpAddr::from((bits as u32).to_be_bytes()), prefix % 33)
        };
        Network::of(address, prefix).unwrap()
    }
}

prop_compose! {
    fn any_selector()(v6 in any::<bool>())(
        src in any_network(v6),
        dst in any_network(v6),
        proto in prop_oneof![Just(0_u8), Just(6), Just(17)],
        sport in prop_oneof![Just(0_u16), 1..4_u16],
        dport in prop_oneof![Just(0_u16), 1..4_u16],
    ) -> Selector {
        Selector { src, dst, proto, sport, dport }
    }
}

/// The order in which KLIPS compares keys, most telling first.
fn lexicographic(a: &Selector, b: &Selector) -> Ordering {
    let key = |it: &Selector| {
        (
            it.src.prefix(),
            it.dst.prefix(),
            it.proto != 0,
            it.sport != 0,
            it.dport != 0,
        )
    };
    key(a).cmp(&key(b))
}

/// The mask of a prefix length, made bit by bit.
fn mask(like: IpAddr, prefix: u8) -> IpAddr {
    let mut octets = [0_u8; 16];
    for bit in 0..usize::from(prefix) {
        octets[bit / 8] |= 0x80 >> (bit % 8);
    }
    match like {
        IpAddr::V4(_) => IpAddr::from([octets[0], octets[1], octets[2], octets[3]]),
        IpAddr::V6(_) => IpAddr::from(octets),
    }
}

proptest! {
    #[test]
    fn priority_is_the_lexicographic_order(a in any_selector(), b in any_selector()) {
        prop_assert!(a.priority() >= PRIORITY_BASE && a.priority() < PRIORITY_MOST);
        if a.src.address().is_ipv4() == b.src.address().is_ipv4() {
            // The lowest number wins.
            prop_assert_eq!(b.priority().cmp(&a.priority()), lexicographic(&a, &b));
        }
    }

    #[test]
    fn garbage_behind_addresses_does_not_count(it in any_selector(), garbage: [u8; 32]) {
        let port = |port: u16| if port == 0 { 0 } else { u16::MAX };
        let (src, dst) = (it.src.address(), it.dst.address());
        let bytes = message(Flow {
            src: (src, it.sport).into(),
            dst: (dst, it.dport).into(),
            src_mask: (mask(src, it.src.prefix()), port(it.sport)).into(),
            dst_mask: (mask(dst, it.dst.prefix()), port(it.dport)).into(),
            proto: it.proto,
        });
        prop_assert_eq!(read(&bytes), Ok(it));
        prop_assert_eq!(read(&scribbled(&bytes, &garbage)), Ok(it));
    }

    #[test]
    fn a_selector_matches_what_it_says(it in any_selector(), flip in 0..128_u8) {
        let packet = Packet {
            src: it.src.address(),
            dst: it.dst.address(),
            proto: it.proto,
            sport: it.sport,
            dport: it.dport,
        };
        prop_assert!(it.matches(&packet));
        prop_assert_eq!(it.mirrored().mirrored(), it);
        // Another address is still in the network if what differs does not count.
        let flipped = |address: IpAddr| match address {
            IpAddr::V4(ip) => {
                let bit = flip % 32;
                (bit, IpAddr::from((u32::from(ip) ^ (1 << (31 - bit))).to_be_bytes()))
            }
            IpAddr::V6(ip) => (flip, IpAddr::from((u128::from(ip) ^ (1 << (127 - flip))).to_be_bytes())),
        };
        let (bit, dst) = flipped(packet.dst);
        prop_assert_eq!(it.matches(&Packet { dst, ..packet }), bit >= it.dst.prefix());
        prop_assert_eq!(it.matches(&Packet { sport: 9, ..packet }), it.sport == 0);
        prop_assert_eq!(it.matches(&Packet { dport: 9, ..packet }), it.dport == 0);
        prop_assert_eq!(it.matches(&Packet { proto: 99, ..packet }), it.proto == 0);
    }
}
