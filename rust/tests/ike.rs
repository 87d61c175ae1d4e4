// SPDX-License-Identifier: GPL-2.0

//! What of IKE goes past eroutes and inflows, so that they do not catch what negotiates their SAs.

use klips::{
    errno::Errno,
    klips_core::{interface::FIRST_IFNUM, selector::Packet, xfrm::Direction},
    memory,
    said::Said,
};
use testbed::{engine::Fate, *};

const OWN: &str = "10.0.0.1";
const PEER: &str = "10.0.0.2";

fn nets(src: &str, dst: &str) -> Vec<Vec<u8>> {
    flow((src, 0), (dst, 0), 0)
}

/// From host to host.
fn hosts() -> Vec<Vec<u8>> {
    nets("10.0.0.1/32", "10.0.0.2/32")
}

fn esp() -> Said {
    said("esp.115@10.0.0.2")
}

/// A host with an SA to its peer.
fn host() -> TestHost {
    let host = TestHost::new();
    host.local.borrow_mut().push(ip(OWN));
    host.set_up(&add(esp()));
    host
}

/// The policies that come before all eroutes.
fn past(host: &TestHost) -> Vec<String> {
    host.check();
    let listing = host.engine.listing();
    let lines = listing
        .lines()
        .filter(|line| line.contains(" proto 17 allow"));
    lines.map(str::to_owned).collect()
}

const OUT: [&str; 2] = [
    "out 10.0.0.1/32:4500>10.0.0.2/32 proto 17 allow",
    "out 10.0.0.1/32:500>10.0.0.2/32 proto 17 allow",
];

fn fate(host: &TestHost, sport: u16, dport: u16) -> Fate {
    let packet = Packet {
        src: ip(OWN),
        dst: ip(PEER),
        proto: 17,
        sport,
        dport,
    };
    host.engine.send(&packet, host.clock.get().boot)
}

#[test]
fn ike_goes_past_an_eroute_that_would_catch_it() {
    let host = host();
    host.set_up(&add_flow(esp(), 0, &hosts()));
    assert_eq!(past(&host), OUT);
    // By the port of here alone: behind NAT there may be any other.
    for (sport, dport) in [(500, 500), (4500, 4500), (4500, 31_000)] {
        assert_eq!(fate(&host, sport, dport), Fate::Clear, "{sport}");
    }
    for (sport, dport) in [(501, 500), (31_000, 4500), (53, 53)] {
        assert_eq!(fate(&host, sport, dport), Fate::Protected, "{sport}");
    }
    // Whatever becomes of its SAs.
    host.set_up(&flush(0));
    assert_eq!(past(&host), OUT);
    assert_eq!(fate(&host, 53, 53), Fate::Dropped);
    host.set_up(&del_flow(&hosts()));
    assert_eq!(past(&host), [""; 0]);
}

#[test]
fn it_goes_past_for_as_many_as_want_that() {
    let host = host();
    host.set_up(&add_flow(esp(), 0, &hosts()));
    let wide = nets("10.0.0.0/24", "10.0.0.0/24");
    host.set_up(&add_flow(esp(), 0, &wide));
    assert_eq!(past(&host), OUT);
    host.set_up(&del_flow(&hosts()));
    assert_eq!(past(&host), OUT);
    // Replaced by the same and by another.
    host.set_up(&add_flow(esp(), flag::REPLACE, &wide));
    assert_eq!(past(&host), OUT);
    host.set_up(&add(said("esp.116@10.0.0.3")));
    host.set_up(&add_flow(said("esp.116@10.0.0.3"), flag::REPLACE, &wide));
    assert_eq!(past(&host), OUT.map(|line| line.replace(PEER, "10.0.0.3")));
    host.set_up(&clear_flows());
    assert_eq!(past(&host), [""; 0]);
}

#[test]
fn an_eroute_that_would_not_catch_it_is_left_alone() {
    let host = host();
    for flow in [
        // Neither the gateway nor its peer, or one of them.
        nets("10.1.0.0/24", "10.2.0.0/24"),
        nets("10.0.0.0/24", "10.2.0.0/24"),
        nets("10.1.0.0/24", "10.0.0.0/24"),
        // Something else.
        flow(("10.0.0.1/32", 0), ("10.0.0.2/32", 0), 6),
        flow(("10.0.0.1/32", 53), ("10.0.0.2/32", 0), 17),
    ] {
        host.set_up(&add_flow(esp(), 0, &flow));
        let all_ports = |line: &String| line.contains(":500>") || line.contains(":4500>");
        assert!(!past(&host).iter().any(all_ports));
    }
    let ike = flow(("10.0.0.1/32", 500), ("10.0.0.2/32", 500), 17);
    host.set_up(&add_flow(esp(), 0, &ike));
    // That one of port 53, this one, and what goes past it.
    assert_eq!(past(&host).len(), 4, "it would");
    // Others' IKE is forwarded as all that is theirs.
    host.set_up(&clear_flows());
    host.local.borrow_mut().clear();
    host.set_up(&add_flow(esp(), 0, &hosts()));
    assert_eq!(past(&host), [""; 0]);
}

