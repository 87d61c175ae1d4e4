// SPDX-License-Identifier: GPL-2.0

//! Folding: which states carry out a chain of SAs.

use klips::{
    errno::Errno,
    klips_core::fold::{
        fold, Layer, Layers, Member, Mode, Protection, Refusal, Transform, MAX_STATES,
    },
    said::{Proto, Said},
};
use pfkey::text::said;
use std::{collections::HashSet, net::IpAddr};
use testbed::ip;

const SRC: &str = "10.0.0.1";
const DST: &str = "10.0.0.2";

fn member(proto: Proto, spi: u32, src: &str, dst: &str) -> Member {
    Member {
        said: Said {
            dst: ip(dst),
            spi,
            proto,
        },
        src: ip(src),
    }
}

/// A chain with one source and destination, by the names of its protocols.
fn chain(names: &str) -> Vec<Member> {
    let protos = names
        .split_whitespace()
        .map(|name| said::proto(name).expect("a protocol"));
    (0x1001..)
        .zip(protos)
        .map(|(spi, proto)| member(proto, spi, SRC, DST))
        .collect()
}

/// `esp/tunnel ah/transport`, each with the number of the SA that it is.
fn text(layers: &Layers) -> String {
    let words: Vec<String> = layers
        .iter()
        .map(|layer| {
            let mode = match layer.mode {
                Mode::Transport => "transport",
                Mode::Tunnel => "tunnel",
            };
            let transform = format!("{:?}", layer.transform).to_lowercase();
            format!("{}:{transform}/{mode}", layer.member)
        })
        .collect();
    words.join(" ")
}

fn folded(names: &str) -> Result<String, Refusal> {
    fold(chain(names)).map(|layers| text(&layers))
}

#[test]
fn a_tunnel_folds_into_what_is_outside_of_it() {
    for (names, expected) in [
        ("tun esp", "1:esp/tunnel"),
        ("tun comp", "1:comp/tunnel"),
        ("tun ah", "1:ah/tunnel"),
        ("tun comp esp", "1:comp/tunnel 2:esp/transport"),
        ("tun esp ah", "1:esp/tunnel 2:ah/transport"),
        (
            "tun comp esp ah",
            "1:comp/tunnel 2:esp/transport 3:ah/transport",
        ),
        ("esp ah", "0:esp/transport 1:ah/transport"),
        ("esp", "0:esp/transport"),
        ("comp esp", "0:comp/transport 1:esp/transport"),
        ("tun esp tun esp", "1:esp/tunnel 3:esp/tunnel"),
        ("esp tun ah", "0:esp/transport 2:ah/tunnel"),
    ] {
        assert_eq!(folded(names).as_deref(), Ok(expected), "{names}");
        assert!(!fold(chain(names)).unwrap().is_bare(), "{names}");
    }
}

#[test]
fn a_tunnel_that_nothing_vouches_for_goes_out_only() {
    for (names, expected) in [
        ("tun", "0:ipip/tunnel"),
        ("esp tun", "0:esp/transport 1:ipip/tunnel"),
        ("tun esp tun", "1:esp/tunnel 2:ipip/tunnel"),
    ] {
        assert_eq!(folded(names).as_deref(), Ok(expected), "{names}");
        assert!(fold(chain(names)).unwrap().is_bare(), "{names}");
    }
    let tunnel = [member(Proto::Tun, 0x1001, "2001:db8::1", "2001:db8::2")];
    let layers = fold(tunnel).expect("IPv6 in front");
    assert_eq!(text(&layers), "0:ipv6/tunnel");
}

#[test]
fn what_no_states_can_do_is_refused() {
    for names in ["tun tun", "tun tun esp", "esp tun tun ah"] {
        assert_eq!(folded(names), Err(Refusal::TunnelInTunnel), "{names}");
    }
    for names in ["int", "tun esp int"] {
        assert_eq!(folded(names), Err(Refusal::NotATransform), "{names}");
    }
    assert_eq!(fold([]), Err(Refusal::NotATransform));

    let mut other = chain("tun esp ah");
    other[2].said.dst = ip("10.0.0.3");
    assert_eq!(fold(other), Err(Refusal::Destinations));
}

#[test]
fn five_states_are_the_most() {
    assert_eq!(MAX_STATES, 5);
    let five = "tun esp tun esp tun esp tun esp tun ah";
    assert_eq!(
        folded(five).as_deref(),
        Ok("1:esp/tunnel 3:esp/tunnel 5:esp/tunnel 7:esp/tunnel 9:ah/tunnel")
    );
    for six in ["ah ah ah ah ah ah", "esp esp esp esp esp tun"] {
        assert_eq!(folded(six), Err(Refusal::TooLong), "{six}");
    }
    assert_eq!(Refusal::TooLong.errno(), Errno::EMLINK);
    assert_eq!(Refusal::Destinations.errno(), Errno::EINVAL);
}

