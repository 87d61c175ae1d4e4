// SPDX-License-Identifier: GPL-2.0

//! Chains, masks and priorities to their ends: every chain there can be up to a length, every
//! prefix, every rank, each held against a plain statement of the rule.

use klips::{
    errno::Errno,
    klips_core::{
        fold::{fold, Layer, Member, Mode, Refusal, Transform, MAX_STATES},
        selector::{Network, Packet, Selector, PRIORITY_BASE, PRIORITY_MOST},
    },
    pfkey::Flow,
    said::{Proto, Said},
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};
use testbed::ip;

// --- Chains -------------------------------------------------------------------------------------

const PROTOS: [Proto; 5] = [Proto::Ah, Proto::Esp, Proto::Tun, Proto::Comp, Proto::Int];

/// Sources that an SA can have: two addresses, none, and one of the other family.
const SOURCES: [&str; 4] = ["10.0.0.1", "10.0.0.9", "0.0.0.0", "2001:db8::1"];

/// What is so of a member, numbered: protocol, source and whether its destination is another.
const KINDS: usize = 5 * 4 * 2;

fn member(index: usize, kind: usize) -> Member {
    let other = kind % 2 == 1;
    Member {
        said: Said {
            proto: PROTOS[kind / 8],
            spi: 0x1000 + index as u32,
            dst: ip(if other { "10.0.0.3" } else { "10.0.0.2" }),
        },
        src: ip(SOURCES[kind / 2 % 4]),
    }
}

/// A tunnel, if there is one, and the transforms outside of it up to the next.
#[derive(Default)]
struct Segment {
    tunnel: Option<usize>,
    transforms: Vec<usize>,
}

fn segments(chain: &[Member]) -> Vec<Segment> {
    let mut segments = vec![Segment::default()];
    for (index, member) in chain.iter().enumerate() {
        if member.said.proto == Proto::Tun {
            segments.push(Segment {
                tunnel: Some(index),
                transforms: Vec::new(),
            });
        } else {
            segments.last_mut().unwrap().transforms.push(index);
        }
    }
    segments
}

/// Everything that speaks against a chain, and what it comes to if nothing does.
fn plainly(chain: &[Member]) -> (Vec<Refusal>, Vec<Layer>) {
    let mut against = Vec::new();
    if chain.is_empty() || chain.iter().any(|it| it.said.proto == Proto::Int) {
        against.push(Refusal::NotATransform);
    }
    if chain.iter().any(|it| it.said.dst != chain[0].said.dst) {
        against.push(Refusal::Destinations);
    }
    let said_source = |index: &usize| {
        let src = chain[*index].src;
        (!src.is_unspecified()).then_some(src)
    };
    if (0..chain.len()).any(|it| said_source(&it).is_some_and(|src| src.is_ipv6())) {
        against.push(Refusal::Sources);
    }
    let mut layers = Vec::new();
    let segments = segments(chain);
    for (at, segment) in segments.iter().enumerate() {
        let members = segment.tunnel.iter().chain(&segment.transforms);
        let sources: BTreeSet<IpAddr> = members.filter_map(said_source).collect();
        if sources.len() > 1 {
            against.push(Refusal::Sources);
        }
        if segment.tunnel.is_some() && segment.transforms.is_empty() && at + 1 < segments.len() {
            against.push(Refusal::TunnelInTunnel);
        }
        // Where the first state outside of the tunnel begins.
        let first = segment.tunnel.iter().chain(segment.transforms.first());
        let begin = first.clone().find_map(said_source);
        if segment.tunnel.is_some() && begin.is_none() {
            against.push(Refusal::NoSource);
        }
        let mut source = None;
        for (place, index) in segment.transforms.iter().enumerate() {
            let inside = segment.tunnel.filter(|_| place == 0);
            source = source
                .or(inside.and_then(|it| said_source(&it)))
                .or(segment.tunnel.and_then(|it| said_source(&it)))
                .or(said_source(index));
            let member = &chain[*index];
            layers.push(Layer {
                member: *index,
                transform: match member.said.proto {
                    Proto::Esp => Transform::Esp,
                    Proto::Ah => Transform::Ah,
                    _ => Transform::Comp,
                },
                mode: if inside.is_some() {
                    Mode::Tunnel
                } else {
                    Mode::Transport
                },
                src: source.unwrap_or(member.src),
            });
        }
        if let (Some(index), []) = (segment.tunnel, &segment.transforms[..]) {
            let member = &chain[index];
            layers.push(Layer {
                member: index,
                transform: Transform::IpIp,
                mode: Mode::Tunnel,
                src: member.src,
            });
        }
    }
    if layers.len() > MAX_STATES {
        against.push(Refusal::TooLong);
    }
    (against, layers)
}