#[test]
fn an_eroute_for_ike_itself_may_be_there_beside_it() {
    let host = host();
    host.set_up(&add_flow(esp(), 0, &hosts()));
    let ike = flow(("10.0.0.1/32", 500), ("10.0.0.2/32", 0), 17);
    host.set_up(&add_flow(said("%drop"), 0, &ike));
    assert_eq!(past(&host), OUT);
    assert_eq!(fate(&host, 500, 500), Fate::Clear);
    host.set_up(&del_flow(&ike));
    assert_eq!(past(&host), OUT);
}

/// pluto says which gateway of here an eroute begins at, also for %trap, whose SA there is not.
#[test]
fn it_goes_past_shunts_to_all_that_they_lead_to() {
    let host = host();
    for word in ["%trap", "%trapsubnet", "%hold", "%drop", "%reject"] {
        let wide = nets("10.0.0.0/24", "10.0.0.0/16");
        let request = from_source(add_flow(said(word), 0, &wide), OWN);
        host.set_up(&request);
        assert_eq!(
            past(&host),
            [
                "out 10.0.0.1/32:4500>10.0.0.0/16 proto 17 allow",
                "out 10.0.0.1/32:500>10.0.0.0/16 proto 17 allow"
            ],
            "{word}"
        );
        assert_eq!(fate(&host, 500, 500), Fate::Clear, "{word}");
        host.set_up(&del_flow(&wide));
        // Nobody said from where, and it may be from any.
        host.set_up(&add_flow(said(word), 0, &wide));
        assert_eq!(past(&host), [""; 0], "{word}");
        host.set_up(&del_flow(&wide));
        // It can be from one only.
        host.set_up(&add_flow(said(word), 0, &hosts()));
        assert_eq!(past(&host), OUT, "{word}");
        host.set_up(&del_flow(&hosts()));
    }
    host.engine.expect_all_clear();
    host.set_up(&add_flow(said("%pass"), 0, &hosts()));
    assert_eq!(host.engine.policies().len(), 1);
}

/// X_PLUMBIF or X_UNPLUMBIF of `ipsec0`.
fn plumb(msg_type: u8) -> Vec<u8> {
    let [low, high] = FIRST_IFNUM.to_le_bytes();
    message(msg_type, 0, &[extension(ext::PLUMBIF, &[low, high, 0, 0])])
}

/// A peer may be routed to `ipsec0` itself: IKE with it goes around that.
#[test]
fn a_peer_of_an_eroute_is_reached_around_the_interface() {
    let host = host();
    let around = [(ip(OWN), ip(PEER), 7)];
    host.engine.add_interface(0, 7, &[ip(OWN)]);
    host.set_up(&add_flow(esp(), 0, &hosts()));
    assert_eq!(host.routes(), []);
    host.set_up(&plumb(msg::PLUMBIF));
    assert_eq!(host.routes(), around);
    host.set_up(&plumb(msg::UNPLUMBIF));
    assert_eq!(host.routes(), []);
    host.set_up(&plumb(msg::PLUMBIF));
    host.set_up(&del_flow(&hosts()));
    assert_eq!(host.routes(), []);
    // Before there are SAs, as well.
    for word in ["%trap", "%hold"] {
        host.set_up(&add_flow(said(word), 0, &hosts()));
        assert_eq!(host.routes(), around, "{word}");
        host.set_up(&add_flow(esp(), flag::REPLACE, &hosts()));
        assert_eq!(host.routes(), around, "{word}");
        host.set_up(&clear_flows());
        assert_eq!(host.routes(), [], "{word}");
    }
    // One for each peer.
    host.set_up(&add_flow(esp(), 0, &nets("10.0.0.0/24", "0.0.0.0/0")));
    host.set_up(&add(said("esp.116@10.0.0.3")));
    let other = nets("10.0.0.1/32", "10.0.0.3/32");
    host.set_up(&add_flow(said("esp.116@10.0.0.3"), 0, &other));
    let both = [around[0], (ip(OWN), ip("10.0.0.3"), 7)];
    assert_eq!(host.routes(), both);
    // What comes in needs no way out, and a network is no peer.
    host.set_up(&clear_flows());
    let wide = nets("10.0.0.0/24", "10.0.0.0/16");
    host.set_up(&from_source(add_flow(said("%trap"), 0, &wide), OWN));
    add_inbound(&host, inbound("tun.100"));
    host.set_up(&add_flow(
        inbound("tun.100"),
        flag::IN,
        &nets("10.0.0.2/32", "10.0.0.1/32"),
    ));
    assert_eq!(past(&host).len(), 4);
    assert_eq!(host.routes(), []);
}