#[test]
fn a_source_that_is_not_said_is_that_of_the_header_in_front() {
    let of = |sources: &[&str], names: &str| {
        let mut members = chain(names);
        for (member, src) in members.iter_mut().zip(sources) {
            member.src = ip(src);
        }
        fold(members).map(|layers| {
            let sources: Vec<String> = layers.iter().map(|it| it.src.to_string()).collect();
            sources.join(" ")
        })
    };
    let ok = |text: &str| Ok(text.to_owned());
    const ANY: &str = "0.0.0.0";
    assert_eq!(of(&[SRC, ANY, ANY], "tun esp ah"), ok("10.0.0.1 10.0.0.1"));
    assert_eq!(of(&[ANY, SRC, ANY], "tun esp ah"), ok("10.0.0.1 10.0.0.1"));
    assert_eq!(of(&[ANY, ANY], "esp ah"), ok("0.0.0.0 0.0.0.0"));
    assert_eq!(of(&[ANY, SRC], "esp ah"), ok("0.0.0.0 10.0.0.1"));
    // The outer header may have another source than the inner one.
    assert_eq!(
        of(&[SRC, SRC, "10.0.0.9", ANY], "tun esp tun esp"),
        ok("10.0.0.1 10.0.0.9")
    );
    assert_eq!(of(&[ANY, ANY], "tun esp"), Err(Refusal::NoSource));
    assert_eq!(of(&[ANY], "tun"), Err(Refusal::NoSource));
    // Not even where the header inside says one: the tunnel's is another.
    assert_eq!(of(&[SRC, ANY], "esp tun"), Err(Refusal::NoSource));
    assert_eq!(of(&[SRC, "10.0.0.9"], "tun esp"), Err(Refusal::Sources));
    assert_eq!(
        of(&[SRC, ANY, "10.0.0.9"], "tun esp ah"),
        Err(Refusal::Sources)
    );
    assert_eq!(of(&["2001:db8::1"], "esp"), Err(Refusal::Sources));
}

/// Every chain of up to four SAs over all protocols.
fn every_chain() -> Vec<Vec<Proto>> {
    let mut chains: Vec<Vec<Proto>> = vec![vec![]];
    let mut all = Vec::new();
    for _ in 0..4 {
        chains = chains
            .iter()
            .flat_map(|chain| said::PROTOS.map(|proto| [&chain[..], &[proto]].concat()))
            .collect();
        all.extend(chains.clone());
    }
    all
}

/// What is so of whatever comes of folding, written down apart from how it is done.
fn check(protos: &[Proto], layers: &Layers, members: &[Member]) {
    assert_eq!(layers.is_bare(), protos.last() == Some(&Proto::Tun));
    assert_eq!(layers.dst, members[0].said.dst);
    let layers: Vec<Layer> = layers.iter().copied().collect();
    assert!((1..=MAX_STATES).contains(&layers.len()), "{protos:?}");
    // Every transform is there, in order, and is the SA that it says.
    let mut expected: Vec<usize> = (0..protos.len())
        .filter(|index| protos[*index] != Proto::Tun)
        .collect();
    if protos.last() == Some(&Proto::Tun) {
        expected.push(protos.len() - 1);
    }
    let named: Vec<usize> = layers.iter().map(|layer| layer.member).collect();
    assert_eq!(named, expected, "{protos:?}");
    for layer in layers {
        let proto = protos[layer.member];
        let is_bare = proto == Proto::Tun;
        if !is_bare {
            assert_eq!(layer.transform as u8, proto as u8, "{protos:?}");
        }
        // As many headers as there are tunnels, each by what is right outside of it.
        let behind_tunnel = layer.member > 0 && protos[layer.member - 1] == Proto::Tun;
        let tunnel = is_bare || behind_tunnel;
        assert_eq!(layer.mode == Mode::Tunnel, tunnel, "{protos:?}");
        assert!(!tunnel || !layer.src.is_unspecified(), "{protos:?}");
        assert_eq!(
            layer.transform.protects(),
            matches!(proto, Proto::Esp | Proto::Ah)
        );
    }
}

#[test]
fn every_chain_of_up_to_four_keeps_the_rules() {
    let mut seen = HashSet::new();
    for protos in every_chain() {
        let members: Vec<Member> = (0x1001..)
            .zip(&protos)
            .map(|(spi, proto)| member(*proto, spi, SRC, DST))
            .collect();
        let doubled = protos
            .windows(2)
            .any(|pair| pair == [Proto::Tun, Proto::Tun]);
        let result = fold(members.clone());
        seen.insert(result.as_ref().err().copied());
        let refused = doubled || protos.contains(&Proto::Int);
        match result {
            Ok(layers) => {
                assert!(!refused, "{protos:?}");
                check(&protos, &layers, &members);
                let count = |proto| protos.iter().filter(|it| **it == proto).count();
                let Protection { esp, ah } = layers.protection();
                assert_eq!(usize::from(esp), count(Proto::Esp), "{protos:?}");
                assert_eq!(usize::from(ah), count(Proto::Ah), "{protos:?}");
            }
            Err(_) => assert!(refused, "{protos:?}"),
        }
    }
    assert!(seen.contains(&None) && seen.len() == 3, "{seen:?}");
}

#[test]
fn protection_is_compared_by_each_kind() {
    let of = |esp, ah| Protection { esp, ah };
    assert!(of(1, 1).covers(of(1, 0)) && of(1, 0).covers(of(1, 0)));
    assert!(!of(1, 0).covers(of(1, 1)) && !of(0, 2).covers(of(1, 0)));
    assert_eq!(of(1, 0).max(of(0, 2)), of(1, 2));
    assert!(of(0, 1).is_some() && !of(0, 0).is_some());
}

#[test]
fn transforms_have_the_numbers_of_ip_protocols() {
    for (transform, number) in [
        (Transform::IpIp, 4),
        (Transform::Ipv6, 41),
        (Transform::Esp, 50),
        (Transform::Ah, 51),
        (Transform::Comp, 108),
    ] {
        assert_eq!(transform as u8, number);
    }
    let unspecified: IpAddr = ip("0.0.0.0");
    assert!(unspecified.is_unspecified());
}