fn check(chain: &[Member]) -> Result<(), Refusal> {
    let (against, layers) = plainly(chain);
    match fold(chain.iter().copied()) {
        Ok(folded) => {
            assert_eq!(against, [], "{chain:?}");
            let folded: Vec<Layer> = folded.iter().copied().collect();
            assert_eq!(folded, layers, "{chain:?}");
            Ok(())
        }
        Err(refusal) => {
            assert!(against.contains(&refusal), "{refusal:?} of {chain:?}");
            Err(refusal)
        }
    }
}

#[test]
fn every_chain_of_three_with_any_ends_is_folded_as_the_rules_say() {
    let mut results = BTreeSet::new();
    for kinds in 0..KINDS.pow(3) {
        let chain = [kinds % KINDS, kinds / KINDS % KINDS, kinds / KINDS.pow(2)];
        for len in 1..=3 {
            let members: Vec<Member> = (0..len).map(|at| member(at, chain[at])).collect();
            results.insert(format!("{:?}", check(&members)));
        }
    }
    for refusal in [
        "NotATransform",
        "Destinations",
        "Sources",
        "NoSource",
        "TunnelInTunnel",
    ] {
        assert!(results.contains(&format!("Err({refusal})")), "{refusal}");
    }
    assert!(results.contains("Ok(())"));
}

#[test]
fn every_chain_of_six_protocols_is_folded_as_the_rules_say() {
    for protos in 0..4_usize.pow(6) {
        let chain: Vec<Member> = (0..6)
            .map(|at| member(at, protos / 4_usize.pow(at as u32) % 4 * 8))
            .collect();
        let _ = check(&chain);
    }
}

#[test]
fn longest_chains_are_folded_or_refused_and_never_cut() {
    let of = |protos: &[Proto]| -> Vec<Member> {
        let kind = |proto| 8 * PROTOS.iter().position(|it| *it == proto).unwrap();
        let kinds = protos.iter().map(|proto| kind(*proto));
        kinds
            .enumerate()
            .map(|(at, kind)| member(at, kind))
            .collect()
    };
    let pairs = |count: usize| [Proto::Tun, Proto::Esp].repeat(count);
    assert_eq!(check(&of(&pairs(5))), Ok(()));
    assert_eq!(fold(of(&pairs(5))).unwrap().len(), MAX_STATES);
    assert_eq!(check(&of(&pairs(6))), Err(Refusal::TooLong));
    assert_eq!(check(&of(&pairs(32))), Err(Refusal::TooLong));
    let mut bare = pairs(4);
    bare.push(Proto::Tun);
    assert_eq!(check(&of(&bare)), Ok(()));
    bare.splice(8..8, [Proto::Ah]);
    assert_eq!(check(&of(&bare)), Err(Refusal::TooLong));
    for proto in [Proto::Ah, Proto::Esp, Proto::Comp] {
        for len in 1..=64 {
            let result = check(&of(&vec![proto; len]));
            assert_eq!(result.is_ok(), len <= MAX_STATES, "{proto:?} {len}");
        }
    }
}