/// Where the physical interface does not have the gateway's address, the eroute is for all packets.
#[test]
fn a_peer_of_another_interface_is_not() {
    let host = host();
    host.engine.add_interface(0, 7, &[ip("10.9.0.1")]);
    host.set_up(&plumb(msg::PLUMBIF));
    host.set_up(&add_flow(esp(), 0, &hosts()));
    assert_eq!(past(&host), OUT);
    assert_eq!(host.routes(), []);
}

fn inbound(name: &str) -> Said {
    said(&format!("{name}@10.0.0.1"))
}

fn add_inbound(host: &TestHost, said: Said) {
    host.set_up(&from_source(add(said), PEER));
}

#[test]
fn it_comes_in_past_an_inflow() {
    let host = host();
    let chain = [inbound("tun.213"), inbound("esp.215")];
    let back = nets("10.0.0.2/32", "10.0.0.1/32");
    add_inbound(&host, chain[0]);
    host.set_up(&add_flow(chain[0], flag::IN, &back));
    let expected = [
        "in 10.0.0.2/32>10.0.0.1/32:4500 proto 17 allow",
        "in 10.0.0.2/32>10.0.0.1/32:500 proto 17 allow",
    ];
    assert_eq!(past(&host), expected);
    add_inbound(&host, chain[1]);
    host.set_up(&pair(chain[0], chain[1]));
    assert_eq!(past(&host), expected);
    let forwards = |direction| {
        let policies = host.engine.policies();
        policies
            .iter()
            .filter(|it| it.spec.direction == direction)
            .count()
    };
    assert_eq!(
        (forwards(Direction::In), forwards(Direction::Forward)),
        (3, 1)
    );
    // Another tunnel takes its place while keys change.
    let new = [inbound("tun.313"), inbound("esp.315")];
    add_inbound(&host, new[0]);
    add_inbound(&host, new[1]);
    host.set_up(&pair(new[0], new[1]));
    host.set_up(&add_flow(new[0], flag::IN, &back));
    host.set_up(&delete(chain[1]));
    assert_eq!(past(&host), expected);
    // Without SAs nothing else gets in, and new ones can be negotiated.
    host.set_up(&delete(new[1]));
    assert_eq!(past(&host), expected);
    host.set_up(&del_flow(&back));
    assert_eq!(past(&host), [""; 0]);
    // For networks behind, it is not in the way.
    add_inbound(&host, chain[0]);
    host.set_up(&add_flow(
        chain[0],
        flag::IN,
        &nets("10.2.0.0/24", "10.1.0.0/24"),
    ));
    assert_eq!(past(&host), [""; 0]);
}

#[test]
fn whatever_fails_nothing_goes_past_that_should_not() {
    let back = nets("10.0.0.2/32", "10.0.0.1/32");
    let life = [
        add_flow(esp(), 0, &hosts()),
        add_flow(esp(), 0, &nets("10.0.0.0/24", "10.0.0.0/24")),
        add_flow(inbound("tun.213"), flag::IN, &back),
        from_source(
            add_flow(
                said("%trap"),
                flag::REPLACE,
                &nets("10.0.0.0/24", "10.0.0.0/24"),
            ),
            OWN,
        ),
        del_flow(&hosts()),
    ];
    let host = host();
    add_inbound(&host, inbound("tun.213"));
    let mut failures = 0;
    for request in life {
        for enough in 0.. {
            let before = seen(&host);
            memory::fail_after(Some(enough));
            let result = host.write(&request);
            memory::fail_after(None);
            host.check();
            match result {
                Ok(()) => break,
                Err(errno) => assert_eq!(errno, Errno::ENOMEM),
            }
            assert_eq!(seen(&host), before);
            failures += 1;
        }
        host.drain();
    }
    assert!(failures > 30, "{failures}");
    // Somebody else takes them out.
    let before = seen(&host);
    host.engine.flush_policies();
    host.work();
    assert_eq!(seen(&host), before);
}

#[test]
fn nothing_goes_past_an_inflow_of_what_leads_elsewhere_or_comes_from_anywhere() {
    // A tunnel to another host.
    let host = TestHost::new();
    let tun = said("tun.113@10.0.0.2");
    host.set_up(&add(tun));
    host.set_up(&add_flow(tun, flag::IN, &hosts()));
    assert_eq!(past(&host), [""; 0]);
    // One of here, of whoever has its keys.
    let host = TestHost::new();
    host.local.borrow_mut().push(ip(PEER));
    host.set_up(&from_source(add(tun), "0.0.0.0"));
    host.set_up(&add_flow(tun, flag::IN, &nets("0.0.0.0/0", "10.0.0.2/32")));
    assert_eq!(past(&host), [""; 0]);
}