#[test]
fn the_family_is_looked_at_in_every_place() {
    for at in 0..3 {
        let mut chain: Vec<Member> = (0..3).map(|it| member(it, 8)).collect();
        chain[at].said.proto = Proto::Comp;
        // Mapped addresses are of the family that they are written in.
        chain[at].said.dst = ip("::ffff:10.0.0.2");
        let refusal = fold(chain.clone()).expect_err("two families");
        assert!(matches!(refusal, Refusal::Destinations | Refusal::Sources));
        chain[at].said.dst = ip("10.0.0.2");
        chain[at].src = ip("::ffff:10.0.0.1");
        assert_eq!(fold(chain.clone()).err(), Some(Refusal::Sources));
        // Nothing said is nothing said in either family.
        chain[at].src = ip("::");
        assert!(fold(chain.clone()).is_ok());
    }
}

// --- Networks and masks -------------------------------------------------------------------------

/// The bits of an address, first one first.
fn bits(address: IpAddr) -> Vec<bool> {
    let octets = match address {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let bit = |octet: &u8| {
        (0..8)
            .map(|at| octet & (0x80 >> at) != 0)
            .collect::<Vec<_>>()
    };
    octets.iter().flat_map(bit).collect()
}

/// An address of these bits.
fn address(bits: &[bool]) -> IpAddr {
    let octet = |bits: &[bool]| {
        bits.iter()
            .fold(0, |octet, bit| octet << 1 | u8::from(*bit))
    };
    let octets: Vec<u8> = bits.chunks(8).map(octet).collect();
    match <[u8; 4]>::try_from(&octets[..]) {
        Ok(octets) => octets.into(),
        Err(_) => <[u8; 16]>::try_from(&octets[..]).unwrap().into(),
    }
}

#[test]
fn a_network_has_the_first_bits_of_its_address_and_no_more() {
    for text in [
        "255.255.255.255",
        "170.85.170.85",
        "ffff:ffff::ffff",
        "2001:db8:5555:aaaa::1",
    ] {
        let all = bits(ip(text));
        for prefix in 0..=u8::MAX {
            let network = Network::of(ip(text), prefix);
            let Some(network) = network else {
                assert!(usize::from(prefix) > all.len(), "{text}/{prefix}");
                continue;
            };
            let len = usize::from(prefix);
            assert!(len <= all.len(), "{text}/{prefix}");
            let want: Vec<bool> = (0..all.len()).map(|at| at < len && all[at]).collect();
            assert_eq!(bits(network.address()), want, "{text}/{prefix}");
            assert_eq!(network.prefix(), prefix);
            assert!(network.contains(ip(text)));
            // What differs in a bit is in it exactly if that does not count.
            for at in 0..all.len() {
                let mut other = all.clone();
                other[at] = !other[at];
                assert_eq!(
                    network.contains(address(&other)),
                    at >= len,
                    "{text}/{prefix} {at}"
                );
            }
        }
    }
    // No network has addresses of another family, not even that of all.
    for (net, other) in [("0.0.0.0", "::"), ("::", "0.0.0.0"), ("::", "127.0.0.1")] {
        assert!(!Network::of(ip(net), 0).unwrap().contains(ip(other)));
    }
}

fn flow(src: SocketAddr, src_mask: SocketAddr, dst: SocketAddr, dst_mask: SocketAddr) -> Flow {
    Flow {
        src,
        dst,
        src_mask,
        dst_mask,
        proto: 0,
    }
}

#[test]
fn a_mask_is_ones_then_zeros_and_any_other_is_refused() {
    for (len, other) in [(32, "10.0.0.0"), (128, "2001:db8::")] {
        let other: SocketAddr = (ip(other), 0).into();
        let socket = |bits: &[bool]| SocketAddr::new(address(bits), 0);
        let any = vec![true; len];
        for ones in 0..=len {
            let mask: Vec<bool> = (0..len).map(|at| at < ones).collect();
            let zeros = SocketAddr::new(address(&vec![false; len]), 0);
            let of = |mask: &[bool]| {
                let src = Selector::of(&flow(socket(&any), socket(mask), other, zeros));
                let dst = Selector::of(&flow(other, zeros, socket(&any), socket(mask)));
                let (src, dst) = (src.map(|it| it.src), dst.map(|it| it.dst));
                assert_eq!(src, dst);
                src
            };
            assert_eq!(of(&mask).map(|it| usize::from(it.prefix())), Ok(ones));
            // Each other bit alone makes a gap, unless it is the next one or the last.
            for at in 0..len {
                let mut bad = mask.clone();
                bad[at] = !bad[at];
                let is_good = at == ones || at + 1 == ones;
                let result = of(&bad);
                assert_eq!(result.is_ok(), is_good, "{ones} of {len}, {at} other");
                assert!(is_good || result == Err(Errno::EINVAL));
            }
        }
    }
}

#[test]
fn ports_count_wholly_or_not_at_all() {
    let socket = |port| SocketAddr::new(ip("10.0.0.0"), port);
    for port in [0, 1, 80, 0x8000, u16::MAX] {
        for mask in [0, 1, 0xff, 0xff00, 0x8000, 0x7fff, 0xfffe, u16::MAX] {
            let zero = SocketAddr::new(ip("0.0.0.0"), mask);
            let none = SocketAddr::new(ip("0.0.0.0"), 0);
            let want = match (mask, port) {
                (0, _) => Ok(0),
                (u16::MAX, 1..) => Ok(port),
                _ => Err(Errno::EINVAL),
            };
            let src = Selector::of(&flow(socket(port), zero, socket(7), none));
            assert_eq!(src.map(|it| (it.sport, it.dport)), want.map(|it| (it, 0)));
            let dst = Selector::of(&flow(socket(7), none, socket(port), zero));
            assert_eq!(dst.map(|it| (it.sport, it.dport)), want.map(|it| (0, it)));
        }
    }
}

// --- Priorities ---------------------------------------------------------------------------------

#[test]
fn every_rank_has_its_own_number_in_the_order_of_klips() {
    for any in ["0.0.0.0", "::"] {
        let bits = if ip(any).is_ipv4() { 32 } else { 128 };
        let mut last = None;
        // From what is most particular to what is least.
        for src in (0..=bits).rev() {
            for dst in (0..=bits).rev() {
                for open in 0..8_u16 {
                    let given = |at: u16| 1 - (open >> at & 1);
                    let selector = Selector {
                        src: Network::of(ip(any), src).unwrap(),
                        dst: Network::of(ip(any), dst).unwrap(),
                        proto: 17 * given(2) as u8,
                        sport: 500 * given(1),
                        dport: 500 * given(0),
                    };
                    let priority = selector.priority();
                    assert!(last.is_none_or(|last| priority == last + 1), "{selector:?}");
                    last = Some(priority);
                    assert!((PRIORITY_BASE..PRIORITY_MOST).contains(&priority));
                }
            }
        }
        assert!(last.unwrap() < PRIORITY_MOST);
    }
}

#[test]
fn what_has_no_ports_matches_no_port() {
    let selector = Selector {
        src: Network::of(ip("10.0.0.0"), 8).unwrap(),
        dst: Network::of(ip("10.0.0.0"), 8).unwrap(),
        proto: 0,
        sport: 0,
        dport: 80,
    };
    let packet = |proto, dport| Packet {
        src: ip("10.1.1.1"),
        dst: ip("10.2.2.2"),
        proto,
        sport: 0,
        dport,
    };
    assert!(selector.matches(&packet(6, 80)) && selector.matches(&packet(17, 80)));
    assert!(!selector.matches(&packet(1, 0)) && !selector.matches(&packet(50, 0)));
    assert!(!selector.matches(&packet(6, 81)));
    let back = selector.mirrored();
    assert_eq!((back.sport, back.dport), (80, 0));
    assert_eq!(back.mirrored(), selector);
}
